"""What monitoring never needs, imported when it is first asked for: the agent answers sooner without it."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any, Callable


def imported(module: str, name: str) -> Any:  # noqa: ANN401  (whatever has that name)
    """Give what a module of this package's parent has under a name, imported now if need be.

    Args:
        module: As the parent names it: ``agent.actions``.
        name: What is wanted of it.
    """
    return getattr(importlib.import_module(f"xpm_remote.workspace.{module}"), name)


def lazily(module: str, name: str, *arguments: object) -> Callable[[], Any]:
    """Give what makes one object of a class when it is first called, and gives that one from then on."""
    return lru_cache(maxsize=1)(lambda: imported(module, name)(*arguments))
