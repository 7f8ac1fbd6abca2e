"""The test server: its users, its keys, and its interface for tests."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.errors import CommandError
from tests.support.experiments import Experiment
from tests.support.installation import experimaestro_version
from tests.support.polling import wait_until
from tests.support.server import USERS, Server

SSH_LIMIT = 30.0
"""Seconds for a command over SSH; the slowest starts the real experimaestro through uv."""
UV_REQUIREMENT = "'experimaestro>=2.7,<3'"


def ssh(
    server: Server, *arguments: str, name: str = "alice", input: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run OpenSSH's client against the test server."""
    return subprocess.run(
        ["ssh", *server.ssh_args(name), *arguments],
        input=input,
        capture_output=True,
        timeout=SSH_LIMIT,
        check=False,
    )


@pytest.mark.parametrize("name", USERS)
def test_each_user_logs_in_with_its_own_key(server: Server, name: str) -> None:
    """A session of each user starts in that user's home."""
    done = ssh(server, server.host, "echo; pwd; echo $HOME", name=name)
    assert done.returncode == 0
    lines = done.stdout.decode("latin-1").splitlines()
    assert lines[-2:] == [server.home(name)] * 2


def test_an_unknown_key_is_refused(server: Server) -> None:
    """Without a known key or a certificate there is no login, which the log shows."""
    key = server.certificate("alice").key
    options = server.ssh_args("alice")
    options[options.index("-i") + 1] = str(key)
    key.with_name(f"{key.name}-cert.pub").unlink()
    done = subprocess.run(
        ["ssh", *options, "-o", "IdentitiesOnly=yes", server.host, "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SSH_LIMIT,
        check=False,
    )
    assert done.returncode == 255
    assert b"Permission denied (publickey)" in done.stderr
    wait_until(lambda: "Failed publickey" in server.log(), SSH_LIMIT, "the refusal in the log")


@pytest.mark.parametrize("name", USERS)
def test_a_certificate_lets_its_user_in(server: Server, name: str) -> None:
    """An unknown key with a certificate of the user CA logs in, as that user."""
    options = server.ssh_args(name)
    options[options.index("-i") + 1] = str(server.certificate(name).key)
    done = subprocess.run(
        ["ssh", *options, "-o", "IdentitiesOnly=yes", server.host, "echo; echo $HOME"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SSH_LIMIT,
        check=False,
    )
    assert done.stdout.decode("latin-1").splitlines()[-1] == server.home(name)


def test_the_server_is_its_own_jump_host(server: Server) -> None:
    """A connection through the server reaches it at its inner address, whose key is known too."""
    host, port = server.inner
    command = ["ssh", *server.ssh_args("alice"), "-W", f"{host}:{port}", server.host]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        greeting = process.stdout.readline()
        process.kill()
    assert greeting.startswith(b"SSH-2.0-OpenSSH")
    found = subprocess.run(
        ["ssh-keygen", "-F", host if port == 22 else f"[{host}]:{port}", "-f", server.known_hosts],
        capture_output=True,
        timeout=SSH_LIMIT,
        check=False,
    )
    assert found.returncode == 0


def test_a_clean_login_prints_nothing(server: Server) -> None:
    """A session of alice has the bytes of its command and no others."""
    done = ssh(server, server.host, "cat", input=b"\x00\xff\n42")
    assert (done.stdout, done.stderr) == (b"\x00\xff\n42", b"")


def test_a_noisy_login_prints_what_clients_have_to_survive(server: Server) -> None:
    """A session of noisy begins with JSON that is not ours, a byte outside UTF-8 and half a line."""
    done = ssh(server, server.host, "echo answer", name="noisy")
    lines = done.stdout.split(b"\n")
    assert b"42" in lines
    assert any(line.startswith(b'{"') for line in lines)
    assert any(b"\xe9" in line for line in lines)
    assert lines[-2:] == [b"last login: yesterday answer", b""]
    assert b"quota" in done.stderr


@pytest.mark.parametrize("name", ["alice", "noisy"])
@pytest.mark.parametrize("python", ["", "--python python3 "])
def test_uv_starts_experimaestro_offline(server: Server, name: str, python: str) -> None:
    """With uv's cache and no network, a range of versions starts the real experimaestro."""
    command = f"uv tool run --offline {python}{UV_REQUIREMENT} version"
    done = ssh(server, server.host, command, name=name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"{experimaestro_version()}\n".encode())


@pytest.mark.parametrize(
    ("name", "program", "there"),
    [
        ("alice", "uv", True),
        ("alice", "experimaestro", False),
        ("bare", "uv", False),
        ("bare", "experimaestro", False),
        ("bare", "python3", True),
        ("modules", "uv", False),
        ("modules", "experimaestro", False),
    ],
)
def test_who_has_which_program(server: Server, name: str, program: str, there: bool) -> None:
    """Each user's PATH has that user's programs, and no others."""
    done = ssh(server, server.host, f"command -v {program}", name=name)
    assert (done.returncode == 0) is there


def test_modules_finds_experimaestro_after_shell_init(server: Server) -> None:
    """The prepared shell of modules has experimaestro; a module that does not exist fails."""
    done = ssh(server, server.host, f"{server.shell_init}; experimaestro version", name="modules")
    assert done.stdout.decode() == f"{experimaestro_version()}\n"
    failed = server.shell_init.replace("load experimaestro", "load fortran")
    done = ssh(server, server.host, failed, name="modules")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"fortran" in done.stderr


def test_the_clock_is_not_utc(server: Server) -> None:
    """The server's local time has the offset of its zone, half an hour off the full ones."""
    offset = server.run("alice", "date +%z").strip()
    assert offset in ("-0330", "-0230")
    assert ssh(server, server.host, "date +%z").stdout.decode().strip() == offset


def test_run_goes_around_ssh_and_login_files(server: Server) -> None:
    """A command of noisy outside SSH has its input and only its own output."""
    program = f"cat; pwd; {server.experimaestro} version"
    expected = f"ü in\n{server.home('noisy')}\n{experimaestro_version()}\n"
    assert server.run("noisy", program, input="ü in\n") == expected


def test_run_checks_the_status(server: Server) -> None:
    """A failing command raises with its status and output, unless that is not wanted."""
    with pytest.raises(CommandError, match="ended with 3:\nout\nerr") as caught:
        server.run("alice", "echo out; echo err >&2; exit 3")
    assert caught.value.status == 3
    assert server.run("alice", "echo out; exit 3", check=False) == "out\n"


def test_write_makes_folders_and_keeps_the_text(server: Server) -> None:
    """A written file has exactly its text, whatever is in the text or the path."""
    path = server.write("bare", "new folder/it's $HOME", "a\n'$(b)\"\n\n")
    assert path == f"{server.home('bare')}/new folder/it's $HOME"
    assert server.run("bare", 'cat "new folder/it\'s \\$HOME"') == "a\n'$(b)\"\n\n"


def test_processes_of_ssh_are_seen_and_killed(server: Server) -> None:
    """SSH's processes are listed with their children, others are not, and killing ends them."""
    outside = server.spawn("bare", "exec sleep 61", server.folder / "outside.log")
    command = ["ssh", *server.ssh_args("bare"), server.host, "sleep 62 & sleep 63; wait"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as inside:

        def sleeping() -> bool:
            seen = {process.arguments for process in server.processes("bare")}
            return {"sleep 62", "sleep 63"} <= seen

        wait_until(sleeping, SSH_LIMIT, "the processes")
        assert "sleep 61" not in {process.arguments for process in server.processes("bare")}
        others = {process.arguments for process in server.processes("alice")}
        assert not others & {"sleep 62", "sleep 63"}
        server.kill_session_processes("bare")
        assert server.processes("bare") == []
        assert inside.wait(SSH_LIMIT) != 0
    assert outside.poll() is None


def test_an_experiment_of_a_test_has_its_own_workspace(server: Server) -> None:
    """A small experiment runs to its end in a workspace that did not exist before."""
    experiment = server.start_experiment("workspaces/small", "small", ok=2, fail=1)
    assert isinstance(experiment, Experiment)
    assert experiment.workspace == f"{server.home('alice')}/workspaces/small"
    assert experiment.wait() == 0
    assert not experiment.running
    markers = server.run(
        "alice", f"find {experiment.workspace}/jobs -name '*.done' -o -name '*.failed'"
    )
    assert sorted(line.rpartition(".")[2] for line in markers.split()) == ["done", "done", "failed"]


def test_an_experiment_that_cannot_start_says_why(server: Server) -> None:
    """When experimaestro fails to start, the status and the output say why."""
    experiment = server.start_experiment("workspaces/wrong", "wrong", dep=1)
    assert experiment.wait() == 2
    assert "--dep needs --ok" in experiment.log()
