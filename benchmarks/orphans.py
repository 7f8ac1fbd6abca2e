#!/usr/bin/env python3
"""Finding orphans against a bare ``scandir`` walk of what must be read, in turn, in one process.

The walk lists the same directories and reads the same files, and makes nothing of them.

The workspace is made for it: 50,000 jobs in 100 runs, of which one in fifty has been forgotten by its run, and a
backup folder that has half of those.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from xpm_remote.workspace.layout import Folder, FolderMode, Layout
from xpm_remote.workspace.orphans.listing import find_orphans
from xpm_remote.workspace.outcomes import OrphanReport

TASKS = ["xpmir.neural.crossscorer", "xpmir.learn.learner", "xpmir.evaluate", "xpmir.index"]
RUNS = 100
FORGOTTEN = 50
"""One job in so many is an orphan, or recoverable."""
TARGET = 2.0
"""Times as long as the walk, at most."""


def make_workspace(root: Path, jobs: int) -> tuple[Layout, Folder]:
    """Write the directories and the files that finding orphans reads."""
    layout, folder = Layout(root / "ws"), Folder(root / "backup", FolderMode.BACKUP)
    for place in (layout, folder.layout):
        for task in TASKS:
            (place.jobs / task).mkdir(parents=True)
    layout.marker.touch()
    for number in range(RUNS):
        write_run(layout, folder, number, range(number, jobs, RUNS))
    return layout, folder


def write_run(layout: Layout, folder: Folder, number: int, jobs: range) -> None:
    """Write a run with its jobs."""
    run = layout.experiments / f"exp-{number:03}" / "20261101_120000"
    for task in TASKS:
        (run / "jobs" / task).mkdir(parents=True)
    with (run / "jobs.jsonl").open("w") as file:
        for each in jobs:
            # Not the position in the run, which depends on the number of the run.
            place = each // RUNS
            task, name = TASKS[place % 4], hashlib.sha256(str(each).encode()).hexdigest()
            (layout.jobs / task / name).mkdir()
            if place % FORGOTTEN == 0:
                if place % (2 * FORGOTTEN):
                    (folder.layout.jobs / task / name).mkdir()
                continue
            (run / "jobs" / task / name).symlink_to(layout.jobs / task / name)
            tags = {"seed": each % 5, "model": "bm25", "lr": 0.001}
            line = {"job_id": name, "task_id": task, "tags": tags, "timestamp": 1.7e9 + each}
            file.write(json.dumps(line) + "\n")


def walk(directory: str, depth: int) -> int:
    """Count the entries of a directory and, so many levels deep, of those in it."""
    count = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            count += 1
            if depth and entry.is_dir(follow_symlinks=False):
                count += walk(entry.path, depth - 1)
    return count


def bare_walk(layout: Layout, folder: Folder) -> int:
    """Walk what must be read: jobs by task, here and in the folder, and the runs with their links."""
    for file in layout.experiments.glob("*/*/jobs.jsonl"):
        file.read_bytes()
    return (
        walk(str(layout.jobs), 1)
        + walk(str(layout.experiments), 4)
        + walk(str(folder.layout.jobs), 1)
    )


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes after a garbage collection."""
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> int:
    """Measure and print; return 0 if the target is met, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        layout, folder = make_workspace(Path(directory), arguments.jobs)
        report: OrphanReport = find_orphans(layout, [folder])
        entries = bare_walk(layout, folder)
        ours, bare = [], []
        for _ in range(arguments.rounds):
            bare.append(timed(lambda: bare_walk(layout, folder)))
            ours.append(timed(lambda: find_orphans(layout, [folder])))
    ratio = statistics.median(ours) / statistics.median(bare)
    print(f"{arguments.jobs} jobs, {entries} entries, {len(report.orphans)} orphans,")
    print(f"{len(report.recoverable)} recoverable; medians of {arguments.rounds}:")
    print(f"  bare walk     {statistics.median(bare) * 1000:7.1f} ms")
    print(f"  find_orphans  {statistics.median(ours) * 1000:7.1f} ms")
    print(f"  ratio         {ratio:7.2f}    (target: at most {TARGET:g})")
    return int(ratio > TARGET)


if __name__ == "__main__":
    sys.exit(main())
