"""Searching a log of any size, line by line, in parts of a bounded time, so that a search can be left at any moment.

A text is searched for here. A regular expression may take for ever on one line, so it is matched in a process of its
own, which is killed when it does.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from typing import NamedTuple

from xpm_remote.workspace.failures import UsageFailure, WorkspaceFailure
from xpm_remote.workspace.inspecting import scanning
from xpm_remote.workspace.inspecting.answers import LogMatch, LogSearch
from xpm_remote.workspace.inspecting.logs import OpenLog, open_log

PATTERN_LIMIT = 1000
"""Characters of a pattern."""

PART_TIME = 0.4
"""Seconds that one part of a search takes: a person who leaves it, or types on, does not wait."""

STUCK_TIME = 10.0
"""Seconds after which a process is killed that matches a regular expression in one megabyte: it needs a tenth of one,
and a busy host starts it in one."""


class SearchRequest(NamedTuple):
    """What is searched for, and where the search goes on.

    Attributes:
        pattern: A text, or a regular expression.
        is_regex: Whether it is a regular expression.
        ignore_case: Whether case does not count.
        start: The offset of the line from which to search.
        wanted: How many matches are returned.
    """

    pattern: str
    is_regex: bool = False
    ignore_case: bool = False
    start: int = 0
    wanted: int = 0


def search_part(path: str, request: SearchRequest) -> LogSearch | None:
    """Search a log for ``PART_TIME`` seconds; None when there is no log.

    Raises:
        WorkspaceFailure: The pattern cannot be searched for, or takes too long; the log cannot be read.
    """
    _check(request)
    with open_log(path) as log:
        if log is None:
            return None
        if request.is_regex:
            found, count, reached = _by_process(log, request)
        else:
            found, count, reached = _by_text(log, request)
        matches = tuple(LogMatch(*each) for each in found)
        return LogSearch(matches, count, reached, log.size, reached >= log.size)


def _check(request: SearchRequest) -> None:
    if not request.pattern:
        raise UsageFailure("the pattern is empty", "give a text")
    if len(request.pattern) > PATTERN_LIMIT or "\n" in request.pattern:
        raise UsageFailure(
            f"the pattern is of several lines, or longer than {PATTERN_LIMIT} characters",
            "give a shorter one: lines are searched one by one",
        )
    if request.is_regex:
        try:
            re.compile(request.pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise UsageFailure(
                f"the pattern is no regular expression: {error}", "search for it as a text"
            ) from None


def _by_text(log: OpenLog, request: SearchRequest) -> tuple[list[tuple[int, int, str]], int, int]:
    text = request.pattern.encode("utf-8", "surrogateescape")
    hits = scanning.text_hits(text, ignore_case=request.ignore_case)
    if request.ignore_case and not text.isascii():
        hits = scanning.Regex(re.escape(request.pattern), re.IGNORECASE).hits
    scan = scanning.Scan(
        lambda offset, count: log.read(offset, offset + count), log.size, hits, len(text) - 1
    )
    scan.run(request.start, request.wanted, time.monotonic() + PART_TIME, lambda: None)
    return scan.found, scan.count, scan.reached


def _by_process(
    log: OpenLog, request: SearchRequest
) -> tuple[list[tuple[int, int, str]], int, int]:
    """Search by a process that is killed when it is stuck.

    Raises:
        WorkspaceFailure: It was, or could not be started.
    """
    asked = {
        "pattern": request.pattern,
        "flags": int(re.IGNORECASE if request.ignore_case else 0),
        "size": log.size,
        "start": request.start,
        "wanted": request.wanted,
        "seconds": PART_TIME,
        "stuck": STUCK_TIME,
    }
    words = [sys.executable, "-I", "-B", "-S", "-X", "utf8", "-c", _program(), json.dumps(asked)]
    try:
        process = subprocess.Popen(  # noqa: S603  (our own words)
            words, stdin=log.handle, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError as error:
        raise WorkspaceFailure(
            f"a search by a regular expression cannot be started: {error.strerror}",
            "search for a text",
        ) from error
    answer = ""
    with process:
        timer = _kill_later(process)
        try:
            for line in process.stdout or ():
                timer.cancel()
                timer = _kill_later(process)
                answer = line
        finally:
            timer.cancel()
            process.kill()
    if not answer.startswith("["):
        raise UsageFailure(
            f"the pattern takes too long at a line after byte {request.start} of {log.path}",
            "search for a text, or for a pattern without nested repetitions",
        )
    found, count, reached = json.loads(answer)
    return [tuple(each) for each in found], count, reached


def _kill_later(process: subprocess.Popen[str]) -> threading.Timer:
    timer = threading.Timer(STUCK_TIME, process.kill)
    timer.daemon = True
    timer.start()
    return timer


def _program() -> str:
    """Return the text of ``scanning``, which on a host is in memory only."""
    text: str = scanning.__spec__.loader.get_source(scanning.__name__)  # type: ignore[union-attr]
    return text
