#!/usr/bin/env python3
"""Measure the longest blocks of the client's event loop while a workspace of this machine loads: ``loop_lag.py DIR``.

Each callback of the loop is timed, in wall time and in CPU time of its thread: on a busy machine only the latter is
ours. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import platform
import resource
import time
from asyncio import events
from pathlib import Path
from typing import Any

from xpm_remote.session.monitor import Monitor
from xpm_remote.session.state import Phase, Update
from xpm_remote.session.target import LocalTarget

LONGEST = 5
"""Blocks that are printed."""


class Probe:
    """Times every callback of the event loop."""

    def __init__(self) -> None:
        self.blocks: list[tuple[float, float, str]] = []

    def install(self) -> None:
        """Begin to time."""
        run = events.Handle._run  # noqa: SLF001 - there is no public hook

        def timed(handle: Any) -> None:  # noqa: ANN401
            wall, cpu = time.perf_counter(), time.thread_time()
            run(handle)
            took = time.perf_counter() - wall
            if took > 0.002:
                callback = getattr(handle, "_callback", None)
                owner = getattr(callback, "__self__", None)
                tasks = [
                    each
                    for each in [owner, *gc.get_referents(callback)]
                    if isinstance(each, asyncio.Task)
                ]
                name = repr(tasks[0].get_coro() if tasks else callback)
                self.blocks.append((time.thread_time() - cpu, took, name))

        events.Handle._run = timed  # type: ignore[assignment, method-assign]  # noqa: SLF001


async def load(workspace: Path, seconds: float) -> dict[str, Any]:
    """Load a workspace, watch it for some seconds, and return the times."""
    monitor = Monitor(LocalTarget(platform.node(), str(workspace)))
    is_live = asyncio.Event()
    began = time.perf_counter()

    def note(update: Update) -> None:
        del update
        if monitor.picture.link.phase is Phase.LIVE:
            is_live.set()

    monitor.subscribe(note)
    running = asyncio.create_task(monitor.run())
    await asyncio.wait(
        {running, asyncio.create_task(is_live.wait())}, return_when="FIRST_COMPLETED"
    )
    loaded = time.perf_counter() - began
    await asyncio.sleep(seconds)
    running.cancel()
    await asyncio.wait({running})
    return {"jobs": len(monitor.store.jobs), "loaded_s": round(loaded, 2)}


def main() -> None:
    """Read the command line, load, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--watch", type=float, default=0.0, help="seconds to watch afterwards")
    arguments = parser.parse_args()
    probe = Probe()
    probe.install()
    gc.freeze()  # as the command line does
    found = asyncio.run(load(arguments.workspace, arguments.watch))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    longest = sorted(probe.blocks, reverse=True)[:LONGEST]
    found["cpu_s"] = round(usage.ru_utime + usage.ru_stime, 2)
    found["peak_mib"] = round(usage.ru_maxrss / 1024, 1)
    found["collections"] = [each["collections"] for each in gc.get_stats()]
    found["longest_blocks_ms"] = [
        {"cpu": round(cpu * 1000, 1), "wall": round(wall * 1000, 1), "in": name[:160]}
        for cpu, wall, name in longest
    ]
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
