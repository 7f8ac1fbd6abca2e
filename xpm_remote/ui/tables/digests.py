"""What happened since the dashboard was last looked at, in a line. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from xpm_remote.escaping import safe
from xpm_remote.session.journal import Digest
from xpm_remote.ui.tables.columns import Cell
from xpm_remote.ui.text import count_text, rough_span

NAMED = 3
"""Experiments that are named; the others are counted."""


def digest_cells(digests: Iterable[Digest], now: float) -> list[Cell]:
    """Return what has not been seen of workspaces; empty for nothing.

    Args:
        digests: What has not been seen of each.
        now: The local time in epoch seconds.
    """
    told = [digest for digest in digests if digest]
    if not told:
        return []
    news = [digest.news for digest in told]
    cells = [Cell(f"SINCE {rough_span(now - min(each.since for each in news))} AGO", "bold")]
    done, failed = sum(each.done for each in news), sum(each.failed for each in news)
    causes = {cause for each in news for cause in each.failures if cause}
    if done:
        cells.append(Cell(f"+{done:,} done", "done"))
    if failed:
        words = f" ({count_text(len(causes), 'cause')})" if causes else ""
        cells.append(Cell(f"+{failed:,} failed{words}", "failed"))
    ended = [(safe(name), safe(status)) for each in news for name, status in each.ended]
    cells += [Cell(f"{name} {status}") for name, status in islice(ended, NAMED)]
    if len(ended) > NAMED:
        cells.append(Cell(f"and {count_text(len(ended) - NAMED, 'more experiment')}"))
    cuts = sum(len(digest.returns) for digest in told)
    if cuts:
        cells.append(Cell(f"{count_text(cuts, 'cut')} of the link", "dim"))
    return [*cells, Cell("3 failures  4 activity  Esc seen", "key")]
