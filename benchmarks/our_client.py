#!/usr/bin/env python3
"""Time xpm-remote's client, headless, as ``peer_client.py`` times the peer's.

Prints one JSON object: seconds from process start to the first list of experiments and to all jobs, CPU seconds and
peak memory (MiB) of the client.
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
from xpm_remote.session.state import Update  # noqa: E402
from xpm_remote.session.target import Overrides, resolve_target  # noqa: E402
from xpm_remote.settings.schema import Backend, Settings  # noqa: E402


async def run(arguments: argparse.Namespace) -> dict[str, float]:
    """Connect, receive everything once, and return the times."""
    overrides = Overrides(
        host=arguments.host,
        workdir=arguments.workspace,
        xpm_path=arguments.xpm,
        options=tuple(arguments.options),
        backend=Backend(arguments.backend),
    )
    target = resolve_target(Settings(path=Path("none")), None, overrides)
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


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--workspace", required=True)
    parser.add_argument("--xpm", required=True)
    parser.add_argument("--backend", default=Backend.EXPERIMAESTRO.value)
    parser.add_argument("options", nargs="*")
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(run(arguments))))


if __name__ == "__main__":
    main()
