"""Running the probe on the host through its stages: shell, ``shell_init``, tools, workspace, clock."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from xpm_remote.doctor.probe import (
    EXPERIMAESTRO,
    GOING,
    UV,
    Answers,
    Offset,
    Program,
    Round,
    candidates,
    clock_offset,
    stderr_noise,
    without_marks,
)
from xpm_remote.doctor.stages import Examination, Stage
from xpm_remote.errors import StartError, XpmRemoteError
from xpm_remote.link.course import Course
from xpm_remote.link.process import RemoteProcess
from xpm_remote.link.remote.agent import OLDEST_PYTHON
from xpm_remote.link.remote.startup import (
    Mark,
    MarkedStream,
    Noise,
    NoiseSource,
    StartPhase,
    Startup,
    last_words,
)
from xpm_remote.link.transport import ended_before_start
from xpm_remote.link.waits import Wait
from xpm_remote.session.backends import first_choice
from xpm_remote.session.target import Target
from xpm_remote.settings.schema import Backend

ROUNDS = 5
"""Queries of the host's time; the quickest answer counts, and one of a few is quick."""

MUCH_SKEW = 5.0
"""The largest difference of two clocks, in seconds, without a warning; synchronised ones differ far less."""

LITTLE_SPACE = 1 << 30
"""Free bytes below which there is a warning: an experiment may soon fail."""

SAFE_VERSION = (2, 7)
"""The first experimaestro whose server does not change the jobs of other hosts."""


class Probing:
    """Drives the probe and records its answers.

    Args:
        process: The probe, which has just been started.
        target: The workspace.
        examination: Records the results; the stage of the shell has begun.

    Attributes:
        offset: By how much the host's clock is ahead; None if unknown.
        outdated: The version of the experimaestro there, if that is older than we support.
        slurm: A file that tells of a job of SLURM; empty for none.
    """

    def __init__(self, process: RemoteProcess, target: Target, examination: Examination) -> None:
        self._process = process
        self._target = target
        self._examination = examination
        self._stdout = MarkedStream()
        self._startup = Startup(command=target.shell_init or "")
        self._course = Course(examination, target.name, target.limits, self._said)
        self._answers = Answers()
        self._marks: list[Mark] = []
        self.offset: Offset | None = None
        self.outdated = ""
        self.slurm = ""

    async def run(self) -> None:
        """Go through the stages; afterwards the probe waits to become the server.

        Raises:
            XpmRemoteError: A stage failed.
        """
        await self._course.carry(self._run())

    def _said(self) -> str:
        return self._startup.said(without_marks(self._process.exit.stderr))

    async def _run(self) -> None:
        self._course.enter(Wait.LOGIN_FILES)
        await self._until("shell")
        await self._go_on()
        self._tell_noise(NoiseSource.LOGIN)
        if self._target.has_init:
            self._examination.begin(Stage.SHELL_INIT)
            self._course.enter(Wait.SHELL_INIT)
            await self._until("init")
            await self._go_on()
            self._tell_noise(NoiseSource.SHELL_INIT)
            self._examination.begin(Stage.TOOLS)
        else:
            self._examination.skip(Stage.SHELL_INIT, "there is none")
            self._examination.begin(Stage.TOOLS)
            await self._until("init")
            await self._go_on()
        self._course.enter(Wait.PROGRAMS)
        await self._until("tools")
        self._tell_tools()
        self._examination.begin(Stage.WORKSPACE)
        self._course.enter(Wait.WORKSPACE)
        await self._until("looked")
        self._tell_workspace()
        self._examination.begin(Stage.CLOCK)
        self._course.enter(Wait.PROGRAMS)
        await self._compare_clocks()

    async def _go_on(self) -> None:
        """Let the probe continue; by then all output printed before has arrived."""
        self._process.send(b"\n")
        await self._until(GOING)

    def _tell_noise(self, section: NoiseSource) -> None:
        noises = {
            "stdout": self._stdout.noise[section],
            "stderr": stderr_noise(self._process.exit.stderr, section),
        }
        printed = {stream: noise for stream, noise in noises.items() if noise.size}
        if printed:
            told = " and ".join(f"{n.size} bytes on {stream}" for stream, n in printed.items())
            self._examination.note("noise", [_noise_fact(*each) for each in printed.items()])
            who = "the login files print" if section is NoiseSource.LOGIN else "shell_init prints"
            self._examination.warn(f"{who} {told}: we ignore that, other programs may fail by it")

    async def _until(self, word: str) -> Mark:
        """Read until a mark, and return it.

        Raises:
            XpmRemoteError: The probe ended before it.
        """
        while True:
            while self._marks:
                mark = self._marks.pop(0)
                self._answers.take(mark)
                if mark.word == word:
                    return mark
            data = await self._process.receive()
            if not data:
                raise self._failure()
            if self._startup.phase is not StartPhase.READY:
                self._startup.feed(data)
            self._marks += self._stdout.feed(data)

    def _failure(self) -> XpmRemoteError:
        ended = self._process.exit
        stderr = without_marks(ended.stderr)
        error = ended_before_start(
            replace(ended, stderr=stderr), self._startup, self._target.workspace
        )
        if isinstance(error, StartError) and self._startup.phase is not StartPhase.LOGIN:
            return StartError(
                f"the remote shell ended with exit status {ended.status} during the probe"
                f"{last_words(stderr, '')}",
                "look at what shell_init has changed",
            )
        return error

    def _tell_tools(self) -> None:
        pythons = self._answers.pythons(candidates(self._target.remote.python))
        uv = self._answers.program(UV)
        experimaestro = self._answers.program(EXPERIMAESTRO)
        programs = [each for each in (*pythons, uv, experimaestro) if each.path or each.status == 0]
        self._examination.note("programs", [_program_fact(each) for each in programs])
        if all(not each.version or each.is_before(*OLDEST_PYTHON) for each in pythons):
            self._examination.warn(
                f"there is no python {'.'.join(map(str, OLDEST_PYTHON))} or newer: our agent cannot run here"
            )
        if first_choice(self._target).backend is Backend.EXPERIMAESTRO:
            self._judge_experimaestro(uv, experimaestro)

    def _judge_experimaestro(self, uv: Program, experimaestro: Program) -> None:
        by_path = self._target.remote.xpm_path
        if experimaestro.is_before(*SAFE_VERSION):
            self.outdated = experimaestro.version
            self._examination.warn(
                f"experimaestro {experimaestro.version} changes the workspace when its server starts: before"
                " 2.7 it may mark jobs of other hosts as failed; set ssh.xpm_path to a newer one"
            )
        elif experimaestro.version:
            return
        elif by_path is not None:
            self._examination.warn(
                f"the version of {by_path} is unknown: {_problem(experimaestro)}"
            )
        elif not uv.path:
            self._examination.warn("there is no uv in the PATH, and ssh.xpm_path is not set")
        else:
            self._examination.warn(
                "uv has no experimaestro in its cache: the server can only start with a network, and slowly"
                f" ({_problem(experimaestro)})"
            )

    def _tell_workspace(self) -> None:
        self.slurm = self._answers.slurm
        self._examination.note("slurm", self.slurm or None)
        self._examination.note("experiments", self._answers.experiments)
        for problem in self._answers.problems:
            self._examination.warn(problem)
        found = self._answers.file_system
        if found is None:
            return
        self._examination.note("file_system", found.kind or None)
        self._examination.note("device", found.device)
        self._examination.note("free", found.free)
        self._examination.note("network", found.is_network)
        if found.free < LITTLE_SPACE:
            self._examination.warn("there is little space left on the file system of the workspace")

    async def _compare_clocks(self) -> None:
        rounds = []
        for number in range(ROUNDS):
            before = time.time()
            self._process.send(f"{number}\n".encode())
            await self._until("now")
            after = time.time()
            there = self._answers.times.get(str(number))
            if there is not None:
                rounds.append(Round(before, there, after))
        self.offset = clock_offset(rounds)
        if self.offset is not None:
            self._examination.note("ahead", self.offset._asdict())
            if abs(self.offset.seconds) > MUCH_SKEW + self.offset.error:
                self._examination.warn("the clocks of the host and of this machine differ")
        if self._startup.clock is not None:
            self._examination.note("zone", str(self._startup.clock.zone))


def _noise_fact(stream: str, noise: Noise) -> dict[str, Any]:
    return {
        "stream": stream,
        "bytes": noise.size,
        "text": noise.text,
        "is_cut": noise.size > len(noise.head),
    }


def _program_fact(program: Program) -> dict[str, Any]:
    return {
        "name": program.name,
        "path": program.path or None,
        "version": program.version or None,
        "problem": None if program.version else _problem(program),
    }


def _problem(program: Program) -> str:
    status = "no answer" if program.status is None else f"exit status {program.status}"
    return f"{status}: {program.said}" if program.said else status
