"""Ask the real experimaestro how it reads settings files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from tests.support.peer import Peer, running_peer

SCRIPT = Path(__file__).parent / "scripts" / "ask_peer.py"


class Case(Struct, frozen=True, kw_only=True):
    """A settings file and a query."""

    text: str
    environ: dict[str, str] = {}
    experiment: str | None = None
    workspace: str | None = None
    workdir: str | None = None


class SettingsPeer:
    """The real experimaestro with an empty home, in one process for all questions.

    Attributes:
        home: Its home.
    """

    def __init__(self, running: Peer, home: Path) -> None:
        self.home = home
        self._running = running

    def ask(self, cases: Sequence[Case]) -> list[dict[str, Any]]:
        """Return its reading of each case."""
        return [self._running.ask(to_builtins(case)) for case in cases]


@contextmanager
def running_settings_peer(home: Path) -> Iterator[SettingsPeer]:
    """Run it until the context ends; the folder ``home`` is its home."""
    with running_peer(SCRIPT, str(home)) as running:
        yield SettingsPeer(running, home)
