"""The jobs to which runs refer, by the files of the runs."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.workspace.small import SmallWorkspace
from xpm_remote.workspace import filesystem, mounts
from xpm_remote.workspace.orphans.references import read_references
from xpm_remote.workspace.reading import json_files


@pytest.fixture
def made(tmp_path: Path) -> SmallWorkspace:
    """An empty workspace."""
    return SmallWorkspace(tmp_path / "ws")


def found(made: SmallWorkspace) -> list[str]:
    """Return the referred jobs; check that nothing was unreadable."""
    references = read_references(made.layout)
    assert not list(references.problems)
    assert len(references) == len(list(references))
    return list(map(str, references))


def test_all_runs_of_all_experiments(made: SmallWorkspace) -> None:
    """Old runs count as much as the current one, and a job of two runs is one job."""
    made.run(["t/a", "t/b"], "e", "20261101_000000")
    made.run(["t/b", "s/c"], "e", "20261102_000000")
    made.run(["t/d"], "f")
    assert found(made) == ["s/c", "t/a", "t/b", "t/d"]


def test_one_experiment(made: SmallWorkspace) -> None:
    """Only the requested experiments are read."""
    made.run(["t/a"], "e")
    made.run(["t/b"], "f")
    made.first_links(["t/c"], "f")
    made.first_links(["t/d"], "g")
    assert list(map(str, read_references(made.layout, ["f"]))) == ["t/b", "t/c"]


def test_links(made: SmallWorkspace) -> None:
    """The links of a run count where jobs.jsonl is missing, also dangling ones."""
    run = made.run([])
    (run / "jobs.jsonl").unlink()
    (run / "jobs" / "t").mkdir(parents=True)
    (run / "jobs" / "t" / "a").symlink_to("/nowhere")
    assert found(made) == ["t/a"]


def test_a_list_that_is_lost(made: SmallWorkspace) -> None:
    """Where jobs.jsonl is gone, the events of the run count; jobs that only its status names make it unreadable."""
    run = made.run(["t/a", "t/b"])
    (run / "jobs.jsonl").unlink()
    (run / "events").mkdir()
    event = {"event_type": "ExperimentJobStateEvent", "task_id": "t", "job_id": "a"}
    (run / "events" / "event-0.jsonl").write_text(json.dumps(event) + "\n")
    assert found(made) == ["t/a"]
    (run / "status.json").write_text(json.dumps({"status": "done", "job_states": {"a": "done"}}))
    assert found(made) == ["t/a"]
    states = {"a": "done", "b": "done"}
    (run / "status.json").write_text(json.dumps({"status": "done", "job_states": states}))
    why = "is incomplete: status.json beside it names further jobs (1)"
    problems = read_references(made.layout).problems
    assert [(each.path, each.why) for each in problems] == [(str(run / "jobs.jsonl"), why)]


def test_version_1(made: SmallWorkspace) -> None:
    """Version 1 of the layout refers by links, including those of the run before."""
    made.first_links(["t/a"])
    made.first_links(["t/b"], sub="jobs.bak")
    assert found(made) == ["t/a", "t/b"]


def test_migrated_version_1(made: SmallWorkspace) -> None:
    """A migration leaves ``xp`` as a dangling link on purpose."""
    made.layout.first_experiments.symlink_to("/nowhere")
    assert found(made) == []


def test_any_json(made: SmallWorkspace) -> None:
    """JSON lines with another order, spacing or escaping count too."""
    lines = [
        '{"job_id":"a","task_id":"t"}',
        '{"tags": {"job_id": "no", "task_id": "no"}, "task_id": "t", "job_id": "b"}',
        '{"job_id": "\\u0063", "task_id": "t", "tags": {}}',
        "",
    ]
    (made.run([]) / "jobs.jsonl").write_text("\n".join(lines))
    assert found(made) == ["t/a", "t/b", "t/c"]


def test_many(made: SmallWorkspace) -> None:
    """A file that is read in several pieces is read whole."""
    names = [f"t/{number:064d}" for number in range(20_000)]
    run = made.run(names)
    assert (run / "jobs.jsonl").stat().st_size > 2 << 20
    assert found(made) == names


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "no JSON"),
        ('{"job_id": "b", "task', "no JSON"),
        ("[1]", "names no job"),
        ('{"job_id": 3, "task_id": "t"}', "names no job"),
        ("\0" * 50, "no JSON"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_broken_line(made: SmallWorkspace, line: str, why: str) -> None:
    """A line that cannot be read is a problem, and all others are read."""
    run = made.run(["t/a"])
    good = json.dumps({"job_id": "z", "task_id": "t"})
    with (run / "jobs.jsonl").open("a") as file:
        file.write(f"{line}\n{good}\n")
    references = read_references(made.layout)
    assert list(map(str, references)) == ["t/a", "t/z"]
    (problem,) = references.problems
    assert problem.path == str(run / "jobs.jsonl")
    assert why in problem.why


def test_last_line_is_being_written(made: SmallWorkspace) -> None:
    """An unfinished last line is a problem, since its job is unknown."""
    run = made.run(["t/a"])
    with (run / "jobs.jsonl").open("a") as file:
        file.write('{"job_id": "b')
    references = read_references(made.layout)
    assert [str(each) for each in references] == ["t/a"]
    assert len(references.problems) == 1


def test_line_without_end(made: SmallWorkspace) -> None:
    """A file that is one endless line is a problem, and its reading is bounded."""
    run = made.run(["t/a"])
    (run / "jobs.jsonl").write_text("x" * (3 << 20))
    (problem,) = read_references(made.layout).problems
    assert problem.why == "is too large to be read whole"


def test_what_is_no_file(made: SmallWorkspace) -> None:
    """A directory in the place of jobs.jsonl is a problem; a file in the place of directories is ignored."""
    run = made.run([])
    (run / "jobs.jsonl").unlink()
    (run / "jobs.jsonl").mkdir()
    (run / "jobs").touch()
    (made.layout.experiments / "note.txt").touch()
    (problem,) = read_references(made.layout).problems
    assert problem.path == str(run / "jobs.jsonl")


def test_experiments_that_are_away(made: SmallWorkspace) -> None:
    """Where neither experiments/ nor xp/ is there and jobs are, what refers to them is not known, until one is."""
    made.job("t/a")
    made.layout.experiments.rmdir()
    problems = read_references(made.layout).problems
    why = "is not there; if its runs were removed, make it anew, empty"
    assert [(each.path, each.why) for each in problems] == [(str(made.layout.experiments), why)]
    made.layout.experiments.mkdir()
    assert found(made) == []


def test_experiments_that_are_not_mounted(made: SmallWorkspace) -> None:
    """When the experiments are behind a dangling link, their references are unknown."""
    made.layout.experiments.rmdir()
    made.layout.experiments.symlink_to("/nowhere")
    (problem,) = read_references(made.layout).problems
    assert problem.why == "is a link to nowhere"


@pytest.mark.parametrize("kind", ["mount point", "link to it", "version 1", "unknown"])
def test_experiment_whose_disk_is_not_mounted(
    kind: str, made: SmallWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An experiment without runs, which is or may be the mount point of a disk that is missing, is a problem."""
    made.run(["t/a"])
    place = (
        made.layout.first_experiments / "v" if kind == "version 1" else made.layout.experiment("f")
    )
    point = tmp_path / "disk" if kind == "link to it" else place
    point.mkdir(parents=True)
    if point != place:
        place.symlink_to(point)
    assert list(read_references(made.layout).problems) == []
    table = tmp_path / "fstab"
    monkeypatch.setattr(mounts, "_TABLE", tmp_path if kind == "unknown" else table)
    table.write_text(f"server:/disk {point} nfs defaults 0 0\n")
    (problem,) = read_references(made.layout).problems
    assert problem.path == str(place)
    assert "not mounted" in problem.why or "may not be mounted: " in problem.why


def test_names_that_are_no_ids(made: SmallWorkspace) -> None:
    """A name that could lead out of ``jobs/`` is counted, and never returned as an id."""
    made.run([])
    lines = [{"job_id": "../../x", "task_id": "t"}, {"job_id": "a", "task_id": ".."}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (made.layout.experiment("e") / "current" / "jobs.jsonl").write_text(text)
    references = read_references(made.layout)
    assert (len(references), list(references)) == (2, [])


def broken(made: SmallWorkspace, tmp_path: Path) -> dict[str, Path]:
    """Return what lies on the way to references, by a name."""
    first, last = made.run(["t/a"], run="20261121_120000"), made.run(["t/b"])
    made.first_links(["t/c"])
    for run in (first, last):
        (run / "jobs" / "t").mkdir(parents=True)
    made.layout.live_experiment_events.mkdir(parents=True)
    older = made.layout.live_experiment_events / "old" / "events-0.jsonl"
    older.parent.mkdir()
    older.touch()
    (made.layout.live_experiment_events / "e-0.jsonl").touch()
    return {
        "experiments": made.layout.experiments,
        "experiment": made.layout.experiment("e"),
        "run": last,
        "earlier run": first,
        "current": made.layout.experiment("e") / "current",
        "jobs.jsonl": last / "jobs.jsonl",
        "jobs.jsonl of an earlier run": first / "jobs.jsonl",
        "links": last / "jobs",
        "links of a task": first / "jobs" / "t",
        "version 1": made.layout.first_experiments,
        "experiment of version 1": made.layout.first_experiments / "v",
        "links of version 1": made.layout.first_experiments / "v" / "jobs",
        "links of a task of version 1": made.layout.first_experiments / "v" / "jobs" / "t",
        "events": made.layout.live_experiment_events.parent,
        "events of experiments": made.layout.live_experiment_events,
        "events of an experiment": made.layout.live_experiment_events / "e-0.jsonl",
        "older events": older.parent,
        "older events of an experiment": older,
    }


WAYS = (
    *("experiments", "experiment", "run", "earlier run", "current", "jobs.jsonl"),
    *("jobs.jsonl of an earlier run", "links", "links of a task", "version 1"),
    *("experiment of version 1", "links of version 1", "links of a task of version 1", "events"),
    *("events of experiments", "events of an experiment", "older events"),
    "older events of an experiment",
)


@pytest.mark.parametrize("way", WAYS)
def test_dangling_link_on_the_way(made: SmallWorkspace, tmp_path: Path, way: str) -> None:
    """Where anything on the way to references is a link to nowhere, it is a problem, not an absence."""
    path = broken(made, tmp_path)[way]
    assert list(read_references(made.layout).problems) == []
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "unmounted" / "there")
    assert any("to nowhere" in each.why for each in read_references(made.layout).problems)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
@pytest.mark.parametrize("way", WAYS)
def test_error_on_the_way(
    made: SmallWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, number: int
) -> None:
    """Where anything on the way to references cannot be looked at, it is a problem, not an absence."""
    bad = str(broken(made, tmp_path)[way])

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *args: Any, **options: Any) -> Any:
            if isinstance(path, (str, os.PathLike)) and f"{os.fspath(path)}/".startswith(f"{bad}/"):
                raise OSError(number, os.strerror(number), str(path))
            return real(path, *args, **options)

        return call

    for name in ("stat", "lstat", "listdir", "scandir", "open", "readlink"):
        monkeypatch.setattr(os, name, failing(getattr(os, name)))
    for name in ("stat", "lstat", "list_directory", "scan", "open_file", "readlink"):
        monkeypatch.setattr(filesystem, name, failing(getattr(filesystem, name)))
    assert os.strerror(number) in [each.why for each in read_references(made.layout).problems]


def test_run_that_is_renamed_meanwhile(
    made: SmallWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is elsewhere when its files are read, or a new one, is a problem: its jobs are not known."""
    run = made.run(["t/a"])
    real = json_files.open_regular

    def renamed(path: str) -> int | None:
        run.parent.rename(run.parent.with_name("f"))
        return real(path)

    monkeypatch.setattr(f"{read_references.__module__}.open_regular", renamed)
    assert [each.why for each in read_references(made.layout).problems] == [
        "changed while it was read"
    ]


@pytest.mark.parametrize("name", ["e-3.jsonl", "e/events-0.jsonl"])
def test_live_events(made: SmallWorkspace, name: str) -> None:
    """A job that only a live event names is referred to, in both layouts; other events name none."""
    file = made.layout.live_experiment_events / name
    file.parent.mkdir(parents=True)
    event = {"job_id": "a", "task_id": "t", "event_type": "ExperimentJobStateEvent"}
    file.write_text(json.dumps(event) + "\n" + '{"event_type": "RunCompletedEvent"}\n')
    references = read_references(made.layout)
    assert list(map(str, references)) == ["t/a"]
    assert not references.problems
