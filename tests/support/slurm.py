"""A SLURM of scripts: ``squeue`` and ``scancel`` that answer from a file, as the real ones do where it matters."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_SQUEUE = """
import json, os, signal, sys
state = json.load(open(STATE))
open(LOG, "a").write("squeue " + " ".join(sys.argv[1:]) + "\\n")
if state["mode"] == "frozen": signal.pause()
if state["mode"] == "down":
    sys.exit("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
words = dict(zip(sys.argv[1:], sys.argv[2:]))
jobs = [job for job in state["jobs"] if not job["is_hidden"]]
if "-j" in words:
    jobs = [job for job in jobs if job["id"] == words["-j"]]
    if not jobs: sys.exit("slurm_load_jobs error: Invalid job id specified")
if "-u" in words:
    jobs = [job for job in jobs if str(job["uid"]) in words["-u"].split(",")]
print("warning: something | else")
for job in jobs:
    line = words["-o"]
    for letter, key in LETTERS.items():
        line = line.replace(letter, str(job.get(key, "")))
    print(line)
"""
_LETTERS = {
    "%i": "id",
    "%T": "state",
    "%P": "queue",
    "%V": "submitted",
    "%S": "starts",
    "%e": "ends",
    "%N": "nodes",
    "%C": "cpus",
    "%m": "memory",
    "%b": "gpus",
    "%r": "reason",
    "%Z": "directory",
}
_SCANCEL = """
import json, signal, sys
state = json.load(open(STATE))
open(LOG, "a").write("scancel " + " ".join(sys.argv[1:]) + "\\n")
if state["scancel"] == "frozen": signal.pause()
if state["scancel"] == "refused":
    print("scancel: error: Kill job error on job id: Access/permission denied", file=sys.stderr)
    sys.exit(210)
if state["scancel"] in ("lost", "timeout"): state["mode"] = "down"
if state["scancel"] in ("done", "late"):
    for job in state["jobs"]:
        if job["id"] == sys.argv[1]: job["state"] = state["after"]
json.dump(state, open(STATE, "w"))
if state["scancel"] in ("timeout", "late"):
    print("scancel: error: Kill job error: Socket timed out on send/recv operation", file=sys.stderr)
    sys.exit(140)
"""


_ACCOUNTING = """
import json, os, signal, sys
state = json.load(open(STATE))
name = os.path.basename(sys.argv[0])
open(LOG, "a").write(name + " " + " ".join(sys.argv[1:]) + "\\n")
if state["accounting"] == "frozen": signal.pause()
if state["accounting"] == "off":
    sys.exit("Slurm accounting storage is disabled")
columns = [word for word in sys.argv if word.startswith("--format=")][0].partition("=")[2].split(",")
print("sacct: warning: something | else")
for line in state[name]:
    print("|".join(str(line.get(column, "")) for column in columns))
"""


class FakeSlurm:
    """The scripts, and what they answer.

    Args:
        folder: Where they are made.
    """

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "slurm-bin"
        self.bin.mkdir(mode=0o755)
        self._state = folder / "slurm.json"
        self._log = folder / "slurm.log"
        self._log.touch()
        letters = f"LETTERS = {_LETTERS!r}\n"
        names = f"{letters}STATE = {str(self._state)!r}; LOG = {str(self._log)!r}\n"
        programs = {
            "squeue": _SQUEUE,
            "scancel": _SCANCEL,
            "sacct": _ACCOUNTING,
            "sstat": _ACCOUNTING,
        }
        for name, program in programs.items():
            script = self.bin / name
            script.write_text(f"#!{sys.executable} -S\n{names}{program}")
            script.chmod(0o755)
        self.answers: dict[str, Any] = {}
        self.settle()

    def settle(
        self,
        *jobs: dict[str, Any],
        mode: str = "up",
        scancel: str = "done",
        after: str = "CANCELLED",
        accounting: str = "on",
        sacct: Sequence[dict[str, str]] = (),
        sstat: Sequence[dict[str, str]] = (),
    ) -> None:
        """Set the jobs, and how SLURM behaves: ``mode`` is up, down or frozen, ``accounting`` on, off or frozen."""
        self.answers = {"jobs": list(jobs), "mode": mode, "scancel": scancel, "after": after}
        self.answers |= {"accounting": accounting, "sacct": sacct, "sstat": sstat}
        self._state.write_text(json.dumps(self.answers))

    @property
    def asked(self) -> list[str]:
        """The names of the programs that were run, in order."""
        return [line.split()[0] for line in self._log.read_text().splitlines()]

    @property
    def lines(self) -> list[str]:
        """The command lines of the programs that were run, in order."""
        return self._log.read_text().splitlines()

    @property
    def cancelled(self) -> list[str]:
        """The ids that were given to scancel."""
        lines = self._log.read_text().splitlines()
        return [line.split()[1] for line in lines if line.startswith("scancel")]


def slurm_job(
    number: str,
    directory: Path,
    state: str = "RUNNING",
    *,
    uid: int = 0,
    is_hidden: bool = False,
    **others: object,
) -> dict[str, Any]:
    """Return a job for ``FakeSlurm.settle``; ``others`` are fields of a row."""
    return {
        **others,
        "id": number,
        "directory": str(directory),
        "state": state,
        "uid": uid,
        "is_hidden": is_hidden,
    }
