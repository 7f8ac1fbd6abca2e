"""The socket of a ControlMaster, and its directory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.support.scripted_host import Host, serving
from xpm_remote.errors import OptionError, StartError
from xpm_remote.link.openssh_engine.connection import open_by_openssh, socket_folder
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.prompts import RefusingPrompter
from xpm_remote.settings.schema import Backend, SshEngine


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


async def test_socket_that_cannot_be_made(tmp_path: Path) -> None:
    """A ControlMaster of the user's whose socket cannot be made is told with ssh's words and what to look at."""
    host = Host(b"")
    async with serving(host, SshEngine.OPENSSH, Backend.AGENT):
        assert host.server is not None
        port = host.server.get_port()
        options = parse_ssh_options(
            "127.0.0.1",
            [
                f"-F none -p {port} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
                "-o ControlMaster=auto -o ControlPersist=60",
                f"-o ControlPath={tmp_path}/missing/master",
            ],
            SshEngine.OPENSSH,
        )
        with pytest.raises(StartError, match=r"missing/master.*ControlPath=none"):
            await open_by_openssh(options, RefusingPrompter("it is night"))
