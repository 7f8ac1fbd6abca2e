"""Locks are read without a trace, and a staging lock has one holder, on shared file systems too."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workspace.faults import make_fail
from xpm_remote.workspace import filesystem, locks
from xpm_remote.workspace.failures import BusyFailure
from xpm_remote.workspace.locks import STALE_AFTER, StagingLock, holding, is_held


@pytest.fixture(params=["listed", "tried"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the kernel's table of locks can be used."""
    if request.param == "tried":
        monkeypatch.setattr(locks, "_LOCKS", Path("/nonexistent"))
        monkeypatch.setattr(locks, "_list_is_complete", lambda device: False)
    return str(request.param)


@pytest.mark.parametrize("kind", [fcntl.LOCK_EX, fcntl.LOCK_SH])
def test_lock_of_another_process(tmp_path: Path, way: str, kind: int) -> None:
    """A lock that another process holds is seen until that process has ended."""
    path = tmp_path / "job.lock"
    code = f"import fcntl,sys; f=open({str(path)!r},'w'); fcntl.flock(f,{kind}); print(flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    # A shared lock is seen in the kernel's table only: trying for a shared one succeeds beside it.
    assert is_held(path) is (kind == fcntl.LOCK_EX or way == "listed")
    holder.communicate()
    assert not is_held(path)


@pytest.mark.usefixtures("way")
def test_nothing_is_locked(tmp_path: Path) -> None:
    """A missing file, a link, a FIFO, a directory and a free file are not locked, and nothing is created."""
    held = tmp_path / "held"
    (tmp_path / "link").symlink_to(held)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "free").touch()
    with held.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert is_held(held)
        for name in ("missing", "link", "fifo", ".", "free"):
            assert not is_held(tmp_path / name)
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("shared", [False, True])
def test_one_holder(tmp_path: Path, shared: bool) -> None:
    """A staging lock refuses a second holder at once, and its file is gone when it is released."""
    path = tmp_path / ".tmp.x.lock"
    with StagingLock(path, shared=shared) as first:
        assert first.is_ours()
        with pytest.raises(BusyFailure):
            StagingLock(path, shared=shared).acquire()
        assert is_held(path)
    assert not path.exists()
    first.release()


def test_file_that_its_last_holder_unlinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock on a file that its last holder unlinks at that moment is taken again on a new file."""
    path = tmp_path / ".tmp.x.lock"
    real = filesystem.lock
    calls: list[int] = []

    def lock(descriptor: int, kind: int) -> None:
        if not calls:
            path.unlink()
        calls.append(kind)
        real(descriptor, kind)

    monkeypatch.setattr(filesystem, "lock", lock)
    with StagingLock(path, shared=False) as held:
        assert held.is_ours()


def test_removed_lock_file(tmp_path: Path) -> None:
    """A holder whose file was removed detects that, and does not remove the file of the next holder."""
    path = tmp_path / ".tmp.x.lock"
    with StagingLock(path, shared=False) as first:
        path.unlink()
        assert not first.is_ours()
        with StagingLock(path, shared=False):
            first.release()
            assert path.exists()


@pytest.mark.parametrize("sets_times", [True, False])
@pytest.mark.parametrize("said", ["", '{"host": "elsewhere", "boot": "1"}'])
def test_other_hosts_are_believed_by_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, sets_times: bool
) -> None:
    """On a shared file system a free lock of another or an unknown host is kept while it is fresh."""
    if not sets_times:
        make_fail(monkeypatch, "utime", errno.EPERM)
    path = tmp_path / ".tmp.x.lock"
    (tmp_path / ".tmp.x.lock.now").touch()  # of a process that was killed
    path.write_text(said)
    before = path.stat().st_mtime_ns
    with pytest.raises(BusyFailure, match="another host"):
        StagingLock(path, shared=True).acquire()
    assert path.stat().st_mtime_ns == before
    old = path.stat().st_mtime - STALE_AFTER - 1
    os.utime(path, (old, old))
    with StagingLock(path, shared=True) as held:
        os.utime(path, (old, old))
        held.renew()
        assert path.stat().st_mtime > old + STALE_AFTER
    assert list(tmp_path.iterdir()) == []


def test_dead_process_of_this_kernel(tmp_path: Path) -> None:
    """On a shared file system the lock that a dead process of this kernel left is taken at once."""
    path = tmp_path / ".tmp.x.lock"
    held = StagingLock(path, shared=True)
    held.acquire()
    held.release(keep_file=True)
    with StagingLock(path, shared=True):
        pass


def test_holding_a_job(tmp_path: Path) -> None:
    """The holder of a job's lock excludes others; a job without lock file gets none."""
    path = tmp_path / "job.lock"
    with holding(path):
        assert not path.exists()
    path.touch()
    with holding(path):
        assert is_held(path)
        with pytest.raises(BusyFailure, match="runs"), holding(path):
            pytest.fail("held twice")
    assert not is_held(path)


def test_holding_where_nothing_can_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system without locks none can be held, so the work continues."""
    path = tmp_path / "job.lock"
    path.touch()

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "no locks")

    monkeypatch.setattr(filesystem, "lock", refuse)
    with holding(path):
        assert not is_held(path)
