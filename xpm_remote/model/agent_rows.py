"""The rows of an agent made into records, whichever page they came in. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec

from xpm_remote.model.agent_pages import (
    GonePage,
    JobRow,
    JobsPage,
    KeptPages,
    ListedPage,
    Others,
    Page,
    RunsPage,
    UnreadablePage,
    Verdicts,
    WaitingPage,
)
from xpm_remote.model.records import ExperimentRecord, JobInfoRecord, JobRecord, ProgressRecord
from xpm_remote.model.runs import Entry, Listing, job_key
from xpm_remote.workspace.states import State, read_state

_NO_OTHERS = Others()

SLICE = 50
"""Jobs, or experiments, that are applied at once: a few milliseconds of work."""


class AgentRows:
    """Converts rows into records; keeps which job has which number, and what of the lists has not been taken yet.

    It outlives an agent: ``begin`` starts the next one, which sends only what changed.

    Attributes:
        mark: The time up to which everything has been received; None before the first notification.
        root: The directory of the workspace on its host; empty while unknown.
        messages: Further details of failures, by job key.
        unreadable: What the agent cannot read.
        kept: The pages of the last list.
        waiting: What it waits for since when, without an answer of the file server; None while it is answered.
    """

    def __init__(self) -> None:
        self.mark: float | None = None
        self.root = ""
        self.messages: dict[str, str] = {}
        self.unreadable = UnreadablePage()
        self.kept = KeptPages()
        self.waiting: WaitingPage | None = None
        self._heads: dict[str, ExperimentRecord] = {}
        self._names: list[str] = []
        self._infos: dict[str, dict[str, JobInfoRecord]] = {}
        self._words: dict[str, dict[str, str]] = {}
        self._jobs: dict[int, tuple[str, str]] = {}
        self._judged: dict[str, str] = {}
        self._listing: dict[str, tuple[str, ...]] = {}
        self._former: dict[str, set[str]] = {}
        self._new_heads: dict[str, None] = {}
        # By experiment and key: whether the entry is that of another run than the one before.
        self._new_entries: dict[tuple[str, str], bool] = {}
        self._unjudged: dict[tuple[str, str], bool] = {}
        self._has_new_names = False

    def begin(self) -> None:
        """Start with another agent: it numbers jobs anew."""
        self._jobs.clear()
        self.waiting = None
        self._new_entries.update(self._unjudged)
        self._unjudged.clear()

    def take(self, page: Page) -> None:
        """Apply a page that lists something, or says what cannot be read or is waited for."""
        if isinstance(page, RunsPage):
            self.take_runs(page)
        elif isinstance(page, ListedPage):
            self.take_listed(page)
        elif isinstance(page, GonePage):
            self.take_gone(page)
        elif isinstance(page, UnreadablePage):
            self.unreadable = page
        elif isinstance(page, WaitingPage):
            self.waiting = None if page.path is None else page

    def take_runs(self, page: RunsPage) -> None:
        """Apply heads of experiments.

        The jobs of a new run follow in later pages: until all are there, it has those of the run before, too.
        """
        for head in page.experiments:
            name = head.experiment_id
            before = self._heads.get(name)
            if head.is_unread and before is not None:
                continue  # what is known of it is better
            if before is None or before.run_id != head.run_id:
                self._former[name] = set(self._infos.setdefault(name, {}))
                self._words.setdefault(name, {})
            self._heads[name] = head
            self._new_heads[name] = None
            self._forget_former(name)
            if name not in self._names:
                self._names.append(name)
        self._has_new_names = True
        if page.names is not None:
            self._names = [name for name in page.names if name in self._heads]
        kept = set(self._names) - set(page.removed)
        for name in [name for name in self._heads if name not in kept]:
            for known in (self._heads, self._new_heads, self._infos, self._words, self._former):
                known.pop(name, None)
        self._names = [name for name in self._names if name in self._heads]

    def take_gone(self, page: GonePage) -> None:
        """Remove jobs that are in no run any longer."""
        for number in page.numbers:
            task_id, job_id = self._jobs.pop(number, ("", ""))
            self._judged.pop(job_id, None)
            self.messages.pop(f"{task_id}/{job_id}", None)
            for name in self._listing.pop(job_id, ()):
                self._remove(name, job_id)
                self._former.get(name, set()).discard(job_id)

    def _remove(self, name: str, job_id: str) -> None:
        info = self._infos.get(name, {}).pop(job_id, None)
        self._words.get(name, {}).pop(job_id, None)
        if info is not None:
            entry = name, job_key(info)
            self._unjudged.pop(entry, None)
            self._new_entries[entry] = False

    def take_listed(self, page: ListedPage) -> None:
        """Apply the jobs of a run."""
        infos = self._infos.setdefault(page.experiment_id, {})
        words = self._words.setdefault(page.experiment_id, {})
        alone = (page.experiment_id,)
        former = self._former.get(page.experiment_id, set())
        for row in page.rows:
            task = page.tasks[row.task]
            is_fresh = row.job_id in former
            if is_fresh:  # in its place in the new run
                former.remove(row.job_id)
                del infos[row.job_id]
                words.pop(row.job_id, None)
            self._jobs[row.number] = (task, row.job_id)
            info = JobInfoRecord(row.job_id, task, row.tags, row.submitted)
            known = infos.get(row.job_id)
            # The scheduler's own word counts until the job is judged by all of its files.
            word = self._judged.get(row.job_id, row.word)
            if info != known or words.get(row.job_id) != word:
                entry = page.experiment_id, job_key(info)
                self._new_entries[entry] = is_fresh or self._new_entries.get(entry, False)
            infos[row.job_id] = info
            if word is not None:
                words[row.job_id] = word
            names = self._listing.setdefault(row.job_id, alone)
            if page.experiment_id not in names:
                self._listing[row.job_id] = (*names, page.experiment_id)
        self._forget_former(page.experiment_id)

    def _forget_former(self, name: str) -> None:
        """Forget the jobs of the run before, once the current one has sent all of its own."""
        head, former = self._heads.get(name), self._former.get(name)
        if head is None or not former:
            return
        if len(self._infos[name]) - len(former) < head.jobs_count:
            return
        for job_id in former:
            self._remove(name, job_id)
        former.clear()

    @property
    def has_news(self) -> bool:
        """Whether something was listed that has not been taken."""
        return bool(self._new_heads or self._new_entries or self._has_new_names)

    def take_news(self, *, judged_only: bool = False) -> Listing:
        """Return what was listed since the last call, at most a slice of it.

        Args:
            judged_only: Whether to keep back the jobs of which only their scheduler's word is known.
        """
        heads = [self._heads[name] for name in islice(self._new_heads, SLICE)]
        for head in heads:
            del self._new_heads[head.experiment_id]
        entries = []
        for entry in list(islice(self._new_entries, SLICE)) if not self._new_heads else ():
            is_fresh = self._new_entries.pop(entry)
            name, key = entry
            job_id = key.rpartition("/")[2]
            info = self._infos.get(name, {}).get(job_id)
            if info is None or job_key(info) != key:
                entries.append(Entry(name, key))
            elif judged_only and job_id not in self._judged:
                self._unjudged[entry] = is_fresh
            else:
                entries.append(Entry(name, key, info, self._words[name].get(job_id), is_fresh))
        if self._new_heads or self._new_entries:
            return Listing(heads, entries)
        self._has_new_names = False
        return Listing(heads, entries, list(self._names))

    def experiments(self) -> list[ExperimentRecord]:
        """Return all experiments with their jobs, as records of the monitor protocol."""
        return [
            msgspec.structs.replace(
                self._heads[name], job_infos=self._infos[name], job_states=self._words[name]
            )
            for name in self._names
        ]

    def slices(self, page: JobsPage) -> Iterator[list[JobRecord]]:
        """Yield the jobs of a page in slices; see ``jobs``."""
        for start in range(0, len(page.rows), SLICE):
            yield self.jobs(JobsPage(rows=page.rows[start : start + SLICE]))

    def jobs(self, page: JobsPage) -> list[JobRecord]:
        """Return the jobs of a page as records of the monitor protocol; jobs never listed are left out.

        A scheduler state is never more advanced than the job's own, which is judged from all files.
        """
        records = []
        for row in page.rows:
            if row.number in self._jobs and not self._knows_better(row):
                record = _record(self._jobs[row.number], row, self.root)
                records.append(record)
                self._judge(record)
                self._note(record, row.others)
        return records

    def _knows_better(self, row: JobRow) -> bool:
        """Return whether a row is of a job that could not be read now, and was read before."""
        is_unread = row.others is not None and row.others.is_unread
        is_unknown = is_unread and row.state == State.UNKNOWN.value
        return is_unknown and self._jobs[row.number][1] in self._judged

    def verdicts(self, answer: Verdicts) -> list[JobRecord]:
        """Return the jobs of an answer to ``judge`` as records of the monitor protocol."""
        records = []
        for name, row in zip(answer.jobs, answer.rows, strict=False):
            task, _, job_hash = name.rpartition("/")
            records.append(_record((task, job_hash), row, self.root))
            self._note(records[-1], row.others)
        return records

    def _note(self, record: JobRecord, others: Others | None) -> None:
        message = None if others is None else others.message
        if message:
            self.messages[f"{record.task_id}/{record.job_id}"] = message
        elif self.messages:
            self.messages.pop(f"{record.task_id}/{record.job_id}", None)

    def _judge(self, record: JobRecord) -> None:
        word = self._judged[record.job_id] = record.scheduler_state or State.UNSCHEDULED.value
        for name in self._listing.get(record.job_id, ()):
            if record.job_id not in self._infos.get(name, ()):
                continue
            self._words[name][record.job_id] = word
            entry = name, job_key(record)
            if entry in self._unjudged:
                self._new_entries[entry] = self._unjudged.pop(entry)


def _record(job: tuple[str, str], row: JobRow, root: str) -> JobRecord:
    others = row.others or _NO_OTHERS
    return JobRecord(
        job_id=job[1],
        task_id=job[0],
        path=f"{root}/jobs/{job[0]}/{job[1]}" if root else None,
        state=row.state,
        failure_reason=row.reason,
        scheduler_state=_lesser(others.scheduler_state, row.state),
        scheduler_failure_reason=others.scheduler_failure_reason,
        started_time=row.started,
        ended_time=row.ended,
        exit_code=row.exit_code,
        retry_count=row.retry_count or 0,
        progress=[ProgressRecord(*each) for each in row.progress or ()],
        certain=others.certain,
        progressed_time=others.progressed,
        row=others.row,
    )


def _lesser(scheduler: str | None, state: str) -> str:
    """Return the less advanced of the two states: a scheduler may have died."""
    if scheduler is None:
        return state
    return scheduler if read_state(scheduler)[0].rank <= read_state(state)[0].rank else state
