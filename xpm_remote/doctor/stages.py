"""What an examination finds, stage by stage: values, and the examination in which they are written.

Time is an argument. Text of a remote is in there as it came; whoever prints it escapes it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from xpm_remote.errors import ExitCode, XpmRemoteError
from xpm_remote.link.observer import Attempt, Observer, Step

LISTEN_TIME = 15.0
"""Seconds to listen for events: jobs that run report every few seconds, and a person still waits."""


class Stage(str, Enum):
    """The stages in their order; those of a step are there once for each host on the way."""

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
    """How a stage ended, or that it goes on."""

    RUNNING = "running"
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class StageResult:
    """A stage and what came of it.

    Attributes:
        stage: Which.
        verdict: How it ended.
        host: The host that it is about, where that may be one of several.
        seconds: How long it took; None when it was not made, or goes on.
        facts: What was learnt, by name: texts, numbers, lists and mappings of them, None for what is not known.
        warnings: What does not keep us from working, a sentence each.
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
    """The examination of an examination; it looks on while a connection is made.

    Args:
        clock: Gives seconds, of any clock that does not go back.
        listener: Is told of each stage when it begins, and again when it has ended.
    """

    def __init__(self, clock: Callable[[], float], listener: Listener = lambda _: None) -> None:
        self._clock = clock
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
        """The failure's, or success: a warning does not keep us from working."""
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
        if self._open is None:
            self.begin(self._next_stage())
        self._end(Verdict.FAILED, error)
        failed = self.results[-1].stage
        self.skip_after(failed, f"{failed.value} failed")

    def skip(self, stage: Stage, why: str, host: str = "") -> None:
        """Leave a stage out; the one before it has succeeded."""
        self.finish()
        self._write(StageResult(stage, Verdict.SKIPPED, host, why=why))

    def leave(self, why: str) -> None:
        """End the stage in progress without a verdict of its own: there was nothing to see."""
        self._end(Verdict.SKIPPED, why=why)

    def skip_after(self, stage: Stage, why: str) -> None:
        """Leave out all stages after one."""
        stages = list(Stage)
        for each in stages[stages.index(stage) + 1 :]:
            self.skip(each, why)

    def fact(self, name: str, value: object) -> None:
        """Write down what the stage in progress brought."""
        self._facts[name] = value

    def warn(self, sentence: str) -> None:
        """Write down what is not as it should be, and does not keep us from working."""
        self._warnings.append(sentence)

    def enter(self, step: Step, host: str) -> None:
        """Begin the stage of a step."""
        self.begin(Stage(step.value), host)

    def leave_out(self, step: Step, host: str, why: str) -> None:
        """Leave out the stage of a step."""
        self.skip(Stage(step.value), why, host)

    def note(self, name: str, value: str | float | list[str]) -> None:
        """Write down what a step brought."""
        self.fact(name, value)

    def attempted(self, attempt: Attempt) -> None:
        """Write down an attempt to log in."""
        attempts = self._facts.setdefault("attempts", [])
        attempts.append({**attempt._asdict(), "outcome": attempt.outcome.value})

    def _next_stage(self) -> Stage:
        stages = list(Stage)
        done = max((stages.index(each.stage) for each in self.results), default=-1)
        return stages[min(done + 1, len(stages) - 1)]

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
