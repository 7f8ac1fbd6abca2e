"""A workspace on a file system that a test breaks from outside: with errors, or by stopping its server."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

SERVER = Path(__file__).parent / "scripts" / "loopback.py"
MNT_DETACH = 2


class Loopback:
    """A directory shown by a file system in user space.

    Args:
        source: The directory.
        mount_point: Where it is shown; made here.
    """

    def __init__(self, source: Path, mount_point: Path) -> None:
        self.root = mount_point
        mount_point.mkdir()
        self._table = mount_point.with_name(f"{mount_point.name}.errors")
        self.fail({})
        command = [sys.executable, str(SERVER), str(source), str(mount_point), str(self._table)]
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == "mounted\n"

    def fail(self, errors: Mapping[str, int]) -> None:
        """Fail every request on these paths, and on what is below them, with the error's number."""
        fresh = self._table.with_suffix(".new")
        fresh.write_text(json.dumps(dict(errors)))
        fresh.rename(self._table)

    def stop(self) -> None:
        """Let the server hang."""
        os.kill(self._server.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let the server answer again."""
        os.kill(self._server.pid, signal.SIGCONT)

    def close(self) -> None:
        """Unmount, whatever the state of the server."""
        self._server.kill()  # whoever waits for it gets an error
        ctypes.CDLL(None).umount2(os.fsencode(self.root), MNT_DETACH)
        self._server.communicate()


@contextlib.contextmanager
def loopback(source: Path, mount_point: Path) -> Iterator[Loopback]:
    """Show a directory by a file system in user space; skip the test where none can be mounted."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("there is no /dev/fuse")
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    try:
        mounted = Loopback(source, mount_point)
    except AssertionError:
        pytest.skip("this machine forbids mounting a file system")
    try:
        yield mounted
    finally:
        mounted.close()
