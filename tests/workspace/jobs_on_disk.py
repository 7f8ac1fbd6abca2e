"""Jobs with all kinds of files, and the contents of a tree, for comparison."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from xpm_remote.workspace.folders.contents import SMALL
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout

JOB = JobId("demo.train", "ab" * 32)
OWN = {"train.lock", "train.pid", ".scheduler"}
OLD = 1_600_000_000


def make_workspace(root: Path) -> Layout:
    """Make a workspace without jobs."""
    layout = Layout(root)
    layout.jobs.mkdir(parents=True)
    layout.marker.touch()
    return layout


def make_folder(root: Path, mode: FolderMode) -> Folder:
    """Make a folder without jobs."""
    root.mkdir(parents=True)
    return Folder(root, mode)


def make_job(layout: Layout, job: JobId = JOB, *, done: bool = True) -> Path:
    """Make a job with files of all kinds, small and large, of the user, of experimaestro, and locks of both."""
    path = layout.job(job)
    (path / ".experimaestro").mkdir(parents=True)
    (path / ".experimaestro" / "status.json").write_text('{"state": "done"}')
    (path / "params.json").write_text('{"version": 3}')
    (path / "uv.lock").write_text("the user's own")
    (path / "train.lock").touch()
    (path / "out" / "empty").mkdir(parents=True)
    (path / "out" / "model.bin").write_bytes(os.urandom(SMALL + 1000))
    (path / "out" / "model.bin").chmod(0o640)
    (path / "out" / "again.bin").hardlink_to(path / "out" / "model.bin")
    (path / "best").symlink_to("out/model.bin")
    if done:
        (path / "train.done").touch()
    for each in (path / "out" / "model.bin", path / "uv.lock", path / "out", path):
        os.utime(each, (OLD, OLD))
    return path


def tree(path: Path) -> dict[str, tuple[object, ...]]:
    """Return all that a copy must keep of a tree, without what is never copied."""
    found: dict[str, tuple[object, ...]] = {".": _entry(path)}
    for each in sorted(path.rglob("*")):
        name = str(each.relative_to(path))
        if name.partition("/")[0] not in OWN:
            found[name] = _entry(each)
    return found


def leftovers(*roots: Path) -> list[str]:
    """Return what is staged, locked or set aside in these workspaces and folders."""
    return sorted(str(each) for root in roots for each in root.glob("jobs/*/.tmp.*"))


def _entry(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return ("link", path.readlink(), status.st_mtime_ns)
    data = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
    links = status.st_nlink if data is not None else None
    return (status.st_mode, status.st_mtime_ns, data, links)
