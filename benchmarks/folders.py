"""How long archiving and recovering take beside ``cp -a`` of the same tree on the same disk, and how much memory.

    python benchmarks/folders.py [--jobs 2000] [--files 20] [--rounds 3] [--directory /somewhere/on/the/disk]

Our times hold everything: locks, reading back and comparing, durability. ``cp -a`` alone checks nothing and leaves the
data in memory; for information it is also followed by ``sync``, as the disk would have it. Each of our works follows a
``cp -a`` of its own, on fresh trees and with the disk settled before each, so that both meet the same noise; each is
compared with that one. A move also removes what was copied, so it is compared with ``cp -a``, ``sync`` and ``rm -rf``.

Nothing is deleted until archiving and recovering are measured: an ext4 without a journal passes one by one over the
inodes of files deleted in the last minutes, which makes whatever creates files next up to twenty times slower.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from xpm_remote.workspace.folders.archiving import archive
from xpm_remote.workspace.folders.recovery import recover
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout

SEED = 5
FILE_SIZE = 2000
WARM = 500
"""Jobs of the first run, whose memory is not counted: more than are worked at together."""

TRIES = 3
"""Runs of fewer jobs, of which the one that took the most memory counts: how far two batches overlap is chance."""

TARGET = 2.0
"""Times as long as ``cp -a``, at most."""

MEMORY_TARGET = 1024
"""Bytes a job, and KiB for a big file, at most."""

BIG = 1 << 30
"""Bytes of the file that shows that memory does not grow with the size of a file."""


def make_jobs(root: Path, jobs: int, files: int) -> list[JobId]:
    """Make jobs of small files."""
    draw = random.Random(SEED)  # noqa: S311
    layout = Layout(root)
    made = []
    for _ in range(jobs):
        job = JobId("bench.train", f"{draw.getrandbits(256):064x}")
        path = layout.job(job)
        (path / ".experimaestro").mkdir(parents=True)
        (path / ".experimaestro" / "status.json").write_text('{"state": "done"}')
        (path / "train.done").touch()
        for number in range(files - 2):
            (path / f"file-{number}").write_bytes(draw.randbytes(FILE_SIZE))
        made.append(job)
    return made


def make_file(path: Path, size: int) -> None:
    """Write a file that cannot be compressed."""
    block = random.Random(SEED).randbytes(1 << 20)  # noqa: S311
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)


class Round:
    """The works of one round, each with a ``cp -a`` before it; their results are kept.

    Args:
        base: An empty directory.
        source: A workspace.
        jobs: Its jobs.
    """

    def __init__(self, base: Path, source: Path, jobs: list[JobId]) -> None:
        self._base = base
        self._source = Layout(source)
        self._jobs = jobs
        self._backup = Folder(base / "archive", FolderMode.BACKUP)
        self._moved = Folder(base / "moved", FolderMode.MOVE)
        for each in (self._backup.path, self._moved.path, base / "back"):
            each.mkdir()

    def run(self) -> dict[str, tuple[float, float]]:
        """Archive and recover; return our seconds, and those of the comparison."""
        archived = (timed(lambda: self._cp("first")), timed(self._archive))
        recovered = (timed(lambda: self._cp("second")), timed(self._recover))
        synced = timed(lambda: self._cp_and_sync("third"))
        return {
            "archive": (archived[1], archived[0]),
            "recover": (recovered[1], recovered[0]),
            "archive, to cp -a + sync": (archived[1], synced),
            "recover, to cp -a + sync": (recovered[1], synced),
        }

    def run_move(self) -> dict[str, tuple[float, float]]:
        """Move the jobs of one of the copies."""
        moved = timed(self._move)
        return {"move, to cp -a + sync + rm": (moved, timed(self._cp_sync_rm))}

    def _cp(self, name: str) -> None:
        subprocess.run(["cp", "-a", self._source.root, self._base / name], check=True)

    def _cp_and_sync(self, name: str) -> None:
        self._cp(name)
        os.sync()

    def _cp_sync_rm(self) -> None:
        self._cp_and_sync("fourth")
        subprocess.run(["rm", "-rf", self._base / "second"], check=True)

    def _archive(self) -> None:
        assert all(each.is_archived for each in archive(self._source, [self._backup], self._jobs))

    def _recover(self) -> None:
        there = Layout(self._base / "back")
        assert all(each.is_there for each in recover(there, [self._backup], self._jobs))

    def _move(self) -> None:
        outcomes = archive(Layout(self._base / "first"), [self._moved], self._jobs)
        assert all(each.is_archived for each in outcomes)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes after the disk has become idle."""
    os.sync()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def resident() -> int:
    """Return the peak memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def traced(base: Path, source: Path, jobs: list[JobId]) -> int:
    """Archive jobs; return Python's peak memory for it, in bytes."""
    folder = Folder(Path(tempfile.mkdtemp(dir=base)), FolderMode.BACKUP)
    tracemalloc.start()
    assert all(each.is_archived for each in archive(Layout(source), [folder], jobs))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def show_memory(base: Path, source: Path, jobs: list[JobId]) -> bool:
    """Print the growth of memory with the number of jobs and the size of a file; return whether it is within limits."""
    half = len(jobs) // 2
    traced(base, source, jobs[:WARM])  # memory for any number of jobs does not count
    few = max(traced(base, source, jobs[:half]) for _ in range(TRIES))
    more = resident()
    many = traced(base, source, jobs)
    by_python = (many - few) / (len(jobs) - half)
    by_system = (resident() - more) / (len(jobs) - half)
    job = JobId("bench.train", "00")
    path = Layout(base / "big").job(job)
    path.mkdir(parents=True)
    (path / "train.done").touch()
    make_file(path / "data", BIG)
    before = resident()
    folder = Folder(Path(tempfile.mkdtemp(dir=base)), FolderMode.BACKUP)
    assert all(each.is_archived for each in archive(Layout(base / "big"), [folder], [job]))
    by_size = (resident() - before) // 1024
    print(
        f"memory of {len(jobs)} jobs beside {half}: {by_python:.0f} bytes a job by tracemalloc, "
        f"{by_system:.0f} resident"
    )
    print(f"memory of a file of {BIG >> 20} MiB: {by_size} KiB resident")
    return max(by_python, by_system, by_size) <= MEMORY_TARGET


def show_times(rounds: list[dict[str, tuple[float, float]]]) -> bool:
    """Print the times; return whether archiving and recovering meet the target."""
    print("ours holds locks, verification and durability; cp -a alone has neither of them")
    print(f"{'':28} {'ours':>8} {'theirs':>8} {'median':>7} {'best':>6}   times theirs")
    fine = True
    for name in rounds[0]:
        pairs = [each[name] for each in rounds]
        ours, theirs = zip(*pairs, strict=True)
        median = statistics.median(one / other for one, other in pairs)
        best = min(ours) / min(theirs)
        middle = [f"{statistics.median(each):6.2f} s" for each in (ours, theirs)]
        print(f"{name:28} {middle[0]} {middle[1]} {median:7.2f} {best:6.2f}")
        fine = fine and ("," in name or median <= TARGET)
    return fine


def main() -> int:
    """Measure and print; return 0 if the targets are met, else 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as temporary:
        base = Path(temporary)
        jobs = make_jobs(base / "source", options.jobs, options.files)
        rounds = []
        for number in range(options.rounds):
            place = base / f"round-{number}"
            place.mkdir()
            rounds.append(Round(place, base / "source", jobs))
        times = [each.run() for each in rounds]
        fine_memory = show_memory(base, base / "source", jobs)
        moves = [each.run_move() for each in rounds]
        fine = show_times([{**one, **other} for one, other in zip(times, moves, strict=True)])
        return int(not (fine and fine_memory))


if __name__ == "__main__":
    sys.exit(main())
