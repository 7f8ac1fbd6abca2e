"""The requests to ``ssh -G`` and its answers, and the lines of config files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.link.ssh_judge import Refused, ssh_dump
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options
from xpm_remote.link.ssh_config.text import (
    Mention,
    config_words,
    dump_arguments,
    find_mentions,
    is_set,
    mentions,
    parse_dump,
    probe_text,
    read_tokens,
    token_arguments,
)


def test_lines() -> None:
    """A keyword in any case has its values in order; a value is the rest of the line."""
    dump = parse_dump("host t\nsetenv A=1 2\nsetenv B=\ncanonicalizePermittedcnames none\nempty\n")
    assert dump == {
        "host": ("t",),
        "setenv": ("A=1 2", "B="),
        "canonicalizepermittedcnames": ("none",),
        "empty": ("",),
    }


@pytest.mark.parametrize(
    ("options", "keyword", "expected"),
    [
        (["-i", "'/a b'"], "identityfile", ("/a b",)),
        (["-o", "IdentityFile='a\"b\\c'"], "identityfile", ('a"b\\c',)),
        (["-o", "IdentityFile='#x'"], "identityfile", ("#x",)),
        (["SendEnv A B*"], "sendenv", ("A", "B*")),
        (["ProxyCommand sh -c \"it's # %h\" | cat"], "proxycommand", ("sh -c \"it's # %h\" | cat",)),
        (["-J a,u@b:3"], "proxyjump", ("a,u@b:3",)),
        (["-l me -p 5"], "user", ("me",)),
        (["-l me -p 5"], "port", ("5",)),
        (["GSSAPIAuthentication=no", "-C"], "compression", ("yes",)),
        (["RekeyLimit 1G 1h"], "rekeylimit", ("1073741824 3600",)),
    ],
)  # fmt: skip
def test_options_reach_ssh(options: list[str], keyword: str, expected: tuple[str, ...]) -> None:
    """Any value is read back unchanged by ssh."""
    arguments = dump_arguments(parse_ssh_options("t", ["-F none", *options]))
    assert ssh_dump(*arguments[1:])[keyword] == expected


def test_arguments() -> None:
    """Options without effect on reading a file, and unset ones, are left out."""
    options = parse_ssh_options("t", ["GSSAPIAuthentication=yes", "ControlMaster=no"])
    assert dump_arguments(options) == ["-G", "--", "t"]
    assert dump_arguments(ConnectOptions("t"), ["-v"]) == ["-G", "-v", "--", "t"]


@pytest.mark.parametrize(
    ("jump", "expected"),
    [("", ""), ("b", "b"), ("a,u@b:22", "b"), ("a,u@[10.0.0.1]:22", "10.0.0.1"), ("[::1]", "::1")],
)
def test_tokens(jump: str, expected: str) -> None:
    """The tokens that only ssh expands are read from its answer."""
    dump = {"controlpath": ("/|0123|",)} | ({"proxyjump": (jump,)} if jump else {})
    assert read_tokens(dump) == {"C": "0123", "j": expected}


def test_ssh_expands_tokens() -> None:
    """The digest is that of ssh."""
    tokens = read_tokens(ssh_dump("-F", "none", *token_arguments(), "t"))
    assert ssh_dump("-F", "none", "-o", "IdentityAgent=%C", "t")["identityagent"] == (tokens["C"],)


def test_probe() -> None:
    """Files come before our values, under their exact names; files that we read twice come last twice."""
    assert probe_text(['/a b/c*"'], is_read_twice=False).splitlines()[:2] == [
        'Include "/a b/c\\\\*\\""',
        "Host *",
    ]
    assert "Match final\n" in probe_text([], is_read_twice=True)
    untouched = {"serveraliveinterval": ("86399",), "compression": ("yes",)}
    assert not is_set("Compression", untouched)
    assert is_set("ServerAliveInterval", {"serveraliveinterval": ("0",)})


def test_mentions() -> None:
    """Keywords are found for any host, in any spelling; comments are not."""
    text = 'Host a b\n\n# Port 1\n  port=2 # two\nPORT = "3"\nFrobnicate x\nLonely\n'
    found = list(mentions(text, "/f", is_own=True))
    assert found == [
        Mention("Host", ("a", "b"), "/f:1", True),
        Mention("Port", ("2",), "/f:4", True),
        Mention("Port", ("3",), "/f:5", True),
        Mention("Frobnicate", ("x",), "/f:6", True),
    ]
    assert [each.words for each in find_mentions(found, "PORT")] == [("2",), ("3",)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a  b", ["a", "b"]),
        ('"a b" c', ["a b", "c"]),
        ("'a b'c", ["a bc"]),
        (r"a\ b", ["a b"]),
        (r'"a\"b" \' \x', ['a"b', "'", r"\x"]),
        (r"'\\ \x'", [r"\ \x"]),
        ("a # b", ["a"]),
        ("a#b '#c'", ["a#b", "#c"]),
        ('""', [""]),
    ],
)
def test_words(value: str, expected: list[str]) -> None:
    """Quotes are those of ssh."""
    assert config_words(value) == expected


@given(value=st.text(st.sampled_from("ab '\"\\#"), min_size=1, max_size=8))
def test_words_are_those_of_ssh(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    """With any quotes, a value is split as ssh splits it."""
    config = tmp_path_factory.getbasetemp() / "words"
    config.write_text(f"SendEnv x {value}\n")
    try:
        expected = ssh_dump("-F", str(config), "t")["sendenv"]
    except Refused:
        return
    assert config_words(f"x {value}".rstrip()) == list(expected)
