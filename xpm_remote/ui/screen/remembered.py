"""The views of a user, kept in a file between two sessions."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from xpm_remote.ui.tables.view import View, read_views, write_views


def views_path(environ: Mapping[str, str], home: Path) -> Path:
    """Return the file of the views: in ``$XDG_STATE_HOME``, else in ``~/.local/state``."""
    state = environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else home / ".local" / "state"
    return base / "xpm-remote" / "views.json"


class Views:
    """Named views.

    Args:
        path: The file; read at once, and written with each change.

    Attributes:
        saved: The views by their names.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.saved: dict[str, View] = {}
        self._read()

    def _read(self) -> None:
        try:
            self.saved = read_views(self._path.read_bytes())
        except OSError:
            self.saved = {}

    def save(self, name: str, view: View) -> str:
        """Save a view; return why that failed, or an empty text."""
        self._read()  # another session may have saved one
        return self._write({**self.saved, name: view})

    def delete(self, name: str) -> str:
        """Delete a view; return why that failed, or an empty text."""
        self._read()
        if name not in self.saved:
            return f"there is no view {name}"
        return self._write({each: view for each, view in self.saved.items() if each != name})

    def _write(self, views: dict[str, View]) -> str:
        folder = self._path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=folder)
            with os.fdopen(handle, "wb") as file:
                file.write(write_views(views))
            Path(name).replace(self._path)
        except OSError as error:
            return f"{self._path} cannot be written: {error.strerror}"
        self.saved = views
        return ""
