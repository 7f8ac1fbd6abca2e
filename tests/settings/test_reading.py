"""The walk over mappings, and its limits for texts made to take for ever."""

from __future__ import annotations

import time

import pytest
import yaml

from tests.settings.support import cautions, complaints, first, read, refused
from tests.support.effort import examples
from xpm_remote.settings import document
from xpm_remote.settings.reading import interpolate, variables_in

LAUGHS = "a0: &a0 [lol]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
CHAIN = "b0: &b0 {x: 1}\n" + "".join(
    f"b{n}: &b{n} {{<<: [{','.join([f'*b{n - 1}'] * 50)}]}}\n" for n in range(1, 300)
)
REPEATED = "too often"
SHARE = examples(4, 1)
"""What the sizes of these texts are divided by; it leaves enough to repeat too often."""
LIMIT = 20.0 / SHARE
"""Seconds of CPU time that the worst text may take: ten times what it takes."""


@pytest.mark.parametrize(
    ("text", "part"),
    [
        pytest.param(f"{LAUGHS}workspaces: *a9", "found a list", id="laughs"),
        pytest.param(f"{CHAIN}workspaces: [{{<<: *b299}}]", "id: is missing", id="merges"),
        pytest.param(
            f"t: &t [{'x,' * (9000 // SHARE)}]\nw: &w {{triggers: *t}}\nworkspaces: [{'*w,' * (9000 // SHARE)}]",
            REPEATED,
            id="lists",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            f"m: &m {{{','.join(f'k{n}: 1' for n in range(5000 // SHARE))}}}\n"
            f"workspaces: [{'{<<: *m},' * (5000 // SHARE)}]",
            REPEATED,
            id="mappings",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            f"x: &x '{'y' * 40000}'\nworkspaces: [{{triggers: [{'*x,' * 20000}]}}]",
            REPEATED,
            id="texts",
        ),
        pytest.param(f"env: {{A: '{'${env:BIG}' * 9000}'}}", REPEATED, id="variables"),
        pytest.param(f"env: {{A: '{'${env:' * 20000}', B: []}}", "found a list", id="references"),
        pytest.param("a: \n" * (30000 // SHARE), "twice", id="keys"),
        pytest.param(
            f"workspaces: [{'{x: 1},' * (15000 // SHARE)}]", "id: is missing", id="problems"
        ),
        pytest.param(
            "workspaces:\n"
            + "".join(f"- {{id: w{n}, path: /x}}\n" for n in range(2500 // SHARE))
            + f"- {{id: z, path: /z, alt_workspaces: [{'w-1,' * (9000 // SHARE)}]}}",
            "neither the id",
            id="guesses",
        ),
    ],
)
def test_bounded_time(text: str, part: str) -> None:
    """Texts made to take for ever are an error within seconds of CPU time."""
    start = time.process_time()
    assert part in str(refused(text, BIG="y" * 1000))
    assert time.process_time() - start < LIMIT


def test_bounded_time_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser written in Python, which some installations have, is slower but bounded, too."""
    monkeypatch.setattr(document, "LOADER", yaml.SafeLoader)
    test_bounded_time("a: \n" * (30000 // SHARE), "twice")


def test_merge_keys() -> None:
    """``<<`` adds keys that a mapping lacks; its own keys win, then the earlier of several."""
    workspace = first(
        """\
        base: &base {path: /base, max_retries: 1, env: {A: base}}
        other: &other {<<: *base, max_retries: 2, lock_mode: umask}
        workspaces:
          - {id: a, <<: [*other, *base], path: /own}
        """
    )
    assert str(workspace.path) == "/own"
    assert (workspace.max_retries, workspace.lock_mode) == (2, "umask")
    assert workspace.env == {"A": "base"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "env: {<<: 1}",
            "1:11: env: << merges the number 1; allowed: a mapping, or a list of mappings",
        ),
        (
            "env: {<<: [{}, x]}",
            '1:16: env: << merges the text "x"; allowed: a mapping, or a list of mappings',
        ),
        ("env: {<<: {}, <<: {}}", '1:15: env: the key "<<" stands here twice'),
        ("env: {A: 1, A: 2}", '1:13: env: the key "A" stands here twice'),
        ("env: {}\nenv: {}", '2:1: the key "env" stands here twice'),
        ("? [a]\n: b", "1:3: found a list as a key; allowed: text"),
    ],
)
def test_bad_keys(text: str, complaint: str) -> None:
    """Keys that are no text or repeated, and merges of what is no mapping, are errors."""
    assert complaints(text) == [complaint]


@pytest.mark.parametrize(
    ("text", "expected", "unset"),
    [
        ("${env:X}", "1", ()),
        ("${env.X}", "1", ()),
        ("${oc.env:X}", "1", ()),
        ("${oc.env.X}", "1", ()),
        ("a${env:X}b${env.Y}c", "a1b${env:X}c", ()),
        ("${env:E}", "", ()),
        ("${env:Z} ${env:X} ${oc.env.Z}", "${env:Z} 1 ${oc.env.Z}", ("Z", "Z")),
        (
            "$X ${X} ${ENV:X} ${env:} ${env-X} ${env:X",
            "$X ${X} ${ENV:X} ${env:} ${env-X} ${env:X",
            (),
        ),
        ("${env:${env:X}}", "${env:1}", ()),
    ],
)
def test_interpolate(text: str, expected: str, unset: tuple[str, ...]) -> None:
    """All four notations stand for the variable; unset ones are kept, and values are not searched."""
    environ = {"X": "1", "Y": "${env:X}", "E": ""}
    assert interpolate(text, environ) == (expected, unset)


def test_variables_in() -> None:
    """The variables of a text are listed in order, set or not."""
    assert variables_in("${env:X}/${oc.env.NOPE} ${env.X} $Y") == ("X", "NOPE", "X")


def test_any_value_may_come_from_the_environment() -> None:
    """Numbers, flags, ids, paths and lists may contain variables too."""
    settings = read(
        """\
        server: {port: "${env:PORT}"}
        env: {A: "x${env:ID}"}
        carbon: {enabled: "${env:OFF}", report_interval_s: "${env:S}"}
        workspaces:
          - id: ${env:ID}
            path: ${oc.env:ROOT}/x
            triggers: ["${env.ID}-*"]
            ssh: {host: "${env:ID}", options: ["-p ${env:PORT}"], uv_offline: "${env:ON}"}
        """,
        PORT="8080",
        ID="w",
        ROOT="/data",
        OFF="false",
        ON="YES",
        S="2.5",
    )
    workspace = settings.workspaces[0]
    assert (settings.server.port, settings.env) == (8080, {"A": "xw"})
    assert (settings.carbon.enabled, settings.carbon.report_interval_s) == (False, 2.5)
    assert (workspace.id, str(workspace.path), workspace.triggers) == ("w", "/data/x", ("w-*",))
    assert workspace.ssh is not None
    assert (workspace.ssh.host, workspace.ssh.options) == ("w", ("-p 8080",))
    assert workspace.ssh.uv_offline


def test_unset_variable_is_kept_with_a_warning() -> None:
    """A reference to an unset variable is kept in the value, with a warning about its place."""
    text = "workspaces: [{id: a, path: '/data/${env:NOPE}'}]"
    assert str(read(text).workspaces[0].path) == "/data/${env:NOPE}"
    assert cautions(text) == [
        '1:28: workspaces[0].path: the environment variable "NOPE" is not set; kept as it stands'
    ]
