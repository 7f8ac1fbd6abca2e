"""Runs inside the real experimaestro's venv: workspaces in, their orphans as it lists them out, as JSON lines.

Usage: ``ask_peer_orphans.py HOME < CASES``; a case is ``{"path", "folders": [[path, mode], ...], "include"}``. The
answer is ``{"orphans": ["task/hash", ...]}``, or ``{"error"}`` where experimaestro fails. One process answers all
cases: it takes a second to start.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

HOME = Path(sys.argv[1])
os.environ["HOME"] = str(HOME)

testing = importlib.import_module("click.testing")
command_line = importlib.import_module("experimaestro.cli")
settings = importlib.import_module("experimaestro.settings")


def answer(case: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return what experimaestro prints for one case."""
    folders = [{"path": path, "mode": mode} for path, mode in case["folders"]]
    workspaces = [{"id": "w", "path": case["path"], "folders": folders}]
    file.write_text(json.dumps({"workspaces": workspaces}), encoding="utf-8")
    settings.get_settings.cache_clear()
    include = "--include-folders" if case["include"] else "--no-folders"
    done = testing.CliRunner().invoke(
        command_line.cli, ["--quiet", "orphans", include, case["path"]]
    )
    if done.exit_code:
        return {"error": repr(done.exception), "output": done.output}
    lines = done.output.splitlines()
    return {"orphans": sorted(line.strip() for line in lines if line.startswith(" "))}


def main() -> None:
    """Answer every line of standard input with one of standard output."""
    file = HOME / ".config" / "experimaestro" / "settings.yaml"
    file.parent.mkdir(parents=True)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line), file)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
