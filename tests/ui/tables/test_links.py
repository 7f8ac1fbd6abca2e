"""What is said of links, and the counts over several workspaces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.ui.pictures import NOW, busy_store, picture
from xpm_remote.session.state import Digest, Phase, Picture, Stall
from xpm_remote.ui.tables.links import is_stale, link_cells, stale_cells, total_cells

STALL = Stall(NOW - 65, "the file server does not answer", "/data/\x1bws")


def texts(picture: Picture, *, is_ascii: bool = False) -> list[str]:
    """Return what is said of a link."""
    return [cell.text for cell in link_cells(picture, NOW, is_ascii=is_ascii)]


def stalled(seen: Picture) -> Picture:
    """Return the picture of a workspace that is not read, although the connection stands."""
    return replace(seen, stall=STALL)


def test_what_is_stale_is_named() -> None:
    """Of several workspaces those are named that may be out of date, each with its age."""
    pictures = {
        "live": picture(),
        "stalled": stalled(picture()),
        "cut": picture(phase=Phase.WAITING, stale_since=NOW - 240),
        "quiet": picture(phase=Phase.WAITING, heard=NOW - 120),
        "new": picture(phase=Phase.CONNECTING, heard=None),
    }
    named = [cell.text for cell in stale_cells(pictures, NOW)]
    assert named == ["stalled STALE 1 min", "cut STALE 4 min", "quiet STALE 2 min"]


@pytest.mark.parametrize(
    ("heard", "words"),
    [(None, "live"), (NOW - 59, "live"), (NOW - 60, "live 1 min ago"), (NOW + 5, "live")],
)
def test_a_live_link(heard: float | None, words: str) -> None:
    """It says who serves it; an age only where it is unusual."""
    seen = picture(heard=heard)
    assert texts(seen) == [f"● {words}", "experimaestro"]
    assert texts(seen, is_ascii=True)[0] == words
    assert link_cells(seen, NOW)[0].style == "done"
    assert not is_stale(seen)


@pytest.mark.parametrize(
    ("skew", "words"),
    [
        (60.0, ["clock 1 min 0 s ahead"]),
        (-3600.0, ["clock 1 h 0 min behind"]),
        (59.0, []),
        (-59.0, []),
    ],
)
def test_clocks_that_differ(skew: float, words: list[str]) -> None:
    """Where the clock of the host differs by a minute or more, that is said."""
    assert texts(picture(skew=skew))[2:] == words


def test_what_happened_in_between() -> None:
    """After a gap a live link says what had happened, and what is to be known besides."""
    back = picture(digest=Digest(away=125.0, done=3), detail="\x1bnote")
    assert texts(back)[2:] == ["away 2 min 5 s: 3 done", r"\x1bnote"]


def test_a_workspace_that_is_not_read() -> None:
    """Although the link is live, what is shown is stale: since when, and what is waited for."""
    seen = stalled(picture())
    words = r"STALE 1 min: the file server does not answer (waiting for /data/\x1bws)"
    assert texts(seen) == [f"▲ {words}", "experimaestro"]
    assert texts(seen, is_ascii=True)[0] == words
    assert link_cells(seen, NOW)[0].style == "failed"
    assert is_stale(seen)
    assert not is_stale(stalled(picture(heard=None)))


@pytest.mark.parametrize(
    ("phase", "link", "words"),
    [
        (Phase.CONNECTING, {}, ["connecting"]),
        (Phase.LOADING, {}, ["loading"]),
        (Phase.WAITING, {"retry_at": NOW + 5}, ["not reached", "retry in 5 s (r now)"]),
        (Phase.NEEDS_PERSON, {"asked": "a \x1bcode"}, ["! LOGIN", r"a \x1bcode (r log in)"]),
        (Phase.ENDED, {"detail": "no such host"}, ["! ended", "no such host"]),
    ],
)
def test_before_anything_is_known(phase: Phase, link: dict[str, Any], words: list[str]) -> None:
    """A link that has brought nothing yet has its phase, what a key does about it, and why; it is not stale."""
    seen = picture(phase=phase, heard=None, **link)
    assert texts(seen) == words
    assert not is_stale(seen)
    style = "failed" if words[0].startswith("!") else "waiting"
    assert link_cells(seen, NOW)[0].style == style


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        (Phase.CONNECTING, "STALE 10 min  connecting"),
        (Phase.LOADING, "STALE 10 min  loading"),
        (Phase.WAITING, "STALE 10 min"),
        (Phase.NEEDS_PERSON, "STALE 10 min  LOGIN"),
        (Phase.ENDED, "STALE 10 min  ended"),
    ],
)
def test_a_lost_link(phase: Phase, words: str) -> None:
    """It says since when what is shown may be out of date, and what is being done about it."""
    seen = picture(phase=phase, heard=NOW - 2, stale_since=NOW - 600)
    assert texts(seen)[0] == f"▲ {words}"
    assert texts(seen, is_ascii=True)[0] == words
    assert link_cells(seen, NOW)[0].style == "failed"
    assert is_stale(seen)


@pytest.mark.parametrize("phase", [Phase.CONNECTING, Phase.LOADING])
def test_the_first_look(phase: Phase) -> None:
    """While a workspace is read for the first time, nothing of it can be out of date."""
    seen = picture(phase=phase, heard=NOW - 2)
    assert not is_stale(seen)
    assert texts(seen)[0] == phase.value


def test_since_when_it_is_stale() -> None:
    """Where the moment of the loss is unknown, that at which the host was last heard counts."""
    seen = picture(phase=Phase.WAITING, heard=NOW - 120)
    assert texts(seen) == ["▲ STALE 2 min", "retry in 0 s (r now)"]
    never = picture(phase=Phase.WAITING, heard=None, stale_since=NOW - 60, retry_at=NOW - 9)
    assert texts(never) == ["▲ STALE 1 min", "retry in 0 s (r now)"]


def test_totals() -> None:
    """Clusters, those that are stale, and jobs by state, summed over all; failed ones even where there are none."""
    lost = picture(busy_store(), phase=Phase.WAITING)
    cells = total_cells([picture(busy_store()), lost, stalled(picture())])
    assert [cell.text for cell in cells] == [
        "3 clusters",
        "2 stale",
        "2 R",
        "4 W",
        "2 F",
        "4 D",
        "2 I",
    ]
    assert [cell.text for cell in total_cells([picture()])] == ["1 cluster", "0 F"]
    assert [cell.text for cell in total_cells([])] == ["0 clusters", "0 F"]
