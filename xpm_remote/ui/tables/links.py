"""How the link to a workspace is shown in a table, and counts over several workspaces. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from xpm_remote.escaping import safe
from xpm_remote.session.state import LinkState, Phase, Picture
from xpm_remote.ui.tables.columns import Cell
from xpm_remote.ui.tables.jobs import DONE, FAILED, IDLE, KINDS, LETTERS, RUNNING, WAITING
from xpm_remote.ui.text import count_text, digest_words, rough_span, span, stall_words
from xpm_remote.workspace.states import State

OLD = 60.0
"""Seconds without a sign of life from which on the age of what is shown is said: no live link is silent for so long."""

CLOCK = 60.0
"""Seconds by which the clocks differ from which on that is said."""


def is_stale(picture: Picture) -> bool:
    """Return whether what is shown of a workspace may be out of date."""
    link = picture.link
    if link.phase is Phase.LIVE and picture.stall is None:
        return False
    # Heard while it is read for the first time, it is as new as it can be.
    is_first = link.phase in (Phase.CONNECTING, Phase.LOADING)
    return link.stale_since is not None or (picture.heard is not None and not is_first)


def link_cells(
    picture: Picture, now: float, *, is_ascii: bool = False, retry: str = "r"
) -> list[Cell]:
    """Return what is to be said of a link: its state, how old what is shown is, and what the key ``retry`` does."""
    link = picture.link
    cells = [_state(picture, now, is_ascii=is_ascii)]
    if link.phase is Phase.LIVE:
        cells.append(Cell(picture.served_by.backend.value, "dim"))
        if abs(picture.skew) >= CLOCK:
            side = "ahead" if picture.skew > 0 else "behind"
            cells.append(Cell(f"clock {span(abs(picture.skew))} {side}", "dim"))
        if link.digest is not None:
            cells.append(Cell(digest_words(link.digest), "dim"))
    elif link.phase is Phase.WAITING:
        wait = max(0.0, (link.retry_at or now) - now)
        cells.append(Cell(f"retry in {span(wait)} ({retry} now)", "waiting"))
    elif link.phase is Phase.NEEDS_PERSON:
        cells.append(Cell(f"{safe(link.asked)} ({retry} log in)", "failed"))
    if link.detail:
        cells.append(Cell(safe(link.detail), "dim"))
    return cells


def stale_cells(pictures: Mapping[str, Picture], now: float) -> list[Cell]:
    """Return which of some workspaces may be out of date, by their names, and since when."""
    return [
        Cell(f"{safe(name)} STALE {rough_span(now - _stale_since(picture, now))}", "failed")
        for name, picture in pictures.items()
        if is_stale(picture)
    ]


def _stale_since(picture: Picture, now: float) -> float:
    if picture.link.phase is Phase.LIVE and picture.stall is not None:
        return picture.stall.since
    return picture.link.stale_since or picture.heard or now


def _state(picture: Picture, now: float, *, is_ascii: bool) -> Cell:
    link = picture.link
    if link.phase is Phase.LIVE and picture.stall is not None:
        lasted = rough_span(now - _stale_since(picture, now))
        mark = "" if is_ascii else "▲ "
        return Cell(f"{mark}STALE {lasted}: {stall_words(picture.stall)}", "failed")
    if link.phase is Phase.LIVE:
        old = now - picture.heard if picture.heard is not None else 0.0
        age = f" {rough_span(old)} ago" if old >= OLD else ""
        return Cell(f"{'' if is_ascii else '● '}live{age}", "done")
    if is_stale(picture):
        words = f"STALE {rough_span(now - _stale_since(picture, now))}"
        mark = "" if is_ascii else "▲ "
        return Cell(f"{mark}{words}{_phase_words(link)}", "failed")
    mark = "! " if link.phase in (Phase.NEEDS_PERSON, Phase.ENDED) else ""
    return Cell(mark + _PHASES[link.phase], "failed" if mark else "waiting")


_PHASES = {
    Phase.CONNECTING: "connecting",
    Phase.LOADING: "loading",
    Phase.LIVE: "live",
    Phase.WAITING: "not reached",
    Phase.NEEDS_PERSON: "LOGIN",
    Phase.ENDED: "ended",
}


def _phase_words(link: LinkState) -> str:
    return "" if link.phase is Phase.WAITING else f"  {_PHASES[link.phase]}"


def total_cells(pictures: Iterable[Picture]) -> list[Cell]:
    """Return the counts of the header: clusters, those that are stale, and jobs by state."""
    pictures = list(pictures)
    stale = sum(map(is_stale, pictures))
    jobs: Counter[str] = Counter()
    for picture in pictures:
        for state in State:
            jobs[KINDS.get(state, IDLE)] += picture.store.number_in_state(state)
    cells = [Cell(count_text(len(pictures), "cluster"))]
    if stale:
        cells.append(Cell(f"{stale} stale", "failed"))
    cells += [
        Cell(f"{jobs[kind]:,} {LETTERS[kind]}", kind)
        for kind in (RUNNING, WAITING, FAILED, DONE, IDLE)
        if jobs[kind] or kind is FAILED
    ]
    return cells
