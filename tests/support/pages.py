"""Pages of an agent's rows, with numbers and times as they are, made into what is sent, and back."""

from __future__ import annotations

from typing import Any

import msgspec

from xpm_remote.model.agent_pages import decode_page
from xpm_remote.workspace.agent.folding import JOB_TIMES, LISTED_TIMES, fold, take_hashes


def folded(kind: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a notification as an agent sends them."""
    rows = params.get("rows")
    if not isinstance(rows, list | tuple) or kind not in ("listed", "jobs"):
        return params
    rows = [list(row) for row in rows]
    if kind == "jobs":
        return {**params, "rows": fold(rows, JOB_TIMES)}
    return {**params, "hashes": take_hashes(rows), "rows": fold(rows, LISTED_TIMES)}


def unfolded(notice: dict[str, Any]) -> list[list[Any]]:
    """Return the rows of a notification that was received, with numbers and times as they are."""
    page = decode_page(notice["method"], msgspec.json.encode(notice["params"]))
    rows: list[list[Any]] = msgspec.to_builtins(getattr(page, "rows", []))
    return [_bare(row) for row in rows]


def _bare(row: list[Any]) -> list[Any]:
    """Return a row without the trailing values that are null, as it is sent."""
    while row[-1] is None:
        del row[-1]
    return row
