"""A shell in the directory of a job."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.ui.screen.fleets import dashboard
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.remote.command import RemoteExperimaestro
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.settings.schema import SshEngine
from xpm_remote.ui.screen import app as app_module
from xpm_remote.ui.screen.shells import Shell, run_shell, shell_in
from xpm_remote.waiting import run_until_signal, taken

SCRIPT = ["/bin/sh", "-c"]


def test_where() -> None:
    """Of this machine it is the person's own shell; of a host, that of ssh with the options of the workspace."""
    local = shell_in(LocalTarget("here", "/ws", "mine"), "/ws/jobs/\x1b", {"SHELL": "/bin/zsh"})
    assert local == Shell(["/bin/zsh"], "mine: /ws/jobs/\\x1b", "/ws/jobs/\x1b")
    assert shell_in(LocalTarget("here", "/ws"), "/ws", {}).argv == ["/bin/sh"]
    options = parse_ssh_options("me@h", ["-p 7"], SshEngine.ASYNCSSH)
    remote = shell_in(Target("h", "/ws", options, RemoteExperimaestro(), id="jz"), "/ws/j", {})
    assert remote.argv[:2] == ["ssh", "-t"]
    assert remote.argv[-2] == "h"
    assert (remote.title, remote.cwd) == ("jz: /ws/j", None)


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        ("exit 0", ""),
        ("exit 1", ""),
        ("exit 93", "its directory cannot be entered"),
        ("exit 255", "ssh ended with exit code 255"),
    ],
)
async def test_how_it_ends(script: str, trouble: str) -> None:
    """The exit status of a shell is the person's business; why there was none is told."""
    assert await run_shell(Shell([*SCRIPT, script], "x")) == trouble


async def test_what_cannot_begin(tmp_path: Path) -> None:
    """A program that is not there, and a directory that is gone, are told."""
    assert await run_shell(Shell([*SCRIPT, "exit 255"], "x", str(tmp_path))) == ""
    gone = str(tmp_path / "gone")
    assert await run_shell(Shell(SCRIPT, "x", gone)) == f"{gone} cannot be entered"
    told = await run_shell(Shell([str(tmp_path / "none")], "x"))
    assert told.endswith("none cannot be run: No such file or directory")


async def test_it_ends_with_the_dashboard() -> None:
    """A shell does not outlive a dashboard that is ended."""
    task = asyncio.create_task(run_shell(Shell([*SCRIPT, "exec sleep 600"], "x")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_interrupts_are_the_shell_s() -> None:
    """Ctrl-C while another program has the terminal ends nothing here; afterwards it does."""

    async def work() -> None:
        heard = asyncio.Event()
        with taken(heard.set, signal.SIGINT):
            os.kill(os.getpid(), signal.SIGINT)
            await heard.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    assert run_until_signal(work()) == 130


async def test_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """O opens a shell in the directory of the job under the cursor, and says what went wrong; not on a stale link."""
    opened: list[Shell] = []

    async def run(shell: Shell) -> str:
        opened.append(shell)
        return "its directory cannot be entered" if len(opened) > 1 else ""

    async def enter() -> None:
        pass

    monkeypatch.setattr(app_module, "run_shell", run)
    monkeypatch.setattr(app_module, "wait_for_enter", enter)
    async with dashboard(tmp_path) as screen:
        monkeypatch.setattr(screen.app, "suspend", contextlib.nullcontext)
        await screen.press("2", "o")
        assert "not known any more" in screen.line("crumbs")
        targets = {name: LocalTarget("here", "/ws", name) for name in ("jz", "lip6")}
        monkeypatch.setattr(screen.app, "_target", targets.get)
        await screen.press("o")
        assert [each.cwd for each in opened] == ["/ws/jobs/demo.task/failed-job"]
        await screen.press("enter", "o")
        assert "its directory cannot be entered" in screen.line("crumbs")
        screen.fleet.lose("jz")
        await screen.press("o")
        assert "jz is STALE" in screen.line("crumbs")
        assert len(opened) == 2
        await screen.press("2", "slash", *"nothing here", "enter", "o")
        assert "there is no job here" in screen.line("crumbs")
