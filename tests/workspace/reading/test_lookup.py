"""Looking jobs up by a text."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.workspace.faults import below, make_fail
from tests.workspace.small import SmallWorkspace
from xpm_remote.workspace.failures import BadIdFailure, NoJobFailure
from xpm_remote.workspace.reading.lookup import Lookup

JOBS = ["demo.ok/aaaa1", "demo.ok/aaaa2", "demo.okay/bbbb1", "demo.bad/cccc1"]


@pytest.fixture
def lookup(tmp_path: Path) -> Lookup:
    """A workspace and a folder with one more job."""
    made, folder = SmallWorkspace(tmp_path / "ws"), SmallWorkspace(tmp_path / "folder")
    for name in JOBS:
        made.job(name)
    made.link("demo.ok/dead1", tmp_path / "nowhere")
    (made.layout.jobs / "demo.ok" / ".tmp.aaaa1").mkdir()
    folder.job("demo.away/eeee1")
    folder.job(JOBS[0])
    return Lookup([made.layout, folder.layout])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("demo.ok/aaaa1", ["demo.ok/aaaa1"]),
        ("Demo.OK/aaaa1", ["demo.ok/aaaa1"]),
        ("demo.ok/dead1", ["demo.ok/dead1"]),
        ("demo.ok/d", ["demo.ok/dead1"]),
        ("demo.okay/b", ["demo.okay/bbbb1"]),
        ("demo.b/c", ["demo.bad/cccc1"]),
        ("Demo.B/c", ["demo.bad/cccc1"]),
        ("cccc", ["demo.bad/cccc1"]),
        ("bad/cccc1", ["demo.bad/cccc1"]),
        ("Bad/c", ["demo.bad/cccc1"]),
        ("ok/aaaa1", ["demo.ok/aaaa1"]),
        ("okay/b", ["demo.okay/bbbb1"]),
        ("away/eeee", ["demo.away/eeee1"]),
        ("ay/bbbb1", []),
        ("demo.away/e", ["demo.away/eeee1"]),
        ("demo.ok/*", ["demo.ok/aaaa1", "demo.ok/aaaa2", "demo.ok/dead1"]),
        ("demo.ok*/????1", ["demo.ok/aaaa1", "demo.ok/dead1", "demo.okay/bbbb1"]),
        ("[be]*", ["demo.away/eeee1", "demo.okay/bbbb1"]),
        ("demo.ok/zzzz", []),
        ("demo.no/*", []),
        ("zzzz", []),
    ],
)
def test_found(lookup: Lookup, text: str, expected: list[str]) -> None:
    """Full ids, prefixes of them and patterns are found wherever jobs are."""
    assert [str(job) for job in lookup.find(text).jobs] == expected


def test_all(lookup: Lookup) -> None:
    """All jobs are returned in order, each once."""
    away = ["demo.away/eeee1", "demo.ok/dead1"]
    assert [str(job) for job in lookup.all()] == sorted([*JOBS, *away])


@pytest.mark.parametrize("text", ["demo.ok/aaaa", "aaaa", "demo/a", "ok/aaaa"])
def test_ambiguous(lookup: Lookup, text: str) -> None:
    """A prefix of several jobs is refused, and they are listed."""
    with pytest.raises(NoJobFailure, match=r"could be 2 jobs: demo.ok/aaaa1, demo.ok/aaaa2"):
        lookup.find(text)


def test_very_ambiguous(tmp_path: Path) -> None:
    """Of many jobs, some are listed and the others counted."""
    made = SmallWorkspace(tmp_path / "ws")
    for number in range(8):
        made.job(f"t/aaaa{number}")
    with pytest.raises(NoJobFailure, match=r"could be 8 jobs: .*aaaa4 and 3 more; give more"):
        Lookup([made.layout]).find("aaaa")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "/",
        "a/",
        "/a",
        "..",
        "../..",
        "demo.ok/..",
        "demo.ok/../x",
        "../jobs/x",
        "demo.ok/.tmp.aaaa1",
        ".hidden/aaaa",
        "a/b/c",
        "/data/ws/jobs/demo.ok/aaaa1",
        "demo.ok/aaaa1/",
        "demo.ok/aaaa\n",
        "demo.ok/a\0b",
        "../*",
        "*/..",
        "*/*/*",
        "a" * 300,
        "demo.ok/" + "*" * 300,
    ],
)
def test_no_ids(lookup: Lookup, text: str) -> None:
    """A text that could lead out of ``jobs/``, or cannot be a name, is no id."""
    with pytest.raises(BadIdFailure, match="is not the id of a job"):
        lookup.find(text)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_directory_that_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Jobs of a directory that cannot be listed are not taken for absent: it is reported, the others are found."""
    made = SmallWorkspace(tmp_path / "ws")
    made.job("a/aaaa1")
    made.job("b/bbbb1")
    bad = str(made.layout.jobs / "b")
    make_fail(monkeypatch, "scan", number, below(made.layout.jobs / "b"))
    lookup = Lookup([made.layout])
    found = lookup.find("*/*")
    assert [str(job) for job in found.jobs] == ["a/aaaa1"]
    assert [each.path for each in found.unlisted] == [bad]
    assert found.unlisted[0].error == errno.errorcode[number]
    assert not Lookup([made.layout]).find("a/aaaa1").unlisted
    make_fail(monkeypatch, "lstat", number, below(made.layout.jobs / "b"))
    assert [str(job) for job in lookup.find("b/bbbb1").jobs] == ["b/bbbb1"]


def test_the_last_part_of_several_tasks(tmp_path: Path) -> None:
    """The last part of two tasks names both in the error; a task of just that name is meant alone."""
    made = SmallWorkspace(tmp_path / "ws")
    made.job("a.evaluate/aaaa1")
    made.job("b.evaluate/aaaa2")
    made.job("evaluates/aaaa3")
    lookup = Lookup([made.layout])
    with pytest.raises(
        NoJobFailure, match=r"could be 3 jobs: a.evaluate/aaaa1, b.evaluate/aaaa2, evaluates/aaaa3"
    ):
        lookup.find("evaluate/aaaa")
    assert [str(job) for job in lookup.find("evaluate/aaaa2").jobs] == ["b.evaluate/aaaa2"]
    made.job("evaluate/aaaa4")
    assert [str(job) for job in Lookup([made.layout]).find("evaluate/aaaa").jobs] == [
        "evaluate/aaaa4"
    ]
