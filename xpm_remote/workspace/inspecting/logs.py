"""Parts of logs: before an offset, after one, the end; of the last try of a job, or of an earlier one.

No call reads more than a bounded number of bytes. A log that is a link is not followed: the directory of a job belongs
to whoever ran it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import Iterator, NamedTuple

from xpm_remote.workspace.failures import UnreadableFailure, UsageFailure, WorkspaceFailure
from xpm_remote.workspace.inspecting.answers import Attempt, LogPart
from xpm_remote.workspace.layout import JobFiles
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.json_files import (
    NO_ENTRY,
    UnfitFileError,
    open_regular,
    printable,
    reason,
)

STREAMS = ("out", "err")

PART_LIMIT = 1 << 20
"""Bytes of a part of a log at most."""

_ATTEMPT = re.compile(r"\d{14}(?:\.\d{1,9})?")


class OpenLog(NamedTuple):
    """A log that is open for reading: its descriptor, path, size and number."""

    handle: int
    path: str
    size: int
    inode: int

    def read(self, start: int, end: int) -> bytes:
        """Read bytes; fewer where the log has become shorter."""
        return disk.read_at(self.handle, max(0, end - start), start, self.path)


def log_path(files: JobFiles, stream: str, attempt: str = "") -> str:
    """Return the path of a log.

    Args:
        files: The files of the job.
        stream: ``out`` or ``err``.
        attempt: The name of an earlier try.

    Raises:
        WorkspaceFailure: That is no name of a try.
    """
    if not attempt:
        return str(files.stderr if stream == "err" else files.stdout)
    if not _ATTEMPT.fullmatch(attempt):
        raise UsageFailure(
            f"{attempt!r} is not a try of a job", "the tries are named by 14 digits: YYYYmmddHHMMSS"
        )
    return str(files.directory / f"{files.name}.{attempt}.{stream}")


@contextmanager
def open_log(path: str) -> Iterator[OpenLog | None]:
    """Open a log; None when there is none.

    Raises:
        WorkspaceFailure: It cannot be read.
    """
    try:
        handle = open_regular(path, follow=False)
    except (OSError, UnfitFileError) as error:
        raise _failure(path, error) from error
    if handle is None:
        yield None
        return
    try:
        status = disk.stat_open(handle, path)
        yield OpenLog(handle, path, status.st_size, status.st_ino)
    except OSError as error:
        raise _failure(path, error) from error
    finally:
        disk.close(handle)


def _failure(path: str, error: Exception) -> WorkspaceFailure:
    why = f"cannot be read: {reason(error)}" if isinstance(error, OSError) else str(error)
    return UnreadableFailure(f"the log {printable(path)} {why}", "look at it on the host")


def read_part(
    path: str, *, before: int | None = None, after: int | None = None, size: int
) -> LogPart | None:
    """Return a part of a log; None when there is none.

    It begins and ends with a line, as far as that fits into the size.

    Args:
        path: The log.
        before: The offset at which it ends; by default the end of the log.
        after: The offset at which it begins instead.
        size: Bytes at most.

    Raises:
        WorkspaceFailure: It cannot be read.
    """
    size = min(max(size, 1), PART_LIMIT)
    with open_log(path) as log:
        if log is None:
            return None
        if after is not None:
            start = min(max(after, 0), log.size)
            data = log.read(start, min(start + size, log.size))
            if start + len(data) < log.size:
                data = data[: _whole_end(data)]
        else:
            end = log.size if before is None else min(max(before, 0), log.size)
            start = max(0, end - size)
            # One byte more, which tells whether a line begins at the start.
            data = log.read(max(0, start - 1), end)
            if start > 0:
                skipped = _whole_start(data)
                data, start = data[skipped:], start - 1 + skipped
        text = data.decode("utf-8", "surrogateescape")
        return LogPart(text, start, start + len(data), log.size, log.inode)


def _whole_end(data: bytes) -> int:
    """Return where the last whole line ends; in a line that is longer, where the last character does."""
    end = data.rfind(b"\n") + 1
    if end:
        return end
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:  # the first byte of a character of 2, 3 or 4
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if back < length < len(data) + back else len(data)
        if byte < 0x80:
            break
    return len(data)


def _whole_start(data: bytes) -> int:
    """Return where the first whole line begins; in a line that is longer, where the first character does."""
    newline = data.find(b"\n", 0, len(data) - 1)
    if newline >= 0:
        return newline + 1
    start = 1
    while start < min(4, len(data)) and 0x80 <= data[start] < 0xC0:
        start += 1
    return start if start < len(data) else 1


def attempts_of(files: JobFiles) -> list[Attempt]:
    """Return the tries of a job by its logs, the earliest first; none when it has no log.

    Raises:
        WorkspaceFailure: Its directory cannot be listed.
    """
    directory = str(files.directory)
    try:
        entries = disk.scan(directory)
    except OSError as error:
        if error.errno in NO_ENTRY:
            return []
        raise _failure(directory, error) from error
    sizes: dict[str, dict[str, int]] = {}
    for entry in entries:
        stem, _, stream = entry.name.rpartition(".")
        if stream not in STREAMS or not (stem == files.name or stem.startswith(f"{files.name}.")):
            continue
        name = stem[len(files.name) + 1 :]
        if name and not _ATTEMPT.fullmatch(name):
            continue
        try:
            sizes.setdefault(name, {})[stream] = disk.call(
                entry.path, lambda entry=entry: entry.stat(follow_symlinks=False)
            ).st_size
        except OSError:  # renamed meanwhile
            continue
    order = sorted(sizes, key=lambda name: (name == "", name))
    return [Attempt(name, sizes[name].get("out"), sizes[name].get("err")) for name in order]
