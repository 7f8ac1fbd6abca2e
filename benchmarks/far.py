#!/usr/bin/env python3
"""Measure first picture, all jobs and reconnecting over emulated far links, against ``ssh HOST true`` in the same run.

On a busy machine seconds say little; the round trips that were waited for, and the bytes, are always the same.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.slow_link import SERVER, SlowLink, Traffic, obstacle, slow_link

HERE = Path(__file__).resolve().parent
PORT = 2222
MBIT = 2.0
ROUND_TRIPS = (0.1, 0.3)
ENGINES = ("asyncssh", "openssh")
EXTRA_TRIPS = 3
"""The round trips that a first picture, or a link that comes back, may take beyond ``ssh HOST true``."""
ALL_JOBS_AIM = 4.5
"""Seconds for 10,000 jobs at 100 ms and 2 Mbit/s."""
LIMIT = 120.0
"""Seconds for one client."""

CONFIG = """\
Port {port}
ListenAddress 0.0.0.0
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
StrictModes no
UsePAM no
PidFile none
PermitRootLogin prohibit-password
PrintMotd no
UseDNS no
"""


def write_login(folder: Path) -> list[str]:
    """Write keys and the server's configuration; return the options of a client."""
    for name in ("host", "key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
        )
    kind, key, *_ = (folder / "host.pub").read_text().split()
    (folder / "known_hosts").write_text(f"[{SERVER}]:{PORT} {kind} {key}\n")
    (folder / "sshd_config").write_text(CONFIG.format(port=PORT, folder=folder))
    options = ["-F", "none", "-p", str(PORT), "-l", "root", "-i", str(folder / "key")]
    return [*options, "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={folder}/known_hosts"]


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in tasks.read_text().split()]


class Way:
    """A slow link with a server, and what is measured on it.

    Args:
        link: The link.
        options: The options of a client.
    """

    def __init__(self, link: SlowLink, options: list[str]) -> None:
        self._link = link
        self._options = options

    def floor(self) -> float:
        """Return the seconds of ``ssh HOST true``; note its traffic."""
        words = self._link.client(["ssh", *self._options, SERVER, "true"])
        self._link.traffic = Traffic()
        began = time.perf_counter()
        subprocess.run(words, check=True, timeout=LIMIT, stdin=subprocess.DEVNULL)
        return time.perf_counter() - began

    def ours(self, engine: str, workspace: Path, *flags: str) -> dict[str, float]:
        """Run our client once; return its times."""
        words = [sys.executable, str(HERE / "our_client.py"), "--host", SERVER]
        words += [
            "--workspace",
            str(workspace),
            "--backend",
            "agent",
            "--engine",
            engine,
            "--xpm",
            "x",
        ]
        self._link.traffic = Traffic()
        words = self._link.client([*words, *flags, "--", *self._options])
        client = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert client.stdout is not None
        try:
            said = client.stdout.readline()
            if said == "live\n":
                self._cut()
                said = client.stdout.readline()
            client.wait(LIMIT)
        finally:
            client.kill()
            client.wait()
        times: dict[str, float] = json.loads(said)
        return times

    def traffic(self) -> str:
        """Return the round trips and bytes of what ran last."""
        size = self._link.traffic.size
        up, down = size["up"] / 1024, size["down"] / 1024
        return f"{self._link.traffic.turns:>4} round trips, {up:.0f} KiB up, {down:.0f} KiB down"

    def _cut(self) -> None:
        """End the connections of the server, and not what listens."""
        for session in children(self._link.listening):
            os.kill(session, signal.SIGKILL)


def report(what: str, seconds: float, aim: float, traffic: str) -> None:
    """Print a measurement with its aim."""
    late = "" if seconds <= aim else "  missed"
    print(f"{what:<44}{seconds:>7.2f} s  aim {aim:>5.2f}{late:<8}  {traffic}")


def measure(way: Way, round_trip: float, few: Path, many: Path | None) -> None:
    """Measure and print what is asked of one link."""
    least = way.floor()
    print(f"\n{round_trip * 1000:.0f} ms round trip, {MBIT:g} Mbit/s")
    print(f"{'ssh HOST true':<44}{least:>7.2f} s{'':<21}{way.traffic()}")
    aim = least + EXTRA_TRIPS * round_trip
    for engine in ENGINES:
        times = way.ours(engine, few)
        report(f"first picture of 1,000 jobs, {engine}", times["first_list_s"], aim, way.traffic())
        if many is not None:
            times = way.ours(engine, many)
            report(
                f"all of 10,000 jobs, {engine}", times["all_jobs_s"], ALL_JOBS_AIM, way.traffic()
            )
        times = way.ours(engine, few, "--cut")
        report(f"back after a cut, {engine}", times["back_s"], aim, "")


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    why_not = obstacle()
    program = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    if why_not or program is None:
        print(f"far links are not measured: {why_not or 'there is no sshd'}")
        return
    Path("/run/sshd").mkdir(exist_ok=True)  # which sshd insists on
    with tempfile.TemporaryDirectory(prefix="xpm-remote-far-") as name:
        folder = Path(name)
        options = write_login(folder)
        few, many = folder / "few", folder / "many"
        for path, jobs in ((few, 1_000), (many, 10_000)):
            subprocess.run([sys.executable, HERE / "make_big.py", path, str(jobs)], check=True)
        server = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
        quiet = ["sh", "-c", f"exec {shlex.join(server)} 2>{folder}/sshd.log"]
        for round_trip in ROUND_TRIPS:
            with slow_link(round_trip / 2, MBIT, quiet) as link:
                way = Way(link, options)
                way.floor()  # until the server listens, and the disk is read
                measure(way, round_trip, few, many if round_trip == ROUND_TRIPS[0] else None)


if __name__ == "__main__":
    main()
