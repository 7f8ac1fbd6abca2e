"""The directory of a ControlMaster's socket."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest.mock import Mock

import pytest

from xpm_remote.errors import OptionError
from xpm_remote.link.connection import Sharing
from xpm_remote.link.openssh_engine import masters
from xpm_remote.link.openssh_engine.masters import find_lent, folder_prefix, socket_folder
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.ssh_config.text import SshConfig


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


async def test_lent_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a living ControlMaster in a directory of the user's alone, lent for the same options, is borrowed."""
    asked: list[str] = []
    living: set[str] = set()

    async def answer(program: str, arguments: list[str], limit: float) -> tuple[int, str]:
        path = next(each for each in arguments if each.startswith("ControlPath="))
        asked.append(path.removeprefix("ControlPath="))
        return (0 if asked[-1] in living else 255, "")

    monkeypatch.setattr(masters, "run_ssh", answer)
    options = parse_ssh_options("host", [])
    here, there = (SshConfig({"hostname": (name,)}) for name in ("here", "there"))
    with tempfile.TemporaryDirectory(prefix="run") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        wanted = folder_prefix(here, Sharing.BORROWS)
        assert wanted == folder_prefix(here, Sharing.LENDS)
        assert wanted != folder_prefix(there, Sharing.LENDS)
        for prefix, mode in (
            (folder_prefix(here, Sharing.USERS), 0o700),
            (folder_prefix(there, Sharing.LENDS), 0o700),
            (wanted + "a", 0o750),
            (wanted + "b", 0o700),
        ):
            folder = Path(runtime) / f"{prefix}-made"
            folder.mkdir()
            folder.chmod(mode)
            living.add(f"{folder}/s")
        living.remove(f"{runtime}/{wanted}b-made/s")
        assert await find_lent("ssh", options, wanted) is None
        assert asked == [f"{runtime}/{wanted}b-made/s"]
        with socket_folder(wanted) as lent:
            living.add(f"{lent}/s")
            assert await find_lent("ssh", options, wanted) == f"{lent}/s"
