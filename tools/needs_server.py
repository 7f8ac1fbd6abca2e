"""Exit with 0 if the tests that pytest's arguments select need the test server, else with 1."""

from __future__ import annotations

import sys

import pytest


class _Selected:
    """Remember whether a selected test uses the fixture of the server."""

    server = False

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.server = any("server" in getattr(item, "fixturenames", ()) for item in session.items)


def needs_server(arguments: list[str]) -> bool:
    """Return whether the selected tests need the server; pytest prints them to stdout."""
    selected = _Selected()
    pytest.main([*arguments, "--collect-only"], plugins=[selected])
    return selected.server


if __name__ == "__main__":
    sys.exit(0 if needs_server(sys.argv[1:]) else 1)
