"""The keys of the dashboard, without a terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from textual import events

from tests.model.builders import EXPERIMENT, job_record
from tests.ui.screen.fleets import Screen, dashboard
from xpm_remote.model.store import Store
from xpm_remote.session.state import Phase
from xpm_remote.ui.screen.app import Dashboard, run
from xpm_remote.ui.screen.first_frame import FirstFrame
from xpm_remote.ui.screen.jobs import BETWEEN
from xpm_remote.ui.screen.keys import rebound
from xpm_remote.ui.screen.remembered import Views
from xpm_remote.ui.screen.start import Start
from xpm_remote.ui.screen.tabular import Tabular


async def test_fleet_and_jobs(tmp_path: Path) -> None:
    """Enter goes to the jobs of what is under the cursor, Esc and q back, and each screen is named."""
    async with dashboard(tmp_path) as screen:
        assert "2 clusters" in screen.line("header")
        assert [line.split()[1] for line in screen.table] == ["jz", "●", "✔", "lip6", "●"]
        await screen.press("j", "enter")
        assert screen.line("crumbs").startswith(f"jz{BETWEEN}{EXPERIMENT}")
        assert "6 jobs" in screen.line("crumbs")
        assert screen.table[0].split()[:3] == ["F", "✖", "task/failed-j"]
        await screen.press("escape", "g", "enter")
        assert screen.line("crumbs").startswith("jz  ")
        assert "7 jobs" in screen.line("crumbs")
        await screen.press("q")
        assert screen.line("crumbs") == "fleet"
        await screen.press("escape", "2")
        assert screen.line("crumbs").startswith("all jobs")
        await screen.press("1")
        assert screen.line("crumbs") == "fleet"


async def test_the_cursor(tmp_path: Path) -> None:
    """The line with the cursor is in reverse over its whole width, without colours."""
    async with dashboard(tmp_path) as screen:
        await screen.press("2")
        styles = [each.style for each in screen.view.render_line(1)]
        assert all(style and style.reverse and style.color is None for style in styles)
        below = [each.style for each in screen.view.render_line(2)]
        assert not any(style and style.reverse for style in below)
        assert any(style and style.color for style in below)


async def test_tasks_begin_after_their_makers_have_noted_them(tmp_path: Path) -> None:
    """The eager tasks that Textual sets on newer pythons are not those of the fleet."""
    loop = asyncio.get_running_loop()

    def make(loop: Any, work: Any, **options: Any) -> Any:
        return asyncio.Task(work, loop=loop, **options)

    loop.set_task_factory(make)
    async with dashboard(tmp_path):
        assert loop.get_task_factory() is None


async def test_drawing_once_more_at_the_end(tmp_path: Path) -> None:
    """A drawing that was due when the dashboard ended, and its screens are gone, is none and no error."""
    async with dashboard(tmp_path) as screen:
        pass
    assert not screen.app.screen_stack
    screen.app.paint()


async def test_moving(tmp_path: Path) -> None:
    """Each key that moves does so, also a thousand times beyond an end."""
    async with dashboard(tmp_path, size=(120, 9)) as screen:
        await screen.press("2")
        model = screen.view.model
        for keys, at in (
            ("j", 1),
            ("down", 2),
            ("k", 1),
            ("up", 0),
            ("G", 6),
            ("g", 0),
            ("end", 6),
        ):
            await screen.press(keys)
            assert model.cursor == at, keys
        assert "idle-job" in screen.at
        await screen.press("home", "ctrl+d")
        half = model.cursor
        assert half > 0
        await screen.press("pagedown", "pageup", "ctrl+u")
        assert model.cursor == 0
        for _ in range(1000):
            screen.app.screen.action_down()  # type: ignore[attr-defined]
        assert model.cursor == 6
        await screen.press("n")
        assert "failed" in screen.at
        await screen.press("N", "G", "N")
        assert "failed" in screen.at


async def test_finding(tmp_path: Path) -> None:
    """Rows are found as one types, unfinished filters leave the last result, Esc removes one step after the other."""
    async with dashboard(tmp_path) as screen:
        await screen.press("2", "slash", *"fai")
        assert len(screen.table) == 1
        await screen.press("enter")
        assert "1 of 7 jobs" in screen.line("crumbs")
        await screen.press("slash", "ctrl+u", *"@state")
        assert len(screen.table) == 7
        await screen.press("escape")
        assert "expected" in screen.line("crumbs")
        await screen.press("space", "escape")
        assert "expected" not in screen.line("crumbs")
        assert "1 marked" in screen.line("crumbs")
        await screen.press("escape")
        assert "marked" not in screen.line("crumbs")
        await screen.press("escape")
        assert screen.line("crumbs") == "fleet"


async def test_an_expression_that_takes_for_ever(tmp_path: Path) -> None:
    """It is ended, and what was found before stays; the next one is as quick as ever."""
    async with dashboard(tmp_path) as screen:
        await screen.press("2", "slash", *"waiting-", "enter")
        before = screen.table
        assert before
        jobs = cast("Tabular", screen.app.screen)
        jobs.find('@name ~ "(?:(?:[a-z]?){25}){25}X"')
        await screen.settle()
        assert "expected a regular expression that takes less time" in screen.line("crumbs")
        assert screen.table == before
        jobs.find('@name ~ "task"')
        await screen.settle()
        assert "expected" not in screen.line("crumbs")
        assert len(screen.table) == 7


async def test_an_error_of_ours_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dashboard that ends by an error raises it."""

    async def fail(app: Dashboard) -> None:
        app._exception = ZeroDivisionError("ours")

    monkeypatch.setattr(Dashboard, "run_async", fail)
    start = Start((), 1.0, 1.0, Views(tmp_path / "views.json"))
    with pytest.raises(ZeroDivisionError, match="ours"):
        await run(start, cast("FirstFrame", None))


_CHARACTERS = {"slash": "/", "question_mark": "?"}


def type_ahead(screen: Screen, *keys: str) -> None:
    """Press keys without waiting for what they do."""
    for key in keys:
        screen.app.post_message(
            events.Key(key, _CHARACTERS.get(key, key if len(key) == 1 else None))
        )


async def test_what_is_typed_ahead_waits_for_what_is_found(tmp_path: Path) -> None:
    """Enter that follows a filter at once goes to the job that was found, not to the one that the cursor is leaving."""
    async with dashboard(tmp_path) as screen:
        await screen.press("2")
        type_ahead(screen, "slash", *"waiting-2", "enter", "enter")
        await screen.settle()
        assert "task/waiting-" in screen.line("crumbs")


async def test_what_is_typed_ahead_goes_to_overlays(tmp_path: Path) -> None:
    """Keys that follow the one that opens an overlay choose there, and the next ones find what was chosen done."""
    async with dashboard(tmp_path) as screen:
        await screen.press("2")
        type_ahead(screen, "b", *"state", "enter", "g", "left", "j", "left", "G", "left")
        await screen.settle()
        assert "by state" in screen.line("crumbs")
        assert [line.split()[0] for line in screen.table][:2] == ["▸", "▸"]
        type_ahead(screen, "question_mark", *"all jobs", "escape", "escape")
        await screen.settle()
        assert screen.line("crumbs") == "fleet"


async def test_sorting_and_grouping(tmp_path: Path) -> None:
    """S and a key of a head sort, again the other way round; b groups, and arrows fold."""
    async with dashboard(tmp_path) as screen:
        await screen.press("2", "s")
        assert "j:JOB" in screen.heads
        await screen.press("j")
        assert "JOB↑" in screen.heads
        assert "done" in screen.table[0]
        await screen.press("s", "j")
        assert "JOB↓" in screen.heads
        assert "waiting-" in screen.table[0]
        await screen.press("s", "0", "s", "z")
        assert "no column has the key z" in screen.line("crumbs")
        await screen.press("s", "escape", "b", *"state", "enter")
        assert "by state" in screen.line("crumbs")
        assert screen.table[0].split() == ["▾", "failed", "1", "F"]
        await screen.press("g", "left")
        assert screen.table[0].split() == ["▸", "failed", "1", "F"]
        await screen.press("right", "j", "space", "*")
        assert "7 marked" in screen.line("crumbs")
        await screen.press("u")
        assert "marked" not in screen.line("crumbs")


async def test_columns_and_views(tmp_path: Path) -> None:
    """Columns are switched, and a view is saved, opened and deleted, also in another session."""
    async with dashboard(tmp_path) as screen:
        await screen.press("2", "v")
        assert "no view was saved" in screen.line("crumbs")
        await screen.press("c", *"what", "enter", "escape")
        assert "WHAT" not in screen.heads
        await screen.press("colon", *"sort job", "enter", "colon", *"view save mine", "enter")
        assert "view mine is saved: sort job  without what" in screen.line("crumbs")
    async with dashboard(tmp_path) as screen:
        await screen.press("2", "v", "enter")
        assert "JOB↑" in screen.heads
        assert "WHAT" not in screen.heads
        await screen.press("colon", *"view delete mine", "enter", "v")
        assert "no view was saved" in screen.line("crumbs")


async def test_commands(tmp_path: Path) -> None:
    """Commands are completed by Tab and listed while one types; what is wrong is said."""
    async with dashboard(tmp_path) as screen:
        await screen.press("colon", *"w")
        assert screen.line("footer") == "ws"
        await screen.press("tab", *"jz", "enter")
        assert screen.line("crumbs").startswith("jz  ")
        await screen.press("colon", *"fai", "enter")
        assert len(screen.table) == 1
        await screen.press("colon", *"nothing")
        assert screen.line("footer") == "no such command"
        await screen.press("enter")
        assert "there is no command nothing" in screen.line("crumbs")
        for text, said in (
            ("sort x", "jobs cannot be sorted by x"),
            ("group x", "jobs cannot be grouped by x"),
            ("view x", "there is no view x"),
            ("ws x", "there is no workspace x"),
            ("filter lr >", "expected"),
            ("job", "name a part of the id"),
        ):
            await screen.press("colon", *text, "enter")
            assert said in screen.line("crumbs"), text
        await screen.press("colon", *"job waiting-2", "enter")
        assert "1 of 7 jobs" in screen.line("crumbs")
        await screen.press("colon", *"fleet", "enter", "colon", *"jobs", "enter")
        assert screen.line("crumbs").startswith("all jobs")


async def test_help_and_palette(tmp_path: Path) -> None:
    """The help is searched, and does what is chosen; so does the palette."""
    async with dashboard(tmp_path) as screen:
        await screen.press("question_mark", *"all jobs", "enter")
        assert screen.line("crumbs").startswith("all jobs")
        await screen.press("ctrl+p", *"failures", "enter")
        assert len(screen.table) == 1
        await screen.press("ctrl+p", *"workspace", "up", "down", "enter", *"jz", "enter")
        assert screen.line("crumbs").startswith("jz  ")
        await screen.press("question_mark", "escape")
        assert screen.line("crumbs").startswith("jz  ")


async def test_the_preview(tmp_path: Path) -> None:
    """From 160 columns on the job under the cursor is beside the table, unless p hides it."""
    async with dashboard(tmp_path, size=(200, 30)) as screen:
        await screen.press("2")
        preview = screen.app.screen.query_one("#preview")
        shown = [preview.render_line(y).text for y in range(4)]
        assert "failed-job" in shown[0]
        await screen.press("j")
        assert "running-job" in preview.render_line(0).text
        await screen.press("p")
        assert not preview.display
        await screen.press("p")
        await screen.resize(100, 30)
        assert not preview.display


async def test_changes(tmp_path: Path) -> None:
    """What changes is seen, the cursor follows its job, and what is gone leaves."""
    async with dashboard(tmp_path) as screen:
        await screen.press("2", "j")
        assert "running-" in screen.at
        store = screen.fleet.members["jz"].picture.store
        screen.fleet.change(
            "jz", store.apply_jobs(EXPERIMENT, [job_record("running-job", "done", ended=700)])
        )
        await screen.settle()
        assert "D ✔" in screen.at
        assert "running-" in screen.at
        keys = list(store.jobs)
        gone = store.apply_experiments([])
        gone += [change for key in keys for change in store.apply_absence(key)]
        screen.fleet.change("jz", gone)
        await screen.settle()
        assert "0 jobs" in screen.line("crumbs")
        await screen.press("1")
        assert f" {EXPERIMENT} " not in " ".join(screen.table)


async def test_a_lost_link(tmp_path: Path) -> None:
    """A lost link is marked with its age, all that it concerns is in doubt, and r tries again or asks for the login."""
    async with dashboard(tmp_path) as screen:
        screen.fleet.lose("jz")
        await screen.settle()
        assert "▲ STALE" in screen.table[0]
        assert "R?●" in screen.table[1]
        assert "1 stale" in screen.line("header")
        await screen.press("r", "2", "r")
        assert screen.fleet.retried == ["jz", "jz"]
        assert "F?✖" in screen.table[0]
        assert "jz STALE " in screen.line("crumbs")
        screen.fleet.lose("jz", Phase.NEEDS_PERSON, asked="one-time code needed")
        await screen.press("1")
        assert "one-time code needed (r log in)" in screen.table[0]


async def test_no_workspace(tmp_path: Path) -> None:
    """Without a workspace the screen says how to begin, and keys do no harm."""
    async with dashboard(tmp_path, {}) as screen:
        assert "no workspace" in screen.line("crumbs")
        await screen.press(
            "j", "G", "enter", "left", "r", "2", "space", "*", "n", "s", "a", "escape"
        )
        assert "no workspace" in screen.line("crumbs")


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (300, 100), (20, 5), (5, 2)])
async def test_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    """Every size is used, and none is an error."""
    async with dashboard(tmp_path, size=size, is_ascii=True) as screen:
        await screen.press("2")
        lines = [screen.view.render_line(y) for y in range(screen.view.size.height)]
        assert all(line.cell_length == screen.view.size.width for line in lines)
        assert all(line.text.isascii() for line in lines)
        await screen.resize(80, 24)
        assert len(screen.table) == 7


async def test_folding_the_fleet(tmp_path: Path) -> None:
    """A cluster is folded and unfolded, from any of its lines."""
    async with dashboard(tmp_path) as screen:
        await screen.press("j", "j", "left")
        assert [line.split()[1] for line in screen.table] == ["jz", "lip6", "●"]
        assert "jz" in screen.at
        await screen.press("slash", *"sweep", "enter")
        assert len(screen.table) == 3
        await screen.press("escape", "g", "right")
        assert len(screen.table) == 5


async def test_a_mouse_is_not_needed_and_works(tmp_path: Path) -> None:
    """A click moves the cursor, a second one goes in, one on a head sorts, the wheel moves."""
    async with dashboard(tmp_path) as screen:
        pilot = screen._pilot
        await pilot.click("#table", offset=(5, 2))
        assert screen.view.model.cursor == 1
        await pilot.click("#table", offset=(5, 2))
        await screen.settle()
        assert screen.line("crumbs").startswith(f"jz{BETWEEN}{EXPERIMENT}")
        await pilot.click("#table", offset=(8, 0))
        await screen.settle()
        assert "JOB↑" in screen.heads


async def test_many_jobs_of_an_empty_store(tmp_path: Path) -> None:
    """A workspace that has nothing is a table that has nothing."""
    async with dashboard(tmp_path, {"jz": Store()}) as screen:
        await screen.press("2")
        assert screen.table == []
        assert "0 jobs" in screen.line("crumbs")


async def test_rebound_keys(tmp_path: Path) -> None:
    """A rebound key does what the usual one did, which does nothing; messages, footer, help and palette show it."""
    rebinds = {"down": ("é",), "find": ("f5",), "retry": ("t",), "help": ("h",), "back": ("w",)}
    async with dashboard(tmp_path, keys=rebound(rebinds)) as screen:
        assert "h help" in screen.line("header")
        assert "F5 find" in screen.line("footer")
        screen.fleet.lose("jz")
        await screen.settle()
        assert "(t now)" in screen.table[0]
        await screen.press("2", "j")
        assert screen.view.model.cursor == 0
        await screen.press("é")
        assert screen.view.model.cursor == 1
        await screen.press("slash")
        assert not screen.app.screen.query_one("#entry").display
        await screen.press("f5", *"waiting", "escape")
        assert "/waiting" in screen.line("crumbs")
        await screen.press("x")
        assert "(t now)" in screen.line("crumbs")
        await screen.press("h", *"move up", "enter")
        assert screen.view.model.cursor == 0
        await screen.press("w", "ctrl+p", *"unmark, on", "enter")
        assert "1 marked" in screen.line("crumbs")
        await screen.press("w", "w")
        assert screen.line("crumbs") == "fleet"


async def test_pasting(tmp_path: Path) -> None:
    """What is pasted is typed before a key that comes right after it, and is nothing where no one types."""
    async with dashboard(tmp_path) as screen:
        await screen.press("2")
        await screen.app.on_event(events.Paste("xk\ny"))
        await screen.press("slash")
        await screen.app.on_event(events.Paste("fai\nq"))
        await screen.app.on_event(events.Paste(""))
        await screen.app.on_event(events.Key("enter", "\r"))
        await screen.settle()
        assert "/fai" in screen.line("crumbs")
        assert "1 of 7 jobs" in screen.line("crumbs")
