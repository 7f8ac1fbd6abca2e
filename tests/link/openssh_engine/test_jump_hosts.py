"""The known_hosts lines of jump hosts, which the program ``ssh`` checks without us."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.link.readers import Reader
from xpm_remote.errors import HostKeyError, LinkError
from xpm_remote.link.openssh_engine.connection import open_by_openssh
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.settings.schema import SshEngine

GATE = "gate.invalid"


async def connect(folder: Path, line: str, strict: str = "ask") -> LinkError:
    """Connect through a jump host, of which a line of known_hosts is; return the error."""
    known = folder / "known_hosts"
    known.write_text(f"{line}\n")
    config = folder / "config"
    config.write_text(
        f"Host inside.invalid\n  ProxyJump first.invalid,{GATE}\n"
        f"Host {GATE}\n  UserKnownHostsFile {known}\n  StrictHostKeyChecking {strict}\n"
    )
    options = parse_ssh_options("inside.invalid", [f"-F {config}"], SshEngine.OPENSSH)
    with pytest.raises(LinkError) as caught:
        await open_by_openssh(options, Reader())
    return caught.value


@pytest.mark.parametrize("line", [f"{GATE} ssh-ed25519 AAAA!", f"@revoked {GATE} ssh-rsa"])
async def test_line_that_cannot_be_read(line: str, tmp_path: Path) -> None:
    """A line about a jump host that cannot be read is an error: ssh would take its key for a new one."""
    error = await connect(tmp_path, line)
    assert isinstance(error, HostKeyError)
    assert str(error).startswith(
        f"the host key of {GATE} cannot be checked: {tmp_path}/known_hosts:1"
    )


@pytest.mark.parametrize(
    ("line", "strict"),
    [("", "ask"), ("other.invalid ssh-ed25519 AAAA!", "ask"), (f"{GATE} ssh-ed25519 AAAA!", "yes")],
)
async def test_lines_of_no_consequence(line: str, strict: str, tmp_path: Path) -> None:
    """A line about another host is none of its concern; where ssh takes no new key, it may not be read."""
    assert not isinstance(await connect(tmp_path, line, strict), HostKeyError)
