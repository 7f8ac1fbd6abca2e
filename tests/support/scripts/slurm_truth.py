"""Print what is true of jobs of SLURM, read by `scontrol show job` and their files, as JSON: an independent reader.

python3 slurm_truth.py DIRECTORY...
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ENDS = {
    "TIMEOUT": "TIMEOUT",
    "OUT_OF_MEMORY": "MEMORY",
    "CANCELLED": "CANCELLED",
    "NODE_FAIL": "NODE_FAIL",
    "PREEMPTED": "PREEMPTED",
}


def jobs() -> dict[str, dict[str, str]]:
    """Return the jobs of SLURM by their directory."""
    listed = subprocess.run(
        ["scontrol", "show", "job", "-o"], capture_output=True, text=True, check=True
    ).stdout
    found = {}
    for line in listed.splitlines():
        words = dict(re.findall(r"(\w+)=(.*?)(?= \w+(?:[:/\w]*)=|$)", line))
        if "WorkDir" in words:
            found[words["WorkDir"]] = words
    return found


def truth(job: dict[str, str], directory: Path) -> dict[str, str | None]:
    """Return the state of a job, why it is in it, and where it runs."""
    state = job["JobState"]
    if list(directory.glob("*.done")):
        found, reason = "done", None
    elif state == "PENDING":
        found, reason = "scheduled", job["Reason"]
    elif state == "RUNNING":
        found, reason = "running", None
    else:
        logs = " ".join(each.read_text() for each in directory.glob("*.err"))
        known = "MEMORY" if "oom-kill" in logs else "FAILED"
        found, reason = "error", ENDS.get(state, known)
    nodes = job["NodeList"] if found == "running" else None
    return {"id": job["JobId"], "state": found, "reason": reason, "nodes": nodes, "slurm": state}


def main() -> None:
    """Print the truth of each directory."""
    known = jobs()
    print(json.dumps({each: truth(known[each], Path(each)) for each in sys.argv[1:]}))


if __name__ == "__main__":
    main()
