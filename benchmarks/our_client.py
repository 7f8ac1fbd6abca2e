#!/usr/bin/env python3
"""Time xpm-remote's client, headless, as ``peer_client.py`` times the peer's.

Prints one JSON object: seconds from process start to the first list of experiments and to all jobs, CPU seconds and
peak memory (MiB) of the client. With ``--cut`` it prints "live", waits until the link is cut, and then prints
the seconds from the loss to the next complete picture.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time
from pathlib import Path

START = time.perf_counter()

from xpm_remote.session.monitor import Monitor  # noqa: E402 - imports are a part of what is timed
from xpm_remote.session.reconnect import Backoff  # noqa: E402
from xpm_remote.session.state import Phase, Update  # noqa: E402
from xpm_remote.session.target import Overrides, resolve_target  # noqa: E402
from xpm_remote.settings.schema import Backend, Settings, SshEngine  # noqa: E402


async def run(arguments: argparse.Namespace) -> dict[str, float]:
    """Connect, receive everything once, and return the times."""
    overrides = Overrides(
        host=arguments.host,
        workdir=arguments.workspace,
        xpm_path=arguments.xpm,
        options=tuple(arguments.options),
        backend=Backend(arguments.backend),
        engine=SshEngine(arguments.engine),
    )
    target = resolve_target(Settings(path=Path("none")), None, overrides)
    if arguments.cut:
        return {"back_s": await time_cut(Monitor(target, backoff=Backoff(lambda: 0.0)))}
    monitor = Monitor(target)
    times: list[float] = []

    def note(update: Update) -> None:
        if update.changes:
            times.append(time.perf_counter() - START)

    monitor.subscribe(note)
    await monitor.snapshot()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "first_list_s": round(times[0], 3),
        "all_jobs_s": round(times[-1], 3),
        "experiments": len(monitor.store.experiments),
        "jobs": len(monitor.store.jobs),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_mib": round(usage.ru_maxrss / 1024, 1),
    }


async def time_cut(monitor: Monitor) -> float:
    """Return the seconds from the loss of the link to the next complete picture."""
    phases: list[tuple[Phase, float]] = []
    is_back = asyncio.Event()

    def note(update: Update) -> None:
        del update
        phase = monitor.picture.link.phase
        if phases and phases[-1][0] is phase:
            return
        phases.append((phase, time.perf_counter()))
        if phase is Phase.LIVE and any(each is Phase.WAITING for each, _ in phases):
            is_back.set()
        elif phase is Phase.LIVE:
            print("live", flush=True)

    monitor.subscribe(note)
    running = asyncio.create_task(monitor.run())
    await asyncio.wait(
        {running, asyncio.create_task(is_back.wait())}, return_when="FIRST_COMPLETED"
    )
    lost = next(when for phase, when in phases if phase is Phase.WAITING)
    running.cancel()
    await asyncio.wait({running})
    return round(phases[-1][1] - lost, 3)


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--workspace", required=True)
    parser.add_argument("--xpm", required=True)
    parser.add_argument("--backend", default=Backend.EXPERIMAESTRO.value)
    parser.add_argument("--engine", default=SshEngine.ASYNCSSH.value)
    parser.add_argument("--cut", action="store_true")
    parser.add_argument("options", nargs="*")
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(run(arguments))), flush=True)


if __name__ == "__main__":
    main()
