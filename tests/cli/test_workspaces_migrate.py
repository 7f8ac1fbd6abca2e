"""``workspaces migrate``: the difference first, then the file, and the old one never lost."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import COMMAND_LIMIT
from tests.cli.people import Person
from xpm_remote.cli.settings_file import replace_file
from xpm_remote.errors import SettingsError

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
    """Give what the folder of the settings holds."""
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
    """--write changes the lines that it has to, and keeps the old file beside the new one."""
    alone.settle(OLD)
    done = alone.run(*WRITE)
    assert done.status == 0
    assert "+    folders:" in done.stdout
    assert f"{alone.settings}.bak" in done.error
    assert files(alone) == {"settings.yaml": NEW, "settings.yaml.bak": OLD}


def test_second_time(alone: Person) -> None:
    """Once it is done there is nothing to do, which is no error."""
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
    """Each backup gets a name of its own."""
    for _ in range(3):
        alone.settle(OLD)
        assert alone.run(*WRITE).status == 0
    names = ["settings.yaml", "settings.yaml.bak", "settings.yaml.bak.1", "settings.yaml.bak.2"]
    assert sorted(files(alone)) == names


def test_backup_that_is_a_link(alone: Person) -> None:
    """A link in the place of the backup is not followed, even if it leads nowhere."""
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
    """Without settings there is nothing to do; a named file has to be there."""
    done = alone.run(*WRITE)
    assert (done.status, done.stdout) == (0, "")
    assert "nothing to do" in done.error
    assert alone.run("--settings", "missing.yaml", *WRITE).status == 3


def test_errors_in_the_settings(alone: Person) -> None:
    """A file with errors is left alone."""
    text = OLD.replace("path: /nlp ", "path: [] ")
    alone.settle(text)
    done = alone.run(*WRITE)
    assert (done.status, done.stdout) == (3, "")
    assert files(alone) == {"settings.yaml": text}


def test_disk_that_takes_nothing(alone: Person) -> None:
    """Where nothing can be written the error says so, and everything is as it was."""
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
    """A file that somebody else has written in between is left alone, without a backup or a trace."""
    file = tmp_path / "settings.yaml"
    file.write_text("theirs")
    with pytest.raises(SettingsError, match="was changed just now"):
        replace_file(file, b"what we read", b"ours")
    assert [each.name for each in tmp_path.iterdir()] == ["settings.yaml"]
    assert file.read_text() == "theirs"
