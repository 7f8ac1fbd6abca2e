"""All calls by which a workspace or a folder is changed, and those by which a workspace is read.

Every call that archiving, recovering and reading make goes through a name of this module, looked up when it is made, so
that a test can count the calls, fail one of them, or end the process at one of them. What Python has no function for is
called through the C library; where that has none either, the answer is ``ENOSYS``, as from a kernel without the call.
"""

from __future__ import annotations

import errno
import os
from stat import S_ISDIR, S_ISLNK
from typing import Callable, Union

from xpm_remote.workspace.optional import ctypes, fcntl

AnyPath = Union[str, bytes, "os.PathLike[str]"]

UNSUPPORTED = frozenset(
    {
        errno.ENOSYS,
        errno.EINVAL,
        errno.ENOTSUP,
        errno.EOPNOTSUPP,
        errno.ENOTTY,
        errno.EXDEV,
        errno.EPERM,
        errno.EBADF,
        errno.ETXTBSY,
    }
)
"""What a kernel or a file system answers when it does not know a call, or not for these files."""

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_FICLONE = 0x40049409

open_file = os.open
close = os.close
read = os.read
write = os.write
read_at = os.pread
write_at = os.pwrite
lseek = os.lseek
truncate = os.ftruncate
stat_open = os.fstat
lstat = os.lstat
stat = os.stat
scan = os.scandir
list_directory = os.listdir
mkdir = os.mkdir
rmdir = os.rmdir
unlink = os.unlink
rename = os.rename
link = os.link
symlink = os.symlink
readlink = os.readlink
file_system = os.statvfs
chmod = os.chmod
chmod_open = os.fchmod
chown_open = os.fchown
utime = os.utime
fsync = os.fsync

LOCK_SH, LOCK_EX, LOCK_NB = 1, 2, 4
"""The operations of ``lock``, as on every system that has ``flock``."""

_NO_SUCH_NAME = frozenset({errno.ENOENT, errno.ENOTDIR})
_NO_SUCH_TARGET = _NO_SUCH_NAME | {errno.ELOOP}


def lstat_or_none(path: AnyPath) -> os.stat_result | None:
    """Return the status of what has a name, which may be a link; None where nothing has it.

    Raises:
        OSError: It cannot be read, which does not mean that it is absent.
    """
    return _status(lstat, path, _NO_SUCH_NAME)


def stat_or_none(path: AnyPath) -> os.stat_result | None:
    """Return the status of what a path leads to; None where it leads nowhere.

    Raises:
        OSError: As of ``lstat_or_none``.
    """
    return _status(stat, path, _NO_SUCH_TARGET)


def is_directory(path: AnyPath) -> bool:
    """Return whether a path leads to a directory.

    Raises:
        OSError: As of ``lstat_or_none``.
    """
    status = stat_or_none(path)
    return status is not None and S_ISDIR(status.st_mode)


def is_link(path: AnyPath) -> bool:
    """Return whether a name is that of a link.

    Raises:
        OSError: As of ``lstat_or_none``.
    """
    status = lstat_or_none(path)
    return status is not None and S_ISLNK(status.st_mode)


def _status(
    call: Callable[[AnyPath], os.stat_result], path: AnyPath, absent: frozenset[int]
) -> os.stat_result | None:
    try:
        return call(path)
    except OSError as error:
        if error.errno not in absent:
            raise
        return None


def exchange(first: AnyPath, second: AnyPath, *, dir_fd: int = _AT_FDCWD) -> None:
    """Exchange two names, so that each of them exists at every moment.

    Raises:
        OSError: As of ``rename``; one of ``UNSUPPORTED`` when the kernel or the file system cannot do it.
    """
    _rename(first, second, dir_fd, _RENAME_EXCHANGE)


def rename_to_free(first: AnyPath, second: AnyPath, *, dir_fd: int = _AT_FDCWD) -> None:
    """Rename, but only to a name that nothing has.

    Raises:
        FileExistsError: Something has that name.
        OSError: As of ``exchange``.
    """
    _rename(first, second, dir_fd, _RENAME_NOREPLACE)


def _rename(first: AnyPath, second: AnyPath, dir_fd: int, flag: int) -> None:
    call = _c_function("renameat2")
    _check(
        call(
            ctypes.c_int(dir_fd),
            os.fsencode(first),
            ctypes.c_int(dir_fd),
            os.fsencode(second),
            ctypes.c_uint(flag),
        ),
        second,
    )


def chmod_directory(name: str, mode: int, *, dir_fd: int) -> None:
    """Set the permissions of a directory that may not be opened for reading; no link is followed.

    Raises:
        OSError: It is no directory, is another user's, or the system has no call for this.
    """
    if not hasattr(os, "O_PATH"):
        os.chmod(name, mode, dir_fd=dir_fd, follow_symlinks=False)
        return
    descriptor = os.open(
        name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd
    )
    try:
        chmod(f"/proc/self/fd/{descriptor}", mode)
    except FileNotFoundError:
        raise PermissionError(errno.EACCES, "cannot be opened, and there is no /proc") from None
    except OSError as error:
        error.filename = name
        raise
    finally:
        os.close(descriptor)


def sync_file_system(descriptor: int) -> None:
    """Flush everything that was written to the file system of an open file.

    Raises:
        OSError: Something could not be written since the file was opened; ``ENOSYS`` where there is no such call.
    """
    _check(_c_function("syncfs")(ctypes.c_int(descriptor)), "")


def lock(descriptor: int, operation: int) -> None:
    """Lock an open file, or unlock it, as ``flock`` does.

    Raises:
        OSError: Another process holds the lock, or the file system has no locks; ``EIO``, which is neither, where this
            python cannot ask.
    """
    if fcntl is not None:
        fcntl.flock(descriptor, operation)
    elif _C_LIBRARY is not None:
        _check(_c_function("flock")(ctypes.c_int(descriptor), ctypes.c_int(operation)), "")
    else:
        raise OSError(errno.EIO, "the python there has no module fcntl, which locks need")


def clone(source: int, target: int) -> None:
    """Make an open file share the blocks of another one, where the file system can.

    Raises:
        OSError: One of ``UNSUPPORTED`` when it cannot.
    """
    if fcntl is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    fcntl.ioctl(target, _FICLONE, source)


def copy_range(source: int, target: int, count: int, offset: int) -> int:
    """Copy bytes between two open files at the same offset within the kernel; return how many.

    Raises:
        OSError: One of ``UNSUPPORTED`` when the kernel or the file systems cannot.
    """
    call = getattr(os, "copy_file_range", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return int(call(source, target, count, offset, offset))


def list_attributes(descriptor: int) -> list[str]:
    """Return the names of the extended attributes of an open file; none where Python has no such call."""
    call = getattr(os, "listxattr", None)
    return list(call(descriptor)) if call else []


def copy_attribute(source: int, target: int, name: str) -> None:
    """Copy an extended attribute from one open file to another."""
    os.setxattr(target, name, os.getxattr(source, name))


def _c_function(name: str) -> Callable[..., int]:
    try:
        call: Callable[..., int] = getattr(_C_LIBRARY, name)
        return call
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None


def _check(result: int, path: AnyPath) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fspath(path))


_C_LIBRARY = None if ctypes is None else ctypes.CDLL(None, use_errno=True)

HAS_SYNC_FILE_SYSTEM = hasattr(_C_LIBRARY, "syncfs")
"""Whether there is the call that ``sync_file_system`` needs."""
