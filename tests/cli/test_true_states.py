"""Real experiments at eleven moments: what each backend shows, and tells, against an independent reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.cli.commands import Commands
from tests.support.polling import wait_until
from tests.support.server import Server
from tests.support.streams import FINAL, Stream, rank, word_of
from tests.support.told import Plan, ToldWorkspace
from xpm_remote.settings.schema import Backend

pytestmark = pytest.mark.slow

GRID: Plan = [
    [("held", "Held", {}), ("after-held", "After", {"source": "held"})],
    [
        ("good", "Told", {}),
        ("gone", "Told", {}),
        ("bad", "Told", {}),
        ("after-bad", "After", {"source": "bad"}),
        ("last", "After", {"source": "after-bad"}),
        ("late", "Told", {}),
        ("ended", "Told", {}),
        ("killed", "Told", {}),
        ("again", "Again", {}),
        ("given-up", "Again", {"max_retries": 1}),
    ],
]
"""Jobs that end in every way, and are run again."""

DOOMED: Plan = [
    [
        ("goes-on", "Told", {}),
        ("waits", "After", {"source": "goes-on"}),
        ("fails-alone", "Told", {}),
        ("dies-alone", "Told", {}),
        ("locked", "Told", {}),
    ]
]
"""Jobs whose scheduler is killed."""

RAISING: Plan = [[("left", "Told", {}), ("never", "After", {"source": "left"})]]
"""Jobs whose experiment's script raises."""

DETACHED: Plan = [[("kept", "Told", {}), ("resumed", "After", {"source": "kept"})]]
"""Jobs that are left alone, until their experiment is started again."""

STREAM_LIMIT = 20.0
"""Seconds within which a stream has told what is so: experimaestro announces some of it, and is queried every 10 s."""

SCENARIO_LIMIT = 600.0
"""Seconds for all moments: it takes one minute, and several on a machine that runs other tests."""

BLIND = "blind"
"""The workspace whose host has no python that our agent could run with."""


class Spectator:
    """Looks at the workspace in every way, and notes what is false.

    Args:
        commands: The command line.
        server: The test server.
        work: The workspace.

    Attributes:
        wrong: What was false.
    """

    def __init__(self, commands: Commands, server: Server, work: ToldWorkspace) -> None:
        self.wrong: list[str] = []
        self._commands = commands
        self._work = work
        self._streams: list[Stream] = []
        self._expected: dict[str, str] = {}
        self._truths: dict[str, set[str]] = {}
        remote = {"backend": "experimaestro", "xpm_path": server.experimaestro}
        for backend in Backend:
            ssh = remote if backend is Backend.EXPERIMAESTRO else {"backend": backend.value}
            commands.add_login(server, "alice", work.path, id=backend.value, **ssh)
        commands.add_login(server, "alice", work.path, id=BLIND, **remote, python="python3-missing")

    @contextmanager
    def streams(self) -> Iterator[None]:
        """Keep an event stream of each backend; afterwards note what they should not have told."""
        with ExitStack() as stack:
            words = self._commands.words("--events-viewer", "--events-format", "json")
            for backend in Backend:
                started = self._commands.started(
                    *words, "--workspace", backend.value, limit=SCENARIO_LIMIT
                )
                self._streams.append(Stream(backend.value, stack.enter_context(started)))
            for stream in self._streams:
                stream.wait_live()
            yield
        for stream in self._streams:
            self._note_faults(stream)

    def moment(self, name: str, changed: dict[str, str], *, blind: bool = False) -> None:
        """Wait until the facts are so; compare all pictures, lists and streams with them.

        Args:
            name: What the moment is called.
            changed: What is true now, and was not before: words, and the jobs and experiments that they are true of.
            blind: Whether to look without our agent, too.
        """
        self.reach(name, changed)
        views = [*(each.value for each in Backend), *([BLIND] if blind else [])]
        with ExitStack() as stack:
            once = self._commands.words("--once", "--format", "json", "--workspace")
            commands = {f"{view} --once": (*once, view) for view in views}
            commands["jobs list"] = ("jobs", "--workspace", "auto", "list", "--format", "json")
            running = {
                view: stack.enter_context(self._commands.started(*words))
                for view, words in commands.items()
            }
            for view, process in running.items():
                stdout, stderr = process.communicate()
                assert process.returncode == 0, stderr
                self._compare(f"{name}: {view}", read(stdout), with_runs=view != "jobs list")
        for stream in self._streams:
            self._wait_for(stream)
            self._compare(f"{name}: {stream.name} stream", stream.words)

    def reach(self, name: str, changed: dict[str, str]) -> None:
        """Wait until the facts are so."""
        self._expected |= {each: word for word, names in changed.items() for each in names.split()}
        self._work.reach(name, self._expected)
        for key, word in self._expected.items():
            self._truths.setdefault(key, set()).add(word)

    def _wait_for(self, stream: Stream) -> None:
        def is_there() -> bool:
            return not self._differing(stream.words)

        try:
            wait_until(is_there, STREAM_LIMIT, stream.name)
        except TimeoutError:
            return  # compared by the caller

    def _compare(self, view: str, shown: dict[str, str], *, with_runs: bool = True) -> None:
        for name, (said, true) in sorted(self._differing(shown, with_runs=with_runs).items()):
            is_doubted = BLIND in view and said is not None and said.endswith("?")
            if not is_doubted:
                self.wrong.append(f"{view}: {name} is {true}, shown as {said}")

    def _differing(
        self, shown: dict[str, str], *, with_runs: bool = True
    ) -> dict[str, tuple[str | None, str | None]]:
        """Return what is shown, and what is true, of the jobs and experiments where that differs."""
        names = self._work.names()
        said = {names.get(key, key): word for key, word in shown.items()}
        true = {
            name: word
            for name, word in self._expected.items()
            if with_runs or name not in self._work.facts
        }
        return {
            name: (said.get(name), true.get(name))
            for name in {*said, *true}
            if said.get(name) != true.get(name)
        }

    def _note_faults(self, stream: Stream) -> None:
        """Note what contradicts itself, final states that never were, and steps back within a try."""
        stream.join()
        self.wrong += [f"{stream.name} stream: {fault}" for fault in stream.faults]
        for key, name in self._work.names().items():
            history = " → ".join(stream.histories.get(key, []))
            final = {word for word in stream.histories.get(key, []) if rank(word) == FINAL}
            untrue = final - self._truths[name] - self._work.ends_of_retries(name)
            steps = len(stream.steps_back(key))
            # A run that begins may not list a job yet.
            is_lost = key in stream.dropped and not self._work.was_started_again(name)
            if untrue or is_lost or steps > self._work.turns(name):
                self.wrong.append(f"{stream.name} stream: {name}: {history}")


def read(text: str) -> dict[str, str]:
    """Return what a picture, or a list of jobs, says of jobs and experiments, by their ids."""
    documents = [json.loads(line) for line in text.splitlines()]
    found: dict[str, str] = {}
    if documents and documents[0]["schema"].startswith("xpm-remote/picture/"):
        (picture,) = documents
        documents = picture["jobs"]
        found = {each["id"]: word_of(each, "status") for each in picture["experiments"]}
    return found | {each["id"]: word_of(each) for each in documents}


@pytest.fixture
def work(server: Server) -> Iterator[ToldWorkspace]:
    """A workspace of alice without experiments."""
    made = ToldWorkspace(server, "alice", "told")
    yield made
    made.remove()


def test_nothing_false(server: Server, commands: Commands, work: ToldWorkspace) -> None:
    """No state, reason or status that is shown or told is false, at no moment and with no backend."""
    spectator = Spectator(commands, server, work)
    with spectator.streams():
        spectator.moment("before the start", {})
        run_in_order(spectator, work)
        run_in_disorder(spectator, work)
        run_again(spectator, work)
    assert not spectator.wrong, "\n".join(["", *spectator.wrong])


def run_in_order(spectator: Spectator, work: ToldWorkspace) -> None:
    """Start the grid; have its jobs succeed and fail in every way."""
    work.close_gate()
    work.start("grid", GRID)
    spectator.moment("submitted", {"running": "grid", "scheduled": "held", "waiting": "after-held"})
    work.open_gate()
    work.tell("grid", "go")
    running = "held good gone bad late ended killed again given-up"
    spectator.moment("running", {"running": running, "waiting": "after-bad last"})
    for name in ("held", "good", "gone"):
        work.tell(name, "done")
    spectator.moment("first done", {"done": "held good gone", "running": "after-held"})
    work.tell("bad", "fail")
    work.tell("late", "expire")
    work.kill("ended", "TERM")
    failed = {"error:FAILED": "bad", "error:TIMEOUT": "late", "error:CANCELLED": "ended"}
    spectator.moment("after failures", {**failed, "error:DEPENDENCY": "after-bad last"})
    work.kill("killed")
    spectator.moment("after SIGKILL", {"error:FAILED": "killed"})


def run_in_disorder(spectator: Spectator, work: ToldWorkspace) -> None:
    """Start the others; end their schedulers in every way, while jobs are tried again, go on, and die."""
    work.tell("again", "expire")
    work.tell("given-up", "expire")
    work.start("doomed", DOOMED)
    work.start("raising", RAISING)
    work.start("detached", DETACHED)
    work.note_retry("again")
    running = "doomed goes-on fails-alone dies-alone locked raising left detached kept"
    waiting = "waits never resumed"
    spectator.moment(
        "a retry runs", {"error:TIMEOUT": "given-up", "running": running, "waiting": waiting}
    )
    work.kill("doomed")
    work.tell("raising", "raise")
    work.tell("detached", "detach")
    work.wait("raising")
    work.wait("detached")
    work.mark_as_dead("locked")
    ends = {"crashed": "doomed", "failed": "raising", "detached": "detached"}
    spectator.moment("schedulers ended", {**ends, "unscheduled": waiting}, blind=True)
    for name in ("again", "after-held", "goes-on", "left"):
        work.tell(name, "done")
    work.tell("fails-alone", "fail")
    work.kill("dies-alone")
    work.tell("grid", "go")
    work.wait("grid")
    work.delete("gone")
    failed = {"error:FAILED": "fails-alone dies-alone", "error:MISSING_OUTPUTS": "gone"}
    done = "grid again after-held goes-on left"
    spectator.moment("run ended", {**failed, "done": done}, blind=True)


def run_again(spectator: Spectator, work: ToldWorkspace) -> None:
    """Start the grid and the detached experiment again, and have their jobs end in other ways."""
    work.start("grid", [[*GRID[0], *GRID[1]]])
    work.start("detached", DETACHED)
    running = "grid detached bad late ended killed gone"
    spectator.moment("relaunch running", {"running": running, "waiting": "resumed after-bad last"})
    for name in ("bad", "late", "killed", "gone", "kept"):
        work.tell(name, "done")
    work.kill("ended", "TERM")
    work.tell("detached", "go")
    work.tell("grid", "go")
    spectator.reach(
        "the rest",
        {
            "done": "bad late killed gone kept",
            "error:CANCELLED": "ended",
            "running": "after-bad resumed",
        },
    )
    work.tell("after-bad", "fail")
    work.tell("resumed", "done")
    work.wait("grid")
    work.wait("detached")
    failed = {"error:FAILED": "after-bad", "error:DEPENDENCY": "last"}
    spectator.moment("relaunch ended", {**failed, "done": "grid detached resumed"}, blind=True)
