"""Finding a container engine, with fake programs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support import engine
from tests.support.engine import Engine, find_engine
from tests.support.errors import CommandError, ServerUnavailableError

Install = Callable[[str, str], None]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has only what a test installs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    return {"PATH": str(programs)}


@pytest.fixture
def install(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a shell script as a program; every call of it is appended to ``<program>.calls``."""
    shell = shutil.which("sh")
    monkeypatch.setenv("PATH", environ["PATH"])

    def install_program(name: str, script: str) -> None:
        program = Path(environ["PATH"]) / name
        program.write_text(f'#!{shell}\necho "$*" >> {program}.calls\n{script}\n')
        program.chmod(0o700)

    return install_program


def calls(environ: Mapping[str, str], program: str) -> list[str]:
    """Return the argument lists of all calls of a program."""
    return (Path(environ["PATH"]) / f"{program}.calls").read_text().splitlines()


def test_docker_is_preferred(environ: dict[str, str], install: Install) -> None:
    """Of two engines that answer, docker is taken."""
    install("docker", "exit 0")
    install("podman", "exit 0")
    assert find_engine(environ).command == ("docker",)


@pytest.mark.parametrize(
    "script",
    ["exit 1", "echo 'ERROR: Cannot connect to the Docker daemon at unix:///x' >&2; exit 0"],
)
def test_a_docker_without_an_engine_does_not_count(
    environ: dict[str, str], install: Install, script: str
) -> None:
    """Podman is taken when docker's program is there and its engine is not."""
    install("docker", script)
    install("podman", "exit 0")
    assert find_engine(environ).command == ("podman",)


def test_nothing_installed_is_one_line(environ: dict[str, str]) -> None:
    """Without any engine the error is one line that says what to do."""
    with pytest.raises(ServerUnavailableError) as caught:
        find_engine(environ)
    assert str(caught.value) == (
        "the test server needs docker or podman (docker is not installed; podman is not "
        "installed): install and start one of them, or set XPM_TEST_SSH=local to use a private "
        "sshd instead"
    )


def test_a_dead_engine_is_told_from_a_missing_one(
    environ: dict[str, str], install: Install
) -> None:
    """The line names the program that is there without an engine."""
    install("docker", "exit 1")
    with pytest.raises(ServerUnavailableError, match="docker is installed but has no running"):
        find_engine(environ)


def test_an_engine_that_hangs_is_given_up(
    environ: dict[str, str], install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that does not answer in time counts as missing."""
    monkeypatch.setattr(engine, "PROBE_LIMIT", 0.2)
    install("docker", "while :; do :; done")
    with pytest.raises(ServerUnavailableError, match=r"docker does not answer within 0.2 s"):
        find_engine(environ)


def test_the_environment_has_the_particulars(environ: dict[str, str], install: Install) -> None:
    """Engine, arguments and base image come from the variables, split as a shell would."""
    install("podman", "exit 0")
    variables = {
        "XPM_TEST_ENGINE": "podman",
        "XPM_TEST_ENGINE_ARGS": "--runtime runc",
        "XPM_TEST_BUILD_ARGS": "-v '/a b:/c:ro'",
        "XPM_TEST_RUN_ARGS": "--ulimit nofile=9:9",
        "XPM_TEST_BASE_IMAGE": "base:1",
    }
    assert find_engine(environ | variables) == Engine(
        ("podman", "--runtime", "runc"), ("-v", "/a b:/c:ro"), ("--ulimit", "nofile=9:9"), "base:1"
    )
    assert calls(environ, "podman") == ["--runtime runc info"]


def test_the_image_is_built_when_it_is_missing(environ: dict[str, str], install: Install) -> None:
    """A missing image is built with the arguments and the base image that were given."""
    install("podman", '[ "$1" != image ]')
    image = Engine(("podman",), ("--network=host",), (), "base:1").image()
    inspected, built = calls(environ, "podman")
    assert inspected == f"image inspect {image}"
    assert built.startswith(f"build --network=host --build-arg BASE_IMAGE=base:1 -t {image} ")


def test_the_image_is_built_once(environ: dict[str, str], install: Install) -> None:
    """An image that is there is used as it is."""
    install("podman", "exit 0")
    image = Engine(("podman",)).image()
    assert calls(environ, "podman") == [f"image inspect {image}"]


def test_the_image_is_named_after_what_is_in_it(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another base image or another file in ``docker/`` makes another image; compose.yaml does not."""
    install("podman", "exit 0")
    copy = tmp_path / "docker"
    shutil.copytree(engine.DOCKER_FOLDER, copy)
    monkeypatch.setattr(engine, "DOCKER_FOLDER", copy)
    image = Engine(("podman",)).image()
    assert Engine(("podman",), base_image="base:1").image() != image
    (copy / "compose.yaml").write_text("other")
    assert Engine(("podman",)).image() == image
    (copy / "sshd_config").write_text("other")
    assert Engine(("podman",)).image() != image


def test_a_build_that_fails_is_one_line(install: Install) -> None:
    """A failing build names its command and the end of its output."""
    install("podman", "echo one; echo two; echo 'no space left'; exit 125")
    with pytest.raises(ServerUnavailableError, match=r"`podman build .*no space left") as caught:
        Engine(("podman",)).image()
    assert "\n" not in str(caught.value)


def test_a_command_that_fails_has_its_output(install: Install) -> None:
    """A failing subcommand raises with its status and with what it printed."""
    install("podman", "echo out; echo err >&2; exit 7")
    with pytest.raises(CommandError, match=r"^podman start x\nended with 7:\nout\nerr$"):
        Engine(("podman",)).call("start", "x")
