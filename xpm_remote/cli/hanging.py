"""A file system that does not answer: said after some seconds, and left at once by Ctrl-C.

A call that waits for a dead file server cannot be interrupted: Python sees Ctrl-C when the call returns, which may be
never. So a thread looks, by what the kernel shows of our threads, whether one of them waits in a call to a file system.
The thread touches no file system but /proc. Where the kernel shows nothing, as on macOS, it does nothing.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from xpm_remote.escaping import safe

SAY_AFTER = 5.0
"""Seconds in one call after which it is said what is waited for."""

LEAVE_AFTER = 0.6
"""Seconds after a signal in which a call may return, before the program ends without it."""

_INTERVAL = 0.2
_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
_TASKS = Path("/proc/self/task")
_PATH_MAX = 4096

_PATH, _AT, _OPEN = "path", "at", "open"
_CALLS = {
    "x86_64": {
        _PATH: (2, 4, 6, 21, 80, 82, 83, 84, 86, 87, 88, 89, 90, 137, 191, 192, 194),
        _AT: (257, 258, 262, 263, 264, 265, 267, 268, 269, 280, 316, 332, 437, 439),
        _OPEN: (0, 1, 3, 5, 8, 17, 18, 73, 74, 75, 77, 91, 93, 138, 190, 193, 196, 217, 306, 326),
    },
    "aarch64": {
        _PATH: (5, 6, 8, 43, 49),
        _AT: (33, 34, 35, 37, 38, 48, 53, 54, 56, 78, 79, 88, 276, 291, 437, 439),
        _OPEN: (7, 10, 13, 32, 44, 46, 52, 55, 57, 61, 62, 63, 64, 67, 68, 80, 82, 83, 267, 285),
    },
}
"""System calls that may wait for a file system, by what their first argument is: a path, the open directory of a path,
or an open file."""

_KINDS = {
    number: kind
    for kind, numbers in _CALLS.get(platform.machine(), {}).items()
    for number in numbers
}
_NO_FILES = ("/dev/", "/proc/", "/memfd:")


class _Call(NamedTuple):
    """A call in which a thread is: as long as all of this is the same, it is the same call."""

    thread: str
    line: str
    switches: str


class Watch:
    """Watches the calls of this program from a thread."""

    def __init__(self) -> None:
        self._since: dict[_Call, float] = {}
        self._said: set[_Call] = set()
        self._signals: dict[int, float] = {}
        self._is_started = False
        self.leave_after = LEAVE_AFTER
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    def start(self) -> None:
        """Begin, in the main thread; once."""
        if self._is_started:
            return
        self._is_started = True
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        threading.Thread(target=self._run, name="hanging", daemon=True).start()

    def _run(self) -> None:
        # Blocked here, a signal that the main thread has not taken yet is seen as pending.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        own = str(threading.get_native_id())
        while True:
            time.sleep(_INTERVAL)
            now = time.monotonic()
            calls = [call for call in _calls() if call.thread != own]
            self._since = {call: self._since.get(call, now) for call in calls}
            for call, since in self._since.items():
                if now - since > SAY_AFTER and call not in self._said:
                    self._say(call, now - since)
            self._leave_if_asked(now)

    def _say(self, call: _Call, seconds: float) -> None:
        path = _path_of(call)
        if path is not None:
            self._said.add(call)
            line = f"waiting for {safe(path)}: its file system has not answered for {seconds:.0f} s"
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    def _leave_if_asked(self, now: float) -> None:
        taken: bytes = b""
        with contextlib.suppress(BlockingIOError):
            taken = os.read(self._reading, 64)
        for number in _SIGNALS & {*taken, *signal.sigpending()}:
            self._signals.setdefault(int(number), now)
        asked = next(
            (n for n, since in self._signals.items() if now - since > self.leave_after), None
        )
        if asked is None:
            return
        for call, since in self._since.items():
            path = _path_of(call)
            if path is not None and now - since > self.leave_after:
                line = f"interrupted; left without an answer of the file system of {safe(path)}"
                print(line, file=sys.stderr, flush=True)  # noqa: T201
                os._exit(128 + asked)


def _calls() -> list[_Call]:
    """Return the calls in which our threads are that may be to a file system."""
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(_TASKS):  # noqa: PTH208
            with contextlib.suppress(OSError, ValueError):
                line = (_TASKS / task / "syscall").read_text("ascii")
                if int(line.split()[0]) in _KINDS:
                    status = (_TASKS / task / "status").read_text("utf-8", "replace")
                    found.append(_Call(task, line, status[status.index("voluntary_ctxt") :]))
    return found


def _path_of(call: _Call) -> str | None:
    """Return the path that a call is about; None if it is no file."""
    number, first, second, *_ = (int(word, 0) for word in call.line.split())
    kind = _KINDS[number]
    path: str | None
    if kind == _PATH:
        path = _text_at(first)
    elif kind == _AT:
        path = _text_at(second)
        if path is not None and not path.startswith("/"):
            path = f"{_open_path(first) or _open_path(None)}/{path}".rstrip("/")
    else:
        path = _open_path(first)
    return path if path and path.startswith("/") and not path.startswith(_NO_FILES) else None


def _open_path(descriptor: int | None) -> str | None:
    """Return the path of an open file, or of the current directory."""
    name = "cwd" if descriptor is None else f"fd/{descriptor & 0xFFFFFFFF}"
    try:
        return os.readlink(f"/proc/self/{name}")  # noqa: PTH115 - the text as it is
    except OSError:
        return None


def _text_at(address: int) -> str | None:
    """Return the text at an address of our memory, which may be gone by now."""
    try:
        with open("/proc/self/mem", "rb", 0) as memory:  # noqa: PTH123
            memory.seek(address)
            data = memory.read(_PATH_MAX - address % _PATH_MAX)
            if b"\0" not in data:
                data += memory.read(_PATH_MAX)
    except (OSError, ValueError, OverflowError):
        return None
    return os.fsdecode(data.partition(b"\0")[0])


_watches: list[Watch] = []
"""The watch of this program; none where it is not a process of its own."""


def allow() -> None:
    """Let the command be watched: it runs in a process of its own, which may be ended."""
    if _KINDS and (_TASKS / str(os.getpid()) / "syscall").exists():
        _watches.append(Watch())


def watch_calls(*, leave_after: float = LEAVE_AFTER) -> None:
    """Watch the calls of this command, which works on files of this machine.

    Args:
        leave_after: Seconds after a signal in which a call may return; more where a signal lets work be finished.
    """
    for watch in _watches:
        watch.leave_after = leave_after
        watch.start()
