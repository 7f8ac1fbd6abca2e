"""``workspaces list``, ``show`` and ``which``: the meaning of the settings, before they are used."""

from __future__ import annotations

import errno
import os
import re
import shlex
import signal
import stat
import subprocess
from pathlib import Path

import pexpect
import pytest

from tests.cli.commands import COMMAND_LIMIT
from tests.cli.people import Person
from tests.workspace.small import locked
from xpm_remote.cli.settings_file import replace_file
from xpm_remote.errors import SettingsError

pytestmark = pytest.mark.slow

SETTINGS = """\
env: {JAVA_HOME: "${env:ROOT}/java", LEVEL: all}
history: {max_done: 9}
workspaces:
  - id: cluster
    path: /remote/experiments
    ssh:
      host: user@cluster
      shell_init: "module load python"
      options: -p 2222
  - id: neuralir
    path: ~/experiments/xpmir
    env: {LEVEL: own}
    triggers: ["neuralir-*", "ir-?"]
    folders: [{path: /slow/backup, mode: backup}]
  - id: other
    path: ${env:ROOT}/other
    triggers: ["*-other"]
    max_retries: 5
"""
SCREEN_LIMIT = 30
"""Seconds for a command to end on a loaded machine."""


@pytest.fixture
def person(alone: Person) -> Person:
    """A user with these settings; ROOT is to be filled in."""
    alone.settle(SETTINGS)
    return alone


class TestList:
    """``workspaces list``."""

    def test_text(self, person: Person) -> None:
        """Each workspace is a line, in file order; the default is the first local one."""
        done = person.run("workspaces", "list", ROOT="/r")
        assert (done.status, done.stderr) == (0, "")
        assert [line.split() for line in done.stdout.splitlines()] == [
            ["cluster", "remote", "user@cluster:/remote/experiments"],
            ["neuralir", "default", f"{person.home}/experiments/xpmir"],
            ["other", "local", "/r/other"],
        ]

    def test_verbose(self, person: Person) -> None:
        """A verbose list has the values of the file for each workspace, and no defaults."""
        lines = person.run("workspaces", "list", "-v", ROOT="/r").stdout.splitlines()
        start = next(index for index, line in enumerate(lines) if line.startswith("other"))
        assert [line.split() for line in lines[start + 1 :]] == [
            ["max_retries", "5"],
            ["triggers", "*-other"],
            ["env.JAVA_HOME", "/r/java"],
            ["env.LEVEL", "all"],
            ["history.max_done", "9"],
        ]
        assert any(line.split() == ["folders[0]", "backup", "/slow/backup"] for line in lines)

    def test_json(self, person: Person) -> None:
        """The document has each workspace with all its values."""
        document = person.run("workspaces", "list", "--format", "json", ROOT="/r").document
        assert document["schema"] == "xpm-remote/workspaces/1"
        assert document["settings"] == str(person.settings)
        cluster, neuralir, other = document["workspaces"]
        assert (cluster["remote"], cluster["default"]) == (True, False)
        assert cluster["ssh"]["options"] == ["-p 2222"]
        assert (neuralir["remote"], neuralir["default"], neuralir["ssh"]) == (False, True, None)
        assert neuralir["folders"] == [{"path": "/slow/backup", "mode": "backup"}]
        assert (other["path"], other["max_retries"]) == ("/r/other", 5)
        assert other["history"] == {"max_done": 9, "max_failed": 1}

    def test_check_without_settings(self, alone: Person) -> None:
        """Without settings there is nothing to list, which is no error."""
        done = alone.run("workspaces", "list")
        assert (done.status, done.stdout) == (0, "")
        assert done.error == f"there are no workspaces in {alone.settings}"
        assert alone.run("workspaces", "list", "--format", "json").document["workspaces"] == []

    def test_broken_settings(self, alone: Person) -> None:
        """Every error in the settings is a line with its place."""
        file = alone.settle("workspaces:\n  - id: a\n  - path: /b\n")
        done = alone.run("workspaces", "list")
        assert (done.status, done.stdout) == (3, "")
        assert done.stderr.splitlines() == [
            f"experimaestro: {file}:2:5: workspaces[0].path: is missing",
            f"experimaestro: {file}:3:5: workspaces[1].id: is missing",
        ]

    def test_hostile_text(self, alone: Person) -> None:
        """Control characters are shown escaped."""
        alone.settle('workspaces: [{id: w, path: "/\\e[2J", env: {A: "a\\nb"}}]'.replace("\\e", ""))
        done = alone.run("workspaces", "list", "-v")
        assert "\x1b" not in done.stdout
        assert r"a\nb" in done.stdout


class TestShow:
    """``workspaces show``."""

    def rows(self, text: str) -> dict[str, tuple[str, str]]:
        """Return source and value of each key."""
        cells = [re.split(r"  +", line, maxsplit=2) for line in text.splitlines()[2:]]
        return {row[0]: (row[1], row[2]) for row in cells if len(row) == 3}

    def test_local(self, person: Person) -> None:
        """Each value has its line in the file, with the variables in it, or is a default."""
        done = person.run("workspaces", "show", "neuralir", ROOT="/r")
        assert (done.status, done.stderr) == (0, "")
        head = done.stdout.splitlines()[0]
        assert head == f"workspace neuralir (local, the default) in {person.settings}"
        assert self.rows(done.stdout) == {
            "id": ("settings.yaml:10", "neuralir"),
            "path": ("settings.yaml:11", f"{person.home}/experiments/xpmir"),
            "max_retries": ("default", "3"),
            "lock_mode": ("default", "inherit"),
            "triggers": ("settings.yaml:13", "neuralir-*, ir-?"),
            "env.JAVA_HOME": ("settings.yaml:1 $ROOT", "/r/java"),
            "env.LEVEL": ("settings.yaml:12", "own"),
            "folders[0]": ("settings.yaml:14", "backup /slow/backup"),
            "slurm_interval": ("default", "120"),
            "history.max_done": ("settings.yaml:2", "9"),
            "history.max_failed": ("default", "1"),
        }

    def test_remote(self, person: Person) -> None:
        """A remote workspace also has the connection and the remote command, without connecting."""
        done = person.run("workspaces", "show", "cluster", ROOT="/r")
        assert "SshEngine" not in done.stdout
        assert re.search(r"^ssh\.engine +default +asyncssh$", done.stdout, re.MULTILINE)
        assert (done.status, done.stderr) == (0, "")
        assert self.rows(done.stdout)["ssh.options"] == ("settings.yaml:9", "-p 2222")
        facts = dict(re.findall(r"^(\w[\w ]*?)  +(.*)$", done.stdout, re.MULTILINE))
        assert (facts["host"], facts["port"], facts["user"]) == ("cluster", "2222", "user")
        server = shlex.split(facts["or server"])
        assert server[-2:] == ["/remote/experiments", "monitor-server"]
        assert "module load python" in facts["command"]

    def test_json_is_the_same(self, person: Person) -> None:
        """The document has values, places, connection and command."""
        show = ("workspaces", "show", "cluster", "--format", "json")
        document = person.run(*show, ROOT="/r").document
        assert document["schema"] == "xpm-remote/workspace/1"
        assert (document["id"], document["remote"], document["default"]) == ("cluster", True, False)
        values = {value.pop("key"): value for value in document["values"]}
        assert values["env.JAVA_HOME"] == {
            "value": "/r/java",
            "position": {"line": 1, "column": 18},
            "variables": ["ROOT"],
        }
        assert values["ssh.uv_offline"] == {"value": False, "position": None, "variables": []}
        assert document["connection"]["port"] == 2222
        assert document["connection"]["or command"].endswith("monitor-server'")

    @pytest.mark.parametrize("backend", ["experimaestro", "agent", "auto"])
    def test_backend(self, alone: Person, backend: str) -> None:
        """The command shown is the backend's; with auto, the agent's command is shown, too."""
        ssh = f"{{host: h, options: -F none, backend: {backend}}}"
        alone.settle(f"workspaces: [{{id: w, path: /w, ssh: {ssh}}}]")
        shown = alone.run("workspaces", "show", "w", "--format", "json").document["connection"]
        assert shown["backend"] == backend
        assert shown["server"].endswith("monitor-server") == (backend == "experimaestro")
        starts = [name for name, value in shown.items() if " /w deflate python3 " in str(value)]
        assert starts == ([] if backend == "experimaestro" else ["server", "command"])
        assert ("or server" in shown) == (backend == "auto")
        assert "then requests" in alone.run("workspaces", "show", "w").stdout or not starts

    def test_json_of_a_local_one(self, person: Person) -> None:
        """A local workspace has no connection."""
        show = ("workspaces", "show", "other", "--format", "json")
        assert person.run(*show, ROOT="/r").document["connection"] is None

    def test_unknown(self, person: Person) -> None:
        """An unknown id is an error with a suggestion."""
        done = person.run("workspaces", "show", "nerualir", ROOT="/r")
        assert (done.status, done.stdout) == (4, "")
        assert 'did you mean "neuralir"?' in done.error

    def test_ssh_option_that_cannot_be_used(self, alone: Person) -> None:
        """The settings are shown although they make no valid connection."""
        alone.settle("workspaces: [{id: w, path: /w, ssh: {host: h, options: -L 1:h:2}}]")
        done = alone.run("workspaces", "show", "w")
        assert done.status == 5
        assert self.rows(done.stdout)["ssh.host"][1] == "h"
        assert "-L" in done.error

    def test_terminal(self, person: Person) -> None:
        """On a terminal a long value continues below its column, and no word is split."""
        person.settle(f"workspaces: [{{id: w, path: /w, triggers: {['word' * 5] * 5}}}]")
        child = pexpect.spawn(
            str(person.venv / "bin" / "experimaestro"),
            ["workspaces", "show", "w"],
            cwd=str(person.home),
            env={**person.environment(), "TERM": "xterm"},
            dimensions=(24, 80),
            encoding="utf-8",
            timeout=SCREEN_LIMIT,
        )
        child.expect(pexpect.EOF)
        child.close()
        lines = (child.before or "").splitlines()[2:]  # a path is never split, however long
        assert max(map(len, lines)) <= 80
        assert sum(line.count("word" * 5) for line in lines) == 5
        assert any(line.startswith(" " * 26 + "word") for line in lines)


class TestWhich:
    """``workspaces which``."""

    @pytest.mark.parametrize(
        ("words", "chosen", "rule"),
        [
            (("neuralir-1",), "neuralir", "trigger"),
            (("neuralir-other",), "neuralir", "trigger"),
            (("an-other",), "other", "trigger"),
            (("nothing",), "neuralir", "default"),
            (("NEURALIR-1",), "neuralir", "default"),
            (("an-other", "--workspace", "cluster"), "cluster", "workspace"),
            (("an-other", "--workdir", "/there"), "", "workdir"),
            (("an-other", "--workspace", "neuralir", "--workdir", "/d"), "neuralir", "workspace"),
            (("an-other", "--workspace", "", "--workdir", ""), "other", "trigger"),
        ],
    )
    def test_rules(self, person: Person, words: tuple[str, ...], chosen: str, rule: str) -> None:
        """The document names the workspace and the rule that chose it."""
        which = ("workspaces", "which", *words, "--format", "json")
        document = person.run(*which, ROOT="/r").document
        assert document["schema"] == "xpm-remote/selection/1"
        assert document["experiment"] == words[0]
        assert (document["workspace"]["id"], document["rule"]) == (chosen, rule)

    def test_text(self, person: Person) -> None:
        """The text has the workspace, its directory, and the reason."""
        done = person.run("workspaces", "which", "ir-7", ROOT="/r")
        assert (done.status, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "workspace  neuralir",
            f"path       {person.home}/experiments/xpmir",
            'because    the experiment "ir-7" matches its trigger "ir-?"',
        ]

    @pytest.mark.parametrize(
        ("words", "path"),
        [
            (("--workdir", "here"), "{home}/here"),
            (("--workdir=~/there",), "{home}/there"),
            (("--workspace", "cluster", "--workdir", "~/there"), "user@cluster:~/there"),
        ],
    )
    def test_directory(self, person: Person, words: tuple[str, ...], path: str) -> None:
        """A directory is relative to the current one, for a remote workspace to the remote home."""
        done = person.run("workspaces", "which", "x", *words, ROOT="/r")
        assert f"path       {path.format(home=person.home)}\n" in done.stdout

    def test_directory_of_an_unknown_user(self, person: Person) -> None:
        """The home directory of an unknown user is an error."""
        done = person.run("workspaces", "which", "x", "--workdir=~nobody-here/x", ROOT="/r")
        assert done.status == 2
        assert "nobody-here" in done.error

    def test_nothing_to_choose_from(self, alone: Person) -> None:
        """Without a local workspace there is no default."""
        alone.settle("workspaces: [{id: far, path: /far, ssh: {host: h}}]")
        done = alone.run("workspaces", "which", "x")
        assert (done.status, done.stdout) == (4, "")
        assert "only remote workspaces" in done.error


MISTAKES = """\
env: {A: "${env:NOPE}"}
workspaces:
  - id: one
    path: /one
    trigers: [a]
    folders: [{path: /f, mode: bakcup}]
  - id: one
    path: /two
"""


def test_everything_in_one_run(alone: Person) -> None:
    """Errors and warnings are shown together, each a line with its place, and counted."""
    file = alone.settle(MISTAKES)
    done = alone.run("workspaces", "check")
    assert (done.status, done.stderr) == (3, "")
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()] == [
        "error:",
        "error:",
        "warning:",
        "warning:",
        f"{file}:",
    ]
    assert f'error: {file}:6:32: workspaces[0].folders[0].mode: found the text "bakcup"' in (
        done.stdout
    )
    assert f'warning: {file}:5:5: workspaces[0]: unknown key "trigers"' in done.stdout
    assert done.stdout.endswith(f"{file}: 2 errors, 2 warnings\n")


def test_json(alone: Person) -> None:
    """The document has the parts of each problem."""
    file = alone.settle(MISTAKES)
    done = alone.run("workspaces", "check", "--format", "json")
    assert done.status == 3
    document = done.document
    assert (document["schema"], document["settings"]) == ("xpm-remote/check/1", str(file))
    assert document["errors"][0] == {
        "position": {"line": 6, "column": 32},
        "key": "workspaces[0].folders[0].mode",
        "what": 'found the text "bakcup"',
        "allowed": 'use, backup, move; did you mean "backup"?',
    }
    assert [each["key"] for each in document["warnings"]] == ["env.A", "workspaces[0]"]


def test_keys_of_the_dashboard(alone: Person) -> None:
    """An action that does not exist and a key of another one are errors at their places; other commands go on."""
    file = alone.settle(
        "workspaces: [{id: a, path: /a}]\nkeys:\n  mrak: z\n  mark: j\n  find: Ctrl-F\n"
    )
    done = alone.run("workspaces", "check")
    assert done.status == 3
    first, second, _ = done.stdout.splitlines()
    assert first.startswith(f"error: {file}:3:9: keys.mrak: there is no such action; did you mean")
    assert second.startswith(f'error: {file}:4:9: keys.mark: the key "j" is that of down already')
    assert alone.run("workspaces", "list").status == 0


def test_warnings_only(alone: Person) -> None:
    """Warnings alone leave the exit status at 0."""
    file = alone.settle("colour: red")
    done = alone.run("workspaces", "check")
    assert done.status == 0
    assert done.stdout.splitlines()[-1] == f"{file}: no errors, 1 warning"


def test_nothing_wrong(alone: Person) -> None:
    """Settings without problems are reported as such."""
    file = alone.settle("workspaces: [{id: w, path: /w}]")
    done = alone.run("workspaces", "check")
    assert (done.status, done.stdout) == (0, f"{file}: no problems\n")


def test_migrate_without_settings(alone: Person) -> None:
    """Missing settings are no problem, but are reported; a named file must exist."""
    done = alone.run("workspaces", "check")
    assert (done.status, done.stdout.count("no such file")) == (0, 1)
    done = alone.run("--settings", "missing.yaml", "workspaces", "check")
    assert done.status == 3
    assert "error: missing.yaml: no such file" in done.stdout


def test_ssh_options(alone: Person) -> None:
    """An SSH option that cannot be honoured is an error at its place, before any connection."""
    file = alone.settle(
        """\
        workspaces:
          - {id: good, path: /g, ssh: {host: h, options: -p 22}}
          - id: bad
            path: /b
            ssh:
              host: h
              options: [-q, "-L 1:h:2"]
          - {id: worse, path: /w, ssh: {host: "ssh://h:nine"}}
        """
    )
    done = alone.run("workspaces", "check")
    assert done.status == 3
    first, second, last = done.stdout.splitlines()
    assert first.startswith(f"error: {file}:7:16: workspaces[1].ssh: ")
    assert "-L" in first
    assert second.startswith(f"error: {file}:8:32: workspaces[2].ssh: ")
    assert last.endswith("2 errors, no warnings")


def test_not_even_yaml(alone: Person) -> None:
    """What cannot be parsed is one error, with its place."""
    file = alone.settle("workspaces: [{id: a, path: /a}\nenv: {}\n")
    done = alone.run("workspaces", "check")
    assert done.status == 3
    assert re.match(rf"error: {file}:[12]:\d+: not valid YAML: .*\n{file}: 1 error,", done.stdout)


OLD = """\
# what I have
workspaces:
  - {id: other,   path: /other}
  - id: nlp
    path: /nlp   # fast disk
    alt_workspaces: [other]  # last year
"""
NEW = OLD.replace("alt_workspaces: [other]", "folders: [{path: /other, mode: use}]")
MIGRATE = ("workspaces", "migrate")
WRITE = (*MIGRATE, "--write")


def files(person: Person) -> dict[str, str]:
    """Return the files in the folder of the settings."""
    return {each.name: each.read_text() for each in person.settings.parent.iterdir()}


def test_difference_only(alone: Person) -> None:
    """Without --write the difference is printed and nothing is written."""
    alone.settle(OLD)
    done = alone.run(*MIGRATE)
    assert done.status == 0
    assert "-    alt_workspaces: [other]  # last year\n" in done.stdout
    assert "+    folders: [{path: /other, mode: use}]  # last year\n" in done.stdout
    assert "--write" in done.error
    assert files(alone) == {"settings.yaml": OLD}


def test_write(alone: Person) -> None:
    """--write changes only the lines that need it, and keeps the old file beside the new one."""
    alone.settle(OLD)
    done = alone.run(*WRITE)
    assert done.status == 0
    assert "+    folders:" in done.stdout
    assert f"{alone.settings}.bak" in done.error
    assert files(alone) == {"settings.yaml": NEW, "settings.yaml.bak": OLD}


def test_second_time(alone: Person) -> None:
    """A second run has nothing to do, which is no error."""
    alone.settle(OLD)
    alone.run(*WRITE)
    done = alone.run(*WRITE)
    assert (done.status, done.stdout) == (0, "")
    assert done.error == f"nothing to do: no alt_workspaces in {alone.settings}"
    assert files(alone) == {"settings.yaml": NEW, "settings.yaml.bak": OLD}


def test_real_one_reads_the_result(beside: Person) -> None:
    """The real experimaestro reads what was written."""
    beside.settle(OLD)
    assert beside.run(*WRITE).status == 0
    done = beside.run_python("-m", "experimaestro", "workspaces", "list", "-v")
    assert done.status == 0
    assert "/other" in done.stdout.partition("nlp: /nlp")[2]
    assert "alt_workspaces: []" in done.stdout.partition("nlp: /nlp")[2]


def test_backups_are_never_overwritten(alone: Person) -> None:
    """Each backup has a name of its own."""
    for _ in range(3):
        alone.settle(OLD)
        assert alone.run(*WRITE).status == 0
    names = ["settings.yaml", "settings.yaml.bak", "settings.yaml.bak.1", "settings.yaml.bak.2"]
    assert sorted(files(alone)) == names


@pytest.mark.parametrize("again", [OLD, NEW])
@pytest.mark.parametrize("files_before", [0, 1])
def test_killed_while_writing(
    alone: Person, monkeypatch: pytest.MonkeyPatch, files_before: int, again: str
) -> None:
    """What a killed run was writing is removed by the next one, even if there is nothing left to do."""
    alone.settle(OLD)
    path = alone.settings
    left_before = iter(range(files_before))
    child = os.fork()
    if child == 0:

        def kill(*_: object) -> None:
            if next(left_before, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(os, "fchmod", kill)  # before the content is written
        replace_file(path, OLD.encode(), NEW.encode())
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    left = set(files(alone)) - {"settings.yaml"}
    assert len(left) == files_before + 1
    assert all(each.startswith(".settings.yaml.") for each in left)
    path.write_text(again)
    assert alone.run(*WRITE).status == 0
    assert set(files(alone)) - {"settings.yaml.bak"} == {"settings.yaml"}


def test_where_a_file_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backup is made, too, on a file system without hard links."""
    file = tmp_path / "settings.yaml"

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    for number, backup in enumerate(("settings.yaml.bak", "settings.yaml.bak.1")):
        file.write_text(OLD)
        assert replace_file(file, OLD.encode(), NEW.encode()).name == backup
        assert (tmp_path / backup).read_text() == OLD
        assert len(list(tmp_path.iterdir())) == number + 2


def test_file_that_is_being_written(alone: Person) -> None:
    """The file that a living process writes, and files of the user, are left alone."""
    alone.settle(OLD)
    names = [".settings.yaml.xpm-remote-12345678", ".settings.yaml.old_copy", ".settings.yaml.swp"]
    for name in names:
        alone.settings.with_name(name).touch()
    with locked(alone.settings.with_name(names[0])):
        assert alone.run(*WRITE).status == 0
    assert set(names) < set(files(alone))


def test_backup_that_is_a_link(alone: Person) -> None:
    """A link in the place of the backup is not followed, even if it is dangling."""
    alone.settle(OLD)
    link = alone.settings.with_name("settings.yaml.bak")
    link.symlink_to("nowhere")
    assert alone.run(*WRITE).status == 0
    assert link.is_symlink()
    assert alone.settings.with_name("settings.yaml.bak.1").read_text() == OLD
    assert not alone.settings.with_name("nowhere").exists()


def test_mode(alone: Person) -> None:
    """The new file and the backup have the permissions of the old one, whatever the umask says."""
    alone.settle(OLD)
    alone.settings.chmod(0o640)
    assert alone.run(*WRITE).status == 0
    for file in alone.settings.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_link(alone: Person) -> None:
    """A settings file that is a link stays one; the file that it leads to is written, its backup beside it."""
    real = alone.write("dotfiles/xpm.yaml", OLD)
    alone.settings.parent.mkdir(parents=True)
    alone.settings.symlink_to("../../dotfiles/xpm.yaml")
    assert alone.run(*WRITE).status == 0
    assert alone.settings.is_symlink()
    assert real.read_text() == NEW
    assert sorted(each.name for each in real.parent.iterdir()) == ["xpm.yaml", "xpm.yaml.bak"]
    assert list(files(alone)) == ["settings.yaml"]


@pytest.mark.parametrize(
    ("mark", "newline"), [(b"\xef\xbb\xbf", "\n"), (b"", "\r\n"), (b"\xef\xbb\xbf", "\r\n")]
)
def test_bytes(alone: Person, mark: bytes, newline: str) -> None:
    """Line breaks and a byte order mark stay what they are."""
    alone.settle("")
    alone.settings.write_bytes(mark + OLD.replace("\n", newline).encode())
    assert alone.run(*WRITE).status == 0
    assert alone.settings.read_bytes() == mark + NEW.replace("\n", newline).encode()


def test_no_settings(alone: Person) -> None:
    """Without settings there is nothing to do; a named file must exist."""
    done = alone.run(*WRITE)
    assert (done.status, done.stdout) == (0, "")
    assert "nothing to do" in done.error
    assert alone.run("--settings", "missing.yaml", *WRITE).status == 3


def test_errors_in_the_settings(alone: Person) -> None:
    """A file with errors is not changed."""
    text = OLD.replace("path: /nlp ", "path: [] ")
    alone.settle(text)
    done = alone.run(*WRITE)
    assert (done.status, done.stdout) == (3, "")
    assert files(alone) == {"settings.yaml": text}


def test_disk_that_takes_nothing(alone: Person) -> None:
    """Where nothing can be written there is an error, and nothing is changed."""
    alone.settle(OLD)
    program = str(alone.venv / "bin" / "experimaestro")
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$0" "$@"', program, *WRITE],
        env=alone.environment(),
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr == f"experimaestro: {alone.settings} cannot be written: File too large\n"
    assert files(alone) == {"settings.yaml": OLD}


def test_file_that_changes_meanwhile(tmp_path: Path) -> None:
    """A file that another process has written meanwhile is not changed, and no backup or other trace is left."""
    file = tmp_path / "settings.yaml"
    file.write_text("theirs")
    with pytest.raises(SettingsError, match="was changed just now"):
        replace_file(file, b"what we read", b"ours")
    assert [each.name for each in tmp_path.iterdir()] == ["settings.yaml"]
    assert file.read_text() == "theirs"
