#!/usr/bin/env python3
"""Measure a large workspace of this machine: loading, memory, at rest, and with many changes a second.

Shares of a processor are CPU time by wall time, so they hold on a busy machine, too; delays do not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from xpm_remote.model.entities import JobChange
from xpm_remote.session.monitor import Monitor
from xpm_remote.session.state import Phase, Update
from xpm_remote.session.target import LocalTarget
from xpm_remote.workspace.states import State

HERE = Path(__file__).resolve().parent
AGENT_SHARE, CLIENT_SHARE, REST_SHARE = 0.10, 0.05, 0.01
"""The shares of a processor that are aimed at: 100 changes a second, and at rest."""
BLOCK_AIM = 20.0
"""Milliseconds of CPU for which the client's event loop is blocked at most while everything loads."""
DELAY_AIM = 0.060
"""Seconds from a change to its being known, in the median."""


def children() -> list[int]:
    """Return our child processes."""
    tasks = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return [int(each) for each in tasks.read_text().split()]


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_of(pid: int) -> float:
    """Return the peak memory of a process in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


class Load:
    """A monitor of a workspace, and what is measured while it runs.

    Args:
        workspace: The workspace.
    """

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._monitor = Monitor(LocalTarget(platform.node(), str(workspace)))
        self._monitor.subscribe(self._note)
        self._is_live = asyncio.Event()
        self._first = 0.0
        self._seen: dict[str, float] = {}

    async def measure(self, seconds: float, rate: int) -> None:
        """Load, rest, take changes; print each."""
        began = time.perf_counter()
        running = asyncio.create_task(self._monitor.run())
        await asyncio.wait(
            {running, asyncio.create_task(self._is_live.wait())}, return_when="FIRST_COMPLETED"
        )
        loaded = time.perf_counter() - began
        (agent,) = children()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        client = usage.ru_utime + usage.ru_stime
        print(f"{len(self._monitor.store.jobs)} jobs of this machine")
        print(f"{'first list, all jobs':<44}{self._first - began:>7.2f} s, {loaded:.2f} s")
        print(f"{'CPU of the agent, of the client':<44}{cpu_of(agent):>7.2f} s, {client:.2f} s")
        own = usage.ru_maxrss / 1024
        print(
            f"{'peak memory of the agent, of the client':<44}{peak_of(agent):>7.0f} MiB, {own:.0f} MiB"
        )
        await self._shares("at rest", agent, asyncio.sleep(seconds), REST_SHARE, REST_SHARE)
        await self._changes(agent, seconds, rate)
        running.cancel()
        await asyncio.wait({running})

    async def _changes(self, agent: int, seconds: float, rate: int) -> None:
        """End so many jobs a second; print what that costs, and when it is known."""
        jobs = [job for job in self._monitor.store.jobs.values() if job.state is State.WAITING][
            : int(rate * seconds)
        ]
        self._seen.clear()
        written: dict[str, float] = {}

        async def change() -> None:
            words = (sys.executable, __file__, "--rate", str(rate), "--write")
            pipe = asyncio.subprocess.PIPE
            writer = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
            paths = [
                self._workspace
                / "jobs"
                / job.task_id
                / job.job_id
                / f"{job.task_id.rpartition('.')[2]}.done"
                for job in jobs
            ]
            said, _ = await writer.communicate("\n".join(map(str, paths)).encode())
            times = map(float, said.split())
            written.update(zip((job.key for job in jobs), times, strict=True))

        title = f"{rate} changes a second"
        await self._shares(title, agent, change(), AGENT_SHARE, CLIENT_SHARE)
        await asyncio.sleep(1.0)  # for the last of them
        delays = [self._seen[key] - at for key, at in written.items() if key in self._seen]
        late = "" if delays and statistics.median(delays) <= DELAY_AIM else "  missed"
        middle = statistics.median(delays) * 1000 if delays else float("nan")
        print(
            f"{'a change is known after, median':<44}{middle:>7.0f} ms  aim {DELAY_AIM * 1000:.0f}{late}",
            end="",
        )
        print(f"; {len(delays)} of {len(written)} are known")

    async def _shares(
        self, what: str, agent: int, work: object, agent_aim: float, client_aim: float
    ) -> None:
        """Print the shares of a processor that agent and client take meanwhile."""
        before, cpu, began = cpu_of(agent), time.process_time(), time.perf_counter()
        await work  # type: ignore[misc]
        took = time.perf_counter() - began
        shares = {
            "agent": (cpu_of(agent) - before) / took,
            "client": (time.process_time() - cpu) / took,
        }
        for name, aim in (("agent", agent_aim), ("client", client_aim)):
            late = "" if shares[name] <= aim else "  missed"
            print(f"{f'{what}, {name}':<44}{shares[name]:>7.1%}   aim {aim:.0%}{late}")

    def _note(self, update: Update) -> None:
        self._first = self._first or (time.perf_counter() if update.changes else 0.0)
        if self._monitor.picture.link.phase is Phase.LIVE:
            self._is_live.set()
        for change in update.changes:
            if (
                isinstance(change, JobChange)
                and change.after is not None
                and change.after.state is State.DONE
            ):
                self._seen.setdefault(change.after.key, time.time())


def write(rate: int) -> None:
    """Make the files that stdin names, so many a second; print when each was made."""
    began = time.perf_counter()
    for number, path in enumerate(sys.stdin.read().split("\n")):
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        print(time.time())
        Path(path).touch()


def print_longest_block(workspace: Path) -> None:
    """Load the workspace in a process of its own, whose event loop is timed; print the longest block."""
    words = [sys.executable, str(HERE / "loop_lag.py"), str(workspace)]
    found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    longest = found["longest_blocks_ms"][0]
    late = "" if longest["cpu"] <= BLOCK_AIM else f"  missed, in {longest['in']}"
    title = "longest block of the event loop, CPU"
    print(f"{title:<44}{longest['cpu']:>7.1f} ms  aim {BLOCK_AIM:.0f}{late}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:  # in a process of its own, whose CPU does not count
        write(arguments.rate)
        return
    with tempfile.TemporaryDirectory(prefix="xpm-remote-load-") as name:
        workspace = Path(name) / "ws"
        words = [sys.executable, str(HERE / "make_big.py"), str(workspace), str(arguments.jobs)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        asyncio.run(Load(workspace).measure(arguments.seconds, arguments.rate))
        print_longest_block(workspace)


if __name__ == "__main__":
    main()
