"""The report of an examination: lines and document, and that docs/json.md describes the latter."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from xpm_remote.doctor.stages import Examination, Stage, StageResult, Verdict
from xpm_remote.errors import StartError, XpmRemoteError
from xpm_remote.ui.reports.doctor import examination_document, head_line, stage_lines, summary_line

GUIDE = (Path(__file__).parents[3] / "docs" / "json.md").read_text()
DOCTOR_GUIDE = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text()
NOW = 1_700_000_000.0


def text(**given: Any) -> str:
    """Return the lines of a stage."""
    result = StageResult(**{"stage": Stage.TOOLS, "verdict": Verdict.OK, "seconds": 1.0, **given})
    return "\n".join(line.text for line in stage_lines(result))


def lines_of(name: str, value: object) -> list[str]:
    """Return the lines of one fact, without leading blanks."""
    return [line.strip() for line in text(facts={name: value}).splitlines()[1:]]


class TestLines:
    """The report as text."""

    def test_head(self) -> None:
        """The head has verdict, stage, time and host."""
        result = StageResult(Stage.TCP, Verdict.OK, "cluster port 22", seconds=0.5)
        assert head_line(result).split() == ["ok", "tcp", "0.50", "s", "cluster", "port", "22"]
        assert next(iter(stage_lines(result))).verdict is Verdict.OK

    def test_skipped(self) -> None:
        """A skipped stage has the reason, and no time."""
        head = head_line(StageResult(Stage.EVENTS, Verdict.SKIPPED, why="server failed"))
        assert head.split() == ["skipped", "events", "(server", "failed)"]

    def test_failed(self) -> None:
        """A failure has its message, line by line, and the hint."""
        shown = text(verdict=Verdict.FAILED, error=StartError("no uv\nat all", "install it"))
        assert [line.strip() for line in shown.splitlines()[1:]] == [
            "no uv",
            "at all",
            "→ install it",
        ]

    def test_failed_without_a_hint(self) -> None:
        """An error without a hint has no further line."""
        assert "→" not in text(verdict=Verdict.FAILED, error=XpmRemoteError("it broke"))

    def test_warnings(self) -> None:
        """Each warning has a line."""
        shown = text(verdict=Verdict.WARNING, warnings=("old", "late"))
        assert shown.splitlines()[1:] == [f"{' ' * 10}! old", f"{' ' * 10}! late"]

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("host keys", ["a", "b"], ["host keys      a, b"]),
            ("jump_hosts", [], []),
            ("port", 22, ["port           22"]),
            ("known", "", []),
            ("known", None, []),
            ("round_trip", 0.0123, ["round trip     12.3 ms"]),
            ("received", 10 << 20, ["received       10 MiB"]),
            ("free", 5 << 30, ["free           5.0 GiB"]),
            ("network", False, []),
            ("banner", "one\ntwo\x1b[2J", ["banner         one", "two\\x1b[2J"]),
            ("ahead", {"seconds": -2.5, "error": 0.01}, ["ahead          -2.50 s ± 10 ms"]),
            (
                "delay",
                {"median": 0.002, "longest": 12.34, "number": 3},
                ["delay          median 2 ms, longest 12.3 s, of 3 events"],
            ),
        ],
    )
    def test_facts(self, name: str, value: object, expected: list[str]) -> None:
        """Each fact has its name and its value in words; unknown facts are left out."""
        assert lines_of(name, value) == expected

    def test_network(self) -> None:
        """A network file system is shown with its consequence."""
        assert "announced late" in lines_of("network", True)[0]

    def test_attempts(self) -> None:
        """Each attempt to log in has a line."""
        attempts = [
            {"method": "publickey", "identity": "k\x07", "outcome": "refused", "seconds": 0.01},
            {"method": "password", "identity": "", "outcome": "accepted", "seconds": 3.0},
        ]
        assert lines_of("attempts", attempts) == [
            "attempts       publickey k\\x07: refused (10 ms)",
            "password: accepted (3.00 s)",
        ]

    def test_noise(self) -> None:
        """Noise is shown escaped, line by line, and marked if truncated."""
        noise = [
            {"stream": "stdout", "bytes": 12, "text": "motd\n\x1b[31mred\n", "is_cut": False},
            {"stream": "stderr", "bytes": 9000, "text": "xx", "is_cut": True},
        ]
        assert lines_of("noise", noise) == [
            "noise          12 B on stdout:",
            "| motd",
            "| \\x1b[31mred",
            "8.8 KiB on stderr:",
            "| xx",
            "| …",
        ]

    def test_programs(self) -> None:
        """A program is shown with version and place, or with its problem."""
        programs = [
            {"name": "python3", "version": "3.11.2", "path": "/usr/bin/python3", "problem": None},
            {"name": "uv", "version": None, "path": "/x/uv", "problem": "exit status 1: no"},
            {"name": "experimaestro", "version": "2.7.0", "path": None, "problem": None},
        ]
        assert lines_of("programs", programs) == [
            "programs       python3 3.11.2 at /usr/bin/python3",
            "uv at /x/uv (exit status 1: no)",
            "experimaestro 2.7.0",
        ]

    @pytest.mark.parametrize(
        "given",
        [
            {"facts": {"greeting": "SSH\x1b]0;x\x07"}},
            {"facts": {"a\x1bb": "x"}},
            {"facts": {"methods": ["\x1b[2J"]}},
            {"warnings": ("\x1b[2J",)},
            {"why": "\x1b[2J"},
            {"host": "\x1b[2J"},
            {"error": StartError("\x1b[2J", "\x1b[2J")},
        ],
    )
    def test_hostile(self, given: dict[str, Any]) -> None:
        """No text of a remote moves the cursor."""
        assert "\x1b" not in text(**given)


def examined(*, warn: bool = False, error: XpmRemoteError | None = None) -> Examination:
    """Return an examination with two stages."""
    examination = Examination(lambda: 0.0)
    examination.begin(Stage.SERVER, "cluster port 22")
    examination.note("protocol", "2.0")
    if warn:
        examination.warn("slow")
    if error is not None:
        examination.fail(error)
    examination.finish()
    return examination


class TestSummary:
    """The last line."""

    def test_well(self) -> None:
        """Without a problem all is well."""
        assert summary_line(examined()) == "everything works"

    def test_warned(self) -> None:
        """Warnings are counted."""
        assert summary_line(examined(warn=True)) == "everything works, with 1 warning"

    def test_failed(self) -> None:
        """A failure is named with its status."""
        failed = examined(error=StartError("no uv"))
        assert summary_line(failed) == "server failed: exit status 21 (START)"


class TestDocument:
    """The report as a document."""

    def test_well(self) -> None:
        """The document has all stages, and can be written."""
        document = examination_document(examined(warn=True), "cluster", "/ws", NOW)
        assert json.loads(json.dumps(document)) == document
        assert (document["verdict"], document["exit_code"]) == ("warning", 0)
        assert document["stages"] == [
            {
                "stage": "server",
                "host": "cluster port 22",
                "verdict": "warning",
                "seconds": 0.0,
                "facts": {"protocol": "2.0"},
                "warnings": ["slow"],
                "why": None,
                "error": None,
            }
        ]

    def test_failed(self) -> None:
        """A failure has all its parts, and skipped stages have the reason."""
        document = examination_document(
            examined(error=StartError("no uv", "install it")), "c", "/ws", NOW
        )
        failed, skipped, _ = document["stages"]
        assert document["exit_code"] == 21
        assert failed["error"] == {
            "code": 21,
            "name": "START",
            "what": "no uv",
            "hint": "install it",
        }
        assert (skipped["stage"], skipped["why"], skipped["host"]) == (
            "snapshot",
            "server failed",
            None,
        )

    def test_guide_names_the_keys(self) -> None:
        """docs/json.md has a row for each key of the document, of a stage and of an error."""
        section = GUIDE[GUIDE.index("## `xpm-remote/doctor/1`") :]
        document = examination_document(examined(error=StartError("x")), "c", "/ws", NOW)
        stage = document["stages"][0]
        rows = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
        assert {*document, *stage, *stage["error"]} <= rows

    @pytest.mark.parametrize("stage", list(Stage))
    def test_guide_names_the_stages(self, stage: Stage) -> None:
        """docs/doctor.md has a row for each stage, and docs/json.md has its word."""
        assert f"`{stage.value}`" in GUIDE
        assert re.search(rf"^\| {stage.value} \|", DOCTOR_GUIDE, re.MULTILINE)
