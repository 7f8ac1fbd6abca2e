#!/usr/bin/env python3
"""Run a real experiment with experimaestro's SLURM launcher: a job of each kind.

    python slurm_experiment.py WORKSPACE EXPERIMENT JOBS.json KIND...

It writes the directory of each job by its kind into JOBS.json, and runs until its jobs have ended.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import demo_tasks as tasks
from experimaestro import experiment
from experimaestro.launchers.slurm import SlurmLauncher, SlurmOptions

HERE = Path(__file__).resolve().parent
SECONDS = 7200
OPTIONS = {
    "lost": {"partition": "lost"},
    "wide": {"cpus_per_task": "2"},
    "late": {"time": "0:01:00"},
    "urgent": {"partition": "urgent", "cpus_per_task": "2"},
}
"""The options of kinds that have some."""


def submit(kind: str, number: int, launcher: SlurmLauncher) -> str:
    """Submit a job; return its directory."""
    makers = {
        "done": lambda: tasks.Ok.C(x=number, kind="slurm"),
        "failed": lambda: tasks.Bad.C(x=number),
        "greedy": lambda: tasks.Greedy.C(x=number),
    }
    make = makers.get(kind) or (lambda: tasks.Long.C(seconds=SECONDS, steps=SECONDS, x=number))
    job = make()
    job.submit(launcher=launcher.config(**OPTIONS.get(kind, {})))
    return str(job.__xpm__.job.path)


def main() -> None:
    """Run the experiment that the command line describes."""
    workspace, name, listing, *kinds = sys.argv[1:]
    logging.basicConfig(level=logging.INFO)
    with experiment(Path(workspace), name) as xp:
        xp.setenv("PYTHONPATH", str(HERE))
        launcher = SlurmLauncher(options=SlurmOptions(mem="200"), interval=3, binpath="/opt/slurm")
        jobs = {kind: submit(kind, k, launcher) for k, kind in enumerate(kinds, 9000)}
        part = Path(f"{listing}.part")
        part.write_text(json.dumps(jobs))
        part.rename(listing)


if __name__ == "__main__":
    main()
