"""The demo's experiments, run by the real experimaestro: about 45 s in which jobs start, progress, finish and fail.

Needs a python that has experimaestro 2.7. Writes the line ``ready`` to stdout once the workspace is there;
ends, with all its jobs, when its stdin does.
"""

import argparse
import contextlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import psutil
from experimaestro import experiment, tag
from experimaestro.connectors.local import LocalConnector

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from digits import Compare, Evaluate, Prepare, Train  # noqa: E402

AT_ONCE = 2
"""Trainings at a time; the others wait for one of so many make-believe GPUs."""

LEARNING_RATES = (0.1, 1.0, 0.01)
WIDTHS = (64, 256)


def warm_up(workspace: Path, pace: float) -> None:
    """Run a small experiment, so that one has ended."""
    with experiment(workspace, "smoke-test") as xp:
        xp.setenv("PYTHONPATH", str(HERE))
        print("ready", flush=True)
        # The output is not read from here on.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        Prepare.C(seconds=tag(1.0 / pace)).submit()


def digits(workspace: Path, pace: float) -> None:
    """Run the main experiment: data, six trainings, an evaluation of each, a comparison of those that did well."""
    with experiment(workspace, "digits") as xp:
        xp.setenv("PYTHONPATH", str(HERE))
        gpus = LocalConnector.instance().createtoken("gpu", AT_ONCE)
        data = Prepare.C(seconds=4.0 / pace).submit()
        good = []
        for index, (width, rate) in enumerate((w, r) for w in WIDTHS for r in LEARNING_RATES):
            train = Train.C(
                data=data,
                learning_rate=tag(rate),
                width=tag(width),
                epochs=8,
                seconds=(9.0 + index) / pace,
            )
            train.add_dependencies(gpus.dependency(1))
            evaluation = Evaluate.C(model=train.submit(), seconds=4.0 / pace).submit()
            if rate < 1:
                good.append(evaluation)
        Compare.C(evaluations=good).submit()


def schedule(workspace: Path, pace: float) -> None:
    """Run both experiments, whose jobs take less time by a factor."""
    logging.basicConfig(level=logging.WARNING)
    warm_up(workspace, pace)
    digits(workspace, pace)


def guard(workspace: Path, pace: float) -> None:
    """Schedule in another process, and end it and its jobs when our stdin ends."""
    scheduler = psutil.Popen(
        [sys.executable, __file__, "--unguarded", str(workspace), "--pace", str(pace)],
        stdin=subprocess.DEVNULL,
    )
    # The reader of the scheduler's output is to see its end.
    os.close(sys.stdout.fileno())
    while os.read(sys.stdin.fileno(), 1024):
        pass
    with contextlib.suppress(psutil.NoSuchProcess):
        # A stopped scheduler starts no job meanwhile.
        scheduler.suspend()
        for process in (*scheduler.children(recursive=True), scheduler):
            process.kill()
    scheduler.wait()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--unguarded", action="store_true", help="go on when stdin ends")
    parser.add_argument("--pace", type=float, default=1.0, help="how many times faster jobs work")
    given = parser.parse_args()
    if given.unguarded:
        schedule(given.workspace, given.pace)
    else:
        guard(given.workspace, given.pace)


if __name__ == "__main__":
    main()
