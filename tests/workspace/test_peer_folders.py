"""Folders that the real experimaestro and we work on, one after the other and at once."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.peer import Peer, running_peer
from tests.workspace.jobs_on_disk import JOB, leftovers, make_folder, make_job, make_workspace, tree
from xpm_remote.workspace.folders.archiving import archive
from xpm_remote.workspace.folders.recovery import recover
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout
from xpm_remote.workspace.outcomes import ArchiveStatus, RecoveryStatus

pytestmark = pytest.mark.slow

MANY = [JobId("demo.train", f"{number:064x}") for number in range(40)]


class FoldersPeer:
    """The real experimaestro, in one process for all tests."""

    def __init__(self, running: Peer) -> None:
        self._running = running

    def ask(
        self, action: str, workspace: Layout, folder: Folder, jobs: Sequence[JobId]
    ) -> dict[str, str | None]:
        """Let it archive or recover jobs; return its answer for each."""
        case = {
            "action": action,
            "workspace": str(workspace.root),
            "folder": str(folder.path),
            "mode": folder.mode.value,
            "jobs": list(map(str, jobs)),
        }
        said: dict[str, str | None] = self._running.ask(case)
        return said

    def ask_and_act(
        self,
        action: str,
        workspace: Layout,
        folder: Folder,
        jobs: Sequence[JobId],
        act: Callable[[], object],
    ) -> None:
        """Let it archive or recover jobs, and repeat an action meanwhile."""
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(self.ask, action, workspace, folder, jobs)
            act()
            while not asked.done():
                act()
            asked.result()


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FoldersPeer]:
    """The real experimaestro, with an empty home."""
    with running_peer("peer_folders.py", str(tmp_path_factory.mktemp("home"))) as running:
        yield FoldersPeer(running)


def kept_by_both(path: Path) -> dict[str, tuple[object, ...]]:
    """Return what both copies share: not the user's top-level locks, times of links and directories, or hard links."""
    found: dict[str, tuple[object, ...]] = {}
    for name, (first, *rest) in tree(path).items():
        if name == "uv.lock":
            continue
        if first == "link":
            found[name] = (first, rest[0])
        elif isinstance(first, int) and stat.S_ISDIR(first):
            found[name] = (first,)
        else:
            found[name] = (first, *rest[:2])
    return found


@pytest.fixture
def workspace(tmp_path: Path) -> Layout:
    """A workspace with a job."""
    workspace = make_workspace(tmp_path / "ws")
    make_job(workspace)
    return workspace


@pytest.mark.parametrize("mode", [FolderMode.BACKUP, FolderMode.MOVE])
def test_same_tree(peer: FoldersPeer, tmp_path: Path, mode: FolderMode) -> None:
    """The tree that we make, and the link, equal experimaestro's for the same job, its own faults aside."""
    ours, theirs = make_workspace(tmp_path / "ours"), make_workspace(tmp_path / "theirs")
    shutil.copytree(make_job(ours), theirs.job(JOB), symlinks=True)
    wanted = kept_by_both(ours.job(JOB))
    our_folder = make_folder(tmp_path / "our-folder", mode)
    their_folder = make_folder(tmp_path / "their-folder", mode)
    peer.ask("archive", theirs, their_folder, [JOB])
    list(archive(ours, [our_folder], [JOB]))
    assert kept_by_both(our_folder.job(JOB)) == kept_by_both(their_folder.job(JOB)) == wanted
    assert ours.job(JOB).is_symlink() is theirs.job(JOB).is_symlink() is (mode is FolderMode.MOVE)


@pytest.mark.parametrize("mode", [FolderMode.BACKUP, FolderMode.MOVE])
def test_experimaestro_recovers_ours(
    peer: FoldersPeer, workspace: Layout, tmp_path: Path, mode: FolderMode
) -> None:
    """Experimaestro restores a job that we archived."""
    wanted = kept_by_both(workspace.job(JOB))
    folder = make_folder(tmp_path / "folder", mode)
    list(archive(workspace, [folder], [JOB]))
    shutil.rmtree(workspace.jobs)
    workspace.jobs.mkdir()
    said = peer.ask("recover", workspace, folder, [JOB])
    assert said[str(JOB)] is not None
    assert kept_by_both(workspace.job(JOB)) == wanted


def test_we_recover_theirs(peer: FoldersPeer, workspace: Layout, tmp_path: Path) -> None:
    """We restore a job that experimaestro archived."""
    wanted = kept_by_both(workspace.job(JOB))
    folder = make_folder(tmp_path / "folder", FolderMode.BACKUP)
    peer.ask("archive", workspace, folder, [JOB])
    shutil.rmtree(workspace.jobs)
    (outcome,) = recover(workspace, [folder], [JOB])
    assert outcome.status is RecoveryStatus.RECOVERED
    assert kept_by_both(workspace.job(JOB)) == wanted


def test_what_their_copy_lacks_is_completed(
    peer: FoldersPeer, workspace: Layout, tmp_path: Path
) -> None:
    """The user's *.lock files, which experimaestro does not copy, are added to its copies before a job is moved."""
    wanted = tree(workspace.job(JOB))
    folder = make_folder(tmp_path / "folder", FolderMode.BACKUP)
    peer.ask("archive", workspace, folder, [JOB])
    assert not (folder.job(JOB) / "uv.lock").exists()
    (outcome,) = archive(workspace, [Folder(folder.path, FolderMode.MOVE)], [JOB])
    assert outcome.folders[0].status is ArchiveStatus.MOVED
    assert tree(workspace.job(JOB).resolve()) == wanted


def make_many(workspace: Layout) -> dict[JobId, dict[str, tuple[object, ...]]]:
    """Make the jobs for two concurrent workers, without what experimaestro loses."""
    for job in MANY:
        (make_job(workspace, job) / "uv.lock").unlink()
    return {job: kept_by_both(workspace.job(job)) for job in MANY}


@pytest.mark.parametrize("mode", [FolderMode.BACKUP, FolderMode.MOVE])
def test_both_archive_at_once(peer: FoldersPeer, tmp_path: Path, mode: FolderMode) -> None:
    """Two that archive the same jobs to the same folder at once lose nothing, and a second run repairs nothing."""
    workspace = make_workspace(tmp_path / "ws")
    wanted = make_many(workspace)
    folder = make_folder(tmp_path / "folder", mode)

    def act() -> None:
        list(archive(workspace, [folder], reversed(MANY)))
        if mode is FolderMode.BACKUP:
            for job in MANY[::2]:
                shutil.rmtree(folder.job(job), ignore_errors=True)

    peer.ask_and_act("archive", workspace, folder, MANY, act)
    outcomes = list(archive(workspace, [folder], MANY))
    assert all(outcome.is_archived for outcome in outcomes)
    for job in MANY:
        assert kept_by_both(workspace.job(job).resolve()) == wanted[job]
        assert kept_by_both(folder.job(job)) == wanted[job]
    assert leftovers(workspace.root, folder.path) == []


def test_both_recover_at_once(peer: FoldersPeer, tmp_path: Path) -> None:
    """Two that restore the same jobs at once restore them completely."""
    workspace = make_workspace(tmp_path / "ws")
    wanted = make_many(workspace)
    folder = make_folder(tmp_path / "folder", FolderMode.BACKUP)
    list(archive(workspace, [folder], MANY))
    shutil.rmtree(workspace.jobs)
    workspace.jobs.mkdir()

    def act() -> None:
        list(recover(workspace, [folder], reversed(MANY)))
        for job in MANY[::2]:
            shutil.rmtree(workspace.job(job), ignore_errors=True)

    peer.ask_and_act("recover", workspace, folder, MANY, act)
    assert all(outcome.is_there for outcome in recover(workspace, [folder], MANY))
    for job in MANY:
        assert kept_by_both(workspace.job(job)) == wanted[job]
    assert leftovers(workspace.root) == []
