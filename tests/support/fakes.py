"""The fake monitor server, installed on the test server, where SSH starts it like the real one."""

from __future__ import annotations

import json
import secrets
import shlex
from dataclasses import dataclass
from typing import Any

from tests.support.experiments import SCRIPTS
from tests.support.server import Server

FAKE_SERVER = SCRIPTS / "fake_monitor_server.py"
WORKSPACE_MARKER = ".__experimaestro__"


@dataclass(frozen=True)
class FakeMonitor:
    """A fake monitor server with its scenario.

    Args:
        server: Where it is.
        login: Whose it is.
        folder: Its files, by the absolute path on the server.
    """

    server: Server
    login: str
    folder: str

    @property
    def xpm_path(self) -> str:
        """What the setting ``xpm_path`` has to be for it to be started."""
        script, scenario = f"{self.folder}/fake.py", f"{self.folder}/scenario.json"
        return shlex.join(["python3", script, "--scenario", scenario])

    @property
    def workspace(self) -> str:
        """The absolute path of an empty directory that looks like a workspace."""
        return f"{self.folder}/workspace"

    def requests(self) -> list[dict[str, Any]]:
        """Return all requests that reached it so far, oldest first."""
        log = self.server.run(self.login, f"cat {shlex.quote(self.folder)}/requests", check=False)
        return [json.loads(line) for line in log.splitlines()]


def install_fake_monitor(
    server: Server, scenario: dict[str, Any], login: str = "alice"
) -> FakeMonitor:
    """Put a fake monitor server of its own on the server; ``scenario`` is explained in its script."""
    folder = f"{server.home(login)}/fakes/{secrets.token_hex(4)}"
    fake = FakeMonitor(server, login, folder)
    server.write(login, f"{folder}/fake.py", FAKE_SERVER.read_text())
    complete = {"request_log": f"{folder}/requests", **scenario}
    server.write(login, f"{folder}/scenario.json", json.dumps(complete))
    server.write(login, f"{fake.workspace}/{WORKSPACE_MARKER}", "")
    return fake
