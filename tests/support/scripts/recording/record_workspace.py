#!/usr/bin/env python3
"""Make a workspace with any experimaestro from 2.0 on, and record it while jobs run.

Run with the python of a venv that holds that ``experimaestro``, in an empty HOME:

    python record_workspace.py /tmp/recorded tests/workspace/recorded/2.4.0.tar.gz

The archive holds ``ws/`` with two experiments: ``demo``, over, run twice, and ``live``, in which a job runs and another
waits. Paths in files and links are rewritten to ``/data/ws``, the host's name to ``node01``.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import plain_tasks as tasks
from experimaestro import experiment, tag

HERE = Path(__file__).resolve().parent
NEUTRAL_ROOT = "/data/ws"
NEUTRAL_HOST = "node01"
LONG_SECONDS = 600.0
START_LIMIT = 60.0
"""Seconds for a job to start a python of its own and report progress."""
RETRIES = 2
KEPT_ENDINGS = (".jsonl", ".json", ".done", ".failed", ".pid", ".lock", ".__experimaestro__")
LEFT_OUT = ("objects.jsonl", "configs.json", "locks.json")
"""Logs, scripts and serialized objects say nothing of states."""


def run_experiment(workspace: Path, name: str) -> None:
    """Run one experiment; ``live`` does not end by itself."""
    with experiment(workspace, name) as xp:
        xp.setenv("PYTHONPATH", str(HERE))
        if name == "live":
            long = tasks.Long.C(x=tag(1), seconds=LONG_SECONDS).submit()
            tasks.DepLong.C(source=long).submit()
            return
        ok = [tasks.Ok.C(x=tag(x)).submit() for x in range(2)]
        bad = tasks.Bad.C(x=tag(0)).submit()
        tasks.Dep.C(source=ok[0]).submit()
        tasks.DepBad.C(source=bad).submit()
        tasks.Resume.C(x=0, attempts=1).submit(max_retries=RETRIES)
        tasks.Resume.C(x=1, attempts=9).submit(max_retries=RETRIES)
        tasks.SelfSignal.C(x=0, signum=int(signal.SIGKILL)).submit()
        tasks.SelfSignal.C(x=0, signum=int(signal.SIGTERM)).submit()
        xp.add_service(tasks.DemoService())


def wait_for_progress(workspace: Path) -> None:
    """Wait until the long job has reported its progress on both levels."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if any("batch 7" in path.read_text() for path in workspace.glob(".events/jobs/**/*.jsonl")):
            return
        time.sleep(0.1)
    raise TimeoutError("the long job does not report")


def kept(workspace: Path) -> Iterator[Path]:
    """Return the contents of the archive, in order."""
    for path in sorted(workspace.rglob("*")):
        if ".scheduler" in path.parts:
            continue
        if path.name in LEFT_OUT:
            continue
        if path.is_symlink() or path.is_dir() or path.name.endswith(KEPT_ENDINGS):
            yield path


def neutral(path: Path, workspace: Path) -> bytes:
    """Return the content of a file, without any data of this machine."""
    text = path.read_text().replace(str(workspace), NEUTRAL_ROOT).replace(str(HERE), "/data/code")
    text = text.replace(f'"{socket.gethostname()}"', f'"{NEUTRAL_HOST}"')
    if path.name == "environment.json":
        text = json.dumps({"run": json.loads(text)["run"]})
    return text.encode()


def add(archive: tarfile.TarFile, path: Path, workspace: Path) -> None:
    """Add one file, link or directory, with neutral names."""
    entry = archive.gettarinfo(path, arcname=str(Path("ws") / path.relative_to(workspace)))
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.linkname = entry.linkname.replace(str(workspace), NEUTRAL_ROOT)
    if entry.islnk():
        entry.type, entry.linkname = tarfile.REGTYPE, ""
    if not entry.isreg():
        archive.addfile(entry)
        return
    data = neutral(path, workspace)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def record(workspace: Path, target: Path) -> None:
    """Run both experiments, and make the archive while the second one runs."""
    command = [sys.executable, __file__, "--run", str(workspace)]
    for _ in range(2):
        subprocess.run([*command, "demo"], check=False)
    live = subprocess.Popen([*command, "live"], start_new_session=True)
    try:
        wait_for_progress(workspace)
        with tarfile.open(target, "w:gz") as archive:
            for path in kept(workspace):
                add(archive, path, workspace)
    finally:
        live.kill()
        for pid_file in workspace.glob("jobs/*/*/long.pid"):
            os.kill(json.loads(pid_file.read_text())["pid"], signal.SIGKILL)


def main() -> None:
    """Record, or run one experiment for the recording."""
    if sys.argv[1] == "--run":
        run_experiment(Path(sys.argv[2]), sys.argv[3])
        return
    workspace = Path(sys.argv[1]).absolute()
    workspace.mkdir(parents=True)
    record(workspace, Path(sys.argv[2]).absolute())


if __name__ == "__main__":
    main()
