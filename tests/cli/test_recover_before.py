"""What an experiment has lost comes back before it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workspace.small import SmallWorkspace
from xpm_remote.cli.context import Context
from xpm_remote.cli.run_experiment import recover_before
from xpm_remote.errors import UsageError
from xpm_remote.settings.schema import Folder, FolderMode, Workspace


@pytest.fixture
def made(tmp_path: Path) -> SmallWorkspace:
    """A workspace that has lost jobs of two experiments, which its folder has."""
    made, folder = SmallWorkspace(tmp_path / "ws"), SmallWorkspace(tmp_path / "folder")
    for name in ("t/a", "t/b"):
        folder.job(name)
    made.run(["t/a", "t/gone"], "demo")
    made.run(["t/b"], "other")
    return made


def workspace(made: SmallWorkspace) -> Workspace:
    """Give it as the settings have it."""
    folder = Folder(path=made.root.parent / "folder", mode=FolderMode.USE)
    return Workspace(id="w", path=made.root, folders=(folder,))


def results(made: SmallWorkspace) -> list[str]:
    """Give the jobs that it has."""
    return sorted(each.parent.name for each in made.layout.jobs.glob("t/*/result.txt"))


def test_own_jobs_only(made: SmallWorkspace, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what runs of that experiment refer to comes back; that it does is said once."""
    recover_before(Context(), workspace(made), lambda: "demo")
    assert results(made) == ["a"]
    assert capsys.readouterr().err.startswith("1 job to recover, ")
    recover_before(Context(), workspace(made), lambda: "demo")
    assert capsys.readouterr().err == ""


def test_unknown_id(made: SmallWorkspace) -> None:
    """An id that the files do not tell, or files that cannot be read, bring nothing back and hinder nothing."""

    def fail() -> str:
        raise UsageError("the file cannot be read")

    recover_before(Context(), workspace(made), lambda: None)
    recover_before(Context(), workspace(made), fail)
    assert results(made) == []


def test_no_workspace_yet(tmp_path: Path) -> None:
    """A workspace that is only about to be made has lost nothing."""
    folder = Folder(path=tmp_path, mode=FolderMode.USE)
    recover_before(
        Context(), Workspace(id="w", path=tmp_path / "no", folders=(folder,)), lambda: "demo"
    )
    assert not (tmp_path / "no").exists()


def test_busy(made: SmallWorkspace, capsys: pytest.CaptureFixture[str]) -> None:
    """A job that cannot be brought back is a warning."""
    place = made.layout.jobs / "t" / "a"
    place.mkdir(parents=True)
    (place / "t.lock").touch()
    (place / "mine.txt").write_text("mine")
    recover_before(Context(), workspace(made), lambda: "demo")
    assert (place / "mine.txt").read_text() == "mine"
    capsys.readouterr()
