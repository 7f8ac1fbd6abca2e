"""The demo's experiments, run by the real experimaestro: jobs start, progress, finish and fail, for about a minute.

Needs a python that has experimaestro 2.7. Writes the line ``ready`` to stdout once the workspace is there, and
closes stdout when all experiments have ended; ends, with all its jobs, when its stdin does.
"""

import argparse
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from experimaestro import experiment, tag
from experimaestro.connectors.local import LocalConnector

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import annotating  # noqa: E402
import digits  # noqa: E402
import reranking  # noqa: E402

AT_ONCE = 2
"""Jobs of a kind at a time; the others wait for one of so many make-believe GPUs."""

LEARNING_RATES = (0.1, 1.0, 0.01)
WIDTHS = (64, 256)

BATCHES = (64, 512)
SEEDS = range(1, 6)
"""As many as jobs must fail by one cause before what they have in common is told."""

ANNOTATING = 240.0
"""Seconds that the jobs of the local machine run for."""


class Runs:
    """Experiments in a workspace, one after the other.

    Args:
        workspace: Its directory.
        pace: How many times faster jobs work.
    """

    def __init__(self, workspace: Path, pace: float) -> None:
        self._workspace = workspace
        self._pace = pace
        self._output = os.dup(sys.stdout.fileno())

    @contextlib.contextmanager
    def experiment(self, name: str) -> Iterator[None]:
        """Run an experiment; the workspace is ready with the first one."""
        with experiment(self._workspace, name) as xp:
            xp.setenv("PYTHONPATH", str(HERE))
            os.write(self._output, b"ready\n")
            yield

    def seconds(self, seconds: float) -> float:
        """Return how long a job takes."""
        return seconds / self._pace


def run_digits(runs: Runs) -> None:
    """Run a small experiment, so that one has ended, and six trainings, an evaluation of each, a comparison."""
    with runs.experiment("smoke-test"):
        digits.Prepare.C(seconds=tag(runs.seconds(1.0))).submit()
    with runs.experiment("digits"):
        gpus = LocalConnector.instance().createtoken("gpu", AT_ONCE)
        data = digits.Prepare.C(seconds=runs.seconds(4.0)).submit()
        good = []
        for index, (width, rate) in enumerate((w, r) for w in WIDTHS for r in LEARNING_RATES):
            train = digits.Train.C(
                data=data,
                learning_rate=tag(rate),
                width=tag(width),
                epochs=8,
                seconds=runs.seconds(9.0 + index),
            )
            train.add_dependencies(gpus.dependency(1))
            evaluation = digits.Evaluate.C(model=train.submit(), seconds=runs.seconds(4.0)).submit()
            if rate < 1:
                good.append(evaluation)
        digits.Compare.C(evaluations=good).submit()


def run_reranking(runs: Runs) -> None:
    """Run rerankers with small and large batches, of which the large ones run out of memory."""
    with runs.experiment("rerank"):
        gpus = LocalConnector.instance().createtoken("gpu", AT_ONCE)
        index = reranking.Index.C(seconds=runs.seconds(3.0)).submit()
        good = []
        for seed in SEEDS:
            for batch in BATCHES:
                rerank = reranking.Rerank.C(
                    index=index, batch=tag(batch), seed=tag(seed), seconds=runs.seconds(4.0)
                )
                rerank.add_dependencies(gpus.dependency(1))
                submitted = rerank.submit()
                if batch == min(BATCHES):
                    good.append(submitted)
        reranking.Fuse.C(rerankers=good).submit()


def run_annotating(runs: Runs) -> None:
    """Run a job for some minutes, for which another one waits."""
    with runs.experiment("corpus"):
        discs = LocalConnector.instance().createtoken("disc", 1)
        corpus = annotating.Download.C(seconds=runs.seconds(2.0)).submit()
        for part in (1, 2):
            annotate = annotating.Annotate.C(
                corpus=corpus, part=tag(part), files=60, seconds=runs.seconds(ANNOTATING)
            )
            annotate.add_dependencies(discs.dependency(1))
            annotate.submit()


EXPERIMENTS: dict[str, Callable[[Runs], None]] = {
    "digits": run_digits,
    "reranking": run_reranking,
    "annotating": run_annotating,
}


def guard(given: argparse.Namespace) -> None:
    """Schedule in another process, and end it and its jobs when our stdin ends."""
    words = [given.experiments, given.workspace, "--pace", given.pace, "--unguarded"]
    scheduler = psutil.Popen([sys.executable, __file__, *map(str, words)], stdin=subprocess.DEVNULL)
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
    parser.add_argument("experiments", choices=EXPERIMENTS)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--unguarded", action="store_true", help="go on when stdin ends")
    parser.add_argument("--pace", type=float, default=1.0, help="how many times faster jobs work")
    given = parser.parse_args()
    if not given.unguarded:
        guard(given)
        return
    logging.basicConfig(level=logging.WARNING)
    runs = Runs(given.workspace, given.pace)
    # What experimaestro prints is no answer to whoever waits for us.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    EXPERIMENTS[given.experiments](runs)


if __name__ == "__main__":
    main()
