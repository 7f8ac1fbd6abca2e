#!/usr/bin/env python3
"""Compare our client with the peer's, in turn, on one synthetic workspace over loopback SSH: medians and their ratios.

The server is a private OpenSSH ``sshd`` of the person who runs this. The remote side of the peer is the real
experimaestro; ours is that, and the agent. The floor is a program there that reads the same files and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.local import LocalServer

HERE = Path(__file__).resolve().parent
CLIENT_LIMIT = 300.0
"""Seconds for one client; the peer needs 10 for 10,000 jobs."""

TARGETS = {
    "experimaestro": {"first_list_s": 0.40, "all_jobs_s": 0.40, "cpu_s": 0.20},
    "agent": {"first_list_s": 0.18, "all_jobs_s": 0.10, "cpu_s": 0.12},
}
"""The ratio to the peer's that is aimed at, with each remote side of ours."""

FLOOR_TARGET = 1.5
"""All jobs by the agent, as a multiple of the floor."""

NAMES = {
    "first_list_s": "first experiments list, s",
    "all_jobs_s": "all jobs, s",
    "cpu_s": "client CPU, s",
    "peak_mib": "client peak memory, MiB",
}

Times = dict[str, float]


def make_workspace(jobs: int, folder: Path) -> Path:
    """Write a workspace of so many jobs; return its path."""
    path = folder / f"workspace-{jobs}"
    subprocess.run([sys.executable, HERE / "make_big.py", path, str(jobs)], check=True)
    return path


def time_client(
    python: Path, script: str, server: LocalServer, workspace: Path, *flags: str
) -> Times:
    """Run one client once; return its measurements."""
    words: list[str | Path] = [
        python,
        HERE / script,
        "--host",
        server.host,
        "--workspace",
        workspace,
    ]
    words += [*flags, "--xpm", server.experimaestro, "--", *server.ssh_args("alice")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=CLIENT_LIMIT, check=False)
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr}")
    times: Times = json.loads(done.stdout.splitlines()[-1])
    return times


def time_floor(server: LocalServer, workspace: Path) -> float:
    """Run the floor once over ssh; return the seconds that it took."""
    words = ["ssh", *server.ssh_args("alice"), server.host, "python3", "-", str(workspace)]
    began = time.perf_counter()
    with (HERE / "floor.py").open("rb") as program:
        subprocess.run(
            words, stdin=program, stdout=subprocess.DEVNULL, timeout=CLIENT_LIMIT, check=True
        )
    return time.perf_counter() - began


def median(times: list[Times]) -> Times:
    """Return the median of each quantity."""
    return {name: statistics.median(each[name] for each in times) for name in NAMES}


def report(backend: str, ours: Times, peer: Times) -> None:
    """Print both, their ratios, and the target ratio."""
    print(f"\n{'served by ' + backend:<28}{'peer':>8}{'ours':>8}{'ratio':>8}{'aim':>8}")
    for name, title in NAMES.items():
        target = TARGETS[backend].get(name)
        ratio = ours[name] / peer[name]
        aim = "" if target is None else f"{target:.2f}"
        late = "" if target is None or ratio <= target else "  missed"
        print(f"{title:<28}{peer[name]:>8.2f}{ours[name]:>8.2f}{ratio:>8.2f}{aim:>8}{late}")


def measure(server: LocalServer, workspace: Path, rounds: int) -> None:
    """Measure all in turn, and print."""
    peer: list[Times] = []
    floor: list[float] = []
    ours: dict[str, list[Times]] = {backend: [] for backend in TARGETS}
    for _ in range(rounds):
        there, here = Path(server.remote_python), Path(sys.executable)
        peer.append(time_client(there, "peer_client.py", server, workspace))
        for backend, times in ours.items():
            flags = ("--backend", backend)
            times.append(time_client(here, "our_client.py", server, workspace, *flags))
        floor.append(time_floor(server, workspace))
    for backend, times in ours.items():
        report(backend, median(times), median(peer))
    least, jobs = statistics.median(floor), median(ours["agent"])["all_jobs_s"]
    late = "" if jobs <= FLOOR_TARGET * least else "  missed"
    print(
        f"\nall jobs by the agent: {jobs:.2f} s, {jobs / least:.2f} times the floor ({least:.2f} s)",
        end="",
    )
    print(f"; the aim is {FLOOR_TARGET}{late}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xpm-remote-bench-") as name:
        folder = Path(name)
        server = LocalServer.start(folder, os.environ)
        try:
            workspace = make_workspace(arguments.jobs, folder)
            heading = f"{arguments.jobs} jobs, medians of {arguments.rounds} rounds"
            print(f"{heading}, {os.cpu_count()} cores")
            measure(server, workspace, arguments.rounds)
        finally:
            server.close()


if __name__ == "__main__":
    main()
