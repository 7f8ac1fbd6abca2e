"""Which tests are run first, and which by one worker, so that no worker is left with a long file at the end."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[1]

REAL_WORKSPACE = "real_workspace"
"""The fixture whose users run in one worker: it takes several experiments to make."""

LONGEST = (
    "cli/test_true_states.py",
    "support_tests/test_server.py",
    "demo/test_run.py",
    "workspace/test_races.py",
    "workspace/test_crashes.py",
    "session/test_soak.py",
    "cli/test_remote_jobs.py",
    "link/test_engine_contract.py",
    "cli/test_peer.py",
    "workspace/agent/test_program.py",
    "support_tests/test_conftest.py",
    "cli/test_ssh_monitor_person.py",
    "workspace/test_orphans_peer.py",
    "rpc/test_server_api.py",
)
"""The files that take longest, besides the users of :data:`REAL_WORKSPACE`: see ``--durations``."""


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests by the time that their files take; files of unknown time keep their places."""
    last = len(LONGEST)
    ranks = {TESTS / name: rank for rank, name in enumerate(LONGEST)}

    def rank(item: pytest.Item) -> int:
        return -1 if scope_of(item.path) == REAL_WORKSPACE else ranks.get(item.path, last)

    items.sort(key=rank)


@cache
def scope_of(path: Path) -> str:
    """Return the name of what runs in one worker: a file, or all files that use the real workspace."""
    uses = path.is_relative_to(TESTS) and f"{REAL_WORKSPACE}:" in path.read_text()
    return REAL_WORKSPACE if uses else str(path)


def make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return a scheduler of pytest-xdist that divides the tests by :func:`scope_of`."""
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # noqa: PLC0415 - asked for by xdist only

    scheduler = LoadFileScheduling(config, log)
    scheduler._split_scope = lambda nodeid: scope_of(config.rootpath / nodeid.partition("::")[0])
    return scheduler
