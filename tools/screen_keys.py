"""The table of keys in docs/screen.md, made of ``ui/screen/keys.py``: ``python -m tools.screen_keys docs``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from xpm_remote.ui.screen.keys import reference

_TABLE = re.compile(r"(?<=docs -->\n\n)(?:\|.*\n)+|KEYS\n")


def updated(text: str) -> str:
    """Return the document with the table as it is to be."""
    return _TABLE.sub(lambda _: reference() + "\n", text, count=1)


if __name__ == "__main__":
    document = Path(sys.argv[1]) / "screen.md"
    document.write_text(updated(document.read_text()))
