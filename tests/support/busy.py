"""A workspace on the test server whose jobs change when a test requests it, as real ones do."""

from __future__ import annotations

import asyncio
import json
import shlex
from types import TracebackType

from tests.support.experiments import SCRIPTS
from tests.support.fakes import WORKSPACE_MARKER
from tests.support.server import Server

STEPS_OF_A_JOB = 4
"""Waiting, scheduled, running, and the end."""
STEP_LIMIT = 120.0
"""Seconds for some steps, each of which takes a hundredth of one, and for the end of what runs in a container."""


class BusyWorkspace:
    """A run of an experiment whose jobs change on request.

    Args:
        server: Where it is.
        path: The workspace, absolute or relative to the home of ``login``; it is made.
        jobs: How many jobs there are.
        seed: Decides which job moves.
        login: Whose it is.
    """

    def __init__(
        self, server: Server, path: str, *, jobs: int, seed: str, login: str = "alice"
    ) -> None:
        self._server = server
        self._login = login
        marker = server.write(login, f"{path}/{WORKSPACE_MARKER}", "")
        self.path = marker.rpartition("/")[0]
        script = server.write(
            login, f"{path}-script.py", (SCRIPTS / "busy_workspace.py").read_text()
        )
        self._command = shlex.join(["python3", script, self.path, str(jobs), seed])
        self.left = jobs * STEPS_OF_A_JOB
        """How many steps there are yet to make."""

    async def __aenter__(self) -> BusyWorkspace:
        self._process = await asyncio.create_subprocess_exec(
            *self._server.local_argv(self._login, self._command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert await self._answer() == "ready"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def advance(self, steps: int) -> None:
        """Make so many steps; return when they are made."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % steps)
        self.left = int(await self._answer())

    async def end(self) -> None:
        """Let the run end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), STEP_LIMIT)

    async def states(self) -> dict[str, str]:
        """Return the states of all jobs by the files, read without our code."""
        script = (SCRIPTS / "read_states.py").read_text()
        command = f"python3 - {shlex.quote(self.path)}"
        said = await asyncio.to_thread(self._server.run, self._login, command, input=script)
        (states,) = json.loads(said).values()
        found: dict[str, str] = states
        return found

    async def _answer(self) -> str:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), STEP_LIMIT)
        assert line, "the workspace's writer has ended"
        return line.decode().strip()
