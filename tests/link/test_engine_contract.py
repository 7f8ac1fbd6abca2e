"""The contract of every SSH engine: the tests above this layer run with one of them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.polling import wait_until
from tests.support.proxy import Proxy
from tests.support.server import Server
from tests.support.sshd import Sshd, find_sshd
from xpm_remote.errors import (
    AuthenticationError,
    HostKeyError,
    LinkError,
    NegotiationError,
    ResolveError,
    UnreachableError,
    XpmRemoteError,
)
from xpm_remote.link.host import HostLink
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.process import RemoteProcess
from xpm_remote.link.prompts import RefusingPrompter
from xpm_remote.settings.schema import SshEngine

LIMIT = 30.0
"""Seconds for what takes a moment, on a machine that runs other tests, too."""
LARGE = 3_000_000
"""Bytes: more than any buffer on the way holds."""
HOST = "127.0.0.1"


def make_key(path: Path, passphrase: str = "") -> Path:
    """Make a key that no host knows."""
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)]
    subprocess.run(make, check=True)
    return path


class Client:
    """Runs commands on the test server by an engine, without prompts.

    Args:
        engine: The engine.
        server: The server.

    Attributes:
        options: Those that lead to alice, of which the first of several values counts.
    """

    def __init__(self, engine: SshEngine, server: Server) -> None:
        login = server.login("alice")
        self.engine = engine
        self.host = server.host
        self.options = (
            f"-F none -p {server.port} -l {login.user}",
            f"HostKeyAlias=[{server.host}]:{server.port}",
            f"UserKnownHostsFile={server.known_hosts}",
            f"-i {login.key} -o IdentitiesOnly=yes",
        )

    async def open(
        self, command: str, *options: str, without: int = 0, host: str = ""
    ) -> RemoteProcess:
        """Start a command with further options, which take precedence over ours; omit so many of the last of ours."""
        ours = self.options[: len(self.options) - without]
        parsed = parse_ssh_options(host or self.host, [*options, *ours], self.engine)
        prompter = RefusingPrompter("it is night")
        opening = HostLink(parsed, self.engine).open_process(command, prompter)
        return await asyncio.wait_for(opening, LIMIT)

    @asynccontextmanager
    async def running(self, command: str, *options: str) -> AsyncIterator[RemoteProcess]:
        """Run a command until the context ends."""
        process = await self.open(command, *options)
        try:
            yield process
        finally:
            await asyncio.wait_for(process.aclose(by_force=True), LIMIT)

    async def fails(
        self, kind: type[XpmRemoteError], *options: str, without: int = 0, host: str = ""
    ) -> str:
        """Check that no connection is made; return the error as text."""
        with pytest.raises(kind) as caught:
            await self.open("true", *options, without=without, host=host)
        return str(caught.value)


@pytest.fixture
def client(engine: SshEngine, server: Server) -> Client:
    """A client of alice by each engine."""
    return Client(engine, server)


async def test_input_that_is_sent_with_the_command(client: Client) -> None:
    """What is sent before the host has said anything is the command's first input, whatever its size."""
    data = secrets.token_bytes(LARGE)
    parsed = parse_ssh_options(client.host, client.options, client.engine)
    link = HostLink(parsed, client.engine)
    prompter = RefusingPrompter("it is night")

    async def first() -> bytes:
        return data

    process = await link.open_process(f"head -c {LARGE} | sha256sum; cat", prompter, first=first)
    process.send(b"more\n")
    process.close_stdin()
    digest = hashlib.sha256(data).hexdigest()
    assert await read_all(process) == f"{digest}  -\nmore\n".encode()
    await process.aclose()


async def read_all(process: RemoteProcess) -> bytes:
    """Read to the end of the process."""
    received = b""
    while data := await asyncio.wait_for(process.receive(), LIMIT):
        received += data
    return received


class TestProcess:
    """A command on the host."""

    async def test_output_and_status(self, client: Client) -> None:
        """Stdout is relayed byte by byte; the end of stderr and the exit status are kept."""
        async with client.running(r"printf 'a\0\377\n'; echo words >&2; exit 7") as process:
            assert await read_all(process) == b"a\0\xff\n"
            assert process.has_ended
            assert (process.exit.status, process.exit.lost) == (7, None)
            assert "words" in process.exit.stderr

    async def test_input(self, client: Client) -> None:
        """Input of any size arrives, and its end is the end of stdin."""
        async with client.running("sha256sum; wc -c </dev/null") as process:
            process.send(b"x" * LARGE)
            process.close_stdin()
            said = (await read_all(process)).split()
        digest = hashlib.sha256(b"x" * LARGE).hexdigest().encode()
        assert said == [digest, b"-", b"0"]
        assert process.exit.status == 0

    async def test_conversation(self, client: Client) -> None:
        """Each line is answered while the process runs."""
        async with client.running("while read -r line; do echo got $line; done") as process:
            for word in (b"one", b"two"):
                process.send(word + b"\n")
                assert await asyncio.wait_for(process.receive(), LIMIT) == b"got " + word + b"\n"
            process.close_stdin()
            assert await read_all(process) == b""

    async def test_large_output(self, client: Client) -> None:
        """Unread output is neither lost nor kept in memory without a bound."""
        async with client.running(f"head -c {10 * LARGE} /dev/zero; echo end") as process:
            await asyncio.sleep(0.2)
            received = await read_all(process)
        assert (len(received), received[-4:]) == (10 * LARGE + 4, b"end\n")

    async def test_signal(self, client: Client) -> None:
        """A process that a signal ends has no ordinary exit status, and the link is not lost."""
        async with client.running("kill -KILL $$") as process:
            assert await read_all(process) == b""
            assert process.exit.lost is None
            assert process.exit.status in (None, 137, -9)

    async def test_closed_while_it_runs(self, client: Client, server: Server) -> None:
        """Closing ends the connection, and a process there that ends with its stdin."""
        process = await client.open("cat; exit 3")
        await asyncio.wait_for(process.aclose(), LIMIT)
        gone = "the process to be gone"
        await asyncio.to_thread(wait_until, lambda: not cats(server), LIMIT, gone)

    async def test_terminated(self, client: Client) -> None:
        """A process that ignores the end of its stdin is signalled, or left."""
        async with client.running("echo up; exec sleep 600") as process:
            assert await asyncio.wait_for(process.receive(), LIMIT) == b"up\n"
            process.close_stdin()
            process.terminate()
            await process.wait_ended(1)


def cats(server: Server) -> list[str]:
    """Return the command lines of ``cat`` that run for alice."""
    arguments = (each.arguments for each in server.processes("alice"))
    return [each for each in arguments if "cat; exit 3" in each or each == "cat"]


@contextlib.contextmanager
def login_that_waits(port: int) -> Iterator[None]:
    """Have begun to log in, after all that had begun before has ended."""
    while True:
        with socket.create_connection((HOST, port), LIMIT) as sock:
            if sock.recv(LARGE).startswith(b"SSH-"):
                yield
                return


class TestWay:
    """The route to the host."""

    async def test_unknown_name(self, client: Client) -> None:
        """A name without an address is named."""
        said = await client.fails(ResolveError, host="no-such-host.invalid")
        assert "no-such-host.invalid" in said

    async def test_closed_port(self, client: Client) -> None:
        """A port without a listener is named with its host."""
        with socket.socket() as sock:
            sock.bind((HOST, 0))
            port = sock.getsockname()[1]
            said = await client.fails(UnreachableError, f"-p {port}", host=HOST)
        assert f"{HOST} port {port}" in said
        assert "refused" in said

    async def test_silent_address(self, client: Client) -> None:
        """A host that accepts and stays silent is given up after ConnectTimeout."""
        with socket.create_server((HOST, 0)) as listener:
            port = listener.getsockname()[1]
            options = (f"-p {port}", "ConnectTimeout=1")
            said = await client.fails(UnreachableError, *options, host=HOST)
        assert str(port) in said
        assert "1 s" in said

    @pytest.mark.parametrize("resets", [False, True])
    @pytest.mark.parametrize("said", ["Not allowed at this time", "Exceeded MaxStartups"])
    async def test_host_that_is_busy(self, client: Client, said: str, resets: bool) -> None:
        """What a host says in the place of its greeting is the reason, however it closes."""
        with answering(f"{said}\r\n".encode(), is_patient=False, resets=resets) as port:
            error = await client.fails(UnreachableError, f"-p {port}", host=HOST)
        assert f"port {port} refuses the connection: {said}; it may have too many" in error

    async def test_sshd_with_too_many_logins(self, client: Client, tmp_path: Path) -> None:
        """An sshd that has as many logins as MaxStartups allows refuses us in its own words."""
        config = f"HostKey {make_key(tmp_path / 'host')}\nMaxStartups 1:100:1\n"
        sshd = Sshd.start(find_sshd(os.environ), tmp_path, config)
        try:
            with login_that_waits(sshd.port):
                error = await client.fails(UnreachableError, f"-p {sshd.port}", host=HOST)
        finally:
            sshd.close()
        words = r"refuses the connection: (Exceeded MaxStartups|Not allowed at this time); it may"
        assert re.search(words, error)

    async def test_no_common_algorithm(self, client: Client) -> None:
        """Where no algorithm is common, both lists and the way out are named, shortly."""
        said = await client.fails(NegotiationError, "HostKeyAlgorithms=rsa-sha2-512")
        assert (
            "no host key algorithm in common: it offers ssh-ed25519, we offer rsa-sha2-512" in said
        )
        assert "-o HostKeyAlgorithms=+ssh-ed25519" in said or "--ssh-engine" in said

    async def test_other_protocol(self, client: Client) -> None:
        """A host that does not speak SSH is distinguished from one that is not there."""
        with answering(b"HTTP/1.1 400 Bad Request\r\n" * 200) as port:
            said = await client.fails(LinkError, f"-p {port}", host=HOST)
        assert str(port) in said
        assert "refused" not in said

    async def test_jump_host(self, engine: SshEngine, server: Server, tmp_path: Path) -> None:
        """A host behind another is reached through it, as a config file says."""
        login = server.login("alice")
        config = tmp_path / "config"
        config.write_text(
            f"Host gate\n  HostName {server.host}\n  Port {server.port}\n"
            f"Host inner\n  HostName {server.inner[0]}\n  Port {server.inner[1]}\n  ProxyJump gate\n"
            f"Host *\n  User {login.user}\n  IdentityFile {login.key}\n"
            f"  UserKnownHostsFile {server.known_hosts}\n"
        )
        options = parse_ssh_options("inner", [f"-F {config}"], engine)
        process = await HostLink(options, engine).open_process("echo through")
        assert await read_all(process) == b"through\n"
        await process.aclose()


class TestJumpHost:
    """A failure on the way: the host at fault is named, and not the one behind it."""

    async def fails(
        self, kind: type[LinkError], engine: SshEngine, server: Server, folder: Path, **changes: str
    ) -> str:
        """Check that the way through the host gate fails; return the error."""
        login, config = server.login("alice"), folder / "config"
        gate = {
            "HostName": server.host,
            "Port": str(server.port),
            "IdentityFile": str(login.key),
            "UserKnownHostsFile": str(server.known_hosts),
        } | changes
        inner = gate.pop("inner", str(server.inner[1]))
        config.write_text(
            "Host gate\n"
            + "".join(f"  {name} {value}\n" for name, value in gate.items())
            + f"Host inner\n  HostName {server.inner[0]}\n  Port {inner}\n  ProxyJump gate\n"
            f"  UserKnownHostsFile {server.known_hosts}\n  IdentityFile {login.key}\n"
            f"Host *\n  User {login.user}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
        )
        options = parse_ssh_options("inner", [f"-F {config}"], engine)
        with pytest.raises(kind) as caught:
            await HostLink(options, engine).open_process("true", RefusingPrompter("it is night"))
        return str(caught.value)

    async def test_changed_key(self, engine: SshEngine, server: Server, tmp_path: Path) -> None:
        """A wrong key of the jump host is its own, with its line of known_hosts."""
        known = other_key(server, tmp_path)
        said = await self.fails(
            HostKeyError, engine, server, tmp_path, UserKnownHostsFile=str(known)
        )
        name = f"[{server.host}]:{server.port}"
        assert f"the host key of {name} has changed" in said
        assert f"{known}:1" in said
        assert f"ssh-keygen -R '{name}'" in said

    async def test_unknown_key(self, engine: SshEngine, server: Server, tmp_path: Path) -> None:
        """So is an unknown one."""
        said = await self.fails(
            HostKeyError,
            engine,
            server,
            tmp_path,
            UserKnownHostsFile="/dev/null",
            HostKeyAlias="door",
        )
        assert (
            "the host key of door is unknown" in said or "the host key of gate is unknown" in said
        )

    async def test_refused_login(self, engine: SshEngine, server: Server, tmp_path: Path) -> None:
        """A login that the jump host refuses."""
        key = make_key(tmp_path / "stranger")
        said = await self.fails(
            AuthenticationError, engine, server, tmp_path, IdentityFile=str(key)
        )
        assert "the jump host gate " in said
        assert " refuses to log us in" in said

    async def test_unreachable(self, engine: SshEngine, server: Server, tmp_path: Path) -> None:
        """A jump host that is not there."""
        with socket.create_server((HOST, 0)) as taken:
            port = taken.getsockname()[1]
        said = await self.fails(UnreachableError, engine, server, tmp_path, Port=str(port))
        assert "cannot connect to the jump host gate" in said
        assert f"port {port}" in said
        assert str(server.port) not in said

    async def test_does_not_lead_on(
        self, engine: SshEngine, server: Server, tmp_path: Path
    ) -> None:
        """A jump host that cannot reach the host."""
        said = await self.fails(UnreachableError, engine, server, tmp_path, inner="1")
        assert "the jump host gate cannot reach" in said
        assert "port 1" in said


@contextlib.contextmanager
def answering(answer: bytes, *, is_patient: bool = True, resets: bool = False) -> Iterator[int]:
    """Answer one connection with some bytes; return the port.

    Args:
        answer: The bytes.
        is_patient: Whether to wait for some before the end.
        resets: Whether what comes is left unread at the end, which resets the connection.
    """
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(ConnectionError):
                connection.sendall(answer)
                if resets:
                    connection.recv(1)
                elif is_patient:
                    connection.recv(1024)
                else:
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1024):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


class TestHostKey:
    """The verification of the host."""

    async def test_unknown(self, client: Client, server: Server) -> None:
        """An unknown host is refused with its fingerprint, and not recorded."""
        found = server.known_hosts.read_text().split(maxsplit=1)[1]
        listed = subprocess.run(  # noqa: ASYNC221 - a moment
            ["ssh-keygen", "-lf", "-"], input=found, capture_output=True, text=True, check=True
        )
        said = await client.fails(HostKeyError, "UserKnownHostsFile=/dev/null")
        assert "unknown" in said
        assert listed.stdout.split()[1] in said

    async def test_changed(self, client: Client, server: Server, tmp_path: Path) -> None:
        """A host with another key than the known one is refused, also where new hosts are accepted."""
        known = other_key(server, tmp_path)
        options = (f"UserKnownHostsFile={known}", "StrictHostKeyChecking=accept-new")
        said = await client.fails(HostKeyError, *options)
        assert "has changed" in said
        assert "SHA256:" in said

    async def test_changed_without_checking(
        self, client: Client, server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With StrictHostKeyChecking=no there is a warning with both keys, and nothing is recorded."""
        known = other_key(server, tmp_path)
        before = known.read_text()
        options = (f"UserKnownHostsFile={known}", "StrictHostKeyChecking=no")
        async with client.running("echo in", *options) as process:
            assert await read_all(process) == b"in\n"
        (warning,) = [each for each in caplog.messages if "has changed" in each]
        old = subprocess.run(  # noqa: ASYNC221 - a moment
            ["ssh-keygen", "-lf", known], capture_output=True, text=True, check=True
        ).stdout.split()[1]
        warning = warning.replace("ED25519", "ssh-ed25519")
        assert f"{old} ({known}:1), the host sent ssh-ed25519 SHA256:" in warning
        assert "connecting all the same" in warning
        assert known.read_text() == before

    @pytest.mark.parametrize("comment", ["wörld".encode("latin-1"), "wörld".encode(), b"a\x0cb"])
    async def test_changed_beside_a_comment(
        self, client: Client, server: Server, tmp_path: Path, comment: bytes
    ) -> None:
        """A known key counts whatever its comment."""
        known = other_key(server, tmp_path)
        text = known.read_bytes().rstrip() + b" " + comment + b"\n"
        known.write_bytes(text)
        options = (f"UserKnownHostsFile={known}", "StrictHostKeyChecking=accept-new")
        assert "has changed" in await client.fails(HostKeyError, *options)
        assert known.read_bytes() == text

    @pytest.mark.parametrize("strict", ["accept-new", "no", "ask"])
    async def test_line_that_cannot_be_read(
        self, client: Client, server: Server, tmp_path: Path, strict: str
    ) -> None:
        """With a line about the host that cannot be read, an unknown key is refused, naming the line."""
        known = tmp_path / "known"
        known.write_text("# mine\n* ssh-ed25519 AAAA!\n")
        options = (f"UserKnownHostsFile={known}", f"StrictHostKeyChecking={strict}")
        assert f"{known}:2 (the key is not base64)" in await client.fails(HostKeyError, *options)
        assert known.read_text().count("\n") == 2
        good = server.known_hosts.read_text()
        known.write_text(known.read_text() + good)
        async with client.running("echo in", *options) as process:
            assert await read_all(process) == b"in\n"

    @pytest.mark.parametrize("strict", ["no", "yes"])
    async def test_revoked(
        self, client: Client, server: Server, tmp_path: Path, strict: str
    ) -> None:
        """A revoked key is refused, even if it is known, and with StrictHostKeyChecking=no."""
        known = tmp_path / "known"
        good = server.known_hosts.read_text()
        revoked = f"@revoked * {good.split(maxsplit=1)[1].splitlines()[0]} w\xf6rld\n"
        known.write_text(good + revoked, encoding="latin-1")
        options = (f"UserKnownHostsFile={known}", f"StrictHostKeyChecking={strict}")
        said = await client.fails(HostKeyError, *options)
        assert "is revoked" in said
        assert f"{known}:{good.count(chr(10)) + 1}" in said

    async def test_authority_and_a_plain_key(
        self, client: Client, server: Server, tmp_path: Path
    ) -> None:
        """Where an authority is known, a host without a certificate is known by its key."""
        known = tmp_path / "known"
        public = make_key(tmp_path / "authority").with_suffix(".pub").read_text()
        known.write_text(f"@cert-authority * {public}")
        options = f"UserKnownHostsFile={known}"
        assert "is unknown" in await client.fails(HostKeyError, options)
        known.write_text(known.read_text() + server.known_hosts.read_text())
        async with client.running("echo in", options) as process:
            assert await read_all(process) == b"in\n"

    async def test_new_one_is_recorded(self, client: Client, tmp_path: Path) -> None:
        """With accept-new an unknown host is recorded, so that the next time it is known."""
        known = tmp_path / "known"
        for checking in ("accept-new", "yes"):
            options = (f"UserKnownHostsFile={known}", f"StrictHostKeyChecking={checking}")
            async with client.running("true", *options, "HashKnownHosts=no") as process:
                await read_all(process)
            assert known.read_text().count("\n") == 1


def other_key(server: Server, folder: Path) -> Path:
    """Write a known_hosts file that has another key for the server."""
    public = make_key(folder / "other").with_suffix(".pub").read_text()
    known = folder / "known"
    known.write_text(f"[{server.host}]:{server.port} {public}")
    return known


class TestLogin:
    """Authentication."""

    async def test_refused_key(self, client: Client, server: Server, tmp_path: Path) -> None:
        """A key that the host refuses is an authentication failure."""
        key = make_key(tmp_path / "stranger")
        options = (f"-i {key}", "IdentitiesOnly=yes")
        said = await client.fails(AuthenticationError, *options, without=1)
        assert str(server.port) in said

    async def test_locked_key(self, client: Client, tmp_path: Path) -> None:
        """A key that cannot be unlocked is named as the cause, with the remedy."""
        key = make_key(tmp_path / "locked", "secret")
        said = await client.fails(AuthenticationError, f"-i {key}", without=1)
        assert "private key" in said
        assert "ssh-add" in said
        assert "secret" not in said

    @pytest.fixture
    def agent(self, server: Server, tmp_path: Path) -> Iterator[str]:
        """An ssh-agent that holds seven foreign keys, then alice's; the path of its socket."""
        # Short, since a socket's path may have 108 bytes.
        path = f"/tmp/xpm-agent-{secrets.token_hex(8)}"
        keys = [make_key(tmp_path / f"foreign{number}") for number in range(7)]
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: Path(path).exists(), LIMIT, "the agent")
            add = ["ssh-add", "-q", *map(str, keys), str(server.login("alice").key)]
            subprocess.run(add, check=True, env={**os.environ, "SSH_AUTH_SOCK": path})
            yield path
        finally:
            agent.terminate()
            agent.wait(LIMIT)

    async def test_named_key_comes_first(self, client: Client, agent: str) -> None:
        """A key that is named is offered before an agent's other keys, of which hosts refuse more than a few."""
        async with client.running(
            "echo in", f"IdentityAgent={agent}", "IdentitiesOnly=no"
        ) as found:
            assert await read_all(found) == b"in\n"

    async def test_too_many_keys(self, client: Client, agent: str) -> None:
        """A host that ends the login after too many keys refuses us; the hint says how to try fewer."""
        options = (f"IdentityAgent={agent}", "IdentitiesOnly=no")
        said = await client.fails(AuthenticationError, *options, without=1)
        assert "Too many authentication failures" in said
        assert "IdentitiesOnly=yes" in said

    async def test_missing_key(self, client: Client) -> None:
        """A key file that does not exist is named."""
        said = await client.fails(AuthenticationError, "-i /no/such/key", without=1)
        assert "/no/such/key" in said


class TestLoss:
    """A link that ends."""

    @pytest.fixture
    def proxy(self, server: Server) -> Iterator[Proxy]:
        """A proxy in front of the server."""
        with Proxy(server.host, server.port) as started:
            yield started

    @pytest.mark.parametrize("reset", [True, False], ids=["reset", "end"])
    async def test_cut(self, client: Client, proxy: Proxy, *, reset: bool) -> None:
        """A cut ends the process at once, and is reported as the loss of the connection."""
        async with client.running("echo up; cat", f"-p {proxy.port}") as process:
            assert await asyncio.wait_for(process.receive(), LIMIT) == b"up\n"
            proxy.cut(reset=reset)
            assert await read_all(process) == b""
            assert process.exit.lost

    @pytest.mark.parametrize("direction", ["to_server", "to_client", "both"])
    async def test_silence(self, client: Client, proxy: Proxy, direction: str) -> None:
        """A link that stays open and carries nothing, in one direction or both, is given up by the keepalive."""
        keepalive = ("ServerAliveInterval=1", "ServerAliveCountMax=1")
        async with client.running("echo up; cat", f"-p {proxy.port}", *keepalive) as process:
            assert await asyncio.wait_for(process.receive(), LIMIT) == b"up\n"
            proxy.stall(to_server=direction != "to_client", to_client=direction != "to_server")
            assert await read_all(process) == b""
            assert process.exit.lost
