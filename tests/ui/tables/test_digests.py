"""The line of what happened while one was away."""

from __future__ import annotations

from xpm_remote.model.seen import News
from xpm_remote.session.journal import Digest, Return
from xpm_remote.ui.tables.digests import digest_cells


def text(*digests: Digest, now: float = 29_520.0) -> str:
    """Return the line."""
    return "  ".join(cell.text for cell in digest_cells(digests, now))


def test_what_is_new() -> None:
    """Counts are summed over workspaces, experiments named, and the age is that of the oldest look."""
    one = News(0.0, 214, {"a": ["x", "y"], "b": ["z"], "": ["u"]}, 0, (("exp-7", "done"),))
    other = News(100.0, 1, {"a": ["v"]}, 0, (("\x1b", "failed"), ("c", "done"), ("d", "done")))
    shown = text(Digest(one, ()), Digest(other, (Return(5.0, 60.0),)))
    assert shown.startswith(
        "SINCE 8 h AGO  +215 done  +5 failed (2 causes)  exp-7 done  \\x1b failed"
    )
    assert "and 1 more experiment  1 cut of the link  3 failures" in shown


def test_what_is_not() -> None:
    """Where nothing is new nothing is said; what is not known is not counted."""
    assert not text()
    assert not text(Digest(News(0.0), ()))
    assert "+1 failed  3 failures" in text(Digest(News(0.0, 0, {"": ["x"]}), ()))
    assert "failed" not in text(Digest(News(0.0, 2), ()))
