"""Trees are removed by descriptors, and nothing outside them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.folders.trees import open_below, remove


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    """The open directory that has the tree."""
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_deep_tree(tmp_path: Path, directory: int) -> None:
    """A tree whose paths are longer than the system takes is removed, with the directories that may not be entered."""
    top = os.open(tmp_path, os.O_RDONLY)
    for _ in range(50):
        os.mkdir("d" * 200, dir_fd=top)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=top)
        os.close(top)
        top = inner
    os.mkdir("closed", 0o300, dir_fd=top)
    os.close(top)
    remove(tmp_path / ("d" * 200), directory)
    assert list(tmp_path.iterdir()) == []


def test_directory_of_another_user(
    tmp_path: Path, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that may not be entered, nor be made so, is named by its path."""
    (tmp_path / "tree" / "closed").mkdir(parents=True)
    open_file = filesystem.open_file

    def refuse(path: str, *words: int, **more: int) -> int:
        if path == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return open_file(path, *words, **more)

    def keep(path: str, _: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)

    monkeypatch.setattr(filesystem, "open_file", refuse)
    monkeypatch.setattr(filesystem, "chmod", keep)
    with pytest.raises(PermissionError) as raised:
        remove(tmp_path / "tree", directory)
    assert raised.value.filename == str(tmp_path / "tree" / "closed")


def test_mounted_file_system(
    tmp_path: Path, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is mounted in a tree is left, and named."""
    (tmp_path / "tree" / "mounted").mkdir(parents=True)
    (tmp_path / "tree" / "mounted" / "file").touch()
    inode = (tmp_path / "tree" / "mounted").stat().st_ino
    real = filesystem.stat_open

    def stat_open(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        if status.st_ino != inode:
            return status
        return os.stat_result([*status[:2], status.st_dev + 1, *status[3:]])

    monkeypatch.setattr(filesystem, "stat_open", stat_open)
    with pytest.raises(OSError, match="another file system is mounted there") as caught:
        remove(tmp_path / "tree", directory)
    assert caught.value.filename == str(tmp_path / "tree" / "mounted")
    assert (tmp_path / "tree" / "mounted" / "file").exists()


@pytest.mark.parametrize("part", ["a", "a/b"])
def test_no_link_is_followed(tmp_path: Path, directory: int, part: str) -> None:
    """A directory is not opened below one that is a link, whichever part of the path that is."""
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    os.close(open_below(directory, "a/b/c"))
    (tmp_path / part).rename(tmp_path / "was")
    (tmp_path / part).symlink_to(tmp_path / "was")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        open_below(directory, "a/b/c")
