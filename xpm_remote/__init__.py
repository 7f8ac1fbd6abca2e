"""Watch experimaestro jobs on a cluster from the laptop, over SSH."""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
