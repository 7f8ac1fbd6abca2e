"""Random workspaces: our orphans and recoverable jobs are those of the real experimaestro."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from tests.support.effort import examples
from tests.support.peer import Peer, running_peer
from tests.workspace.small import SmallWorkspace
from xpm_remote.workspace.orphans.listing import find_orphans
from xpm_remote.workspace.outcomes import OrphanReport

pytestmark = pytest.mark.slow

# The real experimaestro knows the jobs of a run by their hashes, which are never the same in two tasks.
NAMES = [f"{'t.x' if letter < 'e' else 'u'}/{letter * 4}" for letter in "abcdefgh"]
PLACES = ["absent", "directory", "directory", "moved", "linked", "dangling", "file", "staging"]
MARKERS = ["done", "failed", "pid", None]
FOLDERS = ["use", "backup", "move"]
COUNT = examples(50, 1000)
"""The number of workspaces for both."""

names = st.sets(st.sampled_from(NAMES), max_size=4).map(sorted)


class Plan(Struct, frozen=True, kw_only=True):
    """A workspace to be made.

    Attributes:
        places: What is in the place of each job.
        markers: With which file each has ended, if at all.
        runs: The jobs of each run, by experiment.
        first: The jobs to which links of version 1 lead.
        folders: The mode of each folder, and the jobs in it.
    """

    places: list[str]
    markers: list[str | None]
    runs: dict[str, list[list[str]]]
    first: list[str]
    folders: list[tuple[str, list[str]]]


plans = st.builds(
    Plan,
    places=st.lists(st.sampled_from(PLACES), min_size=len(NAMES), max_size=len(NAMES)),
    markers=st.lists(st.sampled_from(MARKERS), min_size=len(NAMES), max_size=len(NAMES)),
    runs=st.dictionaries(st.sampled_from(["e", "f"]), st.lists(names, max_size=3)),
    first=names,
    folders=st.lists(st.tuples(st.sampled_from(FOLDERS), names), max_size=3),
)


def build(plan: Plan, root: Path) -> tuple[SmallWorkspace, list[tuple[SmallWorkspace, str]]]:
    """Make the workspace and its folders."""
    made, store = SmallWorkspace(root / "ws"), SmallWorkspace(root / "store")
    for name, place, marker in zip(NAMES, plan.places, plan.markers, strict=True):
        put(made, store, name, place, marker)
    for experiment, runs in plan.runs.items():
        for number, jobs in enumerate(runs):
            made.run(jobs, experiment, f"20261122_12000{number}")
    made.first_links(plan.first)
    folders = [(store, "move")]
    for number, (mode, jobs) in enumerate(plan.folders):
        folder = SmallWorkspace(root / f"folder{number}")
        for name in jobs:
            folder.job(name)
        folders.append((folder, mode))
    return made, folders


def put(
    made: SmallWorkspace, store: SmallWorkspace, name: str, place: str, marker: str | None
) -> None:
    """Put what the plan says into the place of a job."""
    target = made.layout.jobs / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if place in ("directory", "linked"):
        made.job(name, marker)
    if place == "linked":  # under a further name, which no run knows
        made.link(name[:-1] + "z", target)
    elif place == "moved":
        made.link(name, store.job(name))
    elif place == "dangling":
        made.link(name, made.root / "nowhere")
    elif place == "file":
        target.touch()
    elif place == "staging":
        (target.parent / f".tmp.{target.name}").mkdir()


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """The real experimaestro, asked many times."""
    with running_peer("ask_peer_orphans.py", str(tmp_path_factory.mktemp("home"))) as running:
        yield running


def test_orphans_are_the_peers(peer: Peer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In many random workspaces the orphans and the recoverable jobs are those of the real experimaestro.

    Its fault is left out that it lists what is being staged.
    """
    base = tmp_path_factory.mktemp("workspaces")
    numbers = itertools.count()
    seen: Counter[str] = Counter()

    def ask(made: SmallWorkspace, folders: object, *, include: bool) -> set[str]:
        question = {"path": str(made.root), "folders": folders, "include": include}
        answer = peer.ask(question)
        assert "error" not in answer, answer
        return {each for each in answer["orphans"] if "/.tmp." not in each}

    @settings(
        max_examples=COUNT, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(plans)
    def check(plan: Plan) -> None:
        # A path that it has not seen: it remembers what it read.
        root = base / str(next(numbers))
        made, folders = build(plan, root)
        told = [[str(folder.root), mode] for folder, mode in folders]
        all_of_it = ask(made, told, include=False)
        orphans = ask(made, told, include=True)
        ours = [folder.as_folder(mode) for folder, mode in folders]
        report = find_orphans(made.layout, ours)
        assert {str(each.job) for each in report.orphans} == orphans
        assert {str(each.job) for each in report.recoverable} == all_of_it - orphans
        alone = find_orphans(made.layout, ours, with_folders=False)
        assert {str(each.job) for each in alone.orphans} == all_of_it
        assert report._replace(orphans=(), recoverable=()) == OrphanReport()
        assert alone.recoverable == ()
        seen["orphans"] += len(orphans)
        seen["recoverable"] += len(all_of_it - orphans)
        seen["workspaces"] += 1
        shutil.rmtree(root)

    check()
    assert seen["workspaces"] >= COUNT, seen
    # Few plans vary much: what is asked is that each kind came up often enough to mean something.
    assert min(seen.values()) > COUNT / examples(10, 2), seen
