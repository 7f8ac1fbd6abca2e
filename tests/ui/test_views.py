"""Pictures on a terminal of any size: their contents, and that they always fit."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as replace_struct
from rich.cells import cell_len
from rich.console import Console

from tests.model.builders import (
    EXPERIMENT,
    ZONE,
    experiment_record,
    info,
    iso,
    job_record,
    scheduler_event,
    state_event,
)
from tests.ui.pictures import NOW, busy_store, picture, pictures
from xpm_remote.model.agent_pages import Unreadable, UnreadablePage
from xpm_remote.model.entities import Counts, Experiment
from xpm_remote.model.records import ExperimentRecord, JobRecord
from xpm_remote.model.store import Store
from xpm_remote.session.state import BackendChoice, Digest, Phase, Picture, Stall
from xpm_remote.settings.schema import Backend
from xpm_remote.ui import views
from xpm_remote.ui.views import DIGEST_SHOWN, dashboard, dashboards, experiment_status, share
from xpm_remote.workspace.rows import Phase as RowPhase
from xpm_remote.workspace.rows import Row
from xpm_remote.workspace.states import State

ESC = "\x1b"


def drawn(
    picture: Picture, width: int = 120, height: int = 40, *, has_keys: bool = False
) -> list[str]:
    """Return a picture drawn as plain text, by lines."""
    console = Console(file=StringIO(), width=width, force_terminal=False, _environ={})
    with console.capture() as capture:
        console.print(dashboard(picture, NOW, width, height, has_keys=has_keys))
    return capture.get().split("\n")[:-1]


def drawn_together(pictures: dict[str, Picture], height: int) -> list[str]:
    """Return several pictures drawn as plain text, by lines."""
    console = Console(file=StringIO(), width=120, force_terminal=False, _environ={})
    with console.capture() as capture:
        console.print(dashboards(pictures, NOW, 120, height, has_keys=True))
    return capture.get().split("\n")[:-1]


def line_with(lines: list[str], text: str) -> str:
    """Return the one line that contains a text."""
    (found,) = [line for line in lines if text in line]
    return found


# Any picture, any size


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(pictures(), st.integers(1, 200), st.integers(1, 60), st.booleans())
def test_fits_any_terminal(picture: Picture, width: int, height: int, has_keys: bool) -> None:
    """A picture is never higher nor wider than the terminal, and no text in it moves the cursor."""
    lines = drawn(picture, width, height, has_keys=has_keys)
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("width", range(1, 130, 3))
@pytest.mark.parametrize("height", [1, 2, 3, 8, 12, 30])
def test_fits_with_every_section(width: int, height: int) -> None:
    """The picture with all its sections fits, too."""
    lines = drawn(picture(busy_store()), width, height)
    assert 1 <= len(lines) <= height
    assert max(map(cell_len, lines)) <= width


def test_several_share_the_lines() -> None:
    """Several pictures have their names, fit together, and have one line of keys: what the link in most need takes."""
    several = {
        "near": picture(busy_store()),
        "far": picture(busy_store(), phase=Phase.WAITING, retry_at=NOW + 5),
        "asks": picture(busy_store(), phase=Phase.NEEDS_PERSON, asked="a code"),
    }
    for height in range(1, 60):
        assert len(drawn_together(several, height)) <= height
    lines = drawn_together(several, 40)
    heads = [line.partition(" · ")[0] for line in lines if "alice@cluster" in line]
    assert heads == ["near", "far", "asks"]
    assert lines[-1] == "q quit · r log in"
    assert drawn_together({"near": several["near"]}, 40)[0].startswith("alice@cluster")


def test_no_lines_at_all() -> None:
    """Without room for a line, there is only the header."""
    assert len(drawn(picture(busy_store()), height=0)) == 1


@pytest.mark.parametrize("width", [100, 120, 200])
def test_lines_of_many_rows(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many rows are lines of the same text in the same columns."""
    table = drawn(picture(busy_store()), width, 1000)
    monkeypatch.setattr(views, "PLAIN_FROM", 1)
    lines = drawn(picture(busy_store()), width, 1000)
    assert [line.rstrip() for line in lines] == [line.rstrip() for line in table]


@given(pictures(), st.integers(1, 200))
def test_lines_fit(picture: Picture, width: int) -> None:
    """Lines are never wider than asked for, whatever they hold."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "PLAIN_FROM", 1)
        assert max(map(cell_len, drawn(picture, width, 1000))) <= width


# The contents


def test_empty_workspace() -> None:
    """In an empty workspace, the header has the target, and the counts are zero."""
    lines = drawn(picture())
    assert len(lines) == 2
    assert lines[0].startswith("alice@cluster:/data/ws")
    assert lines[1].startswith("0 experiments · 0 running · 0 waiting · 0 failed · 0 done · 0 idle")


def test_header_of_a_live_link() -> None:
    """A live link shows the age of the remote's last message."""
    header = drawn(picture(heard=NOW - 125))[0]
    assert header.endswith("● live · heard 2 min 5 s ago")


@pytest.mark.parametrize(
    ("phase", "heard", "end"),
    [
        (Phase.CONNECTING, None, "● connecting 1 min 0 s"),
        (Phase.LOADING, NOW - 2, "● loading 1 min 0 s · heard 2 s ago"),
        (Phase.ENDED, NOW - 90, "● ended 1 min 0 s · heard 1 min 30 s ago"),
    ],
)
def test_header_of_another_link(phase: Phase, heard: float | None, end: str) -> None:
    """A link that is not live shows since when, so that an old picture is not mistaken for a new one."""
    assert drawn(picture(phase=phase, heard=heard))[0].endswith(end)


def test_totals() -> None:
    """All jobs of all experiments are counted in one line."""
    totals = drawn(picture(busy_store()))[1]
    assert totals.startswith("2 experiments · 1 running · 2 waiting · 1 failed · 2 done · 1 idle")
    store = Store(ZONE)
    store.apply_experiments([ExperimentRecord("exp", status="running")])
    assert drawn(picture(store))[1].startswith("1 experiment · 0 running")


def test_sections_in_order() -> None:
    """The sections are in this order: experiments, running, failed, waiting."""
    text = "\n".join(drawn(picture(busy_store())))
    places = [text.index(f"\n{title}") for title in ("Experiments", "Running", "Failed", "Waiting")]
    assert places == sorted(places)


def test_experiments() -> None:
    """Running experiments come first; each has its state, its counts and its age."""
    lines = drawn(picture(busy_store()))
    running, finished = line_with(lines, f" {EXPERIMENT} "), line_with(lines, "finished")
    assert lines.index(running) < lines.index(finished)
    assert running.startswith("running")
    assert "1/6 1 running 2 waiting 1 failed 1 idle" in " ".join(running.split())
    assert running.rstrip().endswith("for 1 h 0 min")
    assert finished.startswith("done")
    assert " 1/1 " in finished
    assert finished.rstrip().endswith("2 h ago")


def test_newest_experiment_first() -> None:
    """Among experiments that run, or that do not, the newest is first."""
    store = Store(ZONE)
    store.apply_experiments(
        [
            experiment_record(name=f"{status}{run}", run_id=f"2026112{run}", status=status)
            for status in ("done", "running")
            for run in (1, 3, 2)
        ]
    )
    names = [line.split()[1] for line in drawn(picture(store))[4:]]
    assert names == ["running3", "running2", "running1", "done3", "done2", "done1"]


def test_experiment_without_times() -> None:
    """An experiment whose times are unknown has no age."""
    store = Store(ZONE)
    store.apply_experiments([ExperimentRecord("exp", status="running")])
    assert line_with(drawn(picture(store)), " exp ").split() == ["running", "exp", "0/0"]


def test_running_job() -> None:
    """A running job shows its progress, its description, its tags and for how long it has run."""
    line = line_with(drawn(picture(busy_store())), "demo.task/running-")
    assert "lr=0.1 model=big" in line
    assert "45 %" in line
    assert "epoch 5 > batch 10" in line
    assert line.rstrip().endswith("50 min 0 s")


def test_longest_running_first() -> None:
    """Of running jobs the one that started first comes first; one without a start comes last."""
    store = Store(ZONE)
    starts = {"b": 20.0, "a": 10.0, "c": None}
    store.apply_jobs(
        None, [job_record(name, "running", started=start) for name, start in starts.items()]
    )
    lines = [line.split()[0] for line in drawn(picture(store))[4:]]
    assert lines == ["demo.task/a", "demo.task/b", "demo.task/c"]


def test_failed_job() -> None:
    """A failed job shows its reason, its experiments and how long ago it failed."""
    line = line_with(drawn(picture(busy_store())), "demo.task/failed-j")
    assert " ".join(line.split()).endswith(f"lr=0.1 model=big TIMEOUT 30 min ago {EXPERIMENT}")


def test_why_a_job_failed() -> None:
    """Further details of a failure are before the tags, without control characters."""
    told = {"demo.task/failed-job": "it died\x1b[2J"}
    line = line_with(drawn(picture(busy_store(), messages=told)), "demo.task/failed-j")
    assert "it died\\x1b[2J lr=0.1 model=big TIMEOUT" in " ".join(line.split())


def test_latest_failure_first() -> None:
    """Of failed jobs the one that failed last comes first; one without a time comes last."""
    store = Store(ZONE)
    ends = {"b": 10.0, "a": 20.0, "c": None}
    store.apply_jobs(None, [job_record(name, "error", ended=end) for name, end in ends.items()])
    lines = [line.split()[:2] for line in drawn(picture(store))[4:]]
    assert lines == [
        ["demo.task/a", "FAILED"],
        ["demo.task/b", "FAILED"],
        ["demo.task/c", "FAILED"],
    ]


def test_waiting_jobs_are_grouped() -> None:
    """Jobs that wait are counted by state, task and experiment."""
    assert line_with(drawn(picture(busy_store())), " waiting demo.task").split() == [
        "2",
        "waiting",
        "demo.task",
        EXPERIMENT,
    ]


def test_what_jobs_wait_for_in_slurm() -> None:
    """Where SLURM has jobs that wait, the title tells what for."""
    store = busy_store()
    first = next(iter(store.in_state(State.WAITING)))
    row = Row("15", RowPhase.QUEUED, "PENDING", "/ws", "JobHeldUser")
    record = JobRecord(first.job_id, first.task_id, state="waiting", row=row)
    store.apply_judged([record])
    assert "Waiting  in SLURM: 1 held" in "\n".join(drawn(picture(store)))


def test_clock_of_the_remote() -> None:
    """Times of the remote are compared with its own clock."""
    lines = drawn(picture(busy_store(), skew=600))
    assert line_with(lines, "demo.task/running-").rstrip().endswith("1 h 0 min")
    assert lines[0].rstrip().endswith("heard 2 s ago")


def test_narrow_terminal() -> None:
    """A narrow terminal omits what matters less: tags and ages of experiments."""
    text = "\n".join(drawn(picture(busy_store()), width=69))
    assert "lr=0.1" not in text
    assert "TIMEOUT" in text
    assert "epoch 5" in text


def test_what_is_left_out_is_counted() -> None:
    """Rows that do not fit are counted in the title of their section."""
    store = Store(ZONE)
    store.apply_jobs(None, [job_record(f"{n:02}", "running", started=n) for n in range(50)])
    lines = drawn(picture(store), height=14)
    assert len(lines) == 14
    assert lines[3].startswith("Running  40 more")
    assert lines[4].startswith("demo.task/00")
    assert "more" not in "\n".join(drawn(picture(store), height=54))


def test_room_is_shared() -> None:
    """A section with many rows leaves room for one with few."""
    store = Store(ZONE)
    store.apply_jobs(None, [job_record(f"{n:02}", "running", started=n) for n in range(50)])
    store.apply_jobs(None, [job_record("failed", "error")])
    lines = drawn(picture(store), height=14)
    assert len(lines) == 14
    assert line_with(lines, "demo.task/failed")
    assert sum("demo.task/" in line for line in lines) == 8


def test_low_terminal() -> None:
    """Without room for all sections, the first of them are shown, each with at least one row."""
    lines = drawn(picture(busy_store()), height=8)
    assert len(lines) == 8
    assert [line.split()[0] for line in lines if line.strip()][2:] == [
        "Experiments",
        "running",
        "Running",
        "demo.task/running-",
    ]
    assert "Experiments  1 more" in lines[3]


def test_changes_are_seen() -> None:
    """The next picture shows later announcements."""
    store = busy_store()
    store.apply_event(state_event("done", job_id="running-job", ended=3000))
    store.apply_event(scheduler_event("running", job_id="waiting-1"))
    assert drawn(picture(store))[1].startswith("2 experiments · 1 running · 1 waiting · 1 failed")


def test_markup_is_text() -> None:
    """Rich's markup and emoji names are shown as text."""
    store = Store(ZONE)
    store.apply_experiments(
        [ExperimentRecord("[red]x[/red] :smile:", status="[blink]", started_at=iso(0))]
    )
    line = line_with(drawn(picture(store)), ":smile:")
    assert line.startswith("[blink] [red]x[/red] :smile:")


@pytest.mark.parametrize("poison", [f"{ESC}[2J", "\u202e", "two\nlines", "\x9b", "bell\x07"])
def test_remote_text_is_escaped(poison: str) -> None:
    """Text of the remote is escaped everywhere."""
    record = job_record("a", "running", started=1, progress=[(0, 0.5, poison)])
    failed = job_record("b", "error", reason=poison)
    store = Store(ZONE)
    store.apply_experiments(
        [
            ExperimentRecord(
                poison,
                status=poison,
                job_infos={n: info(n, tags={poison: poison}) for n in "abc"},
                job_states={"c": "waiting"},
            )
        ]
    )
    store.apply_jobs(None, [record, failed])
    lines = drawn(picture(store))
    assert all(line.isprintable() for line in lines)
    escaped = poison.encode("unicode_escape").decode()
    assert sum(line.lower().count(escaped.lower()) for line in lines) >= 8


# The status of experiments


@pytest.mark.parametrize(
    ("status", "ended", "failed", "word"),
    [
        ("running", False, 0, "running"),
        ("running", False, 3, "running"),
        ("running", True, 0, "detached"),
        ("failed", True, 0, "failed"),
        ("crashed", False, 0, "crashed"),
        ("crashed", False, 1, "crashed"),
        ("detached", True, 1, "detached"),
        ("unreadable", False, 1, "unreadable"),
        ("done", True, 1, "failed"),
        ("done", True, 0, "done"),
        ("", False, 0, "unknown"),
        ("odd\n", False, 0, "odd\\n"),
    ],
)
def test_experiment_status(status: str, *, ended: bool, failed: int, word: str) -> None:
    """A run with failed jobs, or whose script raised, failed; one that crashed or was detached is called so."""
    times = Store(ZONE)
    times.apply_experiments([ExperimentRecord("e", ended_at=iso(1) if ended else None)])
    experiment = Experiment(experiment_id="e", status=status, ended=times.experiments[0].ended)
    assert experiment_status(experiment, Counts(total=3, failed=failed))[0] == word


# Sharing lines


@pytest.mark.parametrize(
    ("lines", "wanted", "expected"),
    [
        (10, [3, 4], [3, 4]),
        (10, [20, 20], [5, 5]),
        (11, [20, 20], [6, 5]),
        (10, [1, 20, 20], [1, 5, 4]),
        (2, [5, 5, 5], [1, 1, 0]),
        (0, [5], [0]),
        (-3, [5], [0]),
        (5, [], []),
        (5, [0, 9], [0, 5]),
    ],
)
def test_share(lines: int, wanted: list[int], expected: list[int]) -> None:
    """A small demand is met; the others share the rest, the first of them getting one more."""
    assert share(lines, wanted) == expected


@given(st.integers(0, 200), st.lists(st.integers(0, 100), max_size=6))
def test_share_is_fair(lines: int, wanted: list[int]) -> None:
    """No share exceeds its demand, nothing is wasted, and shares differ by at most one."""
    given_lines = share(lines, wanted)
    assert all(0 <= got <= want for got, want in zip(given_lines, wanted, strict=True))
    assert sum(given_lines) == min(lines, sum(wanted))
    hungry = [got for got, want in zip(given_lines, wanted, strict=True) if got < want]
    if hungry:
        assert min(hungry) >= max(given_lines) - 1


def test_lost_link_is_honest() -> None:
    """A lost link shows since when the picture is stale, when the next try is, and why it was lost."""
    lost = picture(
        phase=Phase.WAITING,
        detail="the connection broke: reset",
        stale_since=NOW - 125,
        retry_at=NOW + 5,
    )
    text = "\n".join(drawn(lost))
    assert "waiting, next try in 5 s · stale for 2 min 5 s" in text
    assert "the connection broke: reset" in text


def test_return_is_summed_up() -> None:
    """After reconnecting the picture sums up the gap for a minute."""
    back = picture(digest=Digest(away=7800.0, done=14, failed=2, started=1))
    assert "away 2 h 10 min: 14 done, 2 failed, 1 started" not in "\n".join(drawn(back))
    recent = replace(back, link=replace(back.link, since=NOW - 1))
    assert "away 2 h 10 min: 14 done, 2 failed, 1 started" in "\n".join(drawn(recent))
    nothing = replace(recent, link=replace(recent.link, digest=Digest(away=3.0)))
    assert "away 3 s: nothing happened" in "\n".join(drawn(nothing))


# Keys


@pytest.mark.parametrize(
    ("phase", "footer"),
    [
        (Phase.LIVE, "q quit"),
        (Phase.WAITING, "q quit · r try now"),
        (Phase.NEEDS_PERSON, "q quit · r log in"),
    ],
)
def test_keys(phase: Phase, footer: str) -> None:
    """Where keys can be pressed, the last line lists those with a meaning."""
    shown = picture(busy_store(), phase=phase, asked="x", detail="cut")
    lines = drawn(shown, height=40, has_keys=True)
    assert lines[-1].rstrip() == footer
    assert footer not in "\n".join(drawn(shown))
    assert footer not in "\n".join(drawn(shown, height=3, has_keys=True))


def test_a_person_is_needed() -> None:
    """When a user is needed, the picture shows for what, with the remote's text escaped."""
    shown = picture(phase=Phase.NEEDS_PERSON, asked=f"code{ESC}[2J", stale_since=NOW - 90)
    lines = drawn(shown)
    assert "needs-person 1 min 0 s · stale for 1 min 30 s" in lines[0]
    assert lines[2].rstrip() == "only a person can answer: code\\x1b[2J"


def test_served_by_the_agent() -> None:
    """The header shows which side serves; a line shows why, where it was the second choice, or what it may do."""
    fallback = BackendChoice(Backend.AGENT, "no \x1b[31muv", is_fallback=True)
    shown = replace(picture(busy_store()), served_by=fallback)
    text = "\n".join(drawn(shown))
    assert "· agent" in text
    assert "by our agent: no \\x1b[31muv" in text
    asked = replace(shown, served_by=BackendChoice(Backend.AGENT, "it is asked for"))
    assert "· agent" in "\n".join(drawn(asked))
    assert "by our agent" not in "\n".join(drawn(asked))
    text = "\n".join(drawn(picture(busy_store())))
    assert "· experimaestro" in text
    assert "agent" not in text
    other = BackendChoice(Backend.EXPERIMAESTRO, "no python", is_fallback=True)
    assert "by experimaestro: no python" in "\n".join(drawn(replace(shown, served_by=other)))
    warned = BackendChoice(Backend.EXPERIMAESTRO, "it is asked for", warning="it may\x1b do harm")
    shown = replace(shown, served_by=warned, link=replace(shown.link, since=NOW))
    assert "it may\\x1b do harm" in "\n".join(drawn(shown))
    earlier = replace(shown.link, since=NOW - DIGEST_SHOWN)
    assert "harm" not in "\n".join(drawn(replace(shown, link=earlier)))


def test_uncertain_jobs_are_counted() -> None:
    """The totals count jobs whose state may be another, where there are some."""
    store = busy_store()
    assert "uncertain" not in "\n".join(drawn(picture(store)))
    record = replace_struct(job_record("running-job", "running", started=600), certain=False)
    store.apply_judged([record])
    assert "1 uncertain (?)" in "\n".join(drawn(picture(store)))


def test_file_server_that_hangs() -> None:
    """While the workspace is not read, that is shown instead of when the remote was heard, and what is waited for."""
    stall = Stall(NOW - 25, "the file server does not answer", "/data/ws/jobs")
    shown = "\n".join(drawn(replace(picture(busy_store()), stall=stall)))
    assert "not read for 25 s" in shown
    assert "heard" not in shown
    assert "the file server does not answer (waiting for /data/ws/jobs)" in shown


def test_wait_while_the_link_is_restored() -> None:
    """What is waited for is shown before why the link was lost."""
    stall = Stall(NOW - 7, "the host is not connected", "the key exchange with cluster port 22")
    lost = picture(busy_store(), phase=Phase.CONNECTING, detail="reset")
    shown = "\n".join(drawn(replace(lost, stall=stall)))
    assert "not connected (waiting for the key exchange with cluster port 22) · reset" in shown


def test_what_cannot_be_read() -> None:
    """A line has what cannot be read for the longest time, why, since when, and how much more there is."""
    files = [
        Unreadable("/data/ws/jobs/t/a", "Stale file handle", "ESTALE", NOW - 20),
        Unreadable("/data/ws/jobs/t/b", "Input/output error", "EIO", NOW - 10),
    ]
    unreadable = UnreadablePage(files=files, left_out=3)
    shown = "\n".join(drawn(replace(picture(busy_store()), unreadable=unreadable)))
    words = "/data/ws/jobs/t/a cannot be read: Stale file handle, and 4 more, for 20 s"
    assert words in shown
