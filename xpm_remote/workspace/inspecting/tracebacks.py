"""Tracebacks in the log of a job, and what two failures of one cause have in common.

The process that runs a job announces the exception that ended it. Other tracebacks count only at the end of the log: a
program may print one of an exception that it has handled, and go on. Pure.
"""

from __future__ import annotations

import re
from typing import Iterator, NamedTuple

from xpm_remote.workspace.inspecting.answers import CAUSE_END, Frame

ANNOUNCEMENT = b"[xpm] Got exception while running"
"""What experimaestro logs before the traceback of the exception that ended a job."""

START = b"[xpm] Running task"
"""What it logs when the job begins."""

LINE_LIMIT = 4096
"""Bytes of a line that are looked at; what follows, such as a printed tensor, is passed over."""

BLOCK_LINES = 20_000
"""Lines of a traceback that are looked at: an exception of a library of tensors has some hundreds."""

MESSAGE_LIMIT = 2000
"""Characters of a message that are kept."""

TITLE_LIMIT = 200
"""Characters of the title of a cause."""

FRAMES_KEPT = 5
FRAMES_OF_CAUSE = 2
"""Frames of the user's code that are kept, and those that tell causes apart."""

TRAILING_LINES = 5
"""Lines that may follow a traceback that nothing announces, as a longer message or the last words of a library."""

SHOWN_INNER = 3
"""Exceptions of a group that stand in its message."""

_TOP = re.compile(r"^(.*?)(?:Original |Exception Group )?Traceback \(most recent call last\):\s*$")
_FRAME = re.compile(r'^\s+File "(.{1,1000}?)", line (\d{1,9})(?:, in (.{1,500}))?\s*$')
_EXCEPTION = re.compile(r"^([^\W\d][\w.]*(?:\.<locals>\.[\w.]+){0,20})(?:: ?(.*))?$", re.DOTALL)
_USUAL_CLASS = re.compile(r"(?:Error|Exception|Exit|Failed|Interrupt|Iteration|Warning|Timeout)$")
_IN_GROUP = re.compile(r"^[ +-]*\| ?")
_GROUP_PARTS = re.compile(r"^ *\+[-+]")
_OF_RUNNER = re.compile(r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL):\d+:.{1,40}\[xpm\] ")
_OTHERS_LAST = re.compile(r"slurmstepd: |srun: |wandb: |Exception ignored |\s*$")
_NO_CAUSE = re.compile(r"^(?:--- Logging error ---|Exception ignored )")
_STYLE = re.compile(rb"\x1b\[[0-9;]*m")
_HEAD = "Traceback (most recent call last):"
_HEADER = _HEAD.encode()
_CALL_STACK = "Call stack:"
_CHAINS = (b"cause of the following exception:", b"another exception occurred:")
_HINT = re.compile(
    r"DUE TO TIME LIMIT|DUE TO JOB REQUEUE|Node failure on|oom[-_]kill event|[Oo]ut [Oo]f [Mm]emory"
    r"|exceeded memory limit|CANCELLED AT|std::bad_alloc|^Killed$"
)
_LIBRARY = re.compile(
    r"/(?:site|dist)-packages/|/lib(?:64)?/(?:python|pypy)\d|^<|/python3\.\d+\.zip/"
)
_RUNNER_FILE = re.compile(r"/experimaestro/(?:run|core/\w+|scheduler/\w+)\.py$")


class Line(NamedTuple):
    """A line of a log: where it begins, and its text without colours."""

    offset: int
    text: str


class Traceback(NamedTuple):
    """A traceback.

    Attributes:
        offset: Where it begins in the log.
        exception: The class, as it is printed.
        message: The rest of the exception, maybe of several lines.
        frames: The last frames of the user's code, the innermost first; of a library, if there are no others.
    """

    offset: int
    exception: str
    message: str
    frames: tuple[Frame, ...]


def find_traceback(data: bytes, start: int, *, name: str = "") -> Traceback | None:
    """Find the traceback of the exception that ended a job in the end of its log.

    Args:
        data: The end of the log.
        start: Where that begins in the log.
        name: The script of the job, whose frames are not the user's.
    """
    began = max(0, data.rfind(START))  # a log may go on from an earlier run
    data, start = data[began:], start + began
    announced = data.rfind(ANNOUNCEMENT)
    if announced >= 0:
        lines = list(_until_runner(lines_of(data, start, announced)))
        return _last(lines, name)
    begin = _start_of_chain(data)
    if begin is None:
        return None
    # With the line above, which may say that the exception is of no consequence.
    lines = list(lines_of(data, start, max(0, data.rfind(b"\n", 0, begin))))
    if not _is_at_end(lines):
        return None
    return _last(list(_until_runner(iter(lines))), name)


def lines_of(data: bytes, start: int, begin: int = 0) -> Iterator[Line]:
    """Yield the lines of a part of a log from the one in which an offset of it is."""
    at = data.rfind(b"\n", 0, begin) + 1
    for _ in range(BLOCK_LINES):
        if at >= len(data):
            return
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        line = data[at : min(end, at + LINE_LIMIT)]
        if b"\x1b" in line:
            line = _STYLE.sub(b"", line)
        yield Line(start + at, line.rstrip(b"\r").decode("utf-8", "replace"))
        at = end + 1


def traceback_text(text: str) -> str:
    """Return the traceback with which a part of a log begins, up to what experimaestro logs after it."""
    data = text.encode("utf-8", "surrogateescape")
    return "\n".join(line.text for line in _until_runner(lines_of(data, 0))).rstrip()


def last_line(data: bytes) -> str:
    """Return the last words of a log: a scheduler's on why the job ended, else its last line that is the program's."""
    started = data.rfind(START)
    if started >= 0:  # a log may go on from an earlier run
        data = data[started:].partition(b"\n")[2]
    fatal_at = data.rfind(b"Fatal Python error: ")
    if fatal_at >= 0:
        return next(lines_of(data, 0, fatal_at)).text.rpartition("\r")[2].strip()
    words = ""
    begin = max(0, len(data) - LINE_LIMIT)
    for line in list(lines_of(data, 0, begin))[::-1]:
        text = line.text.rpartition("\r")[2].strip()
        if _HINT.search(text):
            return text
        if not words and text and not _is_of_runner(text):
            words = text
    return words


def _start_of_chain(data: bytes) -> int | None:
    """Return where the last chain of tracebacks begins, if it is one of a cause."""
    at = data.rfind(_HEADER)
    while at >= 0:
        begin = data.rfind(b"\n", 0, at) + 1
        prefix = data[begin:at].decode("utf-8", "replace").replace("Exception Group ", "")
        above = data[max(0, begin - LINE_LIMIT) : begin].rstrip()
        if not (_is_nested(prefix) or above.endswith(_CHAINS)):
            return at
        at = data.rfind(_HEADER, 0, at)
    return None


def _until_runner(lines: Iterator[Line]) -> Iterator[Line]:
    """Yield lines until experimaestro logs the next one after the first."""
    for number, line in enumerate(lines):
        if number and _is_of_runner(line.text):
            return
        yield line


def _is_at_end(lines: list[Line]) -> bool:
    """Return whether a log ends with the chain of tracebacks with which these lines begin."""
    frames = [number for number, line in enumerate(lines) if _frame_in(_bare(line.text))]
    if not frames:
        return False
    after = [line.text for line in lines[frames[-1] + 1 :]]
    if any("\r" in text for text in after):  # a progress bar that went on
        return False
    own = [text for text in after if not (text[:1] == " " or _is_of_runner(text))]
    return sum(not _OTHERS_LAST.match(text) for text in own) <= TRAILING_LINES + 1


def _last(lines: list[Line], name: str) -> Traceback | None:
    """Return the last traceback of a chain that is the cause."""
    heads: list[int] = []
    for number, line in enumerate(lines):
        found = _TOP.match(line.text) if _HEAD in line.text else None
        if found and not _is_nested(found[1]) and (not heads or _is_next(lines, number)):
            heads.append(number)
    ends = [*heads[1:], len(lines)]
    is_logging = bool(heads) and heads[0] > 0 and bool(_NO_CAUSE.match(lines[heads[0] - 1].text))
    blocks = [lines[head:end] for head, end in zip(heads, ends)]
    if is_logging:
        blocks = blocks[:-1]
    for block in reversed(blocks):
        found_one = _read(block, name)
        if found_one is not None:
            return found_one
    return None


def _is_next(lines: list[Line], number: int) -> bool:
    """Return whether a head is one of the chain, and not a part of a message."""
    if f"Original {_HEAD}" in lines[number].text:
        return True
    above = (line.text for line in reversed(lines[:number]) if line.text.strip())
    return next(above, "").encode().endswith(_CHAINS)


def _is_of_runner(text: str) -> bool:
    # The pattern alone takes ten times as long.
    return "[xpm] " in text and _OF_RUNNER.search(text) is not None


def _frame_in(text: str) -> re.Match[str] | None:
    return _FRAME.match(text) if 'File "' in text else None


def _is_nested(prefix: str) -> bool:
    return "|" in prefix and not prefix.strip(" |+-")


def _bare(text: str) -> str:
    return _IN_GROUP.sub("", text) if _IN_GROUP.match(text) else text


def _read(block: list[Line], name: str) -> Traceback | None:
    """Read one traceback; None when it has no exception, as one that was not printed to its end."""
    is_group = f"Exception Group {_HEAD}" in block[0].text
    parts = len(block)
    own = [line.text for line in block[1:]]
    if is_group:
        parts = next((at for at, text in enumerate(own, 1) if _GROUP_PARTS.match(text)), parts)
        own = [_bare(text) for text in own[: parts - 1]]
    found_frames = [(at, found) for at, found in enumerate(map(_frame_in, own)) if found]
    frames = [found for _, found in found_frames]
    head = _head_of_exception(own, [at for at, _ in found_frames])
    found = _EXCEPTION.match(own[head]) if head is not None else None
    if head is None or found is None:
        return None
    frames = [frame for at, frame in found_frames if at < head]
    message = "\n".join([found[2] or "", *_message_after(own[head + 1 :])]).strip()
    if is_group:
        message = f"{message}{_inner(block[parts:])}"
    return Traceback(block[0].offset, found[1], message[:MESSAGE_LIMIT], _of_user(frames, name))


def _head_of_exception(own: list[str], frames: list[int]) -> int | None:
    """Return which line the exception is on: the first one that is not indented.

    A message may hold what looks like a frame, and another thread may print between the frames. So the first line that
    looks like an exception of a usual name is taken, else the first after the last frame.
    """
    first, last = (frames[0], frames[-1]) if frames else (-1, -1)
    for at in range(first + 1, last):
        found = _EXCEPTION.match(own[at])
        if found and (_USUAL_CLASS.search(found[1]) or "." in found[1]):
            return at
    return next((at for at in range(last + 1, len(own)) if own[at][:1].strip()), None)


def _message_after(lines: list[str]) -> Iterator[str]:
    """Yield the further lines of a message, up to what is no part of it."""
    for line in lines:
        if line.startswith((_CALL_STACK, "During handling of", "The above exception was")):
            return
        yield line


def _inner(lines: list[Line]) -> str:
    """Return the exceptions of a group as text: the first ones, each in a line's form."""
    found = []
    for line in lines:
        text = _bare(line.text)
        if (
            _IN_GROUP.match(line.text)
            and text[:1].strip()
            and not text.startswith(("Trace", "Exception Group T"))
        ):
            found.append(text)
        if len(found) == SHOWN_INNER:
            break
    return f": {'; '.join(found)}" if found else ""


def _of_user(frames: list[re.Match[str]], name: str) -> tuple[Frame, ...]:
    every = [Frame(each[1], int(each[2]), each[3] or "") for each in frames]
    script = f"/{name}.py"
    own = [each for each in every if not _RUNNER_FILE.search(each.file)]
    own = [each for each in own if not (name and each.file.endswith(script) and _is_main(each))]
    users = [each for each in own if not _LIBRARY.search(each.file)]
    return tuple((users or own)[: -FRAMES_KEPT - 1 : -1])


def _is_main(frame: Frame) -> bool:
    return frame.function == "<module>"


def class_name(exception: str) -> str:
    """Return the name of a class without its module."""
    return exception.rpartition(".")[2]


def cause_of(title: str, frames: tuple[Frame, ...] = ()) -> str:
    """Return the text that failures of one cause share: a title, and files and functions of the user's code."""
    # A file that could not be compiled has no function: it may have been generated, with a name of its own.
    called = [frame for frame in frames if frame.function]
    places = [f"{frame.file.rpartition('/')[2]}:{frame.function}" for frame in called]
    if title.startswith("RecursionError"):  # functions that call each other end in any of them
        places = sorted(set(places))
    return CAUSE_END.join([title, *places[:FRAMES_OF_CAUSE]])


def title_of(exception: str, message: str) -> str:
    """Return the title of a cause: a class and the first line of its message, without what differs."""
    first = next((line.strip() for line in message.split("\n") if line.strip()), "")
    masked = mask(first)
    name = class_name(exception)
    return f"{name}: {masked}"[:TITLE_LIMIT] if name and masked else (name or masked)[:TITLE_LIMIT]


_QUOTED = re.compile(r"""(?<!\w)(?:'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`[^`\n]*`)(?!\w)""")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://\S+")
_PATH = re.compile(
    r"(?<![\w*])(?:~|\.{1,2})?(?:/[^\s/'\",:;()\[\]{}<>|*]+){1,}/?|(?<![\w*/])(?:[\w.-]+/){2,}[\w.-]*"
)
_HEX = re.compile(
    r"\b(?:0x[0-9a-fA-F]+|(?=[a-fA-F]*\d)[0-9a-fA-F]{7,}(?:-[0-9a-fA-F]{4,})*|[0-9a-fA-F]{12,})\b"
)
_BAR = re.compile(r"(?<=%)\|[^|]{0,400}\|")
_SIZE = re.compile(r"(?<![\w.])\d+(?:\.\d+)? ?(?:[kKMGTP]i?)?B\b")
_NUMBER = re.compile(r"(?<!\w)[-+]?\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?|\d+(?:\.\d+)?")
_LIST = re.compile(r"\*(?:\s*,\s*\*)+")
_STARS = re.compile(r"\*{2,}")


def mask(text: str) -> str:
    """Return a line with ``*`` for what differs from failure to failure: quoted text, paths, hex, sizes, numbers."""
    text = text[:LINE_LIMIT]
    for pattern in (_BAR, _QUOTED, _URL, _PATH, _HEX, _SIZE, _NUMBER):
        text = pattern.sub("*" if pattern is not _BAR else "|*|", text)
    return _STARS.sub("*", _LIST.sub("*", text))
