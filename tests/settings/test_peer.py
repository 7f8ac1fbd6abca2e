"""The same settings and queries to the real experimaestro: where it answers, we answer alike."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from tests.settings.migration_cases import CASES
from tests.settings.peer import Case, SettingsPeer, running_settings_peer
from tests.support.effort import examples
from xpm_remote.errors import WorkspaceError
from xpm_remote.settings.migration import migrate
from xpm_remote.settings.reader import read_settings
from xpm_remote.settings.schema import InvalidSettingsError, Workspace
from xpm_remote.settings.selection import Rule, Selection, select_workspace

pytestmark = pytest.mark.slow

SEED = 20_240_607
COUNT = examples(200, 2_000)
"""The number of files and queries for both."""

IDS = ["a", "b", "ab", "A", "a-b", "nlp", "${env:NAME}", "${oc.env.NAME}x", "${env:UNSET}", "é"]
PATHS = [
    "~/w",
    "~/v/",
    "/data/w",
    "/data/../w",
    "rel/w",
    "${env.ROOT}/w",
    "/a b/'c'",
    "/${env:UNSET}",
]
FOLDERS = ["/u", "~/u", "/slow/backup", "${env:ROOT}/f", "/fast read"]
ENVIRON = {"NAME": "named", "ROOT": "/root-of-all", "N": "7"}
LETTERS = "abAB-1"
GLOBS = [
    "*",
    "?",
    "[ab]",
    "[!a]",
    "[a-b]",
    "[",
    "]",
    "[!",
    "**",
    "[]a]",
    "[!]]",
    "[-a]",
    "",
    "[b-a]",
]


def _trigger(draw: random.Random) -> str:
    return "".join(draw.choice([*LETTERS, *GLOBS]) for _ in range(draw.randrange(5)))


def _experiment(draw: random.Random) -> str:
    return "".join(draw.choice([*LETTERS, "[", "]", "!"]) for _ in range(draw.randrange(4)))


def _experiment_for(draw: random.Random, settings: dict[str, Any]) -> str:
    """An experiment id that one of the triggers may match."""
    triggers = [
        each for workspace in settings["workspaces"] for each in workspace.get("triggers", ())
    ]
    text: str = draw.choice(triggers or ["a"])
    for glob, instead in {"[ab]": "b", "[!a]": "b", "[a-b]": "a", "*": "-1", "?": "A"}.items():
        text = text.replace(glob, instead)
    return text


def _some(draw: random.Random, values: list[str], most: int) -> list[str]:
    return draw.sample(values, draw.randint(0, most))


def _workspace(draw: random.Random, name: str) -> dict[str, Any]:
    workspace: dict[str, Any] = {"id": name, "path": draw.choice(PATHS)}
    optional: dict[str, Any] = {
        "env": {"A": draw.choice(["x", "${env:N}", "1"]), "B": ""},
        "triggers": [_trigger(draw) for _ in range(draw.randrange(4))],
        "folders": [
            {"path": path, "mode": draw.choice(["use", "backup", "move"])}
            for path in _some(draw, FOLDERS, 2)
        ],
        "max_retries": draw.choice([0, 3, "${env:N}", "5"]),
        "lock_mode": draw.choice(["inherit", "umask", "0664"]),
        "history": {"max_done": 2},
        "later": {"key": [1, 2]},
    }
    chance = {"triggers": 0.8}
    workspace |= {
        key: value for key, value in optional.items() if draw.random() < chance.get(key, 0.3)
    }
    if draw.random() < 0.3:
        workspace["ssh"] = {
            "host": draw.choice(["h", "u@h", "${env:NAME}"]),
            "options": ["-p", "22"],
        }
    return workspace


def _case(draw: random.Random) -> Case:
    names = draw.sample(IDS, draw.choice([0, 1, 2, 2, 3, 3, 4, 4]))
    known = [name for name in names if "$" not in name]
    settings: dict[str, Any] = {"workspaces": [_workspace(draw, name) for name in names]}
    if draw.random() < 0.3:
        settings |= {"env": {"X": "y"}, "server": {"port": 12345}, "carbon": {"enabled": False}}
    style = draw.choice([None, True, False])
    return Case(
        text=yaml.safe_dump(settings, default_flow_style=style, sort_keys=draw.random() < 0.5),
        environ=ENVIRON,
        experiment=draw.choice(
            [None, "", _experiment(draw), *(_experiment_for(draw, settings) for _ in range(5))]
        ),
        workspace=draw.choice([None] * 8 + ["", "named", *known]),
        workdir=draw.choice([None] * 8 + ["/dir", "/data/w"]),
    )


def _select(case: Case, home: Path) -> Selection:
    settings = read_settings(
        case.text, path=home / "settings.yaml", environ=case.environ, home=home, cwd=Path.cwd()
    )
    return select_workspace(
        settings,
        experiment_id=case.experiment,
        workspace_id=case.workspace,
        workdir=Path(case.workdir) if case.workdir else None,
    )


def _as_answer(workspace: Workspace, home: Path) -> dict[str, Any]:
    """A workspace in the format of ``ask_peer``."""
    # The peer expands ``~`` with the home that is here also for folders on a remote.
    folders = [
        [str(folder.path).replace("~", str(home), 1), folder.mode.value]
        for folder in workspace.folders
    ]
    # The peer follows symlinks and ``..`` at once; here the opening of the directory does.
    path = str(workspace.path) if workspace.is_remote else os.path.realpath(workspace.path)
    return {
        "id": workspace.id,
        "path": path,
        "env": workspace.env,
        "folders": folders,
        "alternatives": list(workspace.alt_workspaces),
        "triggers": list(workspace.triggers),
        "max_retries": workspace.max_retries,
        "lock_mode": workspace.lock_mode,
        "host": workspace.ssh.host if workspace.ssh else None,
        "options": list(workspace.ssh.options) if workspace.ssh else [],
    }


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SettingsPeer]:
    """The real experimaestro."""
    with running_settings_peer(tmp_path_factory.mktemp("home")) as running:
        yield running


def test_selection_is_the_peers(peer: SettingsPeer) -> None:
    """For many random files and queries we choose what the peer chooses, with the same values."""
    draw = random.Random(SEED)
    cases = [_case(draw) for _ in range(COUNT)]
    rules: Counter[Rule] = Counter()
    for case, answer in zip(cases, peer.ask(cases), strict=True):
        assert answer.get("stage") != "settings", (case, answer)
        if "error" in answer:
            with pytest.raises(WorkspaceError):
                _select(case, peer.home)
            continue
        selection = _select(case, peer.home)
        assert _as_answer(selection.workspace, peer.home) == answer, (SEED, case)
        rules[selection.rule] += 1
    assert all(rules[rule] > COUNT / 20 for rule in Rule), rules
    assert rules.total() > COUNT * 0.7, rules


def test_migrated_files_are_read_by_the_peer(peer: SettingsPeer, tmp_path: Path) -> None:
    """The peer reads a migrated file as we do: the folders, and no alternatives."""
    cases = []
    for before, _ in CASES.values():
        text = migrate(
            dedent(before),
            path=tmp_path / "s",
            environ={"ROOT": "/r"},
            home=peer.home,
            cwd=Path.cwd(),
        ).text
        ids = [each["id"] for each in yaml.safe_load(text)["workspaces"]]
        cases += [Case(text=text, environ={"ROOT": "/r"}, workspace=name) for name in ids]
    answers = peer.ask(cases)
    assert any(answer["folders"] for answer in answers)
    for case, answer in zip(cases, answers, strict=True):
        assert _as_answer(_select(case, peer.home).workspace, peer.home) == answer, case


def test_files_that_only_the_peer_refuses(peer: SettingsPeer, tmp_path: Path) -> None:
    """Where the page promises what the peer does not do, we do it."""
    texts = {
        "options": "workspaces: [{id: a, path: /a, ssh: {host: h, options: -p 2222}}]",
        "numbers": "workspaces: [{id: a, path: /a, ssh: {host: h, options: [-p, 2222]}}]",
        "empty file": "",
        "empty section": "env:\nworkspaces: [{id: a, path: /a}]",
        "dates": "env: {A: 2024-01-01}",
    }
    for text, answer in zip(
        texts.values(), peer.ask([Case(text=text) for text in texts.values()]), strict=True
    ):
        assert answer.get("stage") == "settings", text
        read_settings(text, path=tmp_path / "s", environ={}, home=tmp_path)


def test_keys_and_notices_are_ours(peer: SettingsPeer) -> None:
    """The peer reads a file with our sections as one without them."""
    plain = "workspaces: [{id: a, path: /a}]\n"
    ours = "keys: {mark: [z, F5]}\nnotices: {enabled: false, command: [cat]}\n"
    with_ours, without = peer.ask(
        [Case(text=each, workspace="a") for each in (plain + ours, plain)]
    )
    assert with_ours == without
    assert with_ours["id"] == "a"


def test_files_that_only_we_refuse(peer: SettingsPeer, tmp_path: Path) -> None:
    """A value that the peer accepts in silence and misreads is an error here."""
    texts = {
        "same id": "workspaces: [{id: a, path: /a}, {id: a, path: /b}]",
        "no host": "workspaces: [{id: a, path: /a, ssh: {python: x}}]",
        "relative folder": "workspaces: [{id: a, path: /a, folders: [{path: b}]}]",
        "folder inside": "workspaces: [{id: a, path: /a, folders: [{path: /a/b}]}]",
        "no such alternative": "workspaces: [{id: a, path: /a, alt_workspaces: [b]}]",
    }
    cases = [Case(text=text, workspace="a") for text in texts.values()]
    for case, answer in zip(cases, peer.ask(cases), strict=True):
        assert answer.get("id") == "a", case
        with pytest.raises(InvalidSettingsError):
            read_settings(case.text, path=tmp_path / "s", environ={}, home=tmp_path)
