"""Run an experiment whose jobs fail in every way: ``fail.py WORKSPACE``, with HOME for the purpose."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import failing_tasks as tasks
from experimaestro import experiment, tag

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Submit each way twice, and what depends on one of them."""
    logging.basicConfig(level=logging.CRITICAL)
    with experiment(Path(sys.argv[1]), "failing") as xp:
        xp.setenv("PYTHONPATH", str(HERE))
        failing = [
            tasks.Fail.C(how=tag(way), number=tag(number)).submit()
            for way in tasks.WAYS
            for number in (1, 2)
        ]
        for number in (1, 2):
            tasks.Late.C(number=number).submit(max_retries=2)
        after = [tasks.After.C(source=failing[0], number=number).submit() for number in (1, 2)]
        tasks.Last.C(source=after[0], number=1).submit()


if __name__ == "__main__":
    main()
