"""The views of a user, kept in a file between two sessions."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from xpm_remote.session.seen_files import replace_file
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
        with contextlib.suppress(OSError):
            self.saved = read_views(path.read_bytes())

    def save(self, name: str, view: View) -> str:
        """Save a view; return why that failed, or an empty text."""
        return self._write(name, view)

    def delete(self, name: str) -> str:
        """Delete a view; return why that failed, or an empty text."""
        return self._write(name, None)

    def _write(self, name: str, view: View | None) -> str:
        try:
            before = self._path.read_bytes() if self._path.exists() else b""
            views = read_views(before)  # another session may have saved one
            if view is None and name not in views:
                return f"there is no view {name}"
            views.pop(name, None)
            views |= {} if view is None else {name: view}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, write_views(views, before))
        except OSError as error:
            return f"{self._path} cannot be written: {error.strerror}"
        self.saved = views
        return ""
