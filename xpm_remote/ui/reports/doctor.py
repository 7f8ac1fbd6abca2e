"""What an examination found: lines for a person, a JSON document for scripts (described in docs/json.md). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from xpm_remote.doctor.stages import Examination, StageResult, Verdict
from xpm_remote.escaping import safe, safe_lines
from xpm_remote.ui.text import count_text, duration, local_time, size_text

DOCTOR_SCHEMA = "xpm-remote/doctor/1"

INDENT = " " * 10
"""Under the name of the stage, which stands after the verdict."""

_NAME_WIDTH = 15
_FACT_WIDTH = 14

VALUES = len(INDENT) + _FACT_WIDTH + 1
"""The column in which the values of facts begin."""

_NETWORK = "a network file system: what other hosts change there may be announced late"


class ReportLine(NamedTuple):
    """A line, and the verdict that it is about where it is the head of a stage."""

    text: str
    verdict: Verdict | None = None


def stage_lines(result: StageResult) -> Iterator[ReportLine]:
    """Write a stage: its head, what it brought, what is not as it should be, and what to do."""
    yield ReportLine(head_line(result), result.verdict)
    for name, value in result.facts.items():
        words = _WORDS.get(name, _plain_words)
        lines = [line for line in words(value) if line]
        for number, line in enumerate(lines):
            label = safe(name.replace("_", " ")) if number == 0 else ""
            yield ReportLine(f"{INDENT}{label:<{_FACT_WIDTH}} {line}")
    for sentence in result.warnings:
        yield ReportLine(f"{INDENT}! {safe(sentence)}")
    if result.error is not None:
        for line in safe_lines(result.error.what).splitlines():
            yield ReportLine(f"{INDENT}{line}")
        if result.error.hint:
            yield ReportLine(f"{INDENT}→ {safe(result.error.hint)}")


def head_line(result: StageResult) -> str:
    """Write the head of a stage: verdict, name, time, host; why, if it was skipped."""
    time = "" if result.seconds is None else duration(result.seconds)
    tail = f"({safe(result.why)})" if result.why else safe(result.host)
    line = f"{result.verdict.value:<9} {result.stage.value:<{_NAME_WIDTH}} {time:>8}  {tail}"
    return line.rstrip()


def summary_line(examination: Examination) -> str:
    """Write the end of the report."""
    failed = next((each for each in examination.results if each.error is not None), None)
    if failed is not None:
        code = examination.exit_code
        return f"{failed.stage.value} failed: exit status {code.value} ({code.name})"
    number = sum(len(each.warnings) for each in examination.results)
    if not number:
        return "everything works"
    return f"everything works, with {count_text(number, 'warning')}"


def examination_document(
    examination: Examination, host: str, workspace: str, now: float
) -> dict[str, Any]:
    """Return the whole examination.

    Args:
        examination: What was found.
        host: The host, as it was given; empty when that is not known.
        workspace: The remote directory or the id of the workspace, as it was given.
        now: The local time in epoch seconds.
    """
    return {
        "schema": DOCTOR_SCHEMA,
        "host": host,
        "workspace": workspace,
        "generated": local_time(now),
        "verdict": examination.verdict.value,
        "exit_code": int(examination.exit_code),
        "stages": [_stage_document(each) for each in examination.results],
    }


def _stage_document(result: StageResult) -> dict[str, Any]:
    error = result.error
    return {
        "stage": result.stage.value,
        "host": result.host or None,
        "verdict": result.verdict.value,
        "seconds": result.seconds,
        "facts": dict(result.facts),
        "warnings": list(result.warnings),
        "why": result.why or None,
        "error": error
        and {
            "code": int(error.exit_code),
            "name": error.exit_code.name,
            "what": error.what,
            "hint": error.hint or None,
        },
    }


def _plain_words(value: object) -> Iterable[str]:
    if value is None or value == "":
        return []
    if isinstance(value, (list, tuple)):
        return [", ".join(safe(str(each)) for each in value)]
    return [safe(str(value))]


def _attempt_words(attempts: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for each in attempts:
        words = " ".join(word for word in (each["method"], each["identity"]) if word)
        yield f"{safe(words)}: {each['outcome']} ({duration(each['seconds'])})"


def _noise_words(noises: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for each in noises:
        yield f"{size_text(each['bytes'])} on {each['stream']}:"
        for line in safe_lines(each["text"]).splitlines():
            yield f"  | {line}"
        if each["is_cut"]:
            yield "  | …"


def _program_words(programs: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for each in programs:
        found = " ".join(each[key] for key in ("name", "version") if each[key])
        place = f" at {each['path']}" if each["path"] else ""
        trouble = f" ({each['problem']})" if each["problem"] else ""
        yield safe(f"{found}{place}{trouble}")


def _delay_words(delays: Mapping[str, Any]) -> Iterable[str]:
    return [
        f"median {duration(delays['median'])}, longest {duration(delays['longest'])},"
        f" of {count_text(delays['number'], 'event')}"
    ]


_WORDS: Mapping[str, Callable[[Any], Iterable[str]]] = {
    "ahead": lambda offset: [f"{duration(offset['seconds'])} ± {duration(offset['error'])}"],
    "attempts": _attempt_words,
    "banner": lambda text: safe_lines(text).splitlines(),
    "delay": _delay_words,
    "free": lambda number: [size_text(number)],
    "network": lambda is_network: [_NETWORK] if is_network else [],
    "noise": _noise_words,
    "programs": _program_words,
    "received": lambda number: [size_text(number)],
    "round_trip": lambda seconds: [duration(seconds)],
}
