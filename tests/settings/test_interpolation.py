"""Environment variables in values."""

from __future__ import annotations

import pytest

from tests.settings.support import cautions, read
from xpm_remote.settings.interpolation import interpolate, variables_in


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
    """All four spellings stand for the variable; unset ones stay, and values are not searched."""
    environ = {"X": "1", "Y": "${env:X}", "E": ""}
    assert interpolate(text, environ) == (expected, unset)


def test_variables_in() -> None:
    """The variables of a text are named in order, whether they are set or not."""
    assert variables_in("${env:X}/${oc.env.NOPE} ${env.X} $Y") == ("X", "NOPE", "X")


def test_any_value_may_come_from_the_environment() -> None:
    """Numbers, flags, ids, paths and lists take variables too."""
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
    """A reference to an unset variable stays in the value, and a warning says where."""
    text = "workspaces: [{id: a, path: '/data/${env:NOPE}'}]"
    assert str(read(text).workspaces[0].path) == "/data/${env:NOPE}"
    assert cautions(text) == [
        '1:28: workspaces[0].path: the environment variable "NOPE" is not set; kept as it stands'
    ]
