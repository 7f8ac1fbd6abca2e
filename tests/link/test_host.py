"""The choice of the engine: what needs the program ``ssh``."""

from __future__ import annotations

import pytest

from xpm_remote.link.host import needed_by_config, needed_by_options
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.options.keywords import NEEDS_GSSAPI
from xpm_remote.link.ssh_config.unsupported import UnsupportedSetting
from xpm_remote.settings.schema import SshEngine

NOTHING = frozenset[str]()


@pytest.mark.parametrize(
    ("options", "lacking", "named"),
    [
        (["-p 22"], NEEDS_GSSAPI, None),
        (["-p 22", "ControlMaster=auto", "-L 1:h:2"], NOTHING, "ControlMaster, -L (LocalForward)"),
        (["GSSAPIAuthentication=yes"], NEEDS_GSSAPI, "GSSAPIAuthentication"),
        (["GSSAPIAuthentication=yes"], NOTHING, None),
        (["GSSAPIAuthentication=no"], NEEDS_GSSAPI, None),
    ],
)
def test_options(options: list[str], lacking: frozenset[str], named: str | None) -> None:
    """Options that the library cannot honour are named."""
    parsed = parse_ssh_options("host", options, SshEngine.AUTO)
    why = needed_by_options(parsed, lacking)
    assert why is None if named is None else named in (why or "")


def test_config() -> None:
    """Of what is not honoured of the config files, that counts which a host may need; its lines are told."""
    shown = UnsupportedSetting("VisualHostKey", "yes", "/config:1", "why", False, True)
    bound = UnsupportedSetting("BindInterface", "eth0", "/config:2", "why", True, True)
    size = UnsupportedSetting("RequiredRSASize", "3072", "/config:3", "why", True, True)
    assert needed_by_config([]) is None
    assert needed_by_config([shown]) is None
    assert needed_by_config([shown, bound, size, bound]) == (
        "asyncssh cannot honour BindInterface (/config:2), RequiredRSASize (/config:3)"
    )
