"""The public names of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest

import xpm_remote


@pytest.mark.parametrize("name", xpm_remote.__all__)
def test_public_names_are_there(name: str) -> None:
    """Every public name can be imported."""
    assert getattr(xpm_remote, name) is not None


def test_other_names_are_not() -> None:
    """A name that is not public is an AttributeError like any other."""
    with pytest.raises(AttributeError, match="no attribute 'asyncssh'"):
        _ = xpm_remote.asyncssh


def test_importing_is_cheap() -> None:
    """The package alone imports neither the SSH library nor what draws."""
    code = (
        "import sys, xpm_remote; sys.exit(bool({'asyncssh', 'rich', 'msgspec'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_engine_openssh_does_without_the_library() -> None:
    """A monitor, and all that the engine openssh needs, is imported without the SSH library."""
    code = (
        "import sys, xpm_remote.session.fleet, xpm_remote.link.openssh_engine.connection\n"
        "sys.exit('asyncssh' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
