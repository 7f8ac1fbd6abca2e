#!/usr/bin/env python3
"""Run a real experiment whose jobs, and whose script, do what they are told.

Usage: ``told_experiment.py WORKSPACE EXPERIMENT CONTROL PLAN``. The plan is JSON: a list of phases, which are lists
of jobs, ``[NAME, TASK, {"source": NAME, "max_retries": N}]``. After each phase the script waits to be told: ``go`` on,
``raise`` or ``detach``. The ids of the jobs are written to ``EXPERIMENT.jobs`` in the directory of control.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import told_tasks
from experimaestro import experiment
from experimaestro.scheduler.experiment import GracefulExperimentExit


def submit(jobs: list[Any], known: dict[str, Any], ids: dict[str, str]) -> None:
    """Submit jobs; add them to those that are known."""
    for name, task, options in jobs:
        values = {"name": name}
        if "source" in options:
            values["source"] = known[options["source"]]
        config = getattr(told_tasks, task).C(**values)
        known[name] = config.submit(max_retries=options.get("max_retries"))
        ids[name] = str(config.__xpm__.job.relpath)


def main() -> None:
    """Run the experiment that the command line describes."""
    workspace, name, control, plan = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING)
    os.environ[told_tasks.CONTROL] = control
    known: dict[str, Any] = {}
    ids: dict[str, str] = {}
    with experiment(Path(workspace), name) as xp:
        xp.setenv("PYTHONPATH", str(Path(__file__).resolve().parent))
        xp.setenv(told_tasks.CONTROL, control)
        if "TZ" in os.environ:
            # Jobs get none of our environment, but they write times without a zone, as we do.
            xp.setenv("TZ", os.environ["TZ"])
        for phase in json.loads(plan):
            submit(phase, known, ids)
            Path(control, f"{name}.new").write_text(json.dumps(ids))
            Path(control, f"{name}.new").rename(Path(control, f"{name}.jobs"))
            word = told_tasks.hear(name)
            if word == "raise":
                raise RuntimeError("the script is told to raise")
            if word == "detach":
                raise GracefulExperimentExit


if __name__ == "__main__":
    main()
