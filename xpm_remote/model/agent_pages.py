"""The agent's pages of rows, decoded; a job has a number in them (docs/agent.md). Pure."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from xpm_remote.model.records import ExperimentRecord
from xpm_remote.workspace.rows import Row


class Others(msgspec.Struct):
    """Fields that few jobs have."""

    scheduler_state: str | None = None
    scheduler_failure_reason: str | None = None
    message: str | None = None
    has_directory: bool = True
    is_unread: bool = False
    certain: bool = True
    progressed: float | None = None
    row: Row | None = None


class _ListedRow(msgspec.Struct, array_like=True):
    number: int
    task: int
    job_id: str
    submitted: float | None = None
    tags: dict[str, Any] | None = None
    word: str | None = None


class JobRow(msgspec.Struct, array_like=True):
    """A job: its number, state, and what is known of it."""

    number: int
    state: str
    reason: str | None = None
    started: float | None = None
    ended: float | None = None
    retry_count: int | None = None
    exit_code: int | None = None
    progress: list[tuple[int, float | None, str | None]] | None = None
    others: Others | None = None


class Sequenced(msgspec.Struct):
    """The place of a notification in the stream: its number, and the time up to which all has been sent."""

    sequence: int = 0
    mark: float = 0.0


class RunsPage(Sequenced):
    """``notification.runs``: heads of experiments, without jobs."""

    experiments: list[ExperimentRecord] = []
    removed: list[str] = []
    names: list[str] | None = None


class ListedPage(Sequenced, kw_only=True):
    """``notification.listed``: jobs of a run, and their scheduler states; its digest, while everything is sent once."""

    digest: str = ""
    experiment_id: str
    run_id: str = ""
    tasks: list[str] = []
    hashes: str = ""
    rows: list[_ListedRow] = []


class JobsPage(Sequenced):
    """``notification.jobs``: states of jobs, and its digest, as of ``ListedPage``."""

    digest: str = ""
    rows: list[JobRow] = []


class AgainPage(Sequenced):
    """``notification.again``: a page that is the same as one that another agent has sent."""

    digest: str = ""


class GonePage(Sequenced):
    """``notification.gone``: jobs that no run lists any longer."""

    numbers: list[int] = []


class Unreadable(msgspec.Struct, array_like=True, frozen=True):
    """A file or directory that the agent cannot read.

    Attributes:
        path: The file or directory.
        why: Why it cannot be read.
        error: The name of the system's error, such as ``ESTALE``.
        since: Since when, in epoch seconds of the host.
    """

    path: str
    why: str = ""
    error: str = ""
    since: float = 0.0


class UnreadablePage(Sequenced):
    """``notification.unreadable``: all that cannot be read now, and how much more."""

    files: list[Unreadable] = []
    left_out: int = 0


class WaitingPage(msgspec.Struct):
    """``notification.waiting``: what the agent waits for, since a time in epoch seconds; None once it is answered."""

    path: str | None = None
    since: float = 0.0


class Verdicts(msgspec.Struct):
    """The answer to ``judge``: heads of experiments, and rows of the jobs that it names."""

    experiments: list[ExperimentRecord] = []
    jobs: list[str] = []
    rows: list[JobRow] = []


class Missing(msgspec.Struct):
    """The answer to ``find_missing``: jobs without a directory."""

    jobs: list[str] = []


Page = (
    RunsPage
    | ListedPage
    | JobsPage
    | AgainPage
    | GonePage
    | UnreadablePage
    | WaitingPage
    | Sequenced
)

_KINDS: dict[str, type[Page]] = {
    "notification.runs": RunsPage,
    "notification.listed": ListedPage,
    "notification.jobs": JobsPage,
    "notification.again": AgainPage,
    "notification.gone": GonePage,
    "notification.unreadable": UnreadablePage,
    "notification.waiting": WaitingPage,
    "notification.loaded": Sequenced,
}


def decode_page(method: str, params: bytes | msgspec.Raw) -> Page | None:
    """Decode a notification of the agent; return None for one of another kind.

    Raises:
        msgspec.DecodeError: It is not of the shape of its kind.
    """
    kind = _KINDS.get(method)
    if kind is None:
        return None
    page = msgspec.json.decode(params, type=kind)
    if isinstance(page, ListedPage):
        _unfold_listed(page)
    elif isinstance(page, JobsPage):
        _unfold_jobs(page)
    return page


def _unfold_listed(page: ListedPage) -> None:
    """Undo what ``workspace.agent.folding`` has done to the rows of a page."""
    digests = _digests(page.hashes)
    number, submitted = 0, 0.0
    for row in page.rows:
        row.number = number = number + row.number
        if row.submitted is not None:
            submitted += row.submitted
            row.submitted = submitted / 1000
        row.job_id = row.job_id or next(digests, "")


def _unfold_jobs(page: JobsPage) -> None:
    number, started, ended = 0, 0.0, 0.0
    for row in page.rows:
        row.number = number = number + row.number
        if row.started is not None:
            started += row.started
            row.started = started / 1000
        if row.ended is not None:
            ended += row.ended
            row.ended = ended / 1000


_DIGEST = 32
"""Bytes of a hash."""


def _digests(packed: str) -> Iterator[str]:
    """Return the hashes beside the rows of a page."""
    try:
        data = binascii.a2b_base64(packed)
    except ValueError as error:
        raise msgspec.ValidationError("the hashes are not in base64") from error
    return (data[start : start + _DIGEST].hex() for start in range(0, len(data), _DIGEST))


KEPT_SIZE = 4 * 1024 * 1024
"""Bytes of pages that are kept: those of 30,000 jobs."""


class KeptPages:
    """The pages of rows of the last list, as they were sent; the next agent sends only those that are different."""

    def __init__(self) -> None:
        self._pages: dict[str, tuple[str, bytes]] = {}
        self._current: set[str] = set()
        self._size = 0

    @property
    def digests(self) -> list[str]:
        """The digests of the pages that are kept."""
        return list(self._pages)

    def decode(self, method: str, params: bytes | msgspec.Raw) -> Page | None:
        """Decode a notification as ``decode_page``; return an ``AgainPage`` only if that page is not kept."""
        page = decode_page(method, params)
        if isinstance(page, ListedPage | JobsPage) and page.digest:
            self._keep(page.digest, method, bytes(params))
        if not isinstance(page, AgainPage) or page.digest not in self._pages:
            return page
        self._current.add(page.digest)
        kept = cast("Sequenced", decode_page(*self._pages[page.digest]))
        kept.sequence, kept.mark = page.sequence, page.mark
        return kept

    def settle(self) -> None:
        """Forget the pages that were not in the list that is complete now."""
        for digest in self._pages.keys() - self._current:
            self._forget(digest)
        self._current.clear()

    def clear(self) -> None:
        """Forget all pages."""
        self._current.clear()
        self.settle()

    def _keep(self, digest: str, method: str, params: bytes) -> None:
        self._current.add(digest)
        if digest not in self._pages and self._size + len(params) <= KEPT_SIZE:
            self._pages[digest] = method, params
            self._size += len(params)

    def _forget(self, digest: str) -> None:
        self._size -= len(self._pages.pop(digest)[1])
