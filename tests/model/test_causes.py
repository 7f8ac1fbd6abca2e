"""Causes of failures: grouped across workspaces, with the jobs that were not started under the one that failed."""

from __future__ import annotations

from xpm_remote.model.causes import find_causes
from xpm_remote.workspace.inspecting.answers import Failure
from xpm_remote.workspace.layout import JobId


def failed(name: str, cause: str, ended: float | None = 1.0) -> Failure:
    """Return a failure."""
    return Failure(JobId("demo.learn", name), "s", cause, reason="FAILED", ended=ended)


def stopped(name: str, root: str | None, ended: float | None = 1.0) -> Failure:
    """Return the failure of a job that was not started."""
    job = None if root is None else JobId("demo.learn", root)
    cause = f"DEPENDENCY of {job}" if job else "DEPENDENCY"
    return Failure(JobId("demo.last", name), "", cause, reason="DEPENDENCY", root=job, ended=ended)


def test_failures_are_grouped_across_workspaces() -> None:
    """Failures of one cause are one, of most jobs first, with the times and workspaces of all of them."""
    causes = find_causes(
        [
            ("jz", failed("a", "BadError: *\nlearner.py:forward", 5.0)),
            ("lip6", failed("b", "OtherError", None)),
            ("lip6", failed("a", "BadError: *\nlearner.py:forward", 9.0)),
        ]
    )
    assert [(each.title, each.where, each.total) for each in causes] == [
        ("BadError: *", "learner.py:forward", 2),
        ("OtherError", "", 1),
    ]
    bad, other = causes
    assert [(each.workspace, each.job.hash) for each in bad.failed] == [("lip6", "a"), ("jz", "a")]
    assert (bad.first, bad.last, bad.workspaces) == (5.0, 9.0, ("jz", "lip6"))
    assert (other.first, other.last, other.stopped) == (None, None, ())


def test_what_was_not_started_is_under_its_root() -> None:
    """A job that was not started is with the failure that began it, if that is there, in the same workspace."""
    causes = find_causes(
        [
            ("jz", stopped("x", "a", 3.0)),
            ("jz", stopped("y", "a", 4.0)),
            ("lip6", stopped("z", "a")),
            ("lip6", stopped("w", None)),
            ("jz", failed("a", "BadError")),
        ]
    )
    found = {
        each.key: ([job.job.hash for job in each.failed], [job.job.hash for job in each.stopped])
        for each in causes
    }
    assert found == {
        "BadError": (["a"], ["y", "x"]),
        "DEPENDENCY of demo.learn/a": ([], ["z"]),
        "DEPENDENCY": ([], ["w"]),
    }
    assert causes[0].total == 3


def test_nothing_has_no_cause() -> None:
    """Without failures there are no causes."""
    assert find_causes([]) == []
