"""The variables of what is started here."""

from __future__ import annotations

from tests.settings.support import read
from xpm_remote.settings.environment import environment


def test_the_nearer_wins() -> None:
    """The workspace's variables go over the settings', and those over the process's own."""
    settings = read(
        """\
        env: {A: settings, B: settings}
        workspaces: [{id: w, path: /w, env: {A: workspace}}]
        """
    )
    process = {"A": "process", "B": "process", "C": "process"}
    assert environment(settings, settings.workspaces[0], process) == {
        "A": "workspace",
        "B": "settings",
        "C": "process",
    }
    assert process["A"] == "process"


def test_values_keep_their_spelling() -> None:
    """What YAML would turn into a number, a truth value or a date stays as it is written."""
    settings = read(
        """\
        env:
          A: true
          B: No
          C: 3.10
          D: 0x1F
          E: 2024-01-01
          F: ""
          G: " x "
          H: 1_000
          I: =
          J: "null"
          10: ten
          K: |
            two
            lines
        """
    )
    assert dict(settings.env) == {
        "A": "true",
        "B": "No",
        "C": "3.10",
        "D": "0x1F",
        "E": "2024-01-01",
        "F": "",
        "G": " x ",
        "H": "1_000",
        "I": "=",
        "J": "null",
        "10": "ten",
        "K": "two\nlines\n",
    }
