"""The settings file as a file: its path, and its errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from xpm_remote.settings import document
from xpm_remote.settings.reader import default_settings_path, load_settings, read_settings
from xpm_remote.settings.schema import (
    CarbonSettings,
    HistorySettings,
    InvalidSettingsError,
    ServerSettings,
    Settings,
    SourcePosition,
)

HOME = Path("/home/me")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "/home/me/.config/experimaestro/settings.yaml"),
        ({"XDG_CONFIG_HOME": "/elsewhere"}, "/home/me/.config/experimaestro/settings.yaml"),
        ({"XPM_REMOTE_SETTINGS": ""}, "/home/me/.config/experimaestro/settings.yaml"),
        ({"XPM_REMOTE_SETTINGS": "/a.yaml"}, "/a.yaml"),
        ({"XPM_REMOTE_SETTINGS": "a.yaml"}, "a.yaml"),
        ({"XPM_REMOTE_SETTINGS": "~/a.yaml"}, "/home/me/a.yaml"),
    ],
)
def test_default_settings_path(environ: dict[str, str], expected: str) -> None:
    """The variable names the file; by default it is experimaestro's."""
    assert default_settings_path(environ, HOME) == Path(expected)


def _usual(home: Path) -> Path:
    path = default_settings_path({}, home)
    path.parent.mkdir(parents=True)
    return path


def test_usual_file_may_be_absent(tmp_path: Path) -> None:
    """Without the usual file everything has its default."""
    path = default_settings_path({}, tmp_path)
    assert load_settings(path, {}, tmp_path) == Settings(path=path)


def test_defaults() -> None:
    """The defaults are those of the settings page."""
    settings = Settings(path=Path("/s"))
    assert settings.server == ServerSettings(port=None, host=None, autohost=None, token=None)
    assert settings.history == HistorySettings(max_done=5, max_failed=1)
    assert settings.carbon == CarbonSettings(enabled=True, report_interval_s=60.0)
    assert (settings.workspaces, settings.env, settings.warnings) == ((), {}, ())


def test_file_is_read(tmp_path: Path) -> None:
    """The file's text is read as UTF-8, with or without a byte order mark."""
    path = _usual(tmp_path)
    path.write_bytes("\ufeffworkspaces: [{id: é, path: ~/é}]".encode())
    (workspace,) = load_settings(path, {}, tmp_path).workspaces
    assert (workspace.id, workspace.path) == ("é", tmp_path / "é")


def test_relative_path_starts_where_the_process_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative workspace path is relative to the current directory, or to a given one."""
    path = _usual(tmp_path)
    path.write_text("workspaces: [{id: a, path: x}]")
    monkeypatch.chdir(tmp_path)
    assert load_settings(path, {}, tmp_path).workspaces[0].path == tmp_path / "x"
    given = load_settings(path, {}, tmp_path, cwd=Path("/given"))
    assert given.workspaces[0].path == Path("/given/x")


def test_current_directory_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the current directory was deleted, the settings are read nevertheless."""
    path = _usual(tmp_path)
    path.write_text("workspaces: [{id: a, path: /a}, {id: b, path: b}]")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    found = load_settings(path, {}, tmp_path).workspaces
    assert [workspace.path for workspace in found] == [Path("/a"), tmp_path / "b"]


def test_pure_reading_starts_at_home() -> None:
    """Without a given directory, the pure reading takes a relative path as relative to the home."""
    settings = read_settings(
        "workspaces: [{id: a, path: x}]", path=Path("/s"), environ={}, home=HOME
    )
    assert settings.workspaces[0].path == HOME / "x"


def _make_directory(path: Path) -> None:
    path.mkdir()


def _make_pipe(path: Path) -> None:
    os.mkfifo(path)


def _make_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def _make_link_loop(path: Path) -> None:
    path.symlink_to(path.name)


def _make_large(path: Path) -> None:
    path.write_bytes(b"#" * (document.MAX_SIZE + 1))


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (_make_directory, "is a directory, not a settings file"),
        (_make_pipe, "is not a regular file"),
        (_make_dangling_link, "a link to nowhere"),
        (_make_link_loop, "cannot be read: Too many levels of symbolic links"),
        (_make_large, document.TOO_LONG),
    ],
)
def test_no_file_to_read(tmp_path: Path, make: Callable[[Path], None], what: str) -> None:
    """An unreadable file is an error with the cause, also at the usual place."""
    path = _usual(tmp_path)
    make(path)
    with pytest.raises(InvalidSettingsError) as caught:
        load_settings(path, {}, tmp_path)
    assert str(caught.value) == f"{path}: {what}"


def test_named_file_has_to_exist(tmp_path: Path) -> None:
    """A missing file that was named is an error."""
    with pytest.raises(InvalidSettingsError, match=r"named\.yaml: no such file$"):
        load_settings(tmp_path / "named.yaml", {}, tmp_path)


def test_usual_place_that_cannot_be_looked_at(tmp_path: Path) -> None:
    """When the usual folder is no folder, it is an error, not a missing file."""
    (tmp_path / ".config").write_text("")
    with pytest.raises(InvalidSettingsError, match=r"cannot be read: Not a directory$"):
        load_settings(default_settings_path({}, tmp_path), {}, tmp_path)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be opened is an error with the system's reason."""
    path = _usual(tmp_path)
    path.write_text("")

    def refuse(*_: object) -> None:  # root has no such error
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InvalidSettingsError, match=r"cannot be read: Permission denied$"):
        load_settings(path, {}, tmp_path)


@pytest.mark.parametrize(
    ("data", "place", "byte"),
    [
        (b"\xff\xfea\0", SourcePosition(1, 1), "0xff"),
        (b"a: 1\n# \xc3\xa9\nb: \xe9\n", SourcePosition(3, 4), "0xe9"),
        (b"\xef\xbb\xbf# \xc3\xa9 \x80", SourcePosition(1, 5), "0x80"),
    ],
)
def test_not_utf8(tmp_path: Path, data: bytes, place: SourcePosition, byte: str) -> None:
    """Bytes that are not UTF-8 are an error at the first of them."""
    path = tmp_path / "settings.yaml"
    path.write_bytes(data)
    with pytest.raises(InvalidSettingsError) as caught:
        load_settings(path, {}, tmp_path)
    (problem,) = caught.value.problems
    assert problem.position == place
    assert problem.what == f"not UTF-8 text: the byte {byte} does not belong there"
