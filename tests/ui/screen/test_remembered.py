"""The file of the views, as it may be found, and on a disk that is full."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from xpm_remote.ui.screen.remembered import Views, views_path
from xpm_remote.ui.tables.view import View


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the old file stays whole, nothing else is left, and why is told."""
    path = tmp_path / "views.json"
    views = Views(path)
    assert views.save("old", View(find="x")) == ""

    def fail(path: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        told = f"{path} cannot be written: No space left on device"
        assert views.save("new", View(find="y")) == told
        assert views.delete("old") == told
    assert list(tmp_path.iterdir()) == [path]
    assert views.saved == Views(path).saved == {"old": View(find="x")}


def test_two_sessions(tmp_path: Path) -> None:
    """A view that another session has saved meanwhile stays."""
    path = tmp_path / "new" / "views.json"
    one, other = Views(path), Views(path)
    assert (one.save("one", View(find="1")), other.save("two", View(find="2"))) == ("", "")
    assert other.saved == Views(path).saved == {"one": View(find="1"), "two": View(find="2")}
    assert one.delete("two") == ""
    assert one.delete("two") == "there is no view two"
    assert Views(path).saved == {"one": View(find="1")}


def test_other_files(tmp_path: Path) -> None:
    """A broken file has no views; one that cannot be read is not replaced; views of a newer version are kept."""
    path = tmp_path / "views.json"
    path.write_text('{"mine":')
    assert Views(path).saved == {}
    path.write_text(json.dumps({"newer": {"sort": "what comes later"}}))
    views = Views(path)
    assert (views.saved, views.save("mine", View())) == ({}, "")
    assert set(json.loads(path.read_text())) == {"newer", "mine"}
    path.unlink()
    path.mkdir()
    assert "cannot be written: Is a directory" in Views(path).save("mine", View())


def test_place() -> None:
    """It is where XDG says; a path that is not absolute is ignored."""
    home = Path("/home/me")
    assert views_path({"XDG_STATE_HOME": "/state"}, home) == Path("/state/xpm-remote/views.json")
    for value in ("", "relative"):
        expected = home / ".local/state/xpm-remote/views.json"
        assert views_path({"XDG_STATE_HOME": value}, home) == expected
