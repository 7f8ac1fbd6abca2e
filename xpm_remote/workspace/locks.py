"""Examining the locks of other processes without disturbing them, and locking a job that is being written.

Both are ``flock`` locks, as experimaestro's are. On a file system that several hosts share, the other hosts may not see
such a lock; so a writer of a job also writes its host into the lock file, and keeps the file's time fresh.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Iterator

from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.failures import BusyFailure

STALE_AFTER = 15 * 60.0
"""Seconds without a sign of life after which a writer on another host counts as dead; see ``RENEW_AFTER``."""

RENEW_AFTER = 60.0
"""Seconds between two signs of life of a writer: few enough that a stalled server does not make it count as dead."""

_LOCKS = Path("/proc/locks")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_FIRST_PID_NAMESPACE = "pid:[4026531836]"  # a constant of the kernel
_SIGNATURE_MAX = 4096

_CLOCK_SUFFIX = ".now"
"""Ends the name of the file by which the file server's time is read, beside a lock."""

_TRIES = 8
"""Attempts at locking a file that another process unlinks at that moment, before it counts as busy."""

_NO_LOCK = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG})
"""Errors of opening what can be no file with a lock."""

_HELD = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK})


def is_held(path: Path) -> bool:
    """Return the same as ``lock_is_held``, and False where the file cannot be read."""
    try:
        return lock_is_held(path)
    except OSError:
        return False


def may_be_held(path: Path) -> bool:
    """Return the same as ``lock_is_held``, and True where the file cannot be read."""
    try:
        return lock_is_held(path)
    except OSError:
        return True


def lock_is_held(path: Path) -> bool:
    """Return whether the ``flock`` of a file is held; it is not where the file is missing or no regular file.

    Nothing is created, and no link or FIFO is followed or waited for. The kernel's table of locks answers where it is
    complete: on file systems of this host alone, seen from the first pid namespace (others are shown a part of it).
    Elsewhere a shared lock is tried for an instant, in which another process's attempt without waiting could fail.

    Raises:
        OSError: It cannot be read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = filesystem.open_file(str(path), flags)
    except OSError as error:
        if error.errno in _NO_LOCK:
            return False
        raise
    try:
        status = filesystem.stat_open(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return False
        if _is_listed(status):
            return True
        return not _list_is_complete(status.st_dev) and not _can_share(descriptor)
    finally:
        filesystem.close(descriptor)


def _is_listed(status: os.stat_result) -> bool:
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        with _LOCKS.open(encoding="ascii", errors="replace") as lines:
            # A line with an arrow is of a process that waits for the lock.
            return any(device in line and " FLOCK " in line and "->" not in line for line in lines)
    except OSError:
        return False


def _list_is_complete(device: int) -> bool:
    return _sees_all_processes() and mounts.is_plain_device(device)


@functools.lru_cache(maxsize=1)
def _sees_all_processes() -> bool:
    try:
        return os.readlink("/proc/self/ns/pid") == _FIRST_PID_NAMESPACE and os.access(
            _LOCKS, os.R_OK
        )
    except OSError:
        return False


def _can_share(descriptor: int) -> bool:
    try:
        filesystem.lock(descriptor, filesystem.LOCK_SH | filesystem.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        if error.errno not in filesystem.UNSUPPORTED and error.errno != errno.ENOLCK:
            raise
        return True  # a file system without locks: none can be held
    return True  # released when the file is closed


@contextlib.contextmanager
def holding(path: Path, directory: int | None = None) -> Iterator[None]:
    """Hold the lock of a job, if it has one, so that no process of it starts meanwhile.

    Args:
        path: The lock.
        directory: The open directory of the job; by default the path is looked up.

    Raises:
        BusyFailure: Another process holds it.
        OSError: On entering: the file is no file that can be locked.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        name = path if directory is None else path.name
        descriptor = filesystem.open_file(name, flags, dir_fd=directory)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        error.filename = os.fspath(path)
        raise
    try:
        try:
            filesystem.lock(descriptor, filesystem.LOCK_EX | filesystem.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                raise BusyFailure(f"the job runs, or is about to: {path} is held") from None
            if error.errno not in filesystem.UNSUPPORTED:
                raise
        yield
    finally:
        with contextlib.suppress(OSError):  # nothing was written to it
            filesystem.close(descriptor)


class StagingLock:
    """The lock of a job that is being written; a context manager that removes the lock file when it is done.

    Experimaestro takes the same file. It removes the file after it has let go of the lock, so the file may be one that
    no longer has a name: then it is opened again, and the holder of the lock checks ``is_ours`` before it publishes.

    Args:
        path: The lock file; its directory exists.
        shared: Whether other hosts may write here whose locks we cannot see.

    Attributes:
        is_new: Whether there was no lock file when we took the lock.

    Raises:
        BusyFailure: On entering: another process holds it, or showed on a shared file system that it lives.
        OSError: On entering: the file cannot be made.
    """

    def __init__(self, path: Path, *, shared: bool) -> None:
        self.path = path
        self._shared = shared
        self._name: Path | str = path
        self._directory: int | None = None
        self.is_new = False
        self._descriptor = -1

    def __enter__(self) -> StagingLock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def acquire(self, directory: int | None = None) -> None:
        """Take the lock without waiting.

        Args:
            directory: The open directory of the file, which stays open until the lock is released; by default the path
                is looked up at each step.
        """
        self._directory = directory
        self._name = self.path if directory is None else self.path.name
        for _ in range(_TRIES):
            descriptor, self.is_new = self._open()
            if descriptor < 0:
                continue
            try:
                self._take(descriptor)
            except BaseException as error:
                if isinstance(error, OSError):
                    error.filename = os.fspath(self.path)
                filesystem.close(descriptor)
                raise
            self._descriptor = descriptor
            if self.is_ours():
                return
            self._descriptor = -1
            filesystem.close(descriptor)
        raise BusyFailure(f"{self.path} is taken and removed all the time", "try again")

    def release(self, *, keep_file: bool = False) -> None:
        """Remove the file while it is locked, so that no process locks a file that is about to go; then release it.

        Args:
            keep_file: Leave the file, which names the writer of what is left beside it.
        """
        if self._descriptor < 0:
            return
        try:
            if not keep_file and self.is_ours():
                with contextlib.suppress(OSError):
                    filesystem.unlink(self._name, dir_fd=self._directory)
        finally:
            descriptor, self._descriptor = self._descriptor, -1
            with contextlib.suppress(OSError):  # nothing that matters was written to it
                filesystem.close(descriptor)

    def is_ours(self) -> bool:
        """Return whether the path still leads to the file that we locked."""
        try:
            return os.path.samestat(
                filesystem.stat_open(self._descriptor),
                filesystem.lstat(self._name, dir_fd=self._directory),
            )
        except OSError:
            return False

    def renew(self) -> None:
        """Show on a shared file system that we live; to be called every ``RENEW_AFTER`` seconds."""
        if self._shared and self._descriptor >= 0:
            with contextlib.suppress(OSError):  # written, since some shares refuse to set times
                filesystem.write_at(self._descriptor, _signature(), 0)

    def _open(self) -> tuple[int, bool]:
        """Return the open file and whether we made it; -1 when it goes away between two attempts."""
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with contextlib.suppress(FileExistsError):
            return filesystem.open_file(
                self._name, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=self._directory
            ), True
        with contextlib.suppress(FileNotFoundError):
            return filesystem.open_file(self._name, flags, dir_fd=self._directory), False
        return -1, False

    def _take(self, descriptor: int) -> None:
        try:
            filesystem.lock(descriptor, filesystem.LOCK_EX | filesystem.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                raise BusyFailure(f"another process holds {self.path}", "try again") from None
            if error.errno not in filesystem.UNSUPPORTED:
                raise
        if self._shared:
            if not self.is_new:
                self._refuse_another_host(descriptor)
            filesystem.truncate(descriptor, 0)
            filesystem.write(descriptor, _signature())

    def _refuse_another_host(self, descriptor: int) -> None:
        """Raise unless a lock file that was left is stale; both times are the file server's, so clocks may differ."""
        if filesystem.read(descriptor, _SIGNATURE_MAX) == _signature():
            return  # left on this kernel, whose locks are true, so that process is dead
        if self._server_time() - filesystem.stat_open(descriptor).st_mtime < STALE_AFTER:
            raise BusyFailure(
                f"{self.path} may be of a process on another host",
                f"if there is none, try again in {STALE_AFTER / 60:.0f} minutes",
            )

    def _server_time(self) -> float:
        """Return the file server's time, which is that of a new file: some shares refuse to set that of an old one."""
        name = f"{self._name}{_CLOCK_SUFFIX}"
        with contextlib.suppress(FileNotFoundError):
            filesystem.unlink(name, dir_fd=self._directory)  # of a process that was killed
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = filesystem.open_file(name, flags, 0o600, dir_fd=self._directory)
        try:
            filesystem.unlink(name, dir_fd=self._directory)
            return filesystem.stat_open(descriptor).st_mtime
        finally:
            filesystem.close(descriptor)


@functools.lru_cache(maxsize=1)
def _signature() -> bytes:
    """Return the identity of the running kernel, in a container as outside: its processes see each other's locks."""
    try:
        boot = _BOOT_ID.read_text("ascii").strip()
    except OSError:
        boot = ""
    return json.dumps({"host": os.uname().nodename, "boot": boot}).encode()[:_SIGNATURE_MAX]
