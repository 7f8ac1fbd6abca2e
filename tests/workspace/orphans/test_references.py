"""The jobs to which runs refer, by the files of the runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.workspace.small import SmallWorkspace
from xpm_remote.workspace.orphans.references import read_references


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


def test_experiments_that_are_not_mounted(made: SmallWorkspace) -> None:
    """When the experiments are behind a dangling link, their references are unknown."""
    made.layout.experiments.symlink_to("/nowhere")
    (problem,) = read_references(made.layout).problems
    assert problem.why == "is a link to nowhere"


def test_names_that_are_no_ids(made: SmallWorkspace) -> None:
    """A name that could lead out of ``jobs/`` is counted, and never returned as an id."""
    made.run([])
    lines = [{"job_id": "../../x", "task_id": "t"}, {"job_id": "a", "task_id": ".."}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (made.layout.experiment("e") / "current" / "jobs.jsonl").write_text(text)
    references = read_references(made.layout)
    assert (len(references), list(references)) == (2, [])
