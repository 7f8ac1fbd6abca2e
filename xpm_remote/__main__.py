"""``python -m xpm_remote``."""

from __future__ import annotations

from xpm_remote.cli.main import run

run()
