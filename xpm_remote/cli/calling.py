"""Calling a person who is to log in."""

from __future__ import annotations

from xpm_remote.link.prompts import TerminalPrompter, UnansweredError
from xpm_remote.ui.keyboard import has_keyboard


async def call_person(host: str, asked: str) -> bool:
    """Wait until somebody at the terminal wants to log in; give False at once when nobody can say so.

    Args:
        host: The host that asks.
        asked: What it asks for.
    """
    # A terminal that somebody is at: that of a script that runs by itself is not asked on.
    if not has_keyboard():
        return False
    question = f"{host} needs a person: {asked}. Press Enter to log in: "
    try:
        await TerminalPrompter().ask(question, echo=True)
    except UnansweredError:
        return False
    return True
