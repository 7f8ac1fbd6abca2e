"""Comparing a copy of a job with the job: it is the same, a part of it, or something else."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from xpm_remote.workspace import filesystem
from xpm_remote.workspace.folders import contents
from xpm_remote.workspace.folders.contents import Match
from xpm_remote.workspace.folders.trees import (
    NAMED_AT_MOST,
    Opened,
    Tree,
    job_directories,
    join,
    naming,
    own_top_names,
)
from xpm_remote.workspace.layout import is_of_open_file

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PARAMS_MAX = 1 << 20
"""Bytes up to which two ``params.json`` are compared by value; larger ones only by their bytes."""


class Comparison:
    """How a copy compares with its source. Experimaestro's own files, which it rewrites, are counted apart.

    Attributes:
        missing: How many entries of the source the copy lacks or has only the beginning of.
        own_differences: How many of experimaestro's own files differ.
        own_extra: Those of its files that only the copy has.
        different: Names of the user's files that differ, and of those that only the copy has; the first few.
    """

    def __init__(self) -> None:
        self.missing = 0
        self.own_differences = 0
        self.own_extra: list[str] = []
        self.different: list[str] = []

    @property
    def is_same(self) -> bool:
        """Whether the copy has all that the source has, and no other file of the user."""
        return not (self.missing or self.own_differences or self.different)

    @property
    def is_part(self) -> bool:
        """Whether all of the user's files in the copy are in the source, too."""
        return not self.different


def compare_jobs(
    source: Path, copy: Path, name: str, *, sync: bool = False, directory: int | None = None
) -> Comparison:
    """Compare a copy of a job with the job, byte by byte. Files that were removed while they are open do not count.

    Args:
        source: The job's directory.
        copy: The copy's directory.
        name: The job's script name.
        sync: Whether each file of the copy is made durable by itself.
        directory: The open directory that has the copy; by default it is looked up.

    Raises:
        OSError: Something cannot be read, or not be made durable.
    """
    with Tree(source) as first, Tree(copy, directory) as second:
        return _TreeComparison(first, second, name, sync=sync).run()


def changed_since(original: Tree, copy: Tree, name: str, moment: int) -> str | None:
    """Return the path of something that may have appeared or changed in a directory after it was copied, or None.

    Args:
        original: The directory, which is no longer found by its old name.
        copy: Its copy.
        name: The job's script name.
        moment: The time when the copying began, by the clock of the directory's file system, nanoseconds.

    Raises:
        OSError: Something cannot be read.
    """
    for path, _, entries in job_directories(original, name):
        if not entries:
            continue
        try:
            with copy.below(path) as directory:
                changed = [each for each in entries if not _is_as_copied(each, directory, moment)]
        except (FileNotFoundError, NotADirectoryError):
            changed = entries
        if changed:
            return join(path, changed[0].name)
    return None


def _is_as_copied(entry: os.DirEntry[str], directory: int, moment: int) -> bool:
    status = entry.stat(follow_symlinks=False)
    try:
        copied = filesystem.lstat(entry.name, dir_fd=directory)
    except FileNotFoundError:
        return False
    if stat.S_IFMT(status.st_mode) != stat.S_IFMT(copied.st_mode):
        return False
    if not stat.S_ISREG(status.st_mode):
        return stat.S_ISLNK(status.st_mode)
    same_time = status.st_mtime_ns == copied.st_mtime_ns or status.st_mtime_ns < moment
    return same_time and status.st_size == copied.st_size


class _TreeComparison:
    """One comparison of two trees; the arguments are those of ``compare_jobs``."""

    def __init__(self, source: Tree, copy: Tree, name: str, *, sync: bool) -> None:
        self._trees = (source, copy)
        self._skipped = own_top_names(name)
        self._own = frozenset({f"{name}.py", "locks.json", ".experimaestro"})
        self._sync = sync
        self._pending = [""]
        self.result = Comparison()

    def run(self) -> Comparison:
        while self._pending:
            self._compare_directory(self._pending.pop())
        return self.result

    def _compare_directory(self, directory: str) -> None:
        first, second = self._trees
        with first.below(directory) as source, second.below(directory) as copy:
            self._compare_entries(directory, source, copy)
            if self._sync:
                with naming(join(second.path, directory)):
                    filesystem.fsync(copy)

    def _compare_entries(self, directory: str, source: int, copy: int) -> None:
        wanted = self._list(self._trees[0], directory, source)
        found = self._list(self._trees[1], directory, copy)
        for name, kind in wanted.items():
            path = join(directory, name)
            if name not in found:
                self.result.missing += kind != 0
            elif kind != found[name]:
                self._note_different(path)
            else:
                self._compare_entry(path, name, kind, (source, copy))
        for name in found.keys() - wanted.keys():
            self._note_extra(join(directory, name))

    def _compare_entry(self, path: str, name: str, kind: int, both: tuple[int, int]) -> None:
        if kind == stat.S_IFDIR:
            self._pending.append(path)
        elif kind == stat.S_IFLNK:
            texts = []
            for tree, directory in zip(self._trees, both):
                with naming(join(tree.path, path)):
                    texts.append(filesystem.readlink(name, dir_fd=directory))
            if texts[0] != texts[1]:
                self._note_different(path)
        elif kind == stat.S_IFREG:
            self._compare_files(path, name, *both)

    def _list(self, tree: Tree, directory: str, opened: int) -> dict[str, int]:
        """Return names and kinds; what is never copied has kind 0 in a source and is no data in a copy."""
        with naming(join(tree.path, directory)), filesystem.scan(opened) as entries:
            return {
                entry.name: _kind(entry)
                for entry in entries
                if (directory or entry.name not in self._skipped)
                and not is_of_open_file(entry.name)
            }

    def _compare_files(self, path: str, name: str, source: int, copy: int) -> None:
        first, second = (join(tree.path, path) for tree in self._trees)
        with naming(first), Opened(name, _FILE, dir_fd=source) as wanted, naming(second), Opened(
            name, _FILE, dir_fd=copy
        ) as found:
            match = self._match(path, wanted, found, first)
        if match is Match.PREFIX:
            self.result.missing += 1
        elif match is Match.DIFFERENT:
            self._note_different(path)

    def _match(self, path: str, source: int, copy: int, source_path: str) -> Match:
        try:
            match = contents.compare(source, copy)
            may_be_reformatted = match is not Match.SAME and path == "params.json"
            if may_be_reformatted and _is_same_json(source, copy):
                match = Match.SAME
            if self._sync and match is Match.SAME:
                filesystem.fsync(copy)
        except OSError as error:
            if error.filename == source:
                error.filename = source_path
            raise
        return match

    def _note_different(self, path: str) -> None:
        if self._is_own(path):
            self.result.own_differences += 1
        elif len(self.result.different) < NAMED_AT_MOST:
            self.result.different.append(path)

    def _note_extra(self, path: str) -> None:
        if self._is_own(path):
            self.result.own_extra.append(path)
        else:
            self._note_different(path)

    def _is_own(self, path: str) -> bool:
        return path.partition("/")[0] in self._own


def _kind(entry: os.DirEntry[str]) -> int:
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFREG if entry.is_file(follow_symlinks=False) else 0


def _is_same_json(first: int, second: int) -> bool:
    """Return whether two JSON files have equal values: experimaestro formats old ones anew when it copies them."""
    texts = [filesystem.read_at(each, _PARAMS_MAX + 1, 0) for each in (first, second)]
    if max(map(len, texts)) > _PARAMS_MAX:
        return False
    try:
        return bool(json.loads(texts[0]) == json.loads(texts[1]))
    except (ValueError, RecursionError):
        return False
