"""The stages of an examination, their results, and the examination that records them.

Time is an argument. Text of a remote is kept as it came; what prints it must escape it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from xpm_remote.errors import ExitCode, XpmRemoteError
from xpm_remote.link.observer import UNOBSERVED, Attempt, Observer, Step
from xpm_remote.link.waits import CurrentWait

LISTEN_TIME = 15.0
"""Seconds to listen for events: running jobs report every few seconds, and the user is waiting."""


class Stage(str, Enum):
    """The stages in their order; those of a ``Step`` occur once for each host on the way."""

    CONFIGURATION = "configuration"
    RESOLVE = Step.RESOLVE.value
    TCP = Step.TCP.value
    HOST_KEY = Step.HOST_KEY.value
    AUTHENTICATION = Step.AUTHENTICATION.value
    SHELL = Step.SHELL.value
    SHELL_INIT = "shell_init"
    TOOLS = "tools"
    WORKSPACE = "workspace"
    CLOCK = "clock"
    AGENT = "agent"
    SERVER = "server"
    SNAPSHOT = "snapshot"
    EVENTS = "events"


class Verdict(str, Enum):
    """How a stage ended, or that it is in progress."""

    RUNNING = "running"
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class StageResult:
    """A stage and its result.

    Attributes:
        stage: The stage.
        verdict: How it ended.
        host: The host that was examined, where there may be several.
        seconds: The duration; None if it was skipped or is in progress.
        facts: Findings by name: texts, numbers, lists and mappings of them, None for what is unknown.
        warnings: Problems that do not prevent monitoring, a sentence each.
        why: Why it was skipped.
        error: Why it failed.
    """

    stage: Stage
    verdict: Verdict
    host: str = ""
    seconds: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    why: str = ""
    error: XpmRemoteError | None = None


Listener = Callable[[StageResult], None]


class Examination(Observer):
    """Records the results of the stages; it is the observer of the connection.

    Args:
        clock: Returns seconds, of any monotonic clock.
        listener: Called with each stage when it begins, and again when it has ended.
        waits: Receives what is waited for.

    Attributes:
        results: The stages that have ended or were skipped.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        listener: Listener = lambda _: None,
        waits: Observer = UNOBSERVED,
    ) -> None:
        self._clock = clock
        self._waits = waits
        self._listener = listener
        self._open: StageResult | None = None
        self._began = 0.0
        self._facts: dict[str, Any] = {}
        self._warnings: list[str] = []
        self.results: list[StageResult] = []

    @property
    def stage(self) -> Stage | None:
        """The stage in progress; None between two."""
        return None if self._open is None else self._open.stage

    @property
    def failure(self) -> XpmRemoteError | None:
        """Why the first stage that failed did so; None when none has."""
        return next((each.error for each in self.results if each.error is not None), None)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all."""
        verdicts = {each.verdict for each in self.results}
        worst = (Verdict.FAILED, Verdict.WARNING)
        return next((verdict for verdict in worst if verdict in verdicts), Verdict.OK)

    @property
    def exit_code(self) -> ExitCode:
        """The failure's exit code, or success: warnings are no failure."""
        return ExitCode.OK if self.failure is None else self.failure.exit_code

    def begin(self, stage: Stage, host: str = "") -> None:
        """Begin a stage; the one before it has succeeded."""
        self.finish()
        self._began = self._clock()
        self._open = StageResult(stage, Verdict.RUNNING, host)
        self._listener(self._open)

    def finish(self) -> None:
        """End the stage in progress, if one is, as a success."""
        self._end(Verdict.WARNING if self._warnings else Verdict.OK)

    def fail(self, error: XpmRemoteError) -> None:
        """End the stage in progress, or else the one that would be next, as a failure; the others are skipped."""
        stages = list(Stage)
        if self._open is None:
            done = max((stages.index(each.stage) for each in self.results), default=-1)
            self.begin(stages[min(done + 1, len(stages) - 1)])
        self._end(Verdict.FAILED, error)
        failed = self.results[-1].stage
        for each in stages[stages.index(failed) + 1 :]:
            self.skip(each, f"{failed.value} failed")

    def skip(self, stage: Stage, why: str, host: str = "") -> None:
        """Record a stage as skipped; the one before it has succeeded."""
        self.finish()
        self._write(StageResult(stage, Verdict.SKIPPED, host, why=why))

    def leave(self, why: str) -> None:
        """End the stage in progress as skipped: it had nothing to examine."""
        self._end(Verdict.SKIPPED, why=why)

    def note(self, name: str, value: object) -> None:
        """Record a fact of the stage in progress."""
        self._facts[name] = value

    def warn(self, sentence: str) -> None:
        """Record a problem that does not prevent monitoring."""
        self._warnings.append(sentence)

    def enter(self, step: Step, host: str) -> None:
        """Begin the stage of a step."""
        self.begin(Stage(step.value), host)

    def leave_out(self, step: Step, host: str, why: str) -> None:
        """Record the stage of a step as skipped."""
        self.skip(Stage(step.value), why, host)

    def attempted(self, attempt: Attempt) -> None:
        """Record an attempt to log in."""
        attempts = self._facts.setdefault("attempts", [])
        attempts.append({**attempt._asdict(), "outcome": attempt.outcome.value})

    def wait_for(self, current: CurrentWait | None) -> None:
        """Pass on what is waited for."""
        self._waits.wait_for(current)

    def _end(self, verdict: Verdict, error: XpmRemoteError | None = None, why: str = "") -> None:
        if self._open is None:
            return
        result = StageResult(
            self._open.stage,
            verdict,
            self._open.host,
            seconds=self._clock() - self._began,
            facts=self._facts,
            warnings=tuple(self._warnings),
            why=why,
            error=error,
        )
        self._open, self._facts, self._warnings = None, {}, []
        self._write(result)

    def _write(self, result: StageResult) -> None:
        self.results.append(result)
        self._listener(result)
