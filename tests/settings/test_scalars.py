"""Single values: what each kind accepts and refuses."""

from __future__ import annotations

import pytest

from tests.settings.support import complaints, first, read
from xpm_remote.settings.schema import Off
from xpm_remote.workspace.layout import FolderMode


def _workspace(key: str, value: str) -> str:
    return f"workspaces:\n- id: a\n  path: /a\n  {key}: {value}\n"


@pytest.mark.parametrize("flag", ["true", "True", "yes", "on", "'true'", "1", '"ON"'])
def test_true(flag: str) -> None:
    """YAML's words for true, quoted or not, are true."""
    assert read(f"carbon: {{enabled: {flag}}}").carbon.enabled


@pytest.mark.parametrize("flag", ["false", "FALSE", "no", "off", "'false'", "0"])
def test_false(flag: str) -> None:
    """YAML's words for false, quoted or not, are false."""
    assert not read(f"carbon: {{enabled: {flag}}}").carbon.enabled


@pytest.mark.parametrize(
    ("value", "found"),
    [("maybe", 'the text "maybe"'), ("2", "the number 2"), ("''", 'the text ""'), ("[]", "a list")],
)
def test_no_flag(value: str, found: str) -> None:
    """Anything else is no flag."""
    assert complaints(f"carbon: {{enabled: {value}}}") == [
        f"1:19: carbon.enabled: found {found}; allowed: true or false"
    ]


@pytest.mark.parametrize(
    ("value", "port"),
    [("0", 0), ("65535", 65535), ("'80'", 80), ("0x50", 80), ("8_080", 8080), ("+80", 80)],
)
def test_port(value: str, port: int) -> None:
    """A port is a whole number in any of YAML's unambiguous notations."""
    assert read(f"server: {{port: {value}}}").server.port == port


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("65536", "the number 65536"),
        ("-1", "the number -1"),
        ("1.5", "the number 1.5"),
        ("010", "the number 010"),
        ("true", "the truth value true"),
        ("2024-01-01", "the date 2024-01-01"),
        ("a", 'the text "a"'),
        ("'${env:PORT}'", 'the text "${env:PORT}", which is "x"'),
        ("9" * 5000, f"the number {'9' * 80}…"),
    ],
)
def test_no_port(value: str, found: str) -> None:
    """Anything else is no port, and the message shows the value of a variable."""
    assert complaints(f"server: {{port: {value}}}", PORT="x") == [
        f"1:16: server.port: found {found}; allowed: whole number from 0 to 65535"
    ]


@pytest.mark.parametrize(("value", "count"), [("0", 0), ("7", 7), ("1000000", 1_000_000)])
def test_count(value: str, count: int) -> None:
    """A count is a whole number from 0 on."""
    assert first(_workspace("max_retries", value)).max_retries == count


@pytest.mark.parametrize("value", ["-1", "1.0", "x", "99999999999999999999", "{}"])
def test_no_count(value: str) -> None:
    """Negative, broken and absurd numbers are no counts."""
    (complaint,) = complaints(_workspace("max_retries", value))
    assert complaint.startswith("4:16: workspaces[0].max_retries: found ")
    assert complaint.endswith("; allowed: whole number, 0 or more")


@pytest.mark.parametrize(("value", "seconds"), [("30", 30.0), ("0.5", 0.5), ("1e3", 1000.0)])
def test_seconds(value: str, seconds: float) -> None:
    """A time is any number above 0."""
    assert read(f"carbon: {{report_interval_s: {value}}}").carbon.report_interval_s == seconds


@pytest.mark.parametrize("value", ["0", "-1", ".inf", ".nan", "inf", "nan", "1e999", "soon"])
def test_no_seconds(value: str) -> None:
    """Zero, negative and infinite numbers and other values are no time."""
    (complaint,) = complaints(f"carbon: {{report_interval_s: {value}}}")
    assert complaint.endswith("; allowed: number above 0")


@pytest.mark.parametrize(
    ("value", "interval"),
    [("60", 60.0), ("off", Off.OFF), ("'off'", Off.OFF), ("OFF", Off.OFF), ("false", Off.OFF)],
)
def test_interval(value: str, interval: float | Off) -> None:
    """A time between questions is a number above 0, or off."""
    assert first(_workspace("slurm_interval", value)).slurm_interval == interval


@pytest.mark.parametrize("value", ["0", "-5", ".inf", "never", "true", "2m", "[]"])
def test_no_interval(value: str) -> None:
    """Anything else is none, and the message says where it stands and what may stand there."""
    (complaint,) = complaints(_workspace("slurm_interval", value))
    assert complaint.startswith("4:19: workspaces[0].slurm_interval: found ")
    assert complaint.endswith("; allowed: number above 0, or off")


@pytest.mark.parametrize(
    ("value", "found", "spelled"),
    [
        ("3.10", "the number 3.10", "3.10"),
        ("no", "the truth value no", "no"),
        ("2024-01-01", "the date 2024-01-01", "2024-01-01"),
    ],
)
def test_text_has_to_be_quoted(value: str, found: str, spelled: str) -> None:
    """A value that YAML does not read as text is an error that shows the quotes."""
    assert complaints(_workspace("id2", "x").replace("id: a", f"id: {value}")) == [
        f'2:7: workspaces[0].id: found {found}; allowed: text; quote it: "{spelled}"'
    ]


@pytest.mark.parametrize("value", ['"a\\nb"', '"a\\x1bb"', '"a\\x7f"', "|\n    a\n    b\n"])
def test_one_line_texts(value: str) -> None:
    """Line breaks and control characters are refused in ids, paths, hosts and the like."""
    text = f"workspaces:\n- path: /a\n  id: {value}\n"
    assert complaints(text) == [
        "3:7: workspaces[0].id: found a control character or a line break in the text;"
        " allowed: one line"
    ]


def test_nul_has_no_place_in_scripts() -> None:
    """A NUL is refused also where several lines are allowed."""
    text = _workspace("ssh", '{host: h, shell_init: "a\\0"}')
    assert complaints(text) == [
        "4:30: workspaces[0].ssh.shell_init: found a NUL character; allowed: any other character"
    ]


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        ("inherit", "inherit"),
        ("' Umask '", "umask"),
        ("'0664'", "0664"),
        ("'664'", "664"),
        ("'0o640'", "0o640"),
    ],
)
def test_lock_mode(value: str, mode: str) -> None:
    """A lock mode is one of two words or an octal mode."""
    assert first(_workspace("lock_mode", value)).lock_mode == mode


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("0664", 'found the number 0664; allowed: text; quote it: "0664"'),
        (
            "'0888'",
            'found the text "0888"; allowed: inherit, umask, or an octal mode in quotes, such as "0664"',
        ),
        ("[]", 'found a list; allowed: inherit, umask, or an octal mode in quotes, such as "0664"'),
    ],
)
def test_no_lock_mode(value: str, complaint: str) -> None:
    """Anything else is no lock mode; for a bare number the message shows the quotes."""
    assert complaints(_workspace("lock_mode", value)) == [
        f"4:14: workspaces[0].lock_mode: {complaint}"
    ]


@pytest.mark.parametrize("mode", list(FolderMode))
def test_folder_mode(mode: FolderMode) -> None:
    """The three modes are accepted by name."""
    folder = first(_workspace("folders", f"[{{path: /f, mode: {mode.value}}}]")).folders[0]
    assert folder.mode is mode


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("Backup", 'found the text "Backup"; allowed: use, backup, move; did you mean "backup"?'),
        ("zzz", 'found the text "zzz"; allowed: use, backup, move'),
        ("1", 'found the number 1; allowed: text; quote it: "1"'),
    ],
)
def test_no_folder_mode(value: str, complaint: str) -> None:
    """Anything else is no mode; the message lists the three, and suggests the nearest."""
    assert complaints(_workspace("folders", f"[{{path: /f, mode: {value}}}]")) == [
        f"4:30: workspaces[0].folders[0].mode: {complaint}"
    ]


def _host_complaints(host: str, **environ: str) -> list[str]:
    return complaints(f"workspaces:\n- id: a\n  path: /a\n  ssh: {{host: {host}}}\n", **environ)


@pytest.mark.parametrize(
    ("host", "complaint"),
    [
        ("ssh me@far", 'found the command "ssh me@far" where the host alone belongs; allowed: host: me@far'),
        ("ssh  far", 'found the command "ssh far" where the host alone belongs; allowed: host: far'),
        (
            "ssh me@far -p 22",
            'found the command "ssh me@far -p 22" where the host alone belongs; allowed: host: me@far;'
            " options belong under options",
        ),
        ("${env:H}", 'found the command "ssh me@far" where the host alone belongs; allowed: host: me@far'),
    ],
)  # fmt: skip
def test_a_command_in_the_host(host: str, complaint: str) -> None:
    """The command that reaches the host is no host; the message has the host."""
    found = _host_complaints(f'"{host}"', H="ssh me@far")
    assert found == [f"4:15: workspaces[0].ssh.host: {complaint}"]


@pytest.mark.parametrize(
    ("host", "right"),
    [
        ("me:secret@far", "me@far"),
        ("me:sec@ret@far", "me@far"),
        ("ssh://me:secret@far:22", "ssh://me@far:22"),
    ],
)
def test_a_password_in_the_host(host: str, right: str) -> None:
    """A password in the host is refused, and not repeated."""
    (complaint,) = _host_complaints(f'"{host}"')
    start = '4:15: workspaces[0].ssh.host: found a password in the host, after "me:"; '
    assert complaint.startswith(start)
    assert f"allowed: host: {right}, and" in complaint
    assert "ret" not in complaint.replace(right, "")


@pytest.mark.parametrize(
    "host", ["far", "me@far", "root@db:22@gate", "ssh", "me@[::1]", "ssh://far:22"]
)
def test_hosts(host: str) -> None:
    """Names, gateways' user names and addresses stay as they are."""
    ssh = first(f'workspaces:\n- id: a\n  path: /a\n  ssh: {{host: "{host}"}}\n').ssh
    assert ssh is not None
    assert ssh.host == host
