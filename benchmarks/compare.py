#!/usr/bin/env python3
"""Our client against the peer's, in turn, on one synthetic workspace over loopback SSH: medians and their ratios.

The server is a private OpenSSH ``sshd`` of the person who runs this; the remote side of both is the real experimaestro.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.local import LocalServer

HERE = Path(__file__).resolve().parent
CLIENT_LIMIT = 300.0
"""Seconds for one client; the peer needs 10 for 10,000 jobs."""

TARGETS = {"first_list_s": 0.40, "all_jobs_s": 0.40, "cpu_s": 0.20, "peak_mib": None}
NAMES = {
    "first_list_s": "first experiments list, s",
    "all_jobs_s": "all jobs, s",
    "cpu_s": "client CPU, s",
    "peak_mib": "client peak memory, MiB",
}

Times = dict[str, float]


def make_workspace(jobs: int, folder: Path) -> Path:
    """Write a workspace of so many jobs; give its path."""
    path = folder / f"workspace-{jobs}"
    subprocess.run([sys.executable, HERE / "make_big.py", path, str(jobs)], check=True)
    return path


def time_client(python: Path, script: str, server: LocalServer, workspace: Path) -> Times:
    """Run one client once; give what it measured."""
    words: list[str | Path] = [
        python,
        HERE / script,
        "--host",
        server.host,
        "--workspace",
        workspace,
    ]
    words += ["--xpm", server.experimaestro, "--", *server.ssh_args("alice")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=CLIENT_LIMIT, check=False)
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr}")
    times: Times = json.loads(done.stdout.splitlines()[-1])
    return times


def median(times: list[Times]) -> Times:
    """Give the median of each quantity."""
    return {name: statistics.median(each[name] for each in times) for name in TARGETS}


def report(ours: Times, peer: Times) -> None:
    """Print both and their ratios, and which ratio is aimed at."""
    print(f"{'':<28}{'peer':>8}{'ours':>8}{'ratio':>8}{'aim':>8}")
    for name, target in TARGETS.items():
        ratio = ours[name] / peer[name]
        aim = "" if target is None else f"{target:.2f}"
        late = "" if target is None or ratio <= target else "  missed"
        print(f"{NAMES[name]:<28}{peer[name]:>8.2f}{ours[name]:>8.2f}{ratio:>8.2f}{aim:>8}{late}")


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
            ours, peer = [], []
            for _ in range(arguments.rounds):
                peer.append(
                    time_client(Path(server.remote_python), "peer_client.py", server, workspace)
                )
                ours.append(time_client(Path(sys.executable), "our_client.py", server, workspace))
        finally:
            server.close()
    print(f"{arguments.jobs} jobs, medians of {arguments.rounds} rounds, {os.cpu_count()} cores")
    report(median(ours), median(peer))


if __name__ == "__main__":
    main()
