"""A second writer at each call of a removal: nothing outside the workspace, and nothing that is needed, is touched.

The writer acts between two calls, whichever they are. What it needs from then on must be there at the end if it found
it in its place; what it does not find there it makes anew, and that must be there too.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from tests.workspace.second_writer import Calls, KilledError, close_below
from tests.workspace.small import SmallWorkspace
from xpm_remote.workspace import mounts
from xpm_remote.workspace.agent import actions
from xpm_remote.workspace.agent.actions import Actions
from xpm_remote.workspace.failures import WorkspaceFailure
from xpm_remote.workspace.folders.archiving import archive
from xpm_remote.workspace.folders.recovery import recover
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.orphans.cleaning import Cleaner
from xpm_remote.workspace.orphans.listing import find_orphans
from xpm_remote.workspace.outcomes import CLEAN
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.reader import WorkspaceReader

pytestmark = pytest.mark.slow

LONE, OTHER, KNOWN = JobId("t", "lone"), JobId("t", "other"), JobId("t", "known")


class Scene:
    """A workspace with a known job and two that nothing refers to, beside a directory that is another's.

    Attributes:
        made: The workspace.
        needed: What must be there at the end, with its contents: the jobs that the writer found in their places.
        outside: A directory that is laid out like everything that the writer replaces by a link to it.
    """

    def __init__(self, root: Path) -> None:
        self.made = SmallWorkspace(root / "ws")
        self.needed: dict[Path, dict[str, bytes]] = {}
        self.outside = root / "outside"
        for job in (KNOWN, LONE, OTHER):
            self.fill(self.made.job(str(job)))
            self.fill(self.outside / job.task / job.hash)
        self.made.run([str(KNOWN)])
        self._held: list[IO[str]] = []
        self.needed[self.outside] = contents(self.outside)
        self.need(KNOWN)

    def fill(self, directory: Path) -> None:
        """Put files of a job into a directory, some of them deeper."""
        inner = directory / "out" / "deep"
        inner.mkdir(parents=True)
        for place in (directory, directory / "out", inner):
            (place / "data.bin").write_text("precious")
        (inner / "data.bin").chmod(0o400)
        inner.chmod(0o500)

    def place(self, job: JobId) -> Path:
        """Return where a job belongs."""
        return self.made.layout.job(job)

    def need(self, job: JobId) -> None:
        """Need a job from now on, as it is in its place; make it anew if it is not there."""
        place = self.place(job)
        if not (place / "t.done").exists():
            with suppress(FileExistsError):
                place.mkdir(parents=True)
                (place / "t.out").write_text("begun anew")
        self.needed[place] = contents(place)

    def lock(self, path: Path) -> None:
        """Hold a lock until the end."""
        file = path.open("a")
        self._held.append(file)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """Let go of all locks."""
        while self._held:
            self._held.pop().close()

    def check(self) -> list[str]:
        """Return what is wrong: what is needed and is not as it was."""
        return [
            f"{path}: {sorted(found.items() ^ wanted.items())}"
            for path, wanted in self.needed.items()
            if not (found := contents(path)).items() >= wanted.items()
        ]


def contents(root: Path) -> dict[str, bytes]:
    """Return the files of a tree, with the permissions of its directories."""
    found = {}
    for directory, _, files in os.walk(root):
        found[directory[len(str(root)) :] + "/"] = oct(Path(directory).stat().st_mode).encode()
        for name in files:
            path = Path(directory, name)
            found[str(path)[len(str(root)) :]] = b"" if path.is_symlink() else path.read_bytes()
    return found


Writer = Callable[[Scene], None]


def swapped(place: Path, target: Path) -> None:
    """Put a link in the place of something, which goes out of the workspace."""
    with suppress(OSError):
        place.rename(root_of(place) / f"was-{place.name}")
        place.symlink_to(target)


def root_of(place: Path) -> Path:
    """Return the directory that has the workspace, and all that was moved away."""
    return next(each.parent for each in place.parents if each.name in ("ws", "folder"))


def wherever(scene: Scene) -> list[Path]:
    """Return the directories of the unreferenced job, under whatever name."""
    return [each for each in scene.made.layout.jobs.glob("t/*lone*") if each.is_dir()]


def swap_inner(scene: Scene) -> None:
    """Put links in the place of the directories in the job."""
    for place in wherever(scene):
        swapped(place / "out" / "deep", scene.outside / "t" / "lone" / "out" / "deep")


def swap_upper(scene: Scene) -> None:
    """Put a link in the place of a directory that has directories."""
    for place in wherever(scene):
        swapped(place / "out", scene.outside / "t" / "lone" / "out")


def swap_job(scene: Scene) -> None:
    """Put a link in the place of the job."""
    for place in wherever(scene):
        swapped(place, scene.outside / "t" / "lone")


def swap_task(scene: Scene) -> None:
    """Put a link in the place of the task."""
    jobs = scene.made.layout.jobs
    known = scene.needed.pop(scene.place(KNOWN))
    swapped(jobs / "t", scene.outside / "t")
    scene.needed[root_of(jobs) / "was-t" / "known"] = known


def swap_jobs(scene: Scene) -> None:
    """Put a link in the place of all jobs."""
    known = scene.needed.pop(scene.place(KNOWN))
    swapped(scene.made.layout.jobs, scene.outside)
    scene.needed[scene.outside.parent / "was-jobs" / "t" / "known"] = known


def swap_file(scene: Scene) -> None:
    """Put a link in the place of a file, and a directory in the place of another one."""
    for place in wherever(scene):
        swapped(place / "out" / "data.bin", scene.outside / "t" / "lone" / "data.bin")
        with suppress(OSError):
            (place / "result.txt").unlink()
            shutil.copytree(scene.outside / "t" / "lone", place / "result.txt")


def replace_job(scene: Scene) -> None:
    """Put another directory of the job, which runs, in the place of the job."""
    place = scene.place(LONE)
    with suppress(OSError):
        place.rename(scene.outside.parent / "was")
    place.mkdir(exist_ok=True)
    (place / "new").write_text("new")
    scene.lock(place / "t.lock")
    scene.needed[place] = {"/new": b"new"}


def refer(scene: Scene) -> None:
    """Refer to both jobs by a new run."""
    scene.made.run([str(LONE), str(OTHER)], "f")
    scene.need(LONE)
    scene.need(OTHER)


def refer_by_known_run(scene: Scene) -> None:
    """Refer to both jobs by a line more of a run that is there."""
    with (scene.made.layout.experiment("e") / "current" / "jobs.jsonl").open("a") as file:
        for job in (LONE, OTHER):
            file.write(json.dumps(scene.made.record(job)) + "\n")
    scene.need(LONE)
    scene.need(OTHER)


def refer_by_event(scene: Scene) -> None:
    """Refer to a job by a live event."""
    events = scene.made.layout.live_experiment_events
    events.mkdir(parents=True, exist_ok=True)
    (events / "e-0.jsonl").write_text(json.dumps(scene.made.record(LONE)) + "\n")
    scene.need(LONE)


def refer_by_first_link(scene: Scene) -> None:
    """Refer to a job by a link of version 1."""
    scene.made.first_links([str(LONE)])
    scene.need(LONE)


def refer_by_link_of_known(scene: Scene) -> None:
    """Make a known job a link to the job."""
    scene.made.layout.job(JobId("u", "also")).parent.mkdir(exist_ok=True)
    scene.made.layout.job(JobId("u", "also")).symlink_to(scene.place(LONE))
    scene.made.run(["u/also"], "g")
    scene.need(LONE)


def start_experiment(scene: Scene) -> None:
    """Start an experiment on this host, which may need any job."""
    scene.made.run([], "f")
    scene.lock(scene.made.layout.scheduler_lock("f"))
    scene.need(LONE)
    scene.need(OTHER)


def start_experiment_elsewhere(scene: Scene) -> None:
    """Start an experiment on another host."""
    run = scene.made.run([], "f")
    (run / "status.json").write_text(json.dumps({"status": "running", "hostname": "elsewhere"}))
    scene.need(LONE)
    scene.need(OTHER)


def lock_job(scene: Scene) -> None:
    """Take the lock of the job, as its process does."""
    with suppress(OSError):
        scene.lock(scene.place(LONE) / "t.lock")
        scene.need(LONE)


def start_job(scene: Scene) -> None:
    """Start the job, by another scheduler: with a process of another host."""
    place = scene.place(LONE)
    if place.is_dir():
        (place / "t.done").unlink(missing_ok=True)
        (place / "t.pid").write_text('{"type": "local", "pid": 77, "host": "elsewhere"}')
        scene.needed[place] = contents(place)


def experiment_cannot_be_read(scene: Scene) -> None:
    """Put a dangling link in the place of an experiment: its disk is not mounted any more."""
    place = scene.made.layout.experiment("e")
    place.rename(scene.outside.parent / "unmounted")
    place.symlink_to("/nowhere/e")
    for job in (LONE, OTHER):
        if scene.place(job).exists():
            scene.need(job)


OUTSIDE: tuple[Writer, ...] = (
    swap_inner,
    swap_upper,
    swap_job,
    swap_task,
    swap_jobs,
    swap_file,
    replace_job,
)
NEEDING: tuple[Writer, ...] = (
    *(refer, refer_by_known_run, refer_by_event, refer_by_first_link, refer_by_link_of_known),
    *(start_experiment, start_experiment_elsewhere, lock_job, start_job, experiment_cannot_be_read),
)

WRITERS = OUTSIDE + NEEDING


@pytest.fixture(autouse=True)
def _local_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every directory as one of a local disk."""
    monkeypatch.setattr(mounts, "belongs_to_one_host", lambda _: True)


@pytest.fixture(autouse=True)
def _brief_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait only shortly, but repeatedly, for what another process removes: here it never is."""
    monkeypatch.setattr(actions, "REMOVAL_WAIT", 0.1)


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Return a function that makes a fresh directory; the one before is gone."""
    memory = Path("/dev/shm")
    base = memory / f"xpm-{os.getpid()}-{tmp_path.name}" if memory.is_dir() else tmp_path / "all"

    def fresh() -> Path:
        clear(base)
        base.mkdir()
        return base

    yield fresh
    clear(base)


def clear(root: Path) -> None:
    """Remove a tree, whatever its permissions."""
    for directory, _, _ in os.walk(root):
        Path(directory).chmod(0o700)
    shutil.rmtree(root, ignore_errors=True)


def clean_orphans(scene: Scene) -> list[str]:
    """Delete the orphans; return the outcomes, or the failure."""
    cleaner = Cleaner(scene.made.layout)
    try:
        steps = cleaner.plan(find_orphans(scene.made.layout))
        return [str(each) for each in cleaner.apply(steps)]
    except WorkspaceFailure as failure:
        return [str(failure)]


def clean_job(scene: Scene) -> list[str]:
    """Remove one job, which runs may refer to."""
    host = Host()
    try:
        actions = Actions(WorkspaceReader(scene.made.root, host), host)
        return [str(actions.perform(actions.plan(CLEAN, LONE)))]
    except WorkspaceFailure as failure:
        return [str(failure)]


def try_all(
    roots: Callable[[], Path], work: Callable[[Scene], list[str]], write: Writer
) -> list[str]:
    """Do the work again and again, with the writer before another call each time; return what is wrong."""
    calls = Calls()
    scene = Scene(roots())
    with calls.counted():
        work(scene)
    assert len(calls.places) > 50
    assert not scene.place(LONE).exists()
    wrong = []
    for at in calls.chosen(WRITERS.index(write)):
        scene = Scene(roots())
        said: list[str] = []
        try:
            with Calls(at, lambda scene=scene: write(scene)).counted():  # type: ignore[misc]
                said = work(scene)
            found = scene.check()
        finally:
            scene.release()
        wrong += [f"{at} {calls.places[at - 1]}: {each} (said {said})" for each in found]
    return wrong


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_orphans(roots: Callable[[], Path], write: Writer) -> None:
    """Whatever a second writer does while orphans are deleted, what it needs and what is not ours stays."""
    assert try_all(roots, clean_orphans, write) == []


@pytest.mark.parametrize("write", [*OUTSIDE, lock_job, start_job], ids=lambda write: write.__name__)
def test_jobs_clean(roots: Callable[[], Path], write: Writer) -> None:
    """Whatever a second writer does while a job is removed, a job that it starts and what is not ours stays."""
    assert try_all(roots, clean_job, write) == []


ERRORS = (errno.EIO, errno.ESTALE, errno.EACCES, errno.EROFS, errno.ENOSPC)


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("work", [clean_orphans, clean_job], ids=["orphans", "jobs"])
def test_error_at_any_call(
    roots: Callable[[], Path], work: Callable[[Scene], list[str]], number: int
) -> None:
    """A call that fails costs one job, or all is refused; what is known is never touched, and no exception escapes."""
    calls = Calls()
    scene = Scene(roots())
    with calls.counted():
        work(scene)
    wrong = []
    for at in calls.chosen(ERRORS.index(number)):
        scene = Scene(roots())

        def fail() -> None:
            raise OSError(number, os.strerror(number))

        try:
            with Calls(at, fail).counted():
                said = work(scene)
        except OSError as error:
            wrong.append(f"{at} {calls.places[at - 1]}: {error!r} escapes")
            continue
        found = [*scene.check(), *finish(scene)]
        wrong += [f"{at} {calls.places[at - 1]}: {each} (said {said})" for each in found]
    assert wrong == []


def finish(scene: Scene) -> list[str]:
    """Return what the next command leaves of what is not needed."""
    clean_orphans(scene)
    names = sorted(each.name for each in (scene.made.layout.jobs / "t").iterdir())
    wanted = sorted(path.name for path in scene.needed if path.parent.name == "t")
    return [] if names == wanted else [f"left {names} (wanted {wanted})"]


@pytest.mark.parametrize("is_needed", [False, True], ids=["orphan", "needed"])
@pytest.mark.parametrize("work", [clean_orphans, clean_job], ids=["orphans", "jobs"])
def test_killed_at_any_call(
    roots: Callable[[], Path], work: Callable[[Scene], list[str]], is_needed: bool
) -> None:
    """The next command finishes what one that was killed has begun, or puts back whole what a run refers to by then."""

    def die() -> None:
        raise KilledError

    calls = Calls()
    scene = Scene(roots())
    with calls.counted():
        work(scene)
    wrong = []
    for at in calls.chosen(is_needed):
        scene = Scene(root := roots())
        with suppress(KilledError), Calls(at, die).counted():
            work(scene)
        close_below(root)
        whole = [job for job in (LONE, OTHER) if (scene.place(job) / "t.done").exists()]
        aside = [job for job in (LONE, OTHER) if aside_of(scene, job).exists()]
        if is_needed and whole + aside:
            wanted = contents(scene.outside / "t" / "lone")
            scene.made.run([str(job) for job in whole + aside], "f")
            scene.needed.update({scene.place(job): wanted for job in whole + aside})
        found = [*finish(scene), *scene.check()]
        wrong += [f"{at} {calls.places[at - 1]}: {each}" for each in found]
    assert wrong == []


def aside_of(scene: Scene, job: JobId) -> Path:
    """Return where a job is set aside."""
    return scene.place(job).with_name(f".orphan.{job.hash}")


class Archive(Scene):
    """The scene with a folder, to which a job is moved, or from which it comes.

    Attributes:
        folder: The folder.
    """

    def __init__(self, root: Path, *, is_there: bool) -> None:
        super().__init__(root)
        folder = SmallWorkspace(root / "folder")
        self.folder = folder.as_folder("move")
        self._root = root
        place, copy = self.place(LONE), self.folder.job(LONE)
        for path in sorted(place.rglob("data.bin")):  # those beside the workspace are as large
            path.chmod(0o600)
            path.write_text(f"precious {path.relative_to(place)}")
        self._wanted = set(map(bytes, contents(place).values()))
        if is_there:
            shutil.copytree(place, copy)
            clear(place)

    def check(self) -> list[str]:
        """Return what is wrong: what is needed and not as it was, and what of the job is nowhere any more."""
        names = [path for path in self._root.iterdir() if path.name != "outside"]
        found = {text for path in names for text in contents(path).values()}
        found |= {path.read_bytes() for path in names if path.is_file()}
        lost = [text for text in self._wanted - found if text.startswith(b"precious")]
        return super().check() + [f"lost: {lost}" for _ in lost[:1]]


def archive_job(scene: Archive) -> list[str]:
    """Move the job to the folder."""
    return [str(each) for each in archive(scene.made.layout, [scene.folder], [LONE])]


def recover_job(scene: Archive) -> list[str]:
    """Recover the job from the folder."""
    return [str(each) for each in recover(scene.made.layout, [scene.folder], [LONE])]


def copies(scene: Scene) -> list[Path]:
    """Return the directories of the job in the folder, under whatever name."""
    found = scene.outside.parent.glob("folder/jobs/t/*lone*")
    return [each for each in found if each.is_dir() and not each.is_symlink()]


def swap_in_copy(scene: Scene) -> None:
    """Put a link in the place of a directory of the copy."""
    for place in copies(scene):
        swapped(place / "out", scene.outside / "t" / "lone" / "out")


def swap_copy(scene: Scene) -> None:
    """Put a link to another directory in the place of the copy."""
    for place in copies(scene):
        swapped(place, scene.outside / "t" / "lone")


COPYING: tuple[Writer, ...] = (swap_inner, swap_upper, swap_file, swap_job, swap_in_copy, swap_copy)


def try_copying(
    roots: Callable[[], Path], work: Callable[[Archive], list[str]], write: Writer, is_there: bool
) -> list[str]:
    """Do the work again and again, with the writer before another call each time; return what is wrong."""
    calls = Calls()
    scene = Archive(roots(), is_there=is_there)
    with calls.counted():
        work(scene)
    assert len(calls.places) > 50
    assert scene.check() == []
    wrong = []
    for at in calls.chosen(COPYING.index(write)):
        scene = Archive(roots(), is_there=is_there)
        with Calls(at, lambda scene=scene: write(scene)).counted():  # type: ignore[misc]
            said = work(scene)
        wrong += [f"{at} {calls.places[at - 1]}: {each} (said {said})" for each in scene.check()]
    return wrong


@pytest.mark.parametrize("write", COPYING, ids=lambda write: write.__name__)
def test_archive(roots: Callable[[], Path], write: Writer) -> None:
    """Whatever is swapped while a job is moved, its contents stay, and what is not ours is as it was."""
    assert try_copying(roots, archive_job, write, is_there=False) == []


@pytest.mark.parametrize("write", COPYING, ids=lambda write: write.__name__)
def test_recover(roots: Callable[[], Path], write: Writer) -> None:
    """Whatever is swapped while a job is recovered, its contents stay, and what is not ours is as it was."""
    assert try_copying(roots, recover_job, write, is_there=True) == []
