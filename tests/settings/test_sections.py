"""Mappings, lists and the keys in them."""

from __future__ import annotations

import pytest

from tests.settings.support import cautions, complaints, first, read, refused
from xpm_remote.settings.schema import (
    CarbonSettings,
    HistorySettings,
    ServerSettings,
    SourcePosition,
    SshSettings,
)


def test_everything() -> None:
    """Every key of the page has its field in the settings."""
    settings = read(
        """\
        server: {port: 12345, host: 192.168.1.1, autohost: fqdn, token: 2134inmd8132323}
        env: {JAVA_HOME: /path/to/java}
        history: {max_done: 7, max_failed: 0}
        carbon:
          enabled: no
          provider: codecarbon
          country_iso_code: FRA
          region: ile-de-france
          report_interval_s: 30
          warn_if_unavailable: off
        workspaces:
          - id: my-cluster
            path: /remote
            env: {A: b}
            max_retries: 5
            lock_mode: UMASK
            triggers: [a, "b*"]
            history: {max_done: 1}
            ssh:
              host: user@cluster
              shell_init: |
                source /etc/profile
                module load x
              uv_offline: true
              python: "3.10"
              xpm_path: ~/bin/experimaestro --quiet
              options: [-p, 2222, -4, "-o ProxyJump=gate"]
        """
    )
    assert settings.warnings == ()
    assert settings.server == ServerSettings(
        port=12345, host="192.168.1.1", autohost="fqdn", token="2134inmd8132323"
    )
    assert settings.carbon == CarbonSettings(
        enabled=False,
        provider="codecarbon",
        country_iso_code="FRA",
        region="ile-de-france",
        report_interval_s=30.0,
        warn_if_unavailable=False,
    )
    (workspace,) = settings.workspaces
    assert workspace.is_remote
    assert (workspace.max_retries, workspace.lock_mode) == (5, "umask")
    assert workspace.triggers == ("a", "b*")
    assert workspace.env == {"A": "b"}
    assert workspace.history == HistorySettings(max_done=1, max_failed=0)
    assert workspace.ssh == SshSettings(
        host="user@cluster",
        shell_init="source /etc/profile\nmodule load x\n",
        uv_offline=True,
        python="3.10",
        xpm_path="~/bin/experimaestro --quiet",
        options=("-p", "2222", "-4", "-o ProxyJump=gate"),
    )


def test_positions() -> None:
    """The settings have the position of each value."""
    settings = read("workspaces:\n  - id: a\n    path: /a\n    triggers: [x, y]\n")
    assert settings.positions["workspaces[0].path"] == SourcePosition(3, 11)
    assert settings.positions["workspaces[0].triggers[1]"] == SourcePosition(4, 19)
    assert "workspaces[0].env" not in settings.positions


def test_a_key_without_a_value_is_absent() -> None:
    """Sections and values that are all commented out, or null, leave the default."""
    settings = read(
        """\
        server:
        env:
        #  A: b
        history: null
        workspaces:
          - id: a
            path: /a
            env: ~
            folders:
            alt_workspaces:
            triggers:
            max_retries:
            ssh: null
        """
    )
    (workspace,) = settings.workspaces
    assert not workspace.is_remote
    assert (workspace.max_retries, workspace.folders, settings.warnings) == (3, (), ())


def test_a_blank_text_is_absent() -> None:
    """An optional empty text leaves the default."""
    ssh = first(
        """\
        workspaces:
          - id: a
            path: /a
            ssh: {host: h, shell_init: "", python: " ", xpm_path: '', uv_offline: }
        """
    ).ssh
    assert ssh == SshSettings(host="h")


def test_an_emptied_ssh_section_is_an_error() -> None:
    """An empty ``ssh:`` section does not silently make the workspace local."""
    assert complaints("workspaces:\n- id: a\n  path: /a\n  ssh:\n  # host: h\n") == [
        "4:7: workspaces[0].ssh.host: is missing"
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- a", "1:1: found a list; allowed: a mapping: lines of the form key: value"),
        ("a", '1:1: found the text "a"; allowed: a mapping: lines of the form key: value'),
        (
            "server: [a]",
            "1:9: server: found a list; allowed: a mapping: lines of the form key: value",
        ),
        (
            "workspaces: {id: a}",
            "1:13: workspaces: found a mapping; allowed: a list of mappings: each starts with a dash",
        ),
        (
            "workspaces: [a]",
            '1:14: workspaces[0]: found the text "a"; allowed: a mapping: lines of the form key: value',
        ),
        ("env: [a]", "1:6: env: found a list; allowed: a mapping: lines of the form NAME: value"),
        (
            "env: {A: [1]}",
            "1:10: env.A: found a list;"
            ' allowed: text, a number, true or false; "" for an empty text',
        ),
        (
            "env: {A: }",
            '1:10: env.A: found nothing; allowed: text, a number, true or false; "" for an empty text',
        ),
        (
            "env: {A=B: c}",
            '1:7: env: "A=B" cannot name an environment variable;'
            " allowed: a name without = and without control characters",
        ),
        (
            "env: {'': c}",
            '1:7: env: "" cannot name an environment variable;'
            " allowed: a name without = and without control characters",
        ),
        ('env: {A: "b\\0"}', "1:10: env.A: found a NUL character; allowed: any other character"),
        ("workspaces: [{path: /a}]", "1:14: workspaces[0].id: is missing"),
        ("workspaces: [{id: a}]", "1:14: workspaces[0].path: is missing"),
        ("workspaces: [{id: a, path: }]", "1:14: workspaces[0].path: is missing"),
        (
            "workspaces: [{id: a, path: ~}]",
            "1:28: workspaces[0].path: ~ alone is YAML's null, not the home directory;"
            ' allowed: a path, or "~" in quotes',
        ),
        ("workspaces: [{id: ' ', path: /a}]", "1:19: workspaces[0].id: is empty"),
        ("workspaces: [{id: a, path: ''}]", "1:28: workspaces[0].path: is empty"),
        (
            "workspaces: [{id: a, path: /a, ssh: {python: x}}]",
            "1:37: workspaces[0].ssh.host: is missing",
        ),
        (
            "workspaces: [{id: a, path: /a, ssh: {host: ''}}]",
            "1:44: workspaces[0].ssh.host: is empty",
        ),
        (
            "workspaces: [{id: a, path: /a, ssh: h}]",
            '1:37: workspaces[0].ssh: found the text "h";'
            " allowed: a mapping: lines of the form key: value",
        ),
        (
            "workspaces: [{id: a, path: /a, triggers: 'x*'}]",
            '1:42: workspaces[0].triggers: found the text "x*"; allowed: a list: ["x*"]',
        ),
        (
            "workspaces: [{id: a, path: /a, triggers: {a: b}}]",
            "1:42: workspaces[0].triggers: found a mapping; allowed: a list",
        ),
        (
            "workspaces: [{id: a, path: /a, triggers: [x, 1]}]",
            '1:46: workspaces[0].triggers[1]: found the number 1; allowed: text; quote it: "1"',
        ),
        (
            "workspaces: [{id: a, path: /a, ssh: {host: h, options: {p: 1}}}]",
            "1:56: workspaces[0].ssh.options: found a mapping; allowed: list of texts, or one text",
        ),
        (
            "workspaces: [{id: a, path: /a, ssh: {host: h, options: [[]]}}]",
            "1:57: workspaces[0].ssh.options[0]: found a list;"
            ' allowed: text, a number, true or false; "" for an empty text',
        ),
    ],
)
def test_errors(text: str, complaint: str) -> None:
    """Each error has its place, its key, the value and what is allowed."""
    assert complaints(text) == [complaint]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-p 2222", ("-p 2222",)),
        ("[-p, 2222]", ("-p", "2222")),
        ("['-p 2222', -4]", ("-p 2222", "-4")),
        ("-4", ("-4",)),
        ("|\n      -p 2222\n\n      -C\n", ("-p 2222", "-C")),
        ("[-o, ' StrictHostKeyChecking=yes ', yes]", ("-o", "StrictHostKeyChecking=yes", "yes")),
        ("''", ()),
        ("[]", ()),
        ("", ()),
    ],
)
def test_ssh_options(options: str, expected: tuple[str, ...]) -> None:
    """SSH options may be one text, one a line, or numbers in a list."""
    ssh = first(
        f"workspaces:\n- id: a\n  path: /a\n  ssh:\n    host: h\n    options: {options}\n"
    ).ssh
    assert ssh is not None
    assert ssh.options == expected


@pytest.mark.parametrize(
    ("text", "caution"),
    [
        ("workspace: []", '1:1: unknown key "workspace"; did you mean "workspaces"?'),
        (
            "workspaces: [{id: a, path: /a, trigger: [x]}]",
            '1:32: workspaces[0]: unknown key "trigger"; did you mean "triggers"?',
        ),
        (
            "workspaces: [{id: a, path: /a, ssh: {host: h, zzz: {port: many}}}]",
            '1:47: workspaces[0].ssh: unknown key "zzz"',
        ),
    ],
)
def test_unknown_keys(text: str, caution: str) -> None:
    """An unknown key is a warning that suggests the nearest known one; its contents are not read."""
    assert cautions(text) == [caution]


def test_all_problems_at_once() -> None:
    """One run reports every problem, in the order of the file, and the warnings beside them."""
    error = refused(
        """\
        server: {port: many, prot: 1}
        workspaces:
          - id: a
            path: /a
            folders: [{path: /b, mode: bakcup}]
          - id: a
        """
    )
    assert [str(problem).partition(":")[2] for problem in error.problems] == [
        '1:16: server.port: found the text "many"; allowed: whole number from 0 to 65535',
        '5:32: workspaces[0].folders[0].mode: found the text "bakcup";'
        ' allowed: use, backup, move; did you mean "backup"?',
        "6:5: workspaces[1].path: is missing",
        '6:9: workspaces[1].id: "a" is already the id of workspaces[0] on line 3;'
        " allowed: an id of its own",
    ]
    assert [str(warning).partition(":")[2] for warning in error.warnings] == [
        '1:22: server: unknown key "prot"; did you mean "port"?'
    ]


def test_guesses_end() -> None:
    """In a file full of unknown keys the suggestions end, the warnings do not."""
    found = cautions("\n".join(f"workspace{n}: 1" for n in range(100)))
    assert len(found) == 100
    assert "did you mean" in found[0]
    assert "did you mean" not in found[-1]
