"""A remote that prints 10 MB of anything, before and between its messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import Commands, Events
from tests.support.fakes import install_fake_monitor
from tests.support.server import Server

JOBS = {"experiments": 1, "jobs": 20, "states": ["waiting"]}
BURST = {"after": "get_jobs", "seconds": 0.5, "final": ["done"]}
MEGABYTES = 10
MOST_MEMORY = 200 * 1024
"""KiB that we may use at most: without noise it is about a third of that, and a line of noise is read as a whole."""

TEXT = "a line that never ends " * 45_000
BINARY = "".join(map(chr, range(256))) * 4_000
WORDS = "text " * 60
SCALARS = (
    f'1\nnull\n"{WORDS}"\n{{}}\n[1, 2]\n{{"id": 1}}\n{{"jsonrpc": 2, "id": 1}}\n-1e999\n' * 2_800
)
NOISE = {
    "text without a newline": TEXT * MEGABYTES,
    "bytes that are no text": BINARY * MEGABYTES,
    "JSON that is no message": SCALARS * MEGABYTES,
}


def peak_memory(events: Events) -> int:
    """Return the most memory that a command has used, in KiB."""
    status = Path(f"/proc/{events.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1])


@pytest.mark.parametrize("kind", NOISE)
def test_ten_megabytes(server: Server, commands: Commands, kind: str) -> None:
    """The monitor survives it and loses no message, and its memory is bounded."""
    noise = NOISE[kind]
    parts = {"start": noise, "answers": noise[: len(noise) // 10], "notifications": noise[:20_000]}
    fake = install_fake_monitor(server, {"generate": JOBS, "burst": BURST, "noise": parts})
    workspace = commands.add_login(server, "alice", fake.workspace, xpm_path=fake.xpm_path)
    ended = set()
    commands.is_forked = False  # its memory is looked at
    with commands.events("--workspace", workspace) as events:
        events.wait_live()
        for event in events:
            if event["event"] == "job" and event["state"] == "done":
                ended.add(event["id"])
            if len(ended) == JOBS["jobs"]:
                break
        used = peak_memory(events)
        assert events.stop().status == 130
    assert len(ended) == JOBS["jobs"]
    assert used < MOST_MEMORY


def test_before_the_server_starts(server: Server, commands: Commands) -> None:
    """Output of shell_init is skipped, whatever its size; after a failed start, its head is shown escaped."""
    noise = f"head -c {MEGABYTES}000000 /dev/zero | tr '\\0' x; printf '\\033[2Jred'"
    fake = install_fake_monitor(server, {"generate": JOBS})
    given = {"xpm_path": fake.xpm_path, "shell_init": noise}
    workspace = commands.add_login(server, "alice", fake.workspace, **given)
    assert commands.monitor("--workspace", workspace, "--once").status == 0
    again = commands.add(
        "fails",
        fake.workspace,
        host=server.host,
        options=server.ssh_args("alice"),
        shell_init="printf '\\033[2Jno quota left\\n'; exit 3",
        xpm_path=fake.xpm_path,
    )
    failed = commands.monitor("--workspace", again, "--once")
    assert failed.status == 20
    assert "\\x1b[2Jno quota left" in failed.error
