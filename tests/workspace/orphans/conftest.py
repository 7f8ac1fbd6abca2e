"""Fixtures of the tests of orphans."""

from __future__ import annotations

import pytest

from xpm_remote.workspace import mounts


@pytest.fixture(autouse=True)
def _local_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every directory as one of a local disk: a container's own file system is not known as one."""
    monkeypatch.setattr(mounts, "belongs_to_one_host", lambda _: True)
