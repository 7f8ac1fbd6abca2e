#!/usr/bin/env python3
"""Measure the full-screen dashboard from outside, on a pseudo-terminal, with many jobs of this machine.

Seconds are those of a quiet machine with two processors; beside them stands the CPU time that the dashboard took for
the same, which holds on a busy machine, too. Bytes, shares of a processor and memory hold anywhere.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import math
import os
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.load import cpu_of, peak_of

HERE = Path(__file__).resolve().parent
PROGRAM = Path(sys.executable).with_name("xpm-remote")
SIZES = (10_000, 100_000)
COLUMNS, LINES = 120, 40
START_LIMIT = 300.0
"""Seconds for all jobs to be there."""
KEY_LIMIT = 5.0
"""Seconds for the answer to a key."""
QUIET = 0.3
"""Seconds without output after which a picture is complete: more than two pictures of changes are apart."""
PAUSE = 0.03
"""Seconds between two keys while it loads: what a key that is held down takes."""
WORD = "crossscorer"
SORTS = ("sort age", "sort job", "group experiment", "group none")
IDLE = 50.0
"""Milliseconds of work in a second below which nothing is left to do but to look at ages."""
KEYS = 60
"""Keys that are pressed for a percentile."""
RATE = 100
"""Changes a second."""
CURSOR = re.compile(rb"\x1b\[(?:[0-9;]*;)?7(?:;[0-9;]*)?m")
"""The line with the cursor is in reverse: a key that moves it is answered when that line is drawn."""


class Aims(NamedTuple):
    """What is aimed at with so many jobs: seconds, milliseconds, shares of a processor, MiB."""

    frame: float
    rows: float
    key: float
    find: float
    sort: float
    memory: float
    rest: float = 0.01
    changes: float = 0.08


AIMS = {10_000: Aims(0.4, 1.0, 20, 30, 50, 80), 100_000: Aims(0.4, 4.0, 50, 150, 250, 250)}


class Moment(NamedTuple):
    """Seconds since the start, and the CPU seconds until then."""

    at: float
    cpu: float


class Terminal:
    """The dashboard on a pseudo-terminal. Use ``opened`` to get one."""

    def __init__(self, workspace: Path) -> None:
        words = [str(PROGRAM), "experiments", "monitor", "--workdir", str(workspace)]
        self._began = time.perf_counter()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            os.execv(words[0], words)  # noqa: S606 - ours  # noqa: S606 - ours
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.output = bytearray()
        self._moments: list[tuple[int, Moment]] = []

    def read(self, timeout: float) -> bytes:
        """Return what is drawn within some seconds; empty where that is nothing.

        Raises:
            RuntimeError: The dashboard has ended.
        """
        if not select.select([self._fd], [], [], timeout)[0]:
            return b""
        try:
            data = os.read(self._fd, 1 << 20)
        except OSError as error:
            raise RuntimeError("the dashboard has ended") from error
        self.output += data
        self._moments.append(
            (len(self.output), Moment(time.perf_counter() - self._began, cpu_of(self.pid)))
        )
        return data

    def until(self, wanted: bytes, limit: float = START_LIMIT) -> Moment:
        """Wait until something is drawn, whatever stands before it.

        Raises:
            RuntimeError: It is not.
        """
        end = time.perf_counter() + limit
        while time.perf_counter() < end:
            found = self.seen(wanted)
            if found is not None:
                return found
            self.read(0.2)
        raise RuntimeError(f"{wanted!r} is not drawn")

    def seen(self, wanted: bytes) -> Moment | None:
        """Return when something has been drawn; None where it has not."""
        end = self.output.find(wanted) + len(wanted)
        if end < len(wanted):
            return None
        return next(moment for length, moment in self._moments if length >= end)

    def settle(self) -> float:
        """Wait until nothing more is drawn; return when the last of it was, in seconds of the clock."""
        last = time.perf_counter()
        end = last + KEY_LIMIT
        while time.perf_counter() < end and self.read(QUIET):
            last = time.perf_counter()
        return last

    def rest(self) -> None:
        """Wait until the dashboard works no more: it may without drawing."""
        end = time.perf_counter() + START_LIMIT
        before = -math.inf
        while worked(self.pid) - before > IDLE and time.perf_counter() < end:
            before = worked(self.pid)
            until = time.perf_counter() + 1.0
            while time.perf_counter() < until:
                self.read(QUIET)

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._fd, keys.encode())

    def moved(self, key: str) -> float:
        """Press a key that moves the cursor; return the milliseconds until that is drawn."""
        while self.read(0):
            pass
        seen, began = b"", time.perf_counter()
        self.press(key)
        while CURSOR.search(seen) is None and time.perf_counter() < began + KEY_LIMIT:
            seen += self.read(KEY_LIMIT)
        return (time.perf_counter() - began) * 1000

    def answered(self, keys: str) -> float:
        """Press keys; return the milliseconds until all that they change is drawn."""
        began = time.perf_counter()
        self.press(keys)
        if not self.read(KEY_LIMIT):
            return KEY_LIMIT * 1000
        return max(0.0, self.settle() - began) * 1000

    def close(self) -> None:
        """End the dashboard."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            time.sleep(0.2)
        os.waitpid(self.pid, 0)
        os.close(self._fd)


@contextlib.contextmanager
def opened(workspace: Path) -> Iterator[Terminal]:
    """Open the dashboard, and end it."""
    terminal = Terminal(workspace)
    try:
        yield terminal
    finally:
        terminal.close()


def worked(pid: int) -> float:
    """Return the milliseconds that the main thread of a process has run."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e6


def percentile(times: list[float]) -> float:
    """Return the 95th percentile."""
    return sorted(times)[max(0, int(len(times) * 0.95) - 1)]


def tell(title: str, value: float, aim: float, form: str, more: str = "") -> None:
    """Print a line of the report."""
    late = "" if value <= aim else "  missed"
    print(f"{title:<44}{value:>9{form}}   aim {aim:{form}}{late}{more}")


def measure_start(terminal: Terminal, jobs: int, aims: Aims) -> None:
    """Print when the first frame, the first rows and all jobs are drawn, and how keys are answered meanwhile."""
    frame = terminal.until(b"xpm-remote")
    tell("first frame, s", frame.at, aims.frame, ".2f", f"; CPU {frame.cpu:.2f} s")
    rows = terminal.until(b"exp-0")
    tell("first rows, s", rows.at, aims.rows, ".2f", f"; CPU {rows.cpu:.2f} s")
    terminal.press("2")
    terminal.until(b"all jobs")
    times, end = [], f"{jobs * 7 // 10:,} D".encode()
    while terminal.seen(end) is None:
        times.append(terminal.moved("j"))
        terminal.read(PAUSE)
    everything = terminal.until(end)
    terminal.settle()
    tell("peak memory with all jobs, MiB", peak_of(terminal.pid), aims.memory, ".0f")
    tell(f"{len(times)} keys while it loads, p95, ms", percentile(times), aims.key, ".0f")
    print(f"{'all jobs, s':<44}{everything.at:>9.2f}; CPU {everything.cpu:.2f} s")


def measure_keys(terminal: Terminal, aims: Aims) -> None:
    """Print how soon keys are answered when everything is there."""
    terminal.settle()
    before = worked(terminal.pid)
    moves = [terminal.moved("j") for _ in range(KEYS)]
    each = f"; CPU {(worked(terminal.pid) - before) / KEYS:.0f} ms each"
    tell("key to paint, p95, ms", percentile(moves), aims.key, ".0f", each)
    terminal.answered("/")
    before = worked(terminal.pid)
    found = [terminal.answered(key) for key in WORD]
    each = f"; CPU {(worked(terminal.pid) - before) / len(WORD):.0f} ms each"
    tell(
        "key of a word that is found, median, ms", statistics.median(found), aims.find, ".0f", each
    )
    terminal.answered("\x1b")
    terminal.answered("\x1b")
    for command in SORTS:
        terminal.answered(f":{command}")
        before = worked(terminal.pid)
        took = terminal.answered("\r")
        cpu = f"; CPU {worked(terminal.pid) - before:.0f} ms"
        tell(f"{command}, ms", took, aims.sort, ".0f", cpu)


def measure_share(terminal: Terminal, title: str, aim: float, seconds: float) -> None:
    """Print the share of a processor that the dashboard takes meanwhile, and what it draws."""
    cpu, drawn = cpu_of(terminal.pid), len(terminal.output)
    began = time.perf_counter()
    while time.perf_counter() < began + seconds:
        terminal.read(0.2)
    took = time.perf_counter() - began
    share = (cpu_of(terminal.pid) - cpu) / took
    bytes_drawn = len(terminal.output) - drawn
    tell(f"{title}, dashboard", share, aim, ".1%", f"; {bytes_drawn / took / 1024:.1f} KiB/s drawn")


def measure_changes(terminal: Terminal, workspace: Path, aims: Aims, seconds: float) -> None:
    """End so many jobs a second, and print what that costs."""
    waiting = [path for path in workspace.glob("jobs/*/*/") if is_waiting(path)]
    paths = [path / f"{path.parent.name.rpartition('.')[2]}.done" for path in waiting]
    words = [sys.executable, str(HERE / "load.py"), "--rate", str(RATE), "--write"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as writer:
        assert writer.stdin is not None
        writer.stdin.write("\n".join(map(str, paths[: int(RATE * seconds)])).encode())
        writer.stdin.close()
        measure_share(terminal, f"{RATE} changes a second", aims.changes, seconds)


def is_waiting(path: Path) -> bool:
    """Return whether a job has not begun."""
    status = json.loads((path / ".experimaestro" / "status.json").read_bytes())
    return bool(status["state"] == "waiting")


def measure(workspace: Path, jobs: int, seconds: float) -> None:
    """Open the dashboard and print everything."""
    aims = AIMS[jobs] if jobs in AIMS else AIMS[max(AIMS)]
    print(f"{jobs:,} jobs, {COLUMNS}x{LINES}, load {os.getloadavg()[0]:.1f}")
    with opened(workspace) as terminal:
        measure_start(terminal, jobs, aims)
        measure_keys(terminal, aims)
        terminal.rest()
        measure_share(terminal, "at rest", aims.rest, seconds)
        measure_changes(terminal, workspace, aims, seconds)
        print(f"{'peak memory in the end, MiB':<44}{peak_of(terminal.pid):>9.0f}")


def main() -> None:
    """Read the command line, make the workspaces, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="*", default=SIZES)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workspace", type=Path, help="measure this one, of make_big.py")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xpm-remote-screen-") as name:
        for jobs in arguments.jobs:
            workspace = arguments.workspace or Path(name) / f"workspace-{jobs}"
            if arguments.workspace is None:
                words = [sys.executable, str(HERE / "make_big.py"), str(workspace), str(jobs)]
                subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            # The first start compiles what was never imported.
            with opened(workspace) as terminal:
                terminal.until(b"exp-0")
            measure(workspace, jobs, arguments.seconds)


if __name__ == "__main__":
    main()
