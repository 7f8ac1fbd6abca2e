"""Runs inside the real experimaestro's venv: settings files and queries in, its workspaces out, as JSON lines.

Usage: ``ask_peer.py HOME < CASES``; the settings files are written below HOME, one after the other. A case is
``{"text", "environ", "experiment", "workspace", "workdir"}``; the answer is what the workspace is, or
``{"error", "stage"}`` where experimaestro raises.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

peer = importlib.import_module("experimaestro.settings")


def answer(case: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return experimaestro's reading of one case."""
    file.write_text(case["text"], encoding="utf-8")
    os.environ.update(case["environ"])
    peer.get_settings.cache_clear()
    stage = "settings"
    try:
        peer.get_settings()
        stage = "selection"
        workspace = peer.find_workspace(
            workspace=case["workspace"], workdir=case["workdir"], experiment_id=case["experiment"]
        )
    except Exception as error:  # noqa: BLE001 - which ones it raises is what we ask
        return {"stage": stage, "error": f"{type(error).__name__}: {error}"}
    return {
        "id": workspace.id,
        "path": str(workspace.path),
        "env": workspace.env,
        "folders": [[str(folder.path), folder.mode.value] for folder in workspace.folders],
        "alternatives": workspace.alt_workspaces,
        "triggers": workspace.triggers,
        "max_retries": workspace.max_retries,
        "lock_mode": workspace.lock_mode,
        "host": workspace.ssh.host if workspace.is_remote else None,
        "options": workspace.ssh.options if workspace.is_remote else [],
    }


def main() -> None:
    """Answer every line of standard input with one of standard output."""
    home = Path(sys.argv[1])
    os.environ["HOME"] = str(home)
    file = home / ".config" / "experimaestro" / "settings.yaml"
    file.parent.mkdir(parents=True)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line), file)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
