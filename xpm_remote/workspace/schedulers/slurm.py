"""SLURM, by its programs squeue and scancel.

Neither is believed blindly: ``scancel`` exits with 0 for ids that there are not, and a controller that is frozen or
down answers nothing, which never means that there are no jobs.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import re
import signal
import stat
import time
from pathlib import Path
from typing import Callable, NamedTuple, Sequence

from xpm_remote.workspace.rows import Phase, Row
from xpm_remote.workspace.schedulers.rows import Cancelled

ANSWER_LIMIT = 20.0
"""Seconds for a program of SLURM: a busy controller takes several, a frozen one never answers."""

CANCEL_LOOKS = (0.2, 1.0, 3.0)
"""Seconds before each look for the effect of a cancellation: mostly it is there at once. Not more looks than that, as
sites forbid to ask SLURM in a loop."""

SLURM_ID = re.compile(r"[0-9]{1,18}(?:[_+][0-9]{1,9})?")
"""The id of a job, of one element of an array, or of one component of a heterogeneous job."""

_FORMAT = "%i|%T|%P|%V|%S|%e|%N|%C|%m|%b|%r|%Z"
_FIELDS = _FORMAT.count("|")
_QUEUED = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD"})
_ENDED = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "TIMEOUT",
    }
)
_BEING_CANCELLED = "COMPLETING"
_NOTHING = ("N/A", "(null)", "")
_TIME_DIGITS = 11

_HINTS = (
    ("DUE TO TIME LIMIT", "TIMEOUT"),
    ("DUE TO PREEMPTION", "PREEMPTED"),
    ("DUE TO NODE FAILURE", "NODE_FAIL"),
    ("Node failure on", "NODE_FAIL"),
    ("oom-kill event", "OUT_OF_MEMORY"),
    ("oom_kill event", "OUT_OF_MEMORY"),
    ("Out Of Memory", "OUT_OF_MEMORY"),
    ("exceeded memory limit", "OUT_OF_MEMORY"),
    ("DUE TO JOB REQUEUE", "REQUEUED"),
    ("CANCELLED AT", "CANCELLED"),
)
"""What SLURM writes into the log of a job that it ends, the more telling first, and the state that this means."""


class Answer(NamedTuple):
    """The end of a program."""

    status: int
    output: str
    error: str


class Slurm:
    """SLURM as a ``Scheduler``.

    Args:
        binpath: A trusted directory of its programs; what is not there is looked for in the PATH.
        pause: Waits for some seconds.
    """

    def __init__(
        self, binpath: Path | None = None, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._binpath = binpath
        self._pause = pause
        self.why = ""

    def ask(self, users: Sequence[int]) -> dict[str, Row] | None:
        """Return the jobs of users by directory; None when SLURM does not answer."""
        answer = self._list("-u", ",".join(map(str, users)))
        if answer is None or answer.status:
            return None
        found: dict[str, Row] = {}
        for row in _rows(answer):
            if row.directory not in found or found[row.directory].phase is Phase.ENDED:
                found[row.directory] = row
        return found

    def find(self, job_id: str) -> list[Row] | None:
        """Return the jobs of an id; None when SLURM does not answer."""
        answer = self._list("-j", job_id)
        if answer is None:
            return None
        if answer.status:
            # squeue fails for an id that there is not; that it answers another question shows that this is why.
            why, other = self.why, self._list("-u", str(os.geteuid()))
            if other is None or other.status:
                self.why = why
                return None
            return []
        return _rows(answer)

    def cancel(self, row: Row) -> Cancelled:
        """Cancel a job, and look whether SLURM does, which may do so also where scancel failed."""
        answer = self.run("scancel", row.id)
        if answer is None:
            return Cancelled.UNKNOWN
        failure = _failure_words("scancel", answer) if answer.status else ""
        for seconds in CANCEL_LOOKS:
            self._pause(seconds)
            rows = self.find(row.id)
            if rows is None:
                self.why = f"{failure}, then {self.why}" if failure else self.why
                return Cancelled.UNKNOWN
            if all(_is_over(each) for each in rows if each.directory == row.directory):
                return Cancelled.DONE
            if failure:
                self.why = failure
                return Cancelled.REFUSED
        self.why = f"SLURM still has the job {row.id}"
        return Cancelled.UNKNOWN

    def _list(self, *which: str) -> Answer | None:
        """Return the answer to a question for jobs, with the rows of those that have ended lately."""
        words = ("--noheader", "--array", "--states=all", *which, "-o", _FORMAT)
        return self.run("squeue", *words)

    def run(self, name: str, *words: str, limit: float | None = None) -> Answer | None:
        """Run a program of SLURM to its end; None when it is not there, or does not end in time.

        Args:
            name: The program.
            words: Its arguments.
            limit: Seconds for its end; None for ``ANSWER_LIMIT``.
        """
        limit = limit or ANSWER_LIMIT
        program = self._find(name)
        if program is None:
            where = f"neither in {self._binpath} nor" if self._binpath else "not"
            self.why = (
                f"{name} is {where} in the PATH of this host ({os.environ.get('PATH', '')}), nor does a login shell"
                " find it; a shell_init in settings.yaml can load it"
            )
            return None
        self.why = ""
        try:
            import subprocess  # noqa: PLC0415 - it needs a python with select
        except ImportError as error:
            self.why = f"{name} cannot be run by the python of this host: {error}"
            return None
        try:
            process = subprocess.Popen(  # noqa: S603  (the program is trusted, ids are checked)
                [program, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env=_environment(),
                start_new_session=True,
            )
        except OSError as error:
            self.why = f"{program} cannot be run: {error.strerror}"
            return None
        with process:
            try:
                output, error_output = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                self.why = f"{name} has not answered in {limit:.3g} s"
                return None
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
        answer = Answer(process.returncode, os.fsdecode(output), os.fsdecode(error_output))
        if answer.status:
            self.why = _failure_words(name, answer)
        return answer

    def _find(self, name: str) -> str | None:
        """Return the path of a program; a relative directory of the PATH does not count."""
        for place in [*([self._binpath] if self._binpath else []), *map(Path, os.get_exec_path())]:
            program = place / name
            if place.is_absolute() and os.access(program, os.X_OK) and program.is_file():
                return str(program)
        return in_login_shell(name)


def why_ended(tail: str) -> str | None:
    """Return the state in which SLURM has ended a job, by the last lines of its log; None where they do not tell."""
    lines = [line for line in tail.splitlines() if line.startswith(("slurmstepd", "srun:"))]
    return next((state for words, state in _HINTS if any(words in line for line in lines)), None)


@functools.lru_cache(maxsize=None)
def in_login_shell(name: str) -> str | None:
    """Return the path of a program that the user's login shell finds; None if it finds none in time."""
    import subprocess  # noqa: PLC0415 - it needs a python with select

    try:
        shell = pwd.getpwuid(os.geteuid()).pw_shell or "/bin/sh"
        done = subprocess.run(  # noqa: S603
            [shell, "-lc", f"command -v {name}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            timeout=ANSWER_LIMIT,
            start_new_session=True,
            check=False,
        )
    except (OSError, KeyError, subprocess.SubprocessError):
        return None
    # Login files may print before it.
    program = os.fsdecode(done.stdout).strip().rpartition("\n")[2]
    return program if Path(program).is_absolute() and os.access(program, os.X_OK) else None


def trusted_binpath(pid_file: Path, options: object) -> Path | None:
    """Return the directory of SLURM's programs that a pid file names; None unless it can be no trap.

    The file must be the user's own, and neither it nor the job's directory, nor the directory that it names and the
    programs there, may be such that others can write them.

    Args:
        pid_file: The pid file.
        options: What it has under ``options``: pairs of a name and a value.
    """
    named = _option(options, "binpath")
    binpath = Path(named or "")
    if not binpath.is_absolute():
        return None
    own = (os.geteuid(),)
    try:
        is_ours = _is_safe(pid_file, own, stat.S_IWGRP | stat.S_IWOTH)
        if not is_ours or not _is_safe(pid_file.parent, own, stat.S_IWOTH):
            return None
        real = Path(os.path.realpath(binpath))
        paths = [real, *(real / name for name in ("squeue", "scancel") if (real / name).exists())]
    except OSError:
        return None
    is_safe = all(_is_safe(path, (0, *own), stat.S_IWGRP | stat.S_IWOTH) for path in paths)
    return binpath if is_safe else None


def _option(options: object, wanted: str) -> str | None:
    pairs = options if isinstance(options, list) else []
    for pair in pairs:
        if isinstance(pair, list) and len(pair) == 2 and pair[0] == wanted:
            return pair[1] if isinstance(pair[1], str) else None
    return None


def _is_safe(path: Path, owners: Sequence[int], writable: int) -> bool:
    """Return whether a file has one of these owners, and none of these bits."""
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_uid in owners and not status.st_mode & writable


def _environment() -> dict[str, str]:
    """Return our environment without what changes questions, answers and formats."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SQUEUE_", "SCANCEL_", "SACCT_", "SSTAT_"))
    }
    return {**ours, "LC_ALL": "C", "SLURM_TIME_FORMAT": "%s"}


def _rows(answer: Answer) -> list[Row]:
    return [row for row in map(_row, answer.output.splitlines()) if row is not None]


def _row(line: str) -> Row | None:
    """Return a line as a row; None for any other line, such as a warning."""
    fields = [each.strip() for each in line.split("|", _FIELDS)]
    if len(fields) <= _FIELDS:
        return None
    number, word, queue, submitted, starts, ends, nodes, cpus, memory, gpus, why, directory = fields
    state = word.partition(" ")[0]
    other = Phase.QUEUED if state in _QUEUED else Phase.RUNNING
    phase = Phase.ENDED if state in _ENDED else other
    return Row(
        number,
        phase,
        state,
        directory,
        why if phase is Phase.QUEUED and why != "None" else "",
        queue,
        _moment(submitted),
        _moment(starts),
        _moment(ends),
        nodes,
        cpus,
        memory,
        "" if gpus in _NOTHING else gpus,
    )


def _moment(text: str) -> float | None:
    """Return a time in epoch seconds; None for what SLURM writes in place of one, such as ``N/A``."""
    is_time = text.isascii() and text.isdecimal() and len(text) <= _TIME_DIGITS
    return float(text) if is_time else None


def _is_over(row: Row) -> bool:
    return row.phase is Phase.ENDED or row.state == _BEING_CANCELLED


def _failure_words(name: str, answer: Answer) -> str:
    said = " ".join((answer.error or answer.output).split())
    return f"{name} failed with exit status {answer.status}" + (f": {said}" if said else "")
