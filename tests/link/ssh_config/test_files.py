"""The config files of a host, and their contents."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from xpm_remote.link.ssh_config import files as config_files
from xpm_remote.link.ssh_config.files import absolute, configured, home, read_mentions
from xpm_remote.link.ssh_config.text import find_mentions


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's ``~/.ssh``, in a home of its own; the system's file is beside it."""
    monkeypatch.setattr(config_files, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(config_files, "_SYSTEM_CONFIG", tmp_path / "etc" / "ssh_config")
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    return tmp_path / "home" / ".ssh"


def test_home_is_that_of_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with ssh, $HOME has no effect, unless there is no account."""
    before = home()
    monkeypatch.setenv("HOME", "/elsewhere")
    assert home() == before

    def no_account(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", no_account)
    assert home() == Path("/elsewhere")


def test_which_files(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's and the system's files, as far as they exist, or the one of -F, are read."""
    assert configured(None) == []
    (own / "config").touch()
    (tmp_path / "etc" / "ssh_config").touch()
    assert configured(None) == [str(own / "config"), str(tmp_path / "etc" / "ssh_config")]
    assert configured("NONE") == []
    assert configured("~/.ssh/x") == [str(own / "x")]
    monkeypatch.chdir(tmp_path)
    assert absolute("x") == str(tmp_path / "x")


def test_included_files(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Included files are found where ssh looks: beside the user's or the system's, at home, by patterns, nested."""
    monkeypatch.setenv("PORTS", str(tmp_path / "ports"))
    (own / "config").write_text("Include conf.d/*.conf ~/two ${PORTS} missing %d/two\n")
    (own / "conf.d").mkdir()
    (own / "conf.d" / "one.conf").write_text("Port 1\nInclude one\n")
    (own / "one").write_text("Port 11\n")
    (own.parent / "two").write_text("Port 2\n")
    (tmp_path / "ports").write_text("Port 3\n")
    (tmp_path / "etc" / "ssh_config").write_text("Include more\n")
    (tmp_path / "etc" / "more").write_text("Port 4\n")
    found = find_mentions(read_mentions(configured(None)), "port")
    assert [(each.words[0], each.is_own) for each in found] == [
        ("1", True),
        ("11", True),
        ("2", True),
        ("3", True),
        ("2", True),
        ("4", False),
    ]
    assert found[-1].place == f"{tmp_path}/etc/more:1"


def test_file_that_includes_itself(own: Path) -> None:
    """A circular inclusion ends where ssh would end it."""
    (own / "config").write_text("Port 1\nInclude config\n")
    assert len(find_mentions(read_mentions(configured(None)), "port")) == 17
