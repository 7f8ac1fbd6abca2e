"""Config files read by the program ssh."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.link.ssh_judge import without_ssh
from xpm_remote.errors import OptionError
from xpm_remote.link.asyncssh_engine.algorithms import library_abilities
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options
from xpm_remote.link.ssh_config import reader as openssh_config
from xpm_remote.link.ssh_config.effective import ALGORITHMS, Abilities
from xpm_remote.link.ssh_config.reader import read_config, read_for_openssh, read_route, require_ssh
from xpm_remote.settings.schema import SshEngine

NO_FILE = ConnectOptions("t", config_file="none")
ABLE = library_abilities()


def install(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program of the name ssh before all others."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "ssh").write_text(f"#!/bin/sh\n{script}\n")
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")


async def test_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program ssh, there is no answer."""
    assert await read_config(NO_FILE, ABLE) is not None
    monkeypatch.setenv("PATH", without_ssh(tmp_path)["PATH"])
    assert await read_config(NO_FILE, ABLE) is None


@pytest.mark.parametrize("script", ["echo 'Invalid option -G' >&2; exit 1", "echo hello"])
async def test_another_program(
    tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ssh that does not support -G counts as missing."""
    install(tmp_path, script, monkeypatch)
    assert await read_config(NO_FILE, ABLE) is None


async def test_program_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of a config file that does not end is an error that says where to look."""
    (tmp_path / "config").write_text('Match exec "exec sleep 60"\n')
    await read_config(NO_FILE, ABLE)  # without the limit that follows
    monkeypatch.setattr(openssh_config, "READ_TIMEOUT", 0.3)
    with pytest.raises(OptionError, match="Match exec"):
        await read_config(parse_ssh_options("t", [f"-F {tmp_path}/config"]), ABLE)


async def test_what_ssh_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages of ssh are passed on, each line once, without its counting; silence is reported, too."""
    config = tmp_path / "config"
    config.write_text("Foo 1\nBar 2\n")
    with pytest.raises(OptionError) as caught:
        await read_config(parse_ssh_options("t", [f"-F {config}"]), ABLE)
    assert str(caught.value) == (
        f"the SSH configuration of t: {config}: line 1: Bad configuration option: foo"
        f" | {config}: line 2: Bad configuration option: bar"
    )
    real = shutil.which("ssh")
    install(tmp_path, f'[ "$3" = none ] && exec {real} "$@"; exit 9', monkeypatch)
    with pytest.raises(OptionError, match="without a message"):
        await read_config(parse_ssh_options("t", [f"-F {config}"]), ABLE)


async def test_relative_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file name is relative to the current directory, also where ssh is run by way of another file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").write_text("ServerAliveInterval 0\nIdentityFile /k/%C\n")
    found = await read_config(parse_ssh_options("t", ["-F config"]), ABLE)
    assert found is not None
    assert found.options.get("ServerAliveInterval") == "0"
    assert len(str(found.options.get("IdentityFile"))) == len("/k/") + 40


async def test_algorithms_of_a_file(tmp_path: Path) -> None:
    """Lists of algorithms are those of ssh, as far as the library has them."""
    config = tmp_path / "config"
    config.write_text(
        "HostKeyAlgorithms +ssh-rsa\nCiphers aes256-ctr,chacha20-poly1305@openssh.com\n"
    )
    found = await read_config(parse_ssh_options("t", [f"-F {config}"]), ABLE)
    assert found is not None
    assert str(found.options.get("HostKeyAlgorithms")).endswith(",ssh-rsa")
    assert found.options.get("Ciphers") == "aes256-ctr,chacha20-poly1305@openssh.com"
    assert "hmac-sha2-256" in str(found.options.get("MACs")).split(",")  # ssh's defaults
    assert "hmac-md5" not in str(found.options.get("MACs"))


def test_what_the_library_can() -> None:
    """The library's algorithms and missing packages are known."""
    assert set(ABLE.algorithms) == set(ALGORITHMS)
    assert "aes128-ctr" in ABLE.algorithms["Ciphers"]
    assert ABLE.lacking <= {"PKCS11Provider"} | {
        "GSSAPIAuthentication",
        "GSSAPIDelegateCredentials",
        "GSSAPIKeyExchange",
    }


async def test_whole_way(tmp_path: Path) -> None:
    """Jump hosts are read, too, each once; a circle ends."""
    config = tmp_path / "config"
    given = parse_ssh_options("t", [f"-F {config}"])
    config.write_text(
        "Host t\n ProxyJump a,b\nHost a\n IPQoS ef\n ProxyJump b\nHost b\n BindInterface lo\n"
    )
    way = await read_route(require_ssh(), given, ABLE)
    assert {each.keyword for each in way.unsupported} == {"IPQoS", "BindInterface"}
    config.write_text("Host t\n ProxyJump a\nHost a\n IPQoS ef\n ProxyJump t\n")
    assert len((await read_route(require_ssh(), given, ABLE)).unsupported) == 1


async def test_algorithms_that_only_ssh_knows(tmp_path: Path) -> None:
    """A list without any of the library's algorithms needs ssh."""
    config = tmp_path / "config"
    config.write_text("MACs umac-64@openssh.com\n")
    given = parse_ssh_options("t", [f"-F {config}", "MACs=umac-64@openssh.com"])
    way = await read_route(require_ssh(), given, ABLE)
    assert way.unsupported == []  # the library knows this one
    unable = Abilities({name: frozenset() for name in ALGORITHMS}, frozenset())
    way = await read_route(require_ssh(), given, unable)
    assert [(each.keyword, each.is_needed) for each in way.unsupported] == [("MACs", True)]


@pytest.mark.parametrize(
    ("text", "option", "expected"),
    [
        ("", [], (False, "0")),
        ("ServerAliveInterval 0\n", [], (True, "0")),
        ("ServerAliveInterval 1m\n", [], (True, "60")),
        ("Host other\n ServerAliveInterval 9\n", [], (False, "0")),
        ("", ["ServerAliveInterval=0"], (True, "0")),
        ("Match final\n ServerAliveInterval 0\n", ["ControlPath=/s"], (True, "0")),
    ],
)
async def test_keepalive_for_openssh(
    tmp_path: Path, text: str, option: list[str], expected: tuple[bool, str]
) -> None:
    """It is known whether the keepalive is set, even to none."""
    config = tmp_path / "config"
    config.write_text(text)
    given = parse_ssh_options("t", [f"-F {config}", *option], SshEngine.OPENSSH)
    found = await read_for_openssh(require_ssh(), given)
    assert (found.is_keepalive_set, found.get("ServerAliveInterval")) == expected
