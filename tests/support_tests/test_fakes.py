"""The fake monitor server on the test server."""

from __future__ import annotations

import json
import shlex
import subprocess

from tests.support.fakes import install_fake_monitor
from tests.support.server import Server

SSH_LIMIT = 30.0
"""Seconds for a session that starts one python."""


def test_ssh_starts_it_like_the_real_one(server: Server) -> None:
    """Started over SSH by its ``xpm_path``, it answers, and its requests can be read."""
    fake = install_fake_monitor(server, {"generate": {"jobs": 2}})
    assert fake.requests() == []
    workspace = shlex.quote(fake.workspace)
    command = f"{fake.xpm_path} --quiet experiments --workdir {workspace} monitor-server"
    request = {"jsonrpc": "2.0", "id": 1, "method": "get_jobs", "params": {"refresh": True}}
    done = subprocess.run(
        ["ssh", *server.ssh_args("alice"), server.host, f"test -f {workspace}/.__* && {command}"],
        input=json.dumps(request).encode(),
        capture_output=True,
        timeout=SSH_LIMIT,
        check=True,
    )
    answer, farewell = map(json.loads, done.stdout.splitlines())
    assert len(answer["result"]) == 2
    assert answer["result"][0]["path"].startswith(fake.workspace)
    assert farewell["method"] == "notification.shutdown"
    assert fake.requests() == [request]
