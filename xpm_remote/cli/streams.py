"""The standard streams of a command: what cannot be written ends it in words, and nothing raw reaches a terminal.

Whatever their encoding lacks is written in other characters, here for all that is printed.
A command that only shows things ends when its output cannot be written. One that does work finishes the work: a failure
is noted, and tells in the exit status. A failure on stderr is never more than noted.
"""

from __future__ import annotations

import codecs
import errno
import os
import sys
import threading
import traceback
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

from xpm_remote.errors import ExitCode, OutputError
from xpm_remote.escaping import encodable, safe_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

T = TypeVar("T")

_STDOUT, _STDERR = 1, 2


class OutputLostError(Exception):
    """Standard output cannot be written. No ``OSError``: it has nothing to do with the files of the command."""


class Guard:
    """Notes the first failure to write to a descriptor; what is written after it is lost.

    Args:
        descriptor: The descriptor.
        failure: A failure from the beginning: the descriptor was closed.

    Attributes:
        failure: The first failure.
        keeps_going: Whether a failure is noted only.
    """

    def __init__(self, descriptor: int, failure: OSError | None = None) -> None:
        self._descriptor = descriptor
        self._from_the_beginning = failure
        self.failure: OSError | None = None
        self.keeps_going = False

    def attempt(self, work: Callable[[], T], *, counts: bool = True) -> T | None:
        """Do what writes.

        Args:
            work: What to do.
            counts: Whether a descriptor that was closed from the beginning is a failure.

        Raises:
            OutputLostError: It cannot be written, and that counts.
        """
        if self.failure is not None and not self.keeps_going:
            raise OutputLostError from self.failure  # one that was caught on the way
        try:
            done = work()
            if self._from_the_beginning is not None and counts:
                raise self._from_the_beginning
        except OSError as error:
            self._from_the_beginning = None
            self.failure = self.failure or error
            # What is buffered goes somewhere now, and so does what follows.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._descriptor)
            os.close(nowhere)
            if not self.keeps_going:
                raise OutputLostError from error
            return None
        return done


class GuardedStream:
    """A stream for writing, of text or bytes, under a guard.

    Args:
        stream: The stream.
        guard: Its guard.
        charset: The encoding of what is written as text.
    """

    def __init__(self, stream: Any, guard: Guard, charset: str = "utf-8") -> None:  # noqa: ANN401 - of either kind
        self._stream = stream
        self._guard = guard
        self.charset = charset

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the stream has it
        return getattr(self._stream, name)

    @property
    def encoding(self) -> str:
        """The encoding, but for ASCII a larger one: click takes that for a mistake, and writes UTF-8 instead."""
        return "iso-8859-1" if self.charset == "ascii" else str(self._stream.encoding)

    @property
    def buffer(self) -> GuardedStream:
        """The stream of bytes below it."""
        return GuardedStream(self._stream.buffer, self._guard)

    def write(self, data: str | ReadableBuffer) -> int:
        """Write text or bytes; what the encoding of a text lacks is written in other characters."""
        if isinstance(data, str):
            keeps_bytes = self._stream.errors == "surrogateescape"
            data = encodable(data, self.charset, keeps_bytes=keeps_bytes)
        return self._guard.attempt(lambda: self._stream.write(data), counts=bool(data)) or 0

    def flush(self) -> None:
        """Write what is buffered."""
        self._guard.attempt(self._stream.flush, counts=False)


_guards: dict[int, Guard] = {}


def guard_streams() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` by guarded ones, and escape what uncaught errors print."""
    closed = [number for number in range(3) if not _is_open(number)]
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)  # gets the lowest number: no file of ours becomes stdout
    sys.stdin = sys.stdin or _nowhere("r")
    for number, name in ((_STDOUT, "stdout"), (_STDERR, "stderr")):
        failure = OSError(errno.EBADF, "it is closed") if number in closed else None
        stream = getattr(sys, name) or _nowhere("w")
        guard = _guards[number] = Guard(stream.fileno(), failure)
        setattr(sys, name, GuardedStream(stream, guard, _charset(stream)))
    _guards[_STDERR].keeps_going = True
    sys.excepthook = _print_error
    threading.excepthook = _print_other_error
    sys.unraisablehook = _print_other_error


def _charset(stream: TextIO) -> str:
    """Return the name of a stream's encoding; ASCII where LC_ALL asks for it, which Python takes for UTF-8."""
    is_chosen = os.environ.get("PYTHONIOENCODING") or os.environ.get("PYTHONUTF8")
    if os.environ.get("LC_ALL") in ("C", "POSIX") and not is_chosen:
        return "ascii"
    return codecs.lookup(stream.encoding).name


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _nowhere(mode: str) -> TextIO:
    return cast("TextIO", open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123


def keep_going() -> None:
    """Finish the work from now on, whether its output can be written or not."""
    if _STDOUT in _guards:
        _guards[_STDOUT].keeps_going = True


def finish(status: int) -> int:
    """Write what is left, and return the exit status: another one than 0 if something could not be written."""
    guard = _guards.get(_STDOUT)
    if guard is None:
        return status
    guard.keeps_going = True
    sys.stdout.flush()
    failure = guard.failure
    if failure is None:
        return status
    if failure.errno == errno.EPIPE:
        return status or ExitCode.UNEXPECTED
    error = OutputError(f"the output cannot be written: {failure.strerror}", "write it elsewhere")
    print(f"xpm-remote: {error}", file=sys.stderr)  # noqa: T201
    return status or error.exit_code


def _print_error(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        text = "".join(traceback.format_exception(kind, error, trace))
        print(safe_lines(text), file=sys.stderr)  # noqa: T201


def _print_other_error(arguments: threading.ExceptHookArgs | sys.UnraisableHookArgs) -> None:
    if arguments.exc_value is not None:
        _print_error(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
