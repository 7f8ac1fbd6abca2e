"""The line of what happened while one was away."""

from __future__ import annotations

from xpm_remote.model.seen import ExperimentNews, News
from xpm_remote.session.journal import Digest, Return
from xpm_remote.ui.tables.digests import CAUSES_NAMED, digest_cells, digest_lines


def text(*digests: Digest, now: float = 29_520.0) -> str:
    """Return the line."""
    return "  ".join(cell.text for cell in digest_cells(digests, now))


def test_what_is_new() -> None:
    """Counts are summed over workspaces, experiments named, and the age is that of the oldest look."""
    one = News(0.0, 214, {"a": ["x", "y"], "b": ["z"], "": ["u"]}, 0, (("exp-7", "done"),))
    other = News(100.0, 1, {"a": ["v"]}, 0, (("\x1b", "failed"), ("c", "done"), ("d", "done")))
    shown = text(Digest(one, ()), Digest(other, (Return(5.0, 60.0),)))
    assert shown.startswith(
        "SINCE YOU LOOKED 8 h AGO  +215 done  +5 failed (2 causes)  exp-7 done  \\x1b failed"
    )
    assert shown.endswith("and 1 more experiment  1 cut of the link")


def test_what_is_not() -> None:
    """Where nothing is new nothing is said; what is not known is not counted."""
    assert not text()
    assert not text(Digest(News(0.0), ()))
    assert text(Digest(News(0.0, 0, {"": ["x"]}), ())).endswith("AGO    +1 failed")
    assert "failed" not in text(Digest(News(0.0, 2), ()))


def test_by_cluster_and_experiment() -> None:
    """Each experiment is named with its counts, end and causes, and leads to its jobs; a cause to its latest job."""
    causes = {"OutOfMemoryError: *\nlearner.py:step": ["t/a", "t/b"], "": ["t/c"]}
    experiments = {
        "exp-7\x1b": ExperimentNews(200, causes, "done"),
        "": ExperimentNews(0, {f"cause {n}": ["t/d"] for n in range(CAUSES_NAMED + 1)}),
    }
    news = News(0.0, 214, {**causes, "x": ["t/d"] * 6}, 0, (("exp-7\x1b", "done"),), experiments)
    digests = {"jz": Digest(news, (Return(5.0, 7200.0),)), "idle": Digest(News(0.0), ())}
    lines = list(digest_lines(digests, 29_520.0))
    shown = ["  ".join(cell.text for cell in line.cells if cell.text) for line in lines]
    assert shown[0].startswith(" jz  since 19")
    assert shown[0].endswith("8 h ago  +214 done  +9 failed (2 causes)")
    assert "the link came back at" in shown[1]
    assert shown[1].endswith("after 2 h")
    assert shown[2] == "   exp-7\\x1b  +200 done  +3 failed  ended: done"
    assert shown[3] == "        2 OutOfMemoryError: *  learner.py:step"
    assert shown[4] == "        1 the cause is not known yet"
    assert shown[5] == "   jobs of no experiment  +6 failed"
    assert shown[-1] == "          and 1 more cause"
    assert [(line.workspace, line.experiment, line.job) for line in lines[2:4]] == [
        ("jz", "exp-7\x1b", ""),
        ("jz", "exp-7\x1b", "t/a"),
    ]
