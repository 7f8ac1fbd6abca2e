"""Any file yields Settings or a settings error, within bounded time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import yaml
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.settings.support import FILE, HOME, SOON
from tests.support.effort import examples
from xpm_remote.settings import document
from xpm_remote.settings.effective import effective_values
from xpm_remote.settings.keys import SETTINGS, Key, Kind, Section
from xpm_remote.settings.migration import migrate
from xpm_remote.settings.reader import load_settings, read_settings
from xpm_remote.settings.schema import InvalidSettingsError

Result = TypeVar("Result")

MANY = settings(SOON, max_examples=examples(25, 300))
ENVIRON = {"X": "x", "E": "", "N": "7", "S": "/s", "L": "a\nb", "BAD": "\udc80"}

PIECES = [
    "workspaces", "id", "path", "env", "folders", "mode", "ssh", "host", "options", "triggers", "history",
    "alt_workspaces", "server", "port", "a", "b", "/a", "~/b", "~", "use", "move", "true", "3.10", "0664",
    "null", "2024-01-01", ":", ": ", "\n", "\n  ", "\n    ", "\n- ", "\n  - ", "- ", "? ", ", ", "{", "}", "[",
    "]", "&a ", "*a", "&b ", "*b", "<<: ", "!!str ", "!!python/name:os.system ", "!!binary ", "!x ", "|", ">-",
    "#", " # c", '"', "'", "\\", "\t", "%YAML 1.1", "---", "...", "${env:X}", "${oc.env.N}", "${env:", "}", "é",
    "\ufeff", "\u00a0", "\u200b", "“", "”", "ssh a", "a:b@c",
    "\r\n", "\x85", "\u2028", "\x00", "\udc80", "\U0001f600", "=", "@", "`",
]  # fmt: skip

PATHS = ["/a", "/b", "~/c", "/d/jobs", "/e f", "${env:S}/g", "/h", "/i"]
WRONG = [
    "a\nb",
    "\0",
    "rel/x",
    "~nobody-here/x",
    "${env:NOT_SET}",
    "${env.L}",
    "${env:BAD}",
    "/a/../b",
    "[!",
]
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.text(max_size=8),
    st.sampled_from(PATHS),
    st.sampled_from(WRONG),
)
ANYTHING = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=6,
)
FITTING: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: st.sampled_from(["a", "b", "c", "${env:X}", "é"]),
    Kind.SCRIPT: st.sampled_from(["source x", "a\nb\n"]),
    Kind.FLAG: st.booleans() | st.sampled_from(["yes", "${env:N}"]),
    Kind.COUNT: st.integers(0, 9) | st.just("${env:N}"),
    Kind.PORT: st.integers(0, 65535),
    Kind.SECONDS: st.floats(0.5, 1e6),
    Kind.INTERVAL: st.floats(0.5, 1e6) | st.sampled_from(["off", False]),
    Kind.PATH: st.sampled_from(PATHS),
    Kind.HOST: st.sampled_from(["far", "me@far", "ssh://me@far:22", "${env:X}"]),
    Kind.LOCK_MODE: st.sampled_from(["inherit", "umask", "0664"]),
    Kind.FOLDER_MODE: st.sampled_from(["use", "backup", "move"]),
    Kind.ENGINE: st.sampled_from(["asyncssh", "openssh", "auto"]),
    Kind.BACKEND: st.sampled_from(["auto", "experimaestro", "agent"]),
    Kind.ENV: st.dictionaries(st.sampled_from(["A", "B"]), st.booleans() | st.text("ab ")),
    Kind.TEXTS: st.lists(st.sampled_from(["a", "b", *PATHS]), unique=True, max_size=2),
    Kind.BINDINGS: st.dictionaries(
        st.sampled_from(["mark", "find"]), st.sampled_from(["z", "F5", 5, ["é", "Ctrl-X"]])
    ),
    Kind.OPTIONS: st.lists(st.sampled_from(["-p", 22, "-o A=b"]), max_size=3) | st.just("-p 22"),
}


def _mapping(section: Section, *, sound: bool) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with the keys of a section, including the required ones.

    With ``sound`` each value fits its key, else now and then one is anything, and keys are unknown.
    """
    values = {key: _value(key, sound=sound) for key in section.keys}
    required = {key.name: value for key, value in values.items() if key.required}
    optional = {key.name: value for key, value in values.items() if not key.required}
    return st.fixed_dictionaries(
        required, optional=optional if sound else {**optional, "unknown": ANYTHING}
    )


def _value(key: Key, *, sound: bool) -> st.SearchStrategy[Any]:
    if key.section is None:
        fitting = FITTING[key.kind]
    elif key.kind is Kind.SECTIONS:
        fitting = st.lists(
            _mapping(key.section, sound=sound),
            max_size=3,
            unique_by=lambda each: str(each.get("id", each.get("path"))),
        )
    else:
        fitting = _mapping(key.section, sound=sound)
    return fitting if sound else st.one_of(*[fitting] * 9, ANYTHING)


def _try(call: Callable[[], Result]) -> Result | None:
    """Return the result of a call, or None after a settings error; anything else fails."""
    try:
        return call()
    except InvalidSettingsError as error:
        problems, message = error.problems, str(error)
    event("refused")
    assert problems
    assert message.count("\n") + 1 == len(problems)
    assert message.replace("\n", "").isprintable()
    return None


def _read(text: str) -> None:
    found = _try(lambda: read_settings(text, path=FILE, environ=ENVIRON, home=HOME))
    if found and found.workspaces:
        event("with workspaces")
        assert effective_values(found, found.workspaces[0])


@pytest.fixture(params=[yaml.SafeLoader, yaml.CSafeLoader], scope="module", autouse=True)
def parser(request: pytest.FixtureRequest) -> Any:
    """Both parsers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "LOADER", request.param)
        yield


@MANY
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_pieces_of_yaml(text: str) -> None:
    """Known words and YAML's own signs in any order."""
    _read(text)


@MANY
@given(
    _mapping(SETTINGS, sound=False) | _mapping(SETTINGS, sound=True),
    st.sampled_from([None, True, False]),
)
def test_structure(content: dict[str, Any], style: bool | None) -> None:
    """The right keys with right and wrong values, in each of YAML's styles."""
    _read(yaml.safe_dump(content, default_flow_style=style, allow_unicode=True))


@MANY
@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Any bytes in the file."""
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_bytes(data)
    found = _try(lambda: load_settings(path, ENVIRON, HOME))
    assert found is None or found.path == path


@MANY
@given(_mapping(SETTINGS, sound=True), st.sampled_from([None, True, False]))
def test_migration(content: dict[str, Any], style: bool | None) -> None:
    """A migration yields a text of the same meaning, or a settings error."""
    text = yaml.safe_dump(content, default_flow_style=style, allow_unicode=True)
    migrated = _try(lambda: migrate(text, path=FILE, environ=ENVIRON, home=HOME))
    if migrated and migrated.workspaces:
        event("migrated")
        assert migrate(migrated.text, path=FILE, environ=ENVIRON, home=HOME).diff == ""
