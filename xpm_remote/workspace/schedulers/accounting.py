"""What the accounting of SLURM has of one job: asked only where all that is known of it is wanted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Iterator, NamedTuple

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.failures import WorkspaceFailure, explain
from xpm_remote.workspace.layout import JobFiles
from xpm_remote.workspace.rows import Account
from xpm_remote.workspace.schedulers.questions import is_same_directory, read_evidence
from xpm_remote.workspace.schedulers.slurm import ANSWER_LIMIT, SLURM_ID, Slurm

_COLUMNS = {
    "state": "State",
    "exit code": "ExitCode",
    "queue": "Partition",
    "account": "Account",
    "nodes": "NodeList",
    "elapsed": "Elapsed",
    "time limit": "Timelimit",
    "cpu time": "TotalCPU",
    "cpus": "AllocCPUS",
    "memory asked for": "ReqMem",
    "most memory": "MaxRSS",
}
"""What is told of a job, and how sacct names it; the most memory is that of its steps."""

_OTHERS = ("JobID", "WorkDir")
"""What tells whose line it is. The directory is the last column, since it may hold any character."""

_LIVE_COLUMNS = {"most memory now": "MaxRSS", "cpu time of a task": "AveCPU"}
_NOTHING = ("", "Unknown", "None", "None assigned")
_EARLIER = 86_400
"""Seconds before the time of a batch script from which on its job is looked for: clocks may differ."""


class _Line(NamedTuple):
    """A line of sacct: a job, or a step of one."""

    number: str
    directory: str
    values: dict[str, str]

    @property
    def is_step(self) -> bool:
        return "." in self.number


def ask_account(files: JobFiles) -> Account | None:
    """Return what SLURM's accounting has of a job; None for a job that is not of SLURM."""
    try:
        evidence = read_evidence(files)
    except WorkspaceFailure as failure:
        return Account((), failure.what)
    except OSError as error:
        return Account((), explain(error, files.directory))
    if not evidence.is_of_slurm:
        return None
    slurm = Slurm(evidence.binpath)
    until = time.monotonic() + ANSWER_LIMIT
    number = str(evidence.process.pid) if evidence.process else ""
    which = ("-j", number) if SLURM_ID.fullmatch(number) else _by_name(files, evidence.owners)
    columns = ",".join(("JobID", *_COLUMNS.values(), "WorkDir"))
    answer = slurm.run("sacct", "--noheader", "--parsable2", *which, f"--format={columns}")
    if answer is None or answer.status:
        return Account((), slurm.why or "sacct does not answer")
    found, why = _of_job(list(_lines(answer.output)), files.directory)
    if not found:
        return Account((), why)
    values = _told(found)
    if values.get("state", "").startswith("RUNNING"):
        left = until - time.monotonic()
        values.update(_live(slurm, found[0].number, max(1.0, left)))
    return Account(tuple(values.items()), slurm.why)


def _by_name(files: JobFiles, owners: tuple[int, ...]) -> tuple[str, ...]:
    """Return the words that ask for a job whose number is not known any more: by its script, and from then on."""
    script = files.directory / f"{files.name}.sh"
    written = filesystem.lstat_or_none(script)
    since = int((written.st_mtime if written else time.time()) - _EARLIER)
    users = ",".join(map(str, owners))
    # A number of seconds since 1970 is no time for sacct.
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(since))
    return ("-u", users, f"--name={script.name}", "-S", moment)


def _lines(output: str) -> Iterator[_Line]:
    """Yield the lines that have all columns; others are warnings."""
    count = len(_COLUMNS) + 1
    for line in output.splitlines():
        number, *rest = line.split("|", count)
        if len(rest) == count and SLURM_ID.fullmatch(number.partition(".")[0]):
            yield _Line(number, rest[-1], dict(zip(_COLUMNS, rest)))


def _of_job(lines: list[_Line], directory: Path) -> tuple[list[_Line], str]:
    """Return the last job in a directory with its steps, or why there is none."""
    jobs = [line for line in lines if not line.is_step]
    own = [line for line in jobs if is_same_directory(line.directory, directory) is not False]
    if own:
        last = own[-1]
        steps = [each for each in lines if each.number.startswith(f"{last.number}.")]
        return [last, *steps], ""
    if jobs:
        other = jobs[-1]
        return [], f"the job {other.number} there is not this one: it ran in {other.directory}"
    return [], "it does not have the job (any more)"


def _told(lines: list[_Line]) -> dict[str, str]:
    values = dict(lines[0].values)
    values["most memory"] = max((each.values["most memory"] for each in lines), key=_size)
    return {name: value for name, value in values.items() if value not in _NOTHING}


def _size(text: str) -> float:
    """Return a size such as ``1024K`` as a number."""
    digits, unit = text.rstrip("KMGTP"), text[-1:]
    try:
        return float(digits) * 1024.0 ** ("KMGTP".find(unit) + 1)
    except ValueError:
        return -1.0


def _live(slurm: Slurm, number: str, limit: float) -> dict[str, str]:
    """Return what sstat has of a job that runs, the most of its steps."""
    columns = ",".join(_LIVE_COLUMNS.values())
    words = ("--noheader", "--parsable2", "--allsteps", "-j", number, f"--format={columns}")
    answer = slurm.run("sstat", *words, limit=limit)
    if answer is None or answer.status:
        return {}
    rows = [line.split("|") for line in answer.output.splitlines()]
    rows = [row for row in rows if len(row) == len(_LIVE_COLUMNS) and _size(row[0]) >= 0]
    if not rows:
        return {}
    most = max(rows, key=lambda row: _size(row[0]))
    return {name: value for name, value in zip(_LIVE_COLUMNS, most) if value}
