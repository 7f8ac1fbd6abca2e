"""Commands that are not ours: the real experimaestro runs them, or one line reports that it is missing."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.commands import END_LIMIT
from tests.cli.people import Person
from tests.support.polling import wait_until
from xpm_remote.cli import main
from xpm_remote.cli.peer import drop_options, parse_commands

pytestmark = pytest.mark.slow

READY_LIMIT = 30.0
"""Seconds for the real server to start on a loaded machine."""

ASK = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "get_sync_info"}) + "\n"

HELP = """\
Usage: experimaestro [OPTIONS] COMMAND [ARGS]...

  Commands: are listed below.

Options:
  --help  Show this message and exit.

Commands:
  jobs                   Job control
  parameters-difference  Compute the difference
                         between two configurations
  a-name-that-leaves-no-room-for-what-it-is-for
                         Says so below
  silent

  An epilog: that is not a command.
"""


def test_parse_commands() -> None:
    """The commands are parsed from a help, also where their description is on further lines."""
    assert parse_commands(HELP) == {
        "jobs": "Job control",
        "parameters-difference": "Compute the difference between two configurations",
        "a-name-that-leaves-no-room-for-what-it-is-for": "Says so below",
        "silent": "",
    }
    assert parse_commands("Traceback (most recent call last):\n") == {}


@pytest.mark.parametrize(
    ("way", "ours", "known"),
    [
        ((), main.ABOUTS, main.PEER_COMMANDS),
        (("experiments",), main.EXPERIMENTS, main.EXPERIMENTS_OF_PEER),
        (("jobs",), main.JOBS, main.JOBS_OF_PEER),
    ],
)
def test_known_commands_are_those_of_the_real_one(
    beside: Person, way: tuple[str, ...], ours: dict[str, str], known: tuple[str, ...]
) -> None:
    """The known commands of experimaestro are those that it has."""
    said = beside.run_python("-m", "experimaestro", *way, "--help")
    assert set(parse_commands(said.stdout)) - set(ours) == set(known)


class TestInstalled:
    """With the real experimaestro beside us."""

    def workspace(self, person: Person) -> Path:
        """Make an empty workspace, and settings in which it is the default."""
        marker = person.write("ws/.__experimaestro__", "")
        person.settle(f"workspaces: [{{id: here, path: {marker.parent}}}]")
        return marker.parent

    def test_version(self, beside: Person) -> None:
        """A command of the real experimaestro is run by it."""
        done = beside.run("version")
        assert (done.status, done.stdout) == (0, "2.7.0\n")

    def test_jobs_stray(self, beside: Person) -> None:
        """A command of the real experimaestro uses the settings that both read."""
        self.workspace(beside)
        done = beside.run("jobs", "stray")
        assert (done.status, done.stdout) == (0, "No stray or orphan jobs found.\n")
        assert "workspace here" in done.stderr

    def test_workspaces_list_is_ours(self, beside: Person) -> None:
        """A command that both have is run by us."""
        path = self.workspace(beside)
        assert beside.run("workspaces", "list").stdout == f"here  default  {path}\n"

    def test_command_of_a_group_that_both_have(self, beside: Person) -> None:
        """In a group of ours, a command of the real one gets the group's options too."""
        path = self.workspace(beside)
        assert beside.run("experiments", "list").status == 0
        done = beside.run("experiments", "--workdir", str(path / "no"), "list")
        assert done.status == 1
        assert f"{path / 'no'} is not an experimaestro working directory" in done.stdout

    def test_options_of_the_root(self, beside: Person) -> None:
        """Options that both roots have are passed to the real one."""
        self.workspace(beside)
        assert beside.run("--quiet", "jobs", "stray").stderr == ""
        done = beside.run("--debug", "--logging", "xpm.none=LOUD", "--traceback", "jobs", "stray")
        assert done.status == 0
        assert "Unknown log level 'LOUD'" in done.stderr

    def test_words_arrive_as_they_are(self, beside: Person) -> None:
        """Spaces, empty words, options of the command and ``--`` are passed unchanged."""
        self.workspace(beside)
        done = beside.run("experiments", "history", "a  b", "--json")
        assert "a  b" in done.stdout + done.stderr
        done = beside.run("jobs", "stray", "--", "--x y/")
        assert "--x y" in done.stdout + done.stderr

    def test_exit_status(self, beside: Person) -> None:
        """The exit status and the error messages are those of the real one."""
        self.workspace(beside)
        done = beside.run("jobs", "stray", "--nonsense")
        assert done.status == 2
        assert "python -m experimaestro jobs" in done.stderr

    def test_typo_of_ours(self, beside: Person) -> None:
        """A typo of a command of ours is reported before the real one is run."""
        done = beside.run("workspaces", "migrat")
        assert done.status == 2
        first = done.stderr.splitlines()[0]
        assert first == (
            'experimaestro: there is no command "workspaces migrat" of ours; did you mean "migrate"?'
        )

    def test_settings_that_the_real_one_does_not_read(self, beside: Person) -> None:
        """Another settings file is an error, since the real one would not read it."""
        other = beside.write("other.yaml", "workspaces: []")
        done = beside.run("--settings", str(other), "version")
        assert done.status == 2
        assert str(beside.settings) in done.error
        done = beside.run("version", XPM_REMOTE_SETTINGS=str(other))
        assert (done.status, done.stdout) == (0, "2.7.0\n")
        assert done.error.startswith('warning: "version" is run by experimaestro itself')

    def test_settings_that_are_the_same(self, beside: Person) -> None:
        """Another path of the same settings file is accepted."""
        self.workspace(beside)
        link = beside.home / "link.yaml"
        link.symlink_to(beside.settings)
        assert beside.run("--settings", str(link), "--quiet", "jobs", "stray").status == 0

    def test_current_directory_is_not_on_the_path(self, beside: Person) -> None:
        """Files in the current directory are not imported as modules, as with the real one's own script."""
        beside.write("yaml.py", "raise SystemExit('yaml.py was imported')")
        done = beside.run("version")
        assert (done.status, done.stdout, done.stderr) == (0, "2.7.0\n", "")

    @contextmanager
    def server(self, person: Person) -> Iterator[subprocess.Popen[str]]:
        """Start the real server through us, as another machine does over SSH, until it has answered."""
        path = self.workspace(person)
        words = ("--quiet", "experiments", "--workdir", str(path), "monitor-server")
        with person.start(*words) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(ASK)
                process.stdin.flush()
                assert json.loads(process.stdout.readline())["result"]["workspace_path"]
                yield process
            finally:
                process.kill()

    def test_sigint(self, beside: Person) -> None:
        """SIGINT reaches the real server, which says goodbye and ends with its own status."""
        with self.server(beside) as process:
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=END_LIMIT)
            assert "notification.shutdown" in said
            assert process.returncode == 0

    def test_sigterm(self, beside: Person) -> None:
        """SIGTERM ends the real server, and its parent sees that it was the signal."""
        with self.server(beside) as process:
            process.terminate()
            assert process.wait(END_LIMIT) == -signal.SIGTERM

    def test_end_of_input(self, beside: Person) -> None:
        """The end of stdin reaches the real server."""
        with self.server(beside) as process:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(END_LIMIT) == 0

    def test_one_process(self, beside: Person) -> None:
        """The real one replaces our process."""
        with self.server(beside) as process:
            command = Path(f"/proc/{process.pid}/cmdline")
            words = wait_until(command.read_bytes, READY_LIMIT, "its command line").split(b"\0")
            assert b"monitor-server" in words
            assert b"experimaestro" in words
            assert str(beside.venv / "bin" / "experimaestro").encode() not in words


class TestMissing:
    """Without the real experimaestro."""

    @pytest.mark.parametrize(
        ("words", "name"),
        [
            (("jobs", "stray"), "jobs stray"),
            (("version",), "version"),
            (("experiments", "list"), "experiments list"),
            (("experiments", "--workdir", "/w", "monitor", "--web"), "experiments monitor --web"),
            (("run-experiment", "x.yaml"), "run-experiment"),
        ],
    )
    def test_real_commands(self, alone: Person, words: tuple[str, ...], name: str) -> None:
        """One line says which command needs experimaestro, and how to install it."""
        done = alone.run(*words)
        assert (done.status, done.stdout) == (6, "")
        assert f'"{name}" needs experimaestro itself, which is not installed here' in done.error
        assert "pip install experimaestro" in done.error

    def test_directory_of_that_name(self, alone: Person) -> None:
        """A directory that is called experimaestro is not the package."""
        alone.write("experimaestro/notes.txt", "")
        done = alone.run_python("-m", "xpm_remote", "jobs", "stray")
        assert done.status == 6

    @pytest.mark.parametrize(
        ("words", "meant"),
        [
            (("workspace", "list"), "workspaces"),
            (("workspaces", "lsit"), "list"),
            (("experiments", "ssh-monitr"), "ssh-monitor"),
        ],
    )
    def test_typo_of_ours(self, alone: Person, words: tuple[str, ...], meant: str) -> None:
        """A mistyped command of ours is an error that suggests the right one."""
        done = alone.run(*words)
        assert done.status == 2
        assert done.error.endswith(f'did you mean "{meant}"?')

    def test_unknown_command(self, alone: Person) -> None:
        """An unknown command may be one of a newer experimaestro."""
        done = alone.run("frobnicate")
        assert done.status == 2
        assert 'no command "frobnicate"' in done.error
        assert "pip install experimaestro" in done.error


FAR = "workspaces: [{{id: far, path: {path}, ssh: {{host: me@cluster, options: ['-p 22']}}}}]"
THERE = "ssh '-p 22' me@cluster"


@pytest.mark.parametrize("installed", ["alone", "beside"])
class TestElsewhere:
    """What is meant for a workspace on another host, whose path is that of a workspace here, too."""

    @pytest.fixture
    def person(self, installed: str, request: pytest.FixtureRequest) -> Person:
        """Return a person with a remote workspace, and a directory of the same path."""
        person: Person = request.getfixturevalue(installed)
        self.path = person.write("ws/.__experimaestro__", "").parent
        self.link = person.home / "link"
        self.link.symlink_to(self.path)
        person.settle(FAR.format(path=self.path))
        return person

    def refused(self, person: Person, *words: str, **variables: str) -> str:
        """Run a command that has to be refused, in one line, and return that."""
        before = sorted(person.home.rglob("*"))
        done = person.run(*words, **variables)
        assert (done.status, done.stdout) == (4, "")
        assert sorted(person.home.rglob("*")) == before
        (line,) = done.stderr.splitlines()
        assert "me@cluster, and " in line
        assert "would act on this machine" in line
        return line

    @pytest.mark.parametrize(
        "words",
        [
            *(f"experiments --workspace far {name} e" for name in main.EXPERIMENTS_OF_PEER),
            *(f"experiments --workdir {{path}} {name} e" for name in main.EXPERIMENTS_OF_PEER),
            "experiments --workspace=far tag e latest best",
            "experiments tag e latest best --workspace=far",
            "experiments tag --workspace far e latest best",
            "experiments -- tag --workspace far e latest best",
            "experiments --workdir={path}/. history e",
            "experiments --workdir {link} history e",
            "experiments --workdir ws history e",
            "experiments --workspace other --workspace far list",
            "experiments --workspace far monitor --web",
            "experiments monitor --web --workdir {path}",
            "jobs --workspace far stray --delete --perform",
            "jobs --workdir {path} stray",
            "cleanup --workspace far",
            "cleanup --workspace=far",
            "cleanup --workdir {path}/",
            "--quiet cleanup --workdir={path}",
            "migrate v1-to-v2 {path}",
            "migrate v1-to-v2 ws",
            "deprecated list --fix {path}",
        ],
    )
    def test_refused(self, words: str, person: Person) -> None:
        """It is refused with what to do there, whether experimaestro is installed or not."""
        line = self.refused(person, *shlex.split(words.format(path=self.path, link=self.link)))
        assert f"run it there: {THERE} experimaestro " in line

    def test_hint(self, person: Person) -> None:
        """The command for the other host has its directory, and the words as they were."""
        line = self.refused(
            person, *["experiments", "--workspace", "far", "tag", "e", "latest", "best"]
        )
        assert line == (
            'experimaestro: the workspace "far" is on me@cluster, and "experiments tag" would act on this machine;'
            f" run it there: {THERE} experimaestro experiments --workdir {self.path} tag e latest best"
        )
        line = self.refused(person, "experiments", "tag", "e", "a b", "--workspace=far")
        script = shlex.split(line.partition("run it there: ")[2])
        assert script[:4] == ["ssh", "-p 22", "me@cluster", script[3]]
        there = ["experimaestro", "experiments", "--workdir", str(self.path), "tag", "e", "a b"]
        assert shlex.split(script[3]) == there

    def test_run_experiment(self, person: Person) -> None:
        """An experiment for the directory or the name of a remote workspace is not run here either."""
        words = ("run-experiment", "x.yaml", "-c", "a=1")
        line = self.refused(person, *words, "--workdir", str(self.path))
        assert f"experimaestro run-experiment --workdir {self.path} x.yaml -c a=1;" in line
        done = person.run(*words, "--workspace", "far")
        assert (done.status, "and run-experiment runs here" in done.error) == (4, True)

    def test_home_there(self, person: Person) -> None:
        """The ~ of the other host is left to its shell."""
        person.settle(FAR.format(path="~/w s"))
        line = self.refused(person, "cleanup", "--workspace", "far")
        assert line.endswith(shlex.quote("experimaestro cleanup --workdir ~/'w s'"))

    def test_settings_that_experimaestro_does_not_read(self, person: Person) -> None:
        """A workspace that is remote in one of the two settings files counts."""
        other = person.write("other.yaml", "workspaces: []")
        self.refused(person, "cleanup", "--workspace", "far", XPM_REMOTE_SETTINGS=str(other))
        person.settings.replace(other)
        self.refused(person, "cleanup", "--workspace", "far", XPM_REMOTE_SETTINGS=str(other))

    def test_broken_settings(self, person: Person) -> None:
        """Where the settings cannot be read, nothing that names a workspace is run."""
        person.settle("workspaces: nonsense")
        assert person.run("cleanup", "--workspace", "far").status == 3

    def test_directory_of_this_machine(self, person: Person) -> None:
        """A directory that a local workspace has too is one of this machine, and the server is for others."""
        words = ("experiments", "--workdir", str(self.path))
        assert f"add a workspace without ssh to {person.settings}" in self.refused(
            person, *words, "list"
        )
        status = 0 if person.venv.parent.name.startswith("beside") else 6
        done = person.run(*words, "monitor-server", SSH_CONNECTION="1 2 3 4")
        assert done.status == status, done.stderr
        person.settle(
            f"workspaces: [{{id: far, path: {self.path}, ssh: {{host: c}}}}, {{id: here, path: {self.path}}}]"
        )
        assert person.run(*words, "list").status == status


VALUES = {"--keep": 1, "--pair": 2, "--flag": 0, "--drop": 1, "-d": 1, "-k": 1, "--gone": 0}
DROPPED = ("--drop", "-d", "--gone")


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("a b", "a b"),
        ("--drop x a", "a"),
        ("--drop=x a", "a"),
        ("-d x a", "a"),
        ("-dx a", "a"),
        ("--gone a", "a"),
        ("a --drop x --flag b --drop y", "a --flag b"),
        ("--keep --drop a", "--keep --drop a"),
        ("--keep=1 --drop x", "--keep=1"),
        ("-k --drop -k1 --drop x", "-k --drop -k1"),
        ("--pair --drop --drop --drop x", "--pair --drop --drop"),
        ("--pair=1 --drop --drop x", "--pair=1 --drop"),
        ("--unknown --drop x", "--unknown"),
        ("- --drop x -5", "- -5"),
        ("a -- --drop x", "a -- --drop x"),
        ("--keep -- --drop x", "--keep --"),
        ("a --drop", "a"),
        ("'' '--drop x' --drop ''", "'' '--drop x'"),
    ],
)
def test_drop_options(words: str, kept: str) -> None:
    """Dropped options go with their values, in any spelling; all else is unchanged."""
    assert drop_options(shlex.split(words), DROPPED, VALUES) == shlex.split(kept)
