"""Parsing the stderr of the program ``ssh``."""

from __future__ import annotations

from itertools import count, groupby

import pytest

from xpm_remote.doctor.stages import Examination, Stage, StageResult, Verdict
from xpm_remote.link.observer import UNOBSERVED, AttemptOutcome, Step
from xpm_remote.link.openssh_engine.stderr_parser import StderrParser, StepParser
from xpm_remote.link.remote.startup import STDERR_KEPT, RemoteExit
from xpm_remote.link.waits import Wait

LOGIN = """\
debug1: Connecting to cluster [192.0.2.1] port 22.\r
debug1: Server host key: ssh-ed25519 SHA256:abc\r
debug1: Next authentication method: publickey\r
Authenticated to cluster ([192.0.2.1]:22) using "publickey".\r
debug1: Sending command: run\r
"""
STATUS = "debug1: client_input_channel_req: channel 0 rtype exit-status reply 0\r\n"
SIGNAL = "debug1: client_input_channel_req: channel 0 rtype exit-signal reply 0\r\n"
END = "Transferred: sent 3496, received 3324 bytes, in 0.0 seconds\r\n"
END += "Bytes per second: sent 72344.8, received 68785.5\r\ndebug1: Exit status 3\r\n"
SHARED = "debug1: mux_client_request_session: master session id: 2\r\n"


def heard(*texts: str) -> StderrParser:
    """Feed it a text."""
    talk = StderrParser()
    for text in texts:
        talk.feed(text.encode())
    return talk


def test_progress() -> None:
    """Each step is reported once it is made."""
    talk = StderrParser()
    assert not talk.is_connecting
    seen = []
    for line in LOGIN.splitlines(keepends=True):
        talk.feed(line.encode())
        seen.append((talk.is_connecting, talk.fingerprint, talk.is_logged_in))
    key = "ssh-ed25519 SHA256:abc"
    assert seen == [
        (True, None, False),
        (True, key, False),
        (True, key, False),
        (True, key, True),
        (True, key, True),
    ]
    assert not talk.is_asking
    assert talk.stderr == ""


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_asking(method: str) -> None:
    """Authentication methods with prompts are reported."""
    assert heard(f"debug1: Next authentication method: {method}\r\n").is_asking


def test_shared_connection() -> None:
    """A session through a ControlMaster needs no login."""
    assert heard(SHARED).is_logged_in


def test_lines_are_told_apart() -> None:
    """Progress and other lines are separated, whole, wherever the bytes are cut."""
    talk = StderrParser()
    assert talk.feed(b"debug1: a\r\nWelc") == (["debug1: a"], [])
    assert talk.stderr == "Welc"
    assert talk.feed(b"ome\r\ndebug") == ([], ["Welcome"])
    assert talk.feed(b"2: b\n") == (["debug2: b"], [])
    assert talk.stderr == "Welcome\n"


def test_unfinished_line_of_the_remote() -> None:
    """A message of ssh behind an unfinished line of the remote is separated from it."""
    talk = StderrParser()
    assert talk.feed(b"last words" + STATUS.encode()) == ([STATUS.rstrip()], ["last words"])
    assert talk.stderr == "last words"


def test_memory_is_bounded() -> None:
    """Only the end of the output is kept, with line breaks and without."""
    talk = heard("x" * 3 * STDERR_KEPT, "y\n", *["line\n"] * STDERR_KEPT)
    assert len(talk.stderr) <= STDERR_KEPT
    assert talk.stderr.endswith("line\n")
    assert len(heard("x" * STDERR_KEPT, "y").stderr) <= STDERR_KEPT


@pytest.mark.parametrize("status", [0, 3, 255])
@pytest.mark.parametrize(
    "told",
    [
        LOGIN + "oops\n" + STATUS + END,
        SHARED + "oops\ndebug2: Received exit status from master 3\r\n",
    ],
)
def test_status_of_the_remote(told: str, status: int) -> None:
    """An exit status that is logged as the remote's is the remote's, 255 too; statistics are left out."""
    assert heard(told).exit(status) == RemoteExit(status, "oops\n", None)


def test_signal_on_the_remote() -> None:
    """A remote command that a signal ended has no status."""
    assert heard(LOGIN, SIGNAL, END).exit(255) == RemoteExit(None, "", None)


@pytest.mark.parametrize(
    ("said", "status", "lost"),
    [
        ("Connection to h closed by remote host.\r\n", 255, "Connection to h closed by remote host."),
        ("Timeout, server h not responding.\r\n", 255, "Timeout, server h not responding."),
        ("client_loop: send disconnect: Broken pipe\r\n", 255, "client_loop: send disconnect: Broken pipe"),
        ("debug2: Control master terminated unexpectedly\r\n", 255, "the ControlMaster"),
        ("", 255, "does not say why"),
        ("", -9, "signal 9"),
    ],
)  # fmt: skip
def test_lost(said: str, status: int, lost: str) -> None:
    """Without a logged status, the connection broke, for the reason that ssh reports."""
    ended = heard(LOGIN, said).exit(status)
    assert ended.status is None
    assert lost in (ended.lost or "")


def test_status_without_a_word() -> None:
    """Any status but 255 is the remote's, whatever ssh has logged."""
    assert heard(LOGIN).exit(7) == RemoteExit(7, "", None)


HOST = "cluster port 2222"

LINES = """\
debug1: Reading configuration data /etc/ssh/ssh_config
debug1: Connecting to cluster [10.0.0.1] port 2222.
debug1: connect to address 10.0.0.1 port 2222: Connection refused
debug1: Connecting to cluster [10.0.0.2] port 2222.
debug1: Connection established.
debug1: Remote protocol version 2.0, remote software version OpenSSH_9.2p1 Debian-2
debug1: Authenticating to cluster:2222 as 'me'
debug1: Server host key: ssh-ed25519 SHA256:host
debug1: Host '[cluster]:2222' is known and matches the ED25519 host key.
debug1: Found key in /home/me/.ssh/known_hosts:7
debug1: SSH2_MSG_SERVICE_ACCEPT received
debug1: Authentications that can continue: publickey,keyboard-interactive
debug1: Next authentication method: publickey
debug1: Offering public key: /home/me/my keys/id_rsa RSA SHA256:first agent
debug1: Authentications that can continue: publickey,keyboard-interactive
debug1: Offering public key: /home/me/.ssh/id_ed25519 ED25519 SHA256:second explicit
debug1: Server accepts key: /home/me/.ssh/id_ed25519 ED25519 SHA256:second explicit
Authenticated using "publickey" with partial success.
debug1: Authentications that can continue: keyboard-interactive
debug1: Next authentication method: keyboard-interactive
debug1: Authentications that can continue: keyboard-interactive
Authenticated to cluster ([10.0.0.2]:2222) using "keyboard-interactive".
debug1: Entering interactive session.
"""


def read(text: str) -> list[StageResult]:
    """Return the results, including the one in progress; the clock advances by a second at each reading."""
    seconds = count()
    examination = Examination(lambda: float(next(seconds)))
    steps = StepParser(examination, HOST, lambda: float(next(seconds)))
    for line in text.splitlines():
        steps.take(line)
    examination.finish()
    return examination.results


def waits(text: str, *locked: str) -> list[Wait | None]:
    """Return what is waited for, line by line; repetitions are left out."""
    found: list[Wait | None] = []
    steps = StepParser(UNOBSERVED, HOST, lambda: 0.0, found.append, locked.__contains__)
    for line in text.splitlines():
        steps.take(line)
    return [wait for wait, _ in groupby(found)]


def test_waits() -> None:
    """What is waited for follows the way; nothing of the host's is while a person may be asked."""
    key, password = LINES.index("debug1: Server host key"), LINES.index("Authenticated using")
    assert waits(LINES[:key]) == [Wait.TCP, Wait.GREETING, Wait.KEY_EXCHANGE]
    before = [None, Wait.KEY_EXCHANGE, Wait.LOGIN]
    assert waits(LINES[key:password]) == before
    assert waits(LINES[key:password], "/home/me/.ssh/id_ed25519") == [*before, None]
    accepted = "debug1: Server accepts key: /k RSA SHA256:first agent\n"
    assert waits(accepted, "/k") == [Wait.LOGIN]
    new_key = "debug1: Server host key: x SHA256:y\ndebug1: SSH2_MSG_NEWKEYS sent\n"
    assert waits(new_key) == [None, Wait.KEY_EXCHANGE]
    assert waits(LINES[password:]) == [None, Wait.COMMAND]
    carried = "debug1: Executing proxy command: exec nc cluster 22\n"
    assert waits(carried) == [Wait.GREETING]
    assert waits("debug2: mux_client_hello_exchange: master version 4\n") == [Wait.COMMAND]


def test_a_text_of_the_host_prolongs_the_wait() -> None:
    """Once a text was shown, where to sign in perhaps, the login has its time; the next step of ssh ends that."""
    found: list[Wait | None] = []
    steps = StepParser(UNOBSERVED, HOST, lambda: 0.0, found.append)
    steps.take("debug1: Executing proxy command: exec ssh -W '[cluster]:22' gate")
    steps.shown()
    steps.take("debug1: Remote protocol version 2.0, remote software version OpenSSH_9.2p1")
    assert found == [Wait.GREETING, Wait.LOGIN, Wait.KEY_EXCHANGE]


JUMP = """\
debug1: Executing proxy command: exec ssh -W '[cluster]:22' gate
Warning: Permanently added 'gate' (ED25519) to the list of known hosts.
To sign in, visit https://login.example.org/
Connection closed by UNKNOWN port 65535
"""
CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
"""


def test_what_a_jump_host_shows() -> None:
    """What a jump host shows is to be shown at once, but not the words of the ssh that carries the connection."""
    assert heard(JUMP).shown == ["To sign in, visit https://login.example.org/"]
    assert heard(JUMP.splitlines(keepends=True)[0], CHANGED).shown == []
    direct = "debug1: Connecting to cluster [192.0.2.1] port 22.\nWelcome\n"
    assert heard(direct).shown == []


def test_what_the_host_shows() -> None:
    """What the host shows while the login is under way is to be shown at once; what the command writes then is not."""
    served = "debug1: SSH2_MSG_SERVICE_ACCEPT received\r\n"
    parser = heard("Hello\r\n", served, "To sign in, visit\r\nhttps://x\xff.org/\r\n", LOGIN)
    parser.feed(b"of the command\n")
    assert parser.shown == ["To sign in, visit", "https://x\xff.org/"]


def test_round_trip() -> None:
    """The time of the TCP connection is that of the address that has answered."""
    times = iter((1.0, 30.0, 30.25))
    steps = StepParser(UNOBSERVED, HOST, lambda: next(times))
    steps.take("debug1: Connecting to cluster [10.0.0.1] port 22.")
    assert steps.round_trip is None
    steps.take("debug1: Connecting to cluster [10.0.0.2] port 22.")
    steps.take("debug1: Connection established.")
    assert steps.round_trip == 0.25


def test_whole_way() -> None:
    """Addresses, greeting, host key with its place, methods, and each attempt are reported in their steps."""
    resolve, tcp, host_key, authentication, shell = read(LINES)
    assert (resolve.stage, resolve.facts["addresses"]) == (Stage.RESOLVE, ["10.0.0.1", "10.0.0.2"])
    assert tcp.facts == {"address": "10.0.0.2", "greeting": "OpenSSH_9.2p1 Debian-2"}
    assert host_key.facts == {
        "key": "ssh-ed25519 SHA256:host",
        "known": "/home/me/.ssh/known_hosts:7",
    }
    assert authentication.facts["methods"] == ["publickey", "keyboard-interactive"]
    told = [
        (each["method"], each["identity"], each["outcome"])
        for each in authentication.facts["attempts"]
    ]
    assert told == [
        (
            "publickey",
            "RSA SHA256:first (/home/me/my keys/id_rsa) agent",
            AttemptOutcome.REFUSED.value,
        ),
        (
            "publickey",
            "ED25519 SHA256:second (/home/me/.ssh/id_ed25519) explicit",
            AttemptOutcome.PARTIAL.value,
        ),
        ("keyboard-interactive", "", AttemptOutcome.REFUSED.value),
        ("keyboard-interactive", "", AttemptOutcome.ACCEPTED.value),
    ]
    assert (shell.stage, shell.host) == (Stage.SHELL, HOST)


def test_no_key_to_offer() -> None:
    """A method by which no key was offered was not tried."""
    text = """\
debug1: Connecting to cluster [10.0.0.1] port 22.
debug1: Remote protocol version 2.0, remote software version X
debug1: SSH2_MSG_SERVICE_ACCEPT received
debug1: Authentications that can continue: publickey
debug1: Next authentication method: publickey
debug1: Trying private key: /home/me/.ssh/id_rsa
debug1: Authentications that can continue: publickey
debug1: No more authentication methods to try.
"""
    assert "attempts" not in read(text)[-1].facts


def test_key_in_other_words() -> None:
    """A key that another release describes otherwise is reported verbatim."""
    text = 'debug1: Offering public key: my key\nAuthenticated to c ([1]:22) using "publickey".\n'
    attempt = read(text)[0].facts["attempts"][0]
    assert (attempt["method"], attempt["identity"]) == ("publickey", "my key")


def test_proxy_command() -> None:
    """A command that carries the connection replaces name and TCP."""
    text = "debug1: Executing proxy command: exec nc cluster 22\n" + "\n".join(
        LINES.splitlines()[5:]
    )
    resolve, tcp, host_key, *_ = read(text)
    assert "exec nc cluster 22" in resolve.facts["way"]
    assert (tcp.verdict, tcp.why) == (Verdict.SKIPPED, resolve.facts["way"])
    assert (host_key.stage, host_key.facts["greeting"]) == (
        Stage.HOST_KEY,
        "OpenSSH_9.2p1 Debian-2",
    )


def test_control_master() -> None:
    """A ControlMaster replaces all steps."""
    text = "debug2: mux_client_request_session: master session id: 2\n"
    resolve, *skipped, shell = read(text)
    assert "ControlMaster" in resolve.facts["way"]
    assert [each.stage.value for each in skipped] == [
        Step.TCP.value,
        Step.HOST_KEY.value,
        Step.AUTHENTICATION.value,
    ]
    assert shell.stage is Stage.SHELL


def test_unresolved() -> None:
    """A failure without any message is one of the name lookup."""
    assert [each.stage for each in read("debug1: OpenSSH_9.2\n")] == [Stage.RESOLVE]


@pytest.mark.parametrize(
    ("said", "lost", "is_refused"),
    [
        ("channel 0: open failed: connect failed: open failed", None, True),
        ("unix_listener: cannot bind to path /no/such/master: No such file", None, True),
        ("something that no release has said before", None, False),
        ("Warning: Permanently added 'h' to the list", "the program ssh does not say why", False),
    ],
)
def test_words_of_ssh_that_are_unknown(said: str, lost: str | None, is_refused: bool) -> None:
    """A line that is not known is a reason, too; what does not pass by itself is told from a loss."""
    parser = StderrParser()
    parser.feed(f"debug1: Authenticated to h\n{said}\n".encode())
    ended = parser.exit(255)
    assert (ended.lost, ended.is_refused) == (lost or said, is_refused)


def test_line_in_the_place_of_a_greeting() -> None:
    """A server that is busy says so before its greeting."""
    parser = StderrParser()
    line = "debug1: kex_exchange_identification: banner line 0: Not allowed at this time"
    parser.feed(f"{line}\r\n".encode())
    assert parser.stderr == "Not allowed at this time\n"


def test_refused_session() -> None:
    """A ControlMaster that gets no channel says why; what follows of it is not the reason."""
    said = "mux_client_request_session: session request failed: Session open refused by peer\r\n"
    parser = heard(said, "kex_exchange_identification: Connection closed by remote host\r\n")
    assert parser.is_full
    assert parser.refusal == "Session open refused by peer"
    assert not heard(SHARED, said).is_full


def test_master() -> None:
    """A connection without a command of its own can carry others once its session is entered."""
    parser = StderrParser()
    parser.feed(b'Authenticated to host ([::1]:22) using "publickey".\r\n')
    assert not parser.is_master
    parser.feed(b"debug1: Entering interactive session.\r\n")
    assert parser.is_master


def test_signal_in_a_master() -> None:
    """A master tells which of its commands were ended by a signal, until their channels are used again."""
    parser = StderrParser()
    parser.feed(b"debug1: client_input_channel_req: channel 2 rtype exit-signal reply 0\r\n")
    parser.feed(b"debug1: client_input_channel_req: channel 3 rtype exit-signal reply 0\r\n")
    parser.feed(b"debug1: channel 2: new [client-session]\r\n")
    assert parser.signalled == {3}
