"""Reading the JSON files of a workspace, whatever they hold: bounded, never blocking, never writing.

A missing file is no problem. One that cannot be used is noted as a problem, and reading goes on. Values are fit to be
sent as JSON: NaN and infinities are null, lone surrogates are replaced.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
import time
from datetime import datetime
from typing import Any, BinaryIO, Dict, Generator, Iterator

from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.nesting import is_deeper
from xpm_remote.workspace.reading import disk

JsonObject = Dict[str, Any]

SMALL_LIMIT = 1 << 20
"""Bytes of a small file: a job's status.json has 1 KB, a marker or a pid file less."""

LARGE_LIMIT = 64 << 20
"""Bytes of a large file: the status.json of a run of 800,000 jobs, the params.json of an enormous configuration."""

LINES_LIMIT = 256 << 20
"""Bytes read of a file of lines: jobs.jsonl of a million jobs. What lies beyond is left out, and noted."""

LINE_LIMIT = 1 << 20
"""Bytes of one line; a job with all its tags has some 200."""

PROBLEM_LIMIT = 100
"""Broken files that are kept by name; beyond that they are only counted."""

TEXT_LIMIT = 4096
"""Characters kept of a text that stands in a field: names and messages are shorter."""

EXACT_LIMIT = 2**53
"""Beyond it, numbers in JSON are not exact for every reader; no field of ours comes near."""

DEPTH_LIMIT = 32
"""Levels of a value that is passed on as it is, such as a service's state; readers of JSON stop at a few hundred."""

FILE_DEPTH = 200
"""Levels of a whole file; every Python of a host decodes as many."""

NO_ENTRY = frozenset({errno.ENOENT, errno.ENOTDIR})
"""Errors of the system by which an entry is missing: absent, unless a directory above it cannot be read."""

WRITE_PAUSES = (0.001, 0.004, 0.016)
"""Seconds between two looks at an empty file: experimaestro empties files, and writes them within a millisecond."""

JUST_NOW = 2.0
"""Seconds after which an empty file is not one that is being written."""

_EXACT_DIGITS = 18
_SPACE = " \t\n\r"
_PAGE = 4096
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""O_NONBLOCK: opening a FIFO would wait for a writer. O_NOCTTY: a terminal would become ours."""


_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class Problems:
    """The files that could not be read, each once; one that can be read again is removed."""

    def __init__(self) -> None:
        self._by_path: dict[str, UnreadFile] = {}
        self.left_out = 0

    def __iter__(self) -> Iterator[UnreadFile]:
        return iter(list(self._by_path.values()))

    def __len__(self) -> int:
        return len(self._by_path) + self.left_out

    def note(self, path: str, why: str) -> None:
        """Record that the content of a file is of no use; beyond PROBLEM_LIMIT only count it."""
        self._keep(UnreadFile(printable(path), why))

    def fail(self, path: str, error: OSError) -> None:
        """Record that something may be there and cannot be read."""
        self._keep(unread_file(path, error))

    def missing(self, path: str) -> None:
        """Ignore that the system knows no such entry; a ``Look`` checks it."""

    def _keep(self, file: UnreadFile) -> None:
        if file.path in self._by_path or len(self._by_path) < PROBLEM_LIMIT:
            self._by_path[file.path] = file
        else:
            self.left_out += 1

    def clear(self, path: str) -> None:
        """Remove the problem of a file that can be read again."""
        if self._by_path:
            self._by_path.pop(printable(path), None)


class UnfitFileError(Exception):
    """A file is there and cannot be used; the text is the reason."""


def printable(path: str) -> str:
    """Return a path as text that can be sent; bytes that are not UTF-8 become escapes."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


def reason(error: OSError) -> str:
    """Return the reason of a system error as text."""
    return error.strerror or type(error).__name__


def unread_file(path: str, error: OSError) -> UnreadFile:
    """Return what is reported of a file or directory that the system does not let us read."""
    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return UnreadFile(printable(path), reason(error), name)


def read_object(path: str, limit: int, problems: Problems) -> JsonObject | None:
    """Read a file that holds one JSON object; None when it is not there or cannot be used (then noted)."""
    value = read_value(path, limit, problems)
    if value is None or isinstance(value, dict):
        return value
    problems.note(path, "holds no JSON object")
    return None


def read_value(path: str, limit: int, problems: Problems) -> Any:  # noqa: ANN401  (any JSON value)
    """Read a file that holds one JSON value; None when it is not there or cannot be used (then noted)."""
    try:
        data = read_bytes(path, limit)
        value = None if data is None else _decode_settled(path, data, limit)
    except UnfitFileError as error:
        problems.note(path, str(error))
        return None
    except OSError as error:
        problems.fail(path, error)
        return None
    if data is None:
        problems.missing(path)
        return None
    problems.clear(path)
    return value


def read_bytes(path: str, limit: int) -> bytes | None:
    """Read a whole regular file; None when it is missing.

    Raises:
        UnfitFileError: It is larger than ``limit``, or no regular file.
        OSError: The system refuses.
    """
    opened = _open_sized(path)
    if opened is None:
        return None
    handle, size = opened
    try:
        if size > limit:
            raise UnfitFileError(f"has {size} bytes; at most {limit} are read")
        # Some file systems show the new size of a file late; most files fit into this anyway.
        data = disk.read(handle, max(size, _PAGE) + 1, path)
    finally:
        disk.close(handle)
    if len(data) > limit:
        raise UnfitFileError(f"has more than {limit} bytes")
    return data


def open_regular(path: str, *, follow: bool = True) -> int | None:
    """Open a regular file for reading, without ever waiting; None when it is missing.

    Args:
        path: The file.
        follow: Whether it may be a link.

    Raises:
        UnfitFileError: It is no regular file.
        OSError: The system refuses, or it is a directory.
    """
    opened = _open_sized(path, follow=follow)
    return None if opened is None else opened[0]


def _open_sized(path: str, *, follow: bool = True) -> tuple[int, int] | None:
    """Open a regular file; return its descriptor and its size."""
    try:
        handle = disk.open_file(path, _FLAGS if follow else _FLAGS | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in NO_ENTRY:
            return None
        if error.errno == errno.ELOOP and not follow:
            raise UnfitFileError("is a link, which is not followed") from error
        raise
    try:
        status = disk.stat_open(handle, path)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(status.st_mode):
            raise UnfitFileError("is no regular file")
    except BaseException:
        disk.close(handle)
        raise
    return handle, status.st_size


def read_lines(path: str, problems: Problems, limit: int = LINES_LIMIT) -> Iterator[JsonObject]:
    """Yield the objects of a file, one a line; none when it is missing.

    A last line without its end is still being written and is left out unless it is whole; any other line that is no
    object is left out and noted.
    """
    try:
        handle = open_regular(path)
        if handle is None:
            problems.missing(path)
            return
        with disk.buffered(handle, path) as file:
            bad = yield from _objects(file, limit)
    except OSError as error:
        problems.fail(path, error)
        return
    except UnfitFileError as error:
        bad = str(error)
    if bad:
        problems.note(path, bad)
    else:
        problems.clear(path)


def _objects(file: BinaryIO, limit: int) -> Generator[JsonObject, None, str]:
    """Yield the objects; return what is wrong with the file, or an empty text."""
    bad, left = "", limit
    while left > 0:
        line = file.readline(LINE_LIMIT)
        left -= len(line)
        if not line:
            return bad
        whole = line.endswith(b"\n")
        if not whole and len(line) == LINE_LIMIT:
            return f"has a line of more than {LINE_LIMIT} bytes"
        try:
            value = decode(line)
        except UnfitFileError as error:
            if whole and line.strip():
                bad = f"has a line that {error}"
            continue
        if isinstance(value, dict):
            yield value
        else:
            bad = "has a line that is no JSON object"
    return f"has more than {limit} bytes"


def decode(data: bytes) -> Any:  # noqa: ANN401  (any JSON value)
    """Decode JSON text; bytes that are not UTF-8 are replaced.

    Raises:
        UnfitFileError: It is not JSON, or nested too deeply.
    """
    if is_deeper(data, FILE_DEPTH):
        raise UnfitFileError("is nested too deeply")
    text = data.decode("utf-8", "replace").strip(_SPACE)
    try:
        value, end = _DECODER.raw_decode(text)
        if end != len(text):
            raise UnfitFileError("is no JSON")
        return _fit(value) if "\\u" in text and _SURROGATE_ESCAPE.search(text) else value
    except ValueError:
        raise UnfitFileError("is no JSON") from None


def text_of(value: object) -> str | None:
    """Return a text of bounded length, or None when the value is not a text."""
    return value[:TEXT_LIMIT] if isinstance(value, str) else None


def number_of(value: object) -> float | None:
    """Return a finite number, or None when the value is not one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if -EXACT_LIMIT <= value <= EXACT_LIMIT else None


def whole_of(value: object) -> int | None:
    """Return a whole number, or None when the value is not one."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if -EXACT_LIMIT <= value <= EXACT_LIMIT else None


def bounded(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """Return a value of any shape, or None when it is nested more deeply than other readers may accept."""
    return value if _is_shallow(value, DEPTH_LIMIT) else None


def _is_shallow(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        return levels > 0 and all(_is_shallow(each, levels - 1) for each in value.values())
    if isinstance(value, list):
        return levels > 0 and all(_is_shallow(each, levels - 1) for each in value)
    return True


def _decode_settled(path: str, data: bytes, limit: int) -> Any:  # noqa: ANN401
    """Decode what was read; a file that changed meanwhile is read again, one that is being written is waited for."""
    try:
        return decode(data)
    except UnfitFileError:
        again = read_bytes(path, limit)
        for pause in WRITE_PAUSES if again == b"" and _is_new(path) else ():
            time.sleep(pause)  # nothing announces the end of a write to every file system
            again = read_bytes(path, limit)
            if again:
                break
        if again is None or again == data:
            raise
        return decode(again)


def _is_new(path: str) -> bool:
    """Return whether a file was written just now."""
    try:
        return abs(time.time() - disk.stat(path).st_mtime) < JUST_NOW
    except OSError:
        return False


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _bounded(text: str) -> int | float | None:
    # Past 64 bits a whole number is a float for most readers of JSON, so it is one here.
    return int(text) if len(text) <= _EXACT_DIGITS else _finite(text)


def _fit(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_fit(each) for each in value]
    if isinstance(value, dict):
        return {_fit(key): _fit(each) for key, each in value.items()}
    return value


_DECODER = json.JSONDecoder(parse_constant=lambda _: None, parse_float=_finite, parse_int=_bounded)


def parse_time(value: object, not_before: float | None = None) -> float | None:
    """Return a time in epoch seconds: of ISO text (naive: in the zone of this host), or a number; else None.

    When clocks are set back, an hour comes twice. It is the first one, unless that lies before ``not_before``.
    """
    if not isinstance(value, str):
        return number_of(value)
    try:
        moment = datetime.fromisoformat(value[:-1] + "+00:00" if value.endswith("Z") else value)
        seconds = moment.timestamp()
        if not_before is None or seconds >= not_before or moment.tzinfo is not None:
            return seconds
        second = moment.replace(fold=1).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return second if second >= not_before else seconds
