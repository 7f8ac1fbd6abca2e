"""The way to a workspace, examined from the dashboard."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.ui.screen.fleets import dashboard
from xpm_remote.doctor import examine as examine_module
from xpm_remote.doctor.stages import Examination, Stage
from xpm_remote.errors import UnreachableError
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.remote.command import RemoteExperimaestro
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.settings.schema import SshEngine
from xpm_remote.ui.screen import app as app_module
from xpm_remote.ui.screen import examining
from xpm_remote.ui.screen.examining import examine_on_terminal
from xpm_remote.waiting import run_until_signal

OPTIONS = parse_ssh_options("me@host", ["-F none"], SshEngine.ASYNCSSH)
TARGET = Target("host", "/ws", OPTIONS, RemoteExperimaestro(), id="jz")


async def works(target: Target, examination: Examination, **_: object) -> None:
    """Examine a workspace with which all is well."""
    del target
    examination.begin(Stage.TCP)
    examination.finish()


async def hangs(target: Target, examination: Examination, **_: object) -> None:
    """Wait for ever."""
    del target, examination
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.Event().wait()


async def test_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stage is printed once it has ended, and the summary returned."""
    told: list[str] = []
    monkeypatch.setattr(examining, "put", told.append)
    monkeypatch.setattr(examine_module, "examine", works)
    assert await examine_on_terminal(TARGET, 1.0) == "everything works"
    assert told[0].startswith("doctor jz")
    assert any("workspace" in line and "/ws" in line for line in told)
    assert sum("tcp" in line.lower() for line in told) == 1


async def test_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage that fails is in the summary."""

    async def fails(target: Target, examination: Examination, **_: object) -> None:
        del target
        examination.begin(Stage.TCP)
        examination.fail(UnreachableError("no way", "try another"))

    monkeypatch.setattr(examine_module, "examine", fails)
    assert "failed: exit status" in await examine_on_terminal(TARGET, 1.0)


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the examination, and not the dashboard."""
    monkeypatch.setattr(examine_module, "examine", hangs)
    told: list[str] = []

    def work() -> Coroutine[Any, Any, None]:
        async def examine() -> None:
            told.append(await examine_on_terminal(TARGET, 1.0))

        return examine()

    assert run_until_signal(work()) == 0
    assert told == ["the examination was ended"]


async def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """:doctor examines the workspace under the cursor, or that which is named; one of this machine has no way to it."""
    entered: list[bool] = []

    async def enter() -> None:
        entered.append(True)

    monkeypatch.setattr(examine_module, "examine", works)
    monkeypatch.setattr(app_module, "wait_for_enter", enter)
    async with dashboard(tmp_path) as screen:
        monkeypatch.setattr(screen.app, "suspend", contextlib.nullcontext)
        targets = {"jz": TARGET, "lip6": LocalTarget("here", "/ws", "lip6")}
        monkeypatch.setattr(screen.app, "_target", targets.get)
        await screen.press("colon", *"doctor", "enter")
        assert "jz: everything works" in screen.line("crumbs")
        await screen.press("2", "colon", *"doctor", "enter")
        assert entered == [True, True]
        await screen.press("colon", *"doctor lip6", "enter")
        assert "lip6 is of this machine" in screen.line("crumbs")
        await screen.press("colon", *"doctor nowhere", "enter")
        assert "there is no workspace nowhere" in screen.line("crumbs")
        await screen.press("4", "colon", *"doctor", "enter")
        assert "name a workspace" in screen.line("crumbs")
