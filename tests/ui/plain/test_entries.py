"""The lines of the line mode, and its commands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.model.builders import epoch
from tests.ui.pictures import busy_store, picture
from xpm_remote.model.causes import find_causes
from xpm_remote.session.state import LinkState, Phase
from xpm_remote.ui.plain.entries import (
    Entry,
    cause_entry,
    fleet_entries,
    job_entry,
    match_entry,
    numbers,
    page_entry,
    table_entry,
)
from xpm_remote.ui.plain.help import COMMANDS, command_of, help_lines
from xpm_remote.ui.tables.columns import Cell, Look
from xpm_remote.ui.tables.job_page import PageLine
from xpm_remote.ui.tables.jobs import JobKey, JobRow, grouping, job_order
from xpm_remote.ui.tables.table import Table
from xpm_remote.workspace.inspecting.answers import Failure, LogMatch
from xpm_remote.workspace.layout import JobId

NOW = epoch(600)
LOOK = Look(NOW, is_ascii=True)
STALE = replace(LOOK, stale=frozenset(["jz"]))


def rows() -> list[JobRow]:
    """Make rows of jobs in all states."""
    return [JobRow("jz", job) for job in busy_store().jobs.values()]


def test_the_fleet() -> None:
    """A workspace says where it is and how its link is; an experiment its state and its jobs in words."""
    live = picture(busy_store())
    lost = replace(
        live, link=LinkState(Phase.WAITING, NOW, "cut", stale_since=NOW - 240, retry_at=NOW)
    )
    first, *others = fleet_entries({"jz": live}, NOW)
    assert first.text.startswith("workspace jz: live, ")
    assert first.workspace == "jz"
    assert all(each.text.startswith("experiment ") and " on jz: " in each.text for each in others)
    assert any(" running, " in each.text and " failed" in each.text for each in others)
    assert not any("perhaps" in each.text for each in others)
    first, *others = fleet_entries({"j\x1bz": lost}, NOW)
    assert "STALE 4 min" in first.text
    assert "(retry now)" in first.text
    assert first.text.isprintable()
    assert all("perhaps" in each.text for each in others)
    assert all(each.is_numbered and each.experiment for each in others)


def test_jobs() -> None:
    """A job says its state, its name, its progress and why it failed; doubt is said in a word."""
    texts = {row.job.job_id: job_entry(row, LOOK).text for row in rows()}
    running = next(text for text in texts.values() if text.startswith("running, "))
    assert " %" in running
    assert any(text.startswith("failed, ") for text in texts.values())
    assert all(text.isprintable() and text.isascii() for text in texts.values())
    assert all(", ," not in text and not text.endswith(", ") for text in texts.values())
    assert job_entry(rows()[0], STALE).text.split(", ")[0].endswith(" perhaps")


def test_tables() -> None:
    """The title of a group counts its states, and stands for its jobs."""
    table: Table[JobKey, JobRow] = Table(job_order(group=grouping("state")))
    table.update({row.key: row for row in rows()})
    for _ in table.arrange(table.order, None):
        pass
    entries = [table_entry(table, table.line(index), LOOK) for index in range(len(table))]
    titles = [each for each in entries if each.job is None]
    assert titles[0].text == "group failed: 1 failed"
    assert sum(len(each.jobs) for each in titles) == len(rows())
    empty: Table[JobKey, JobRow] = Table(job_order(group=lambda _: ("", "")))
    empty.update({row.key: row for row in rows()})
    for _ in empty.arrange(empty.order, None):
        pass
    assert table_entry(empty, empty.line(0), LOOK).text.startswith("group none: ")


def test_causes() -> None:
    """A cause says how many jobs failed by it, where, when, and whether it is new or muted."""
    failure = Failure(JobId("t", "a"), "", "OOM\nlearn.py:step\n", ended=NOW - 120)
    (cause,) = find_causes([("jz", failure)])
    entry = cause_entry(cause, new=1, is_muted=True, now=NOW)
    assert entry.text == "1 job: OOM, at learn.py:step, on jz, 1 new, last 2 min ago, muted"
    assert entry.jobs == [("jz", "t/a")]
    (cause,) = find_causes([("jz", Failure(JobId("t", "a"), "", "FAILED"))])
    assert cause_entry(cause, new=0, is_muted=False, now=NOW).text == "1 job: FAILED, on jz"


def test_pages() -> None:
    """Lines of a page lead to other jobs and to the log, or nowhere."""
    key = ("jz", "t/a")
    plain = page_entry(key, PageLine([Cell("path  "), Cell("/ws")]))
    assert (plain.text, plain.is_numbered) == ("path /ws", False)
    assert page_entry(key, PageLine([], job="t/b")).job == ("jz", "t/b")
    to_log = page_entry(key, PageLine([], log="err"))
    assert (to_log.job, to_log.log) == (key, "err")
    match = match_entry(LogMatch(12, 10, "a\x1b[1mb"))
    assert (match.text, match.offset, match.is_numbered) == (r"a\x1b[1mb", 10, True)
    assert not Entry("x").is_numbered


def test_numbers() -> None:
    """Numbers and ranges are lines, each once; others are errors."""
    assert numbers(["3", "1-4"], 5) == [3, 1, 2, 4]
    for words in (["6"], ["0"], ["a"], ["2-9"], ["-"], ["9" * 5000], ["٣"]):
        with pytest.raises(ValueError, match="lines 1 to 5 were listed"):
            numbers(words, 5)
    with pytest.raises(ValueError, match="list some first"):
        numbers(["1"], 0)


def test_commands() -> None:
    """Commands may be shortened; what is ambiguous or unknown is an error with a remedy."""
    assert len(help_lines()) == len(COMMANDS)
    assert command_of("fl") == "fleet"
    assert command_of("job") == "job"
    assert command_of("?") == "help"
    for word, what in (
        ("f", "f may be fleet or failures or find"),
        ("jbos", 'mean "jobs"'),
        ("\x1b", "help lists"),
    ):
        with pytest.raises(ValueError, match=what):
            command_of(word)
