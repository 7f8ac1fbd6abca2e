"""Paths in a workspace."""

from __future__ import annotations

from pathlib import Path

import pytest

from xpm_remote.workspace.layout import JobId, Layout


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("done", "train.done"),
        ("failed", "train.failed"),
        ("pid", "train.pid"),
        ("lock", "train.lock"),
        ("stdout", "train.out"),
        ("stderr", "train.err"),
        ("params", "params.json"),
    ],
)
def test_job_files(name: str, path: str) -> None:
    """The files of a job are named after its task's last word, or have names of their own."""
    files = Layout(Path("/ws")).job_files(JobId("pkg.train", "abc"))
    assert getattr(files, name) == Path("/ws/jobs/pkg.train/abc") / path
