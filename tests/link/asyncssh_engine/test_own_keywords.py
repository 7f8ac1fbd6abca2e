"""Keywords of config files that the library does not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from xpm_remote.errors import OptionError
from xpm_remote.link.asyncssh_engine.resolution import OwnKeywords, read_own_keywords
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.ssh_config.files import config_files


async def read(folder: Path, text: str, *options: str, host: str = "cluster") -> OwnKeywords:
    """Read what a config file and options say."""
    (folder / "config").write_text(text)
    parsed = parse_ssh_options(host, [f"-F {folder}/config", *options])
    with config_files(parsed) as files:
        return await read_own_keywords(parsed, files)


async def test_nothing_said(tmp_path: Path) -> None:
    """Without a word, everything is as with ssh."""
    assert await read(tmp_path, "") == OwnKeywords(False, 3, "ask", False)


async def test_config_file(tmp_path: Path) -> None:
    """The first value for the host counts, in any case and with ssh's other words for it."""
    text = (
        "Host other\n  BatchMode no\n"
        "Host clu*\n  batchmode TRUE\n  NumberOfPasswordPrompts 1\n  StrictHostKeyChecking off\n"
        "Match user me\n  HashKnownHosts=yes\n"
        "Host *\n  NumberOfPasswordPrompts 7\n  StrictHostKeyChecking yes\n"
    )
    assert await read(tmp_path, text, "-l me") == OwnKeywords(True, 1, "no", True)


async def test_included_file(tmp_path: Path) -> None:
    """A file that is included counts where it stands."""
    (tmp_path / "more").write_text("StrictHostKeyChecking accept-new\n")
    found = await read(tmp_path, f"Include {tmp_path}/more\nStrictHostKeyChecking no\n")
    assert found.strict == "accept-new"


async def test_match_final(tmp_path: Path) -> None:
    """What is said for the end is read in the end."""
    assert (await read(tmp_path, "Match final\n  HashKnownHosts yes\n")).hash_names


async def test_options_count_first(tmp_path: Path) -> None:
    """An option wins over the file."""
    text = "BatchMode yes\nStrictHostKeyChecking yes\nNumberOfPasswordPrompts 0\n"
    options = ("BatchMode=no", "StrictHostKeyChecking=ask", "NumberOfPasswordPrompts=2")
    assert await read(tmp_path, text, *options) == OwnKeywords(False, 2, "ask", False)


@pytest.mark.parametrize(
    "line", ["StrictHostKeyChecking perhaps", "BatchMode 2", "NumberOfPasswordPrompts many"]
)
async def test_bad_value(tmp_path: Path, line: str) -> None:
    """A value that ssh would not take is an error that names it."""
    with pytest.raises(OptionError, match=line.split()[0]):
        await read(tmp_path, f"{line}\n")
