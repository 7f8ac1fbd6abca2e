"""``run-experiment``: we choose the workspace, the real experimaestro runs the experiment."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import END_LIMIT, Finished
from tests.cli.people import Person
from tests.workspace.small import SmallWorkspace
from xpm_remote.cli.context import Context
from xpm_remote.cli.run_experiment import recover_before
from xpm_remote.errors import UsageError
from xpm_remote.settings.schema import Workspace
from xpm_remote.workspace.layout import Folder, FolderMode

pytestmark = pytest.mark.slow

SETTINGS = """\
carbon: {warn_if_unavailable: false}
env: {GREETING: all, TONE: "${env:TONE}!"}
workspaces:
  - {id: first, path: ~/first}
  - id: second
    path: ~/second
    triggers: ["demo-*"]
    env: {GREETING: "own one"}
  - {id: cluster, path: /c, ssh: {host: me@cluster, options: ["-p 2222"]}}
"""

EXPERIMENT = """\
import os
from experimaestro.experiments import ConfigurationBase, ExperimentHelper, configuration
from tasks import Greet, Wait

@configuration()
class Demo(ConfigurationBase):
    seconds: float = 0
    is_broken: bool = False

def run(helper: ExperimentHelper, demo: Demo):
    print("script", os.environ.get("GREETING"), os.environ.get("TONE"), flush=True)
    if demo.is_broken:
        raise ValueError("broken on purpose")
    task = Wait.C(seconds=demo.seconds) if demo.seconds else Greet.C()
    task.submit()
"""

TASKS = """\
import os, time
from experimaestro import Param, Task

class Greet(Task):
    def execute(self):
        print("job", os.environ.get("GREETING"), os.environ.get("TONE"))

class Wait(Task):
    seconds: Param[float]
    def execute(self):
        time.sleep(self.seconds)
"""

RUN = ("run-experiment",)
DRY = (*RUN, "--dry-run")


@pytest.fixture
def person(alone: Person) -> Person:
    """A user with settings and an experiment, but without the real experimaestro."""
    return prepare(alone)


def prepare(prepared: Person) -> Person:
    """Write a user's settings and experiment."""
    prepared.settle(SETTINGS)
    prepared.write("code/demo.yaml", "id: demo-1\nfile: demo.py\n")
    prepared.write("code/demo.py", EXPERIMENT)
    prepared.write("code/tasks.py", TASKS)
    return prepared


def facts(done: Finished) -> dict[str, str]:
    """Return the facts that a dry run prints; variables by their names."""
    assert done.status == 0, done.stderr
    rows = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    pairs = [row[1].split("=", 1) if row[0] == "variable" else row for row in rows]
    return dict(pairs)


def handed(done: Finished) -> list[str]:
    """Return the words that a dry run would hand over, without the interpreter."""
    words = shlex.split(facts(done)["command"])
    return words[words.index("experimaestro") + 1 :]


class TestChoice:
    """Which workspace it is."""

    @pytest.mark.parametrize(
        ("words", "workspace"),
        [
            (("code/demo.yaml",), "second"),
            (("code/demo",), "second"),
            (("code/demo.yaml", "-c", "id=other"), "first"),
            (("-cid=other", "code/demo.yaml"), "first"),
            (("code/demo.yaml", "--conf=id=other", "-c", "id=demo-2"), "second"),
            (("code/demo.yaml", "--workspace", "first"), "first"),
            (("code/demo.yaml", "--post-yaml", "code/late.yaml"), "first"),
            (("code/demo.yaml", "--pre-yaml=code/late.yaml"), "second"),
            (("code/child.yaml",), "second"),
            (("code/grandchild.yaml",), "second"),
            (("code/heir.yaml",), "first"),
            (("--env", "NAME", "code/late.yaml", "code/demo.yaml"), "second"),
            (("--events-format", "json", "--console", "code/demo.yaml"), "second"),
            (("--", "code/demo.yaml"), "second"),
            (("--unknown", "code/demo.yaml", "argument"), "second"),
        ],
    )
    def test_id(self, person: Person, words: tuple[str, ...], workspace: str) -> None:
        """The id is that of the YAML, its imports, further files and --conf; the last one wins."""
        person.write("code/late.yaml", "id: late\n")
        person.write("code/child.yaml", "imports: [late.yaml, demo.yaml]\n")
        person.write("code/grandchild.yaml", "parent: child.yaml\nseconds: 1\n")
        person.write("code/heir.yaml", "imports: [child.yaml]\nid: heir\n")
        assert facts(person.run(*DRY, *words, TONE="low"))["workspace"] == workspace

    def test_reason(self, person: Person) -> None:
        """A dry run prints which workspace, where, why, and with what; it needs no experimaestro."""
        found = facts(person.run(*DRY, "code/demo.yaml", TONE="low"))
        assert found["path"] == str(person.home / "second")
        assert found["because"] == 'the experiment "demo-1" matches its trigger "demo-*"'
        assert (found["GREETING"], found["TONE"]) == ("own one", "low!")

    def test_add_timestamp(self, person: Person) -> None:
        """Triggers are matched against the id with the time of the start added."""
        person.write("code/dated.yaml", "id: demo-1\nadd_timestamp: true\n")
        because = facts(person.run(*DRY, "code/dated.yaml", TONE="low"))["because"]
        assert re.match(r'the experiment "demo-1-\d{8}-\d{4}" matches', because)

    @pytest.mark.parametrize(
        ("words", "path"),
        [
            (("--workdir", "here"), "{home}/here"),
            (("--workdir=~/there",), "{home}/there"),
            (("--workspace", "second", "--workdir", "/d"), "/d"),
        ],
    )
    def test_directory(self, person: Person, words: tuple[str, ...], path: str) -> None:
        """A given directory is used, whatever the id is, and also without an id."""
        person.write("code/nameless.yaml", "file: demo.py")
        done = person.run(*DRY, *words, "code/nameless.yaml", TONE="low")
        assert facts(done)["path"] == path.format(home=person.home)
        words_handed = handed(done)
        assert words_handed[words_handed.index("--workdir") + 1] == path.format(home=person.home)

    def test_no_id_and_no_triggers(self, person: Person) -> None:
        """Without an id the default is used, unless there are triggers that the id might match."""
        person.settle("workspaces: [{id: only, path: /only}]")
        person.write("code/nameless.yaml", "file: demo.py")
        assert facts(person.run(*DRY, "code/nameless.yaml"))["workspace"] == "only"

    def test_other_tags(self, person: Person) -> None:
        """YAML tags that only experimaestro can construct are ignored."""
        person.write("code/tags.yaml", "id: demo-1\nshape: !!python/tuple [1, 2]\nother: !x {}\n")
        assert facts(person.run(*DRY, "code/tags.yaml", TONE="low"))["workspace"] == "second"


class TestHandedOver:
    """What the real experimaestro gets."""

    def test_words(self, person: Person) -> None:
        """All words but those that choose the workspace are passed unchanged; the choice comes first."""
        words = (
            "--run-mode=dry_run", "code/demo", "-c", "a=b c", "--workspace", "first", "--env", "A",
            "--workdir", "-cx=1", "--show", "--unknown=1", "more", "--", "--workspace", "x",
        )  # fmt: skip
        person.settle("workspaces: [{id: first, path: /first}]")
        assert handed(person.run("--quiet", *DRY, *words)) == [
            "--quiet", "run-experiment", "--workspace", "first",
            "--run-mode=dry_run", "code/demo", "-c", "a=b c", "--env", "A",
            "--workdir", "-cx=1", "--show", "--unknown=1", "more", "--", "--workspace", "x",
        ]  # fmt: skip

    def test_variable_that_refers_to_itself(self, person: Person) -> None:
        """A variable that the settings expand is not expanded again by experimaestro."""
        assert handed(person.run(*DRY, "code/demo", TONE="low")) == [
            "run-experiment", "--workspace", "second", "--env", "TONE", "low!", "code/demo",
        ]  # fmt: skip

    def test_variable_that_changes_a_path(self, person: Person) -> None:
        """A variable of the settings that would make experimaestro read another path is an error."""
        text = "env: {ROOT: /b}\nworkspaces: [{id: w, path: '${env:ROOT}/w'}]"
        file = person.settle(text)
        done = person.run(*DRY, "code/demo", ROOT="/a")
        assert done.status == 3
        assert f"under env in {file} change what is meant elsewhere: path (ROOT)" in done.error

    def test_other_settings(self, person: Person) -> None:
        """The values of another settings file, which experimaestro does not read, are passed to it."""
        other = person.write(
            "o.yaml", "env: {A: 1}\nworkspaces: [{id: w, path: /w, env: {B: x y}}]"
        )
        done = person.run("--settings", str(other), *DRY, "code/demo", "--workspace", "w")
        assert handed(done) == [
            "run-experiment", "--workdir", "/w", "--env", "A", "1", "--env", "B", "x y", "code/demo",
        ]  # fmt: skip

    def test_other_settings_that_cannot_be_told(self, person: Person) -> None:
        """Settings that cannot be passed on, and may be meant to keep jobs, are an error."""
        text = (
            "workspaces: [{id: w, path: /w, max_retries: 9, folders: [{path: /f, mode: backup}]}]"
        )
        other = person.write("o.yaml", text)
        done = person.run(*DRY, "code/demo", XPM_REMOTE_SETTINGS=str(other))
        assert done.status == 2
        assert "max_retries, folders[0] of" in done.error
        assert str(person.settings) in done.error


class TestMistakes:
    """Errors of the command line and of files."""

    @pytest.mark.parametrize(
        ("words", "status", "said"),
        [
            ((), 2, "the YAML file of the experiment is missing"),
            (("--unknown",), 2, "the YAML file of the experiment is missing"),
            (("nothing",), 2, 'there is no experiment file "nothing"'),
            (("code/demo", "--pre-yaml", "no.yaml"), 2, 'there is no experiment file "no.yaml"'),
            (("code",), 2, "is not a regular file"),
            (("code/demo", "--workspace", "secnod"), 4, 'did you mean "second"?'),
            (("code/demo", "--workdir=~nobody-here/x"), 2, "nobody-here"),
            (("code/demo", "-c", "id=demo-1", "--conf"), 2, "--conf"),
        ],
    )
    def test_words(self, person: Person, words: tuple[str, ...], status: int, said: str) -> None:
        """A contradictory command line is an error that says why."""
        done = person.run(*DRY, *words, TONE="low")
        assert (done.status, done.stdout) == (status, "")
        assert said in done.stderr

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "x.yaml describes no experiment"),
            ("- id: x", "x.yaml describes no experiment"),
            ("id: [", "x.yaml is not valid YAML"),
            ("file: a.py", "x.yaml has no id, so no trigger of a workspace can match it"),
            ("id: 12", 'the experiment\'s id is 12, not a text; write id: "12"'),
            ("id: !mine x", "x.yaml is not valid YAML"),
            pytest.param("id: " + "[" * 100_000, "x.yaml is not valid YAML", id="deep"),
            ("imports: x.yaml", "x.yaml: imports is 'x.yaml'; write a list of paths"),
            ("imports: [x.yaml]", "x.yaml imports itself"),
            ("imports: [none]", "there is no experiment file"),
        ],
    )
    def test_files(self, person: Person, text: str, said: str) -> None:
        """A file that describes no experiment is an error with its name and the cause."""
        person.write("x.yaml", text)
        done = person.run(*DRY, "x.yaml", TONE="low")
        assert (done.status, done.stdout) == (2, "")
        assert said in done.error

    def test_not_utf_8(self, person: Person) -> None:
        """A file in another encoding is an error with its name."""
        person.write("x.yaml", "").write_bytes(b"id: \xe9t\xe9")
        done = person.run(*DRY, "x.yaml", TONE="low")
        assert done.status == 2
        assert "x.yaml is not valid YAML" in done.error

    @pytest.mark.parametrize("words", [(), ("--workdir", "/d")])
    def test_remote_workspace(self, person: Person, words: tuple[str, ...]) -> None:
        """A remote workspace is an error that says what to do."""
        done = person.run(*DRY, "code/demo", "--workspace", "cluster", *words, TONE="low")
        assert (done.status, done.stdout) == (4, "")
        assert 'the workspace "cluster" is on me@cluster' in done.error
        assert "ssh '-p 2222' me@cluster" in done.error
        assert "first, second" in done.error

    def test_only_remote_workspaces(self, person: Person) -> None:
        """Without a local workspace there is an error."""
        person.settle("workspaces: [{id: far, path: /far, ssh: {host: h}}]")
        done = person.run(*DRY, "code/demo")
        assert done.status == 4
        assert "only remote workspaces" in done.error


class TestReal:
    """With the real experimaestro."""

    @pytest.fixture
    def person(self, beside: Person) -> Person:
        """A user with settings, an experiment, and the real experimaestro."""
        return prepare(beside)

    def outputs(self, workspace: Path) -> list[str]:
        """Return the output of the jobs of a workspace."""
        return [each.read_text() for each in workspace.glob("jobs/*/*/*.out")]

    def test_runs_where_the_trigger_says(self, person: Person) -> None:
        """The experiment runs in the chosen workspace; it and its jobs have that workspace's environment."""
        done = person.run(*RUN, "code/demo", TONE="low")
        assert done.status == 0, done.stderr
        assert done.stderr.splitlines()[0] == (
            f"experimaestro: workspace second at {person.home / 'second'}:"
            ' the experiment "demo-1" matches its trigger "demo-*"'
        )
        assert "script own one low!" in done.stdout
        assert self.outputs(person.home / "second") == ["job own one low!\n"]
        assert not (person.home / "first").exists()

    def test_other_settings(self, person: Person) -> None:
        """A workspace of another settings file is used as well."""
        other = person.write("o.yaml", "workspaces: [{id: w, path: ~/w, env: {GREETING: hi}}]")
        person.settle("carbon: {warn_if_unavailable: false}")
        done = person.run("--settings", str(other), *RUN, "code/demo")
        assert done.status == 0, done.stderr
        assert self.outputs(person.home / "w") == ["job hi None\n"]

    def test_failure(self, person: Person) -> None:
        """The exit status is that of the real experimaestro."""
        done = person.run(*RUN, "code/demo", "-c", "is_broken=true", TONE="low")
        assert done.status == 1
        assert "broken on purpose" in done.stderr

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            (("code/child",), "demo-1"),
            (("code/grandchild", "--pre-yaml", "code/late.yaml"), "demo-1"),
            (("code/demo", "--post-yaml", "code/late.yaml"), "late"),
            (("code/demo", "--post-yaml", "code/late.yaml", "-c", "id=x"), "x"),
        ],
    )
    def test_id_is_that_of_the_real_one(
        self, person: Person, words: tuple[str, ...], found: str
    ) -> None:
        """The id by which we choose is the one that the real experimaestro determines."""
        person.write("code/late.yaml", "id: late\nfile: demo.py\n")
        person.write("code/child.yaml", "imports: [late.yaml, demo.yaml]\n")
        person.write("code/grandchild.yaml", "imports: [child.yaml]\n")
        person.settle("workspaces: [{id: a, path: ~/a}]")
        assert f'no trigger matches "{found}"' in facts(person.run(*DRY, *words))["because"]
        shown = person.run("--quiet", *RUN, "--show", *words)
        assert json.loads(shown.stdout.splitlines()[-1])["id"] == found

    def start(self, person: Person, *words: str) -> subprocess.Popen[str]:
        """Start a long experiment, and wait until its job runs."""
        process = person.start(*RUN, *words, "code/demo", "-c", "seconds=60")
        assert process.stdout is not None
        for line in process.stdout:
            if "Process started" in line:
                return process
        raise AssertionError(f"the experiment ended with {process.wait(END_LIMIT)}")

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, -15)])
    def test_signals(self, person: Person, number: int, status: int) -> None:
        """A signal reaches the real experimaestro, and the exit status is its own."""
        with self.start(person, "--workspace", "first") as process:
            try:
                process.send_signal(number)
                process.communicate(timeout=END_LIMIT)
                assert process.returncode == status
            finally:
                process.kill()
                stop_jobs(person.home / "first")


def stop_jobs(workspace: Path) -> None:
    """End the jobs that the experiment left behind."""
    for file in workspace.glob("jobs/*/*/*.pid"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(json.loads(file.read_text())["pid"], signal.SIGKILL)


@pytest.fixture
def made(tmp_path: Path) -> SmallWorkspace:
    """A workspace that has lost jobs of two experiments, which its folder has."""
    made, folder = SmallWorkspace(tmp_path / "ws"), SmallWorkspace(tmp_path / "folder")
    for name in ("t/a", "t/b"):
        folder.job(name)
    made.run(["t/a", "t/gone"], "demo")
    made.run(["t/b"], "other")
    return made


def workspace(made: SmallWorkspace) -> Workspace:
    """Return the workspace as in the settings."""
    folder = Folder(path=made.root.parent / "folder", mode=FolderMode.USE)
    return Workspace(id="w", path=made.root, folders=(folder,))


def results(made: SmallWorkspace) -> list[str]:
    """Return the jobs of the workspace."""
    return sorted(each.parent.name for each in made.layout.jobs.glob("t/*/result.txt"))


def test_own_jobs_only(made: SmallWorkspace, capsys: pytest.CaptureFixture[str]) -> None:
    """Only jobs that runs of that experiment refer to are recovered; this is reported once."""
    recover_before(Context(), workspace(made), lambda: "demo")
    assert results(made) == ["a"]
    assert capsys.readouterr().err.startswith("1 job to recover, ")
    recover_before(Context(), workspace(made), lambda: "demo")
    assert capsys.readouterr().err == ""


def test_unknown_id(made: SmallWorkspace) -> None:
    """An unknown id, or unreadable files, recover nothing and are no error."""

    def fail() -> str:
        raise UsageError("the file cannot be read")

    recover_before(Context(), workspace(made), lambda: None)
    recover_before(Context(), workspace(made), fail)
    assert results(made) == []


def test_no_workspace_yet(tmp_path: Path) -> None:
    """A workspace that does not exist yet has lost nothing."""
    folder = Folder(path=tmp_path, mode=FolderMode.USE)
    recover_before(
        Context(), Workspace(id="w", path=tmp_path / "no", folders=(folder,)), lambda: "demo"
    )
    assert not (tmp_path / "no").exists()


def test_busy(made: SmallWorkspace, capsys: pytest.CaptureFixture[str]) -> None:
    """A job that cannot be brought back is a warning."""
    place = made.layout.jobs / "t" / "a"
    place.mkdir(parents=True)
    (place / "t.lock").touch()
    (place / "mine.txt").write_text("mine")
    recover_before(Context(), workspace(made), lambda: "demo")
    assert (place / "mine.txt").read_text() == "mine"
    capsys.readouterr()
