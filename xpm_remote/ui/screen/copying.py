"""Copying: to the terminal's clipboard (OSC 52), and by the program of this machine that has one."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from xpm_remote.escaping import safe

LIMIT = 2.0
"""Seconds for a program to take a text: those that keep it go on in the background."""

OSC_MOST = 74_994
"""Bytes of a text that xterm and tmux take by OSC 52; a longer one is cut or dropped by many terminals."""

_KEPT = "\n\t"
_BAD = frozenset({"Cc", "Cs"})


class Tool(NamedTuple):
    """A program that takes a text on its stdin, and the encoding that it expects."""

    argv: tuple[str, ...]
    encoding: str = "utf-8"


def fit_to_paste(text: str) -> tuple[str, bool]:
    """Return a text as it is copied, and whether it is another one than it was.

    A control character may run a command where it is pasted, and what is no text cannot be copied: then each line has
    escapes, as on the screen. All others are copied as they are, also those that the screen does not show.
    """
    if not any(unicodedata.category(char) in _BAD and char not in _KEPT for char in text):
        return text, False
    return "\n".join(map(safe, text.split("\n"))), True


def tools(environ: Mapping[str, str]) -> Iterator[Tool]:
    """Yield the programs that may have the clipboard of the screen before which the person sits."""
    if environ.get("WAYLAND_DISPLAY"):
        yield Tool(("wl-copy",))
    if environ.get("DISPLAY"):
        yield Tool(("xclip", "-selection", "clipboard"))
        yield Tool(("xsel", "--clipboard", "--input"))
    if sys.platform == "darwin" and "SSH_CONNECTION" not in environ:
        yield Tool(("pbcopy",))
    if "WSL_DISTRO_NAME" in environ:
        yield Tool(("clip.exe",), "utf-16")
    if environ.get("TMUX"):
        # Unless set-clipboard is on, tmux keeps the OSC 52 of programs from the terminal; its own it sends (since 3.2).
        yield Tool(("tmux", "load-buffer", "-w", "-"))
        yield Tool(("tmux", "load-buffer", "-"))


async def copy_by_tool(text: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Copy a text by a program of this machine.

    Returns:
        The name of the program that took it, and why others did not.
    """
    trouble: list[str] = []
    for tool in tools(environ):
        path = shutil.which(tool.argv[0], path=environ.get("PATH"))
        if path is None:
            continue
        why = await _run((path, *tool.argv[1:]), text.encode(tool.encoding), environ)
        if not why:
            return tool.argv[0], "; ".join(trouble)
        trouble.append(f"{tool.argv[0]} {why}")
    return "", "; ".join(trouble)


async def _run(argv: tuple[str, ...], data: bytes, environ: Mapping[str, str]) -> str:
    """Run a program with some bytes on its stdin; return why it has not taken them."""
    nothing = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.PIPE, stdout=nothing, stderr=nothing, env=dict(environ)
        )
    except OSError as error:
        return f"cannot be run: {error.strerror}"
    try:
        await asyncio.wait_for(process.communicate(data), LIMIT)
    except asyncio.TimeoutError:
        return f"has not ended after {LIMIT:g} s"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return "" if process.returncode == 0 else f"ended with exit code {process.returncode}"


def copied_words(what: str, text: str, tool: str, trouble: str, *, is_changed: bool) -> str:
    """Return what is said of a copy: which clipboard has it for certain, and which was sent it.

    Args:
        what: What was copied.
        text: The text.
        tool: The program that took it; empty for none.
        trouble: Why others did not.
        is_changed: Whether it was copied with escapes.
    """
    first = f"{what}, with escapes for its control characters," if is_changed else what
    sent = "sent to the terminal (OSC 52)"
    if len(text.encode()) > OSC_MOST:
        sent += ", which may cut so much"
    if tool == "tmux":
        return f"{first} is in tmux's buffer, and was {sent}"
    if tool:
        return f"{first} is in the clipboard by {tool}, and was {sent}"
    hint = trouble or "tmux needs set-clipboard on"
    return f"{first} was {sent}; {hint}"
