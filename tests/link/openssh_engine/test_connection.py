"""The directory of a ControlMaster's socket."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest.mock import Mock

import pytest

from xpm_remote.errors import OptionError
from xpm_remote.link.openssh_engine.masters import socket_folder


def test_socket_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in XDG_RUNTIME_DIR, only the user may enter it, and it is removed with what is in it."""
    with tempfile.TemporaryDirectory(prefix="run") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        with socket_folder() as found:
            assert Path(found).parent == Path(runtime)
            assert Path(found).stat().st_mode & 0o777 == 0o700
            (Path(found) / "s").touch()
        assert list(Path(runtime).iterdir()) == []


def test_no_room_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory whose path is too long, or has what ssh would read as more than a path, is not taken."""
    for name in ("x" * 100, "a%b", "a b", "missing"):
        folder = tmp_path / name
        if name != "missing":
            folder.mkdir()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        with socket_folder() as found:
            assert not found.startswith(str(folder))
    monkeypatch.setattr(tempfile, "mkdtemp", Mock(side_effect=PermissionError("read-only")))
    with pytest.raises(OptionError, match="XDG_RUNTIME_DIR, TMPDIR and /tmp"), socket_folder():
        pass
