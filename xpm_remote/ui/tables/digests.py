"""What happened since the dashboard was last looked at: in a line, and by cluster, experiment and cause. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from xpm_remote.escaping import safe
from xpm_remote.model.seen import ExperimentNews
from xpm_remote.session.journal import Digest
from xpm_remote.ui.tables.columns import Cell
from xpm_remote.ui.text import count_text, local_time, rough_span
from xpm_remote.workspace.inspecting.answers import CAUSE_END

NAMED = 3
"""Experiments that are named in the line; the others are counted."""

CAUSES_NAMED = 5
"""Causes of failures that are named of an experiment."""


class DigestLine(NamedTuple):
    """A line of what is new, and the workspace, the experiment, or the job to which it leads."""

    cells: Sequence[Cell]
    workspace: str
    experiment: str = ""
    job: str = ""


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
    since = rough_span(now - min(each.since for each in news))
    cells = [Cell(f"SINCE YOU LOOKED {since} AGO", "bold")]
    causes = {cause for each in news for cause in each.failures if cause}
    cells += _counts(sum(each.done for each in news), sum(each.failed for each in news), causes)
    ended = [(safe(name), safe(status)) for each in news for name, status in each.ended]
    cells += [Cell(f"{name} {status}") for name, status in islice(ended, NAMED)]
    if len(ended) > NAMED:
        cells.append(Cell(f"and {count_text(len(ended) - NAMED, 'more experiment')}"))
    cuts = sum(len(digest.returns) for digest in told)
    if cuts:
        cells.append(Cell(f"{count_text(cuts, 'cut')} of the link", "dim"))
    return cells


def experiment_cells(news: ExperimentNews) -> list[Cell]:
    """Return what is new in an experiment."""
    failed = sum(map(len, news.failures.values()))
    return [
        *_counts(news.done, failed, ()),
        Cell(f"ended: {safe(news.status)}" if news.status else ""),
    ]


def digest_lines(digests: Mapping[str, Digest], now: float) -> Iterator[DigestLine]:
    """Yield what has not been seen, cluster by cluster: its experiments, and the causes of failures in each.

    Args:
        digests: What has not been seen, by the names of the workspaces.
        now: The local time in epoch seconds.
    """
    for name, digest in digests.items():
        if not digest:
            continue
        since = digest.news.since
        when = f"since {local_time(since)[:16].replace('T', ' ')}, {rough_span(now - since)} ago"
        causes = [cause for cause in digest.news.failures if cause]
        counts = _counts(digest.news.done, digest.news.failed, causes)
        yield DigestLine([Cell(f" {safe(name)}", "bold"), Cell(when, "dim"), *counts], name)
        for each in digest.returns:
            words = (
                f"the link came back at {local_time(each.at)[11:16]}, after {rough_span(each.away)}"
            )
            yield DigestLine([Cell(f"   {words}", "waiting")], name)
        for experiment, news in digest.news.experiments.items():
            title = Cell(f"   {safe(experiment) or 'jobs of no experiment'}")
            yield DigestLine([title, *experiment_cells(news)], name, experiment)
            yield from _cause_lines(name, experiment, news)


def _cause_lines(workspace: str, experiment: str, news: ExperimentNews) -> Iterator[DigestLine]:
    ordered = sorted(news.failures.items(), key=lambda item: -len(item[1]))
    for cause, keys in ordered[:CAUSES_NAMED]:
        title, _, places = cause.partition(CAUSE_END)
        where = places.partition(CAUSE_END)[0]
        words = safe(title) or "the cause is not known yet"
        cells = [Cell(f"     {len(keys):>4,} {words}", "failed"), Cell(safe(where), "dim")]
        yield DigestLine(cells, workspace, experiment, keys[0])
    if len(ordered) > CAUSES_NAMED:
        more = count_text(len(ordered) - CAUSES_NAMED, "more cause")
        yield DigestLine([Cell(f"          and {more}", "dim")], workspace, experiment)


def _counts(done: int, failed: int, causes: Iterable[str]) -> list[Cell]:
    number = len(list(causes))
    words = f" ({count_text(number, 'cause')})" if number else ""
    return [
        Cell(f"+{done:,} done" if done else "", "done"),
        Cell(f"+{failed:,} failed{words}" if failed else "", "failed"),
    ]
