"""The meaning of the messages of ``ssh``, in releases from 9.2 on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xpm_remote.errors import (
    AuthenticationError,
    HostKeyError,
    NegotiationError,
    OptionError,
    ResolveError,
    UnreachableError,
    XpmRemoteError,
)
from xpm_remote.link.known_hosts import Flaw, KnownHosts, KnownKey, Marker, fingerprint
from xpm_remote.link.openssh_engine.errors import (
    Evidence,
    changed_key_warning,
    config_error,
    is_refusal,
    login_error,
    offending_key,
)

CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
The fingerprint for the ED25519 key sent by the remote host is
SHA256:new.
Add correct host key in /home/me/.ssh/known_hosts to get rid of this message.
Offending ED25519 key in /home/me/.ssh/known_hosts:3
Host key for cluster has changed and you have requested strict checking.
Host key verification failed.
"""
UNKNOWN = "Host key verification failed.\n"
DENIED = "me@cluster: Permission denied (publickey,password,keyboard-interactive).\n"
KEYS_ONLY = "me@cluster: Permission denied (publickey).\n"


def evidence(said: str) -> Evidence:
    """Make evidence about a host."""
    return Evidence(where="cluster port 22", host_key_name="cluster", said=said, timeout=20)


CLOSED = "Connection closed by UNKNOWN port 65535\n"


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (DENIED + CLOSED + CLOSED, AuthenticationError, "the jump host a refuses to log us in"),
        (DENIED + CLOSED, AuthenticationError, "the jump host u@b:2 refuses to log us in"),
        (UNKNOWN + CLOSED, HostKeyError, "the host key of u@b:2 is unknown"),
        (CHANGED + CLOSED, HostKeyError, "the host key of cluster has changed"),
        (
            "No ED25519 host key is known for [b]:2 and you have requested strict checking.\n"
            + UNKNOWN + CLOSED,
            HostKeyError,
            "the host key of [b]:2 is unknown",
        ),
        (
            "@ WARNING: REVOKED HOST KEY DETECTED! @\n"
            "The ED25519 host key for [b]:2 is marked as revoked.\n" + CLOSED,
            HostKeyError,
            "the host key of [b]:2 is revoked",
        ),
        (
            "ssh: connect to host a port 22: No route to host\n" + CLOSED * 2,
            UnreachableError,
            "cannot connect to the jump host a: ssh: connect",
        ),
        (
            "channel 0: open failed: connect failed: No route to host\n"
            "stdio forwarding failed\n" + CLOSED * 2,
            UnreachableError,
            "the jump host a cannot reach u@b:2: No route to host",
        ),
        (
            "channel 0: open failed: administratively prohibited: open failed\n"
            "stdio forwarding failed\n" + CLOSED,
            UnreachableError,
            "the jump host u@b:2 does not forward to cluster port 22: administratively prohibited",
        ),
        (DENIED, AuthenticationError, "cluster port 22 refuses to log us in"),
        (CLOSED * 5, UnreachableError, "cannot connect to the jump host a"),
        (CLOSED * 2, UnreachableError, "cannot connect to the jump host u@b:2"),
        (CLOSED, UnreachableError, "cannot connect to cluster port 22"),
    ],
)  # fmt: skip
def test_host_at_fault(said: str, kind: type[XpmRemoteError], words: str) -> None:
    """Of two jump hosts that one is named that failed; those behind it report only that it closed the connection."""
    error = login_error(replace(evidence(said), jumps=("a", "u@b:2")))
    assert type(error) is kind
    assert words in str(error)


def test_changed_key_of_a_jump_host_that_is_accepted() -> None:
    """It is not blamed on the host."""
    said = CHANGED.replace("Host key verification failed.\n", "")
    warning = changed_key_warning(replace(evidence(said), fingerprint="ssh-ed25519 SHA256:good"))
    assert warning is not None
    assert "the host key of a jump host has changed" in warning


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("ssh: Could not resolve hostname cluster: Name or service not known\n", ResolveError, "cluster"),
        ("ssh: connect to host cluster port 22: Connection refused\n", UnreachableError, "refused"),
        ("ssh: connect to host cluster port 22: No route to host\n", UnreachableError, "No route"),
        ("Connection timed out during banner exchange\n", UnreachableError, "within 20 s"),
        ("kex_exchange_identification: Connection closed by remote host\n", UnreachableError, "closed"),
        ("", UnreachableError, "does not say why"),
        (CHANGED, HostKeyError, "known is /home/me/.ssh/known_hosts:3, the host sent ED25519 SHA256:new"),
        (UNKNOWN, HostKeyError, "is unknown"),
        ("@ WARNING: REVOKED HOST KEY DETECTED! @\n" + UNKNOWN, HostKeyError, "revoked"),
        (DENIED, AuthenticationError, "what you typed"),
        (KEYS_ONLY, AuthenticationError, "ssh -v"),
        ("Received disconnect: 2: Too many authentication failures\n", AuthenticationError, "Too many"),
        ("Unable to negotiate with h port 22: no matching cipher found.\n", NegotiationError, "cipher"),
        ("kex_exchange_identification: banner line contains invalid characters\n", NegotiationError, "banner"),
        ("me@gate: Permission denied (publickey).\nConnection closed by UNKNOWN port 65535\n",
         AuthenticationError, "me@gate"),
        ("ssh: Could not resolve hostname gate: no\nConnection closed by UNKNOWN port 65535\n",
         ResolveError, "gate"),
        ("/bin/sh: line 1: nc: not found\nConnection closed by UNKNOWN port 65535\n", UnreachableError, "nc"),
    ],
)  # fmt: skip
def test_cause(said: str, kind: type[XpmRemoteError], words: str) -> None:
    """Each cause is an error of its own kind, with the details of the message."""
    error = login_error(evidence(said))
    assert type(error) is kind
    assert words in str(error)
    assert "\n" not in str(error)


def test_configuration() -> None:
    """A failure of ssh before it connects is in its options or config files; the message has the line."""
    said = "/home/me/.ssh/config: line 2: Bad configuration option: nope\r\n"
    error = login_error(replace(evidence(said), is_connecting=False))
    assert isinstance(error, OptionError)
    assert "/home/me/.ssh/config: line 2" in str(error)
    assert "cluster" in str(config_error("cluster", said))


def test_changed_key_is_shown_with_the_known_one() -> None:
    """Both fingerprints of a changed key are shown, as far as they are known."""
    error = login_error(replace(evidence(CHANGED), known="ssh-ed25519 SHA256:old (file:3)"))
    assert "known is ssh-ed25519 SHA256:old (file:3)" in str(error)
    bare = f"REMOTE HOST IDENTIFICATION HAS CHANGED\n{UNKNOWN}"
    assert "known is another one, the host sent another one" in str(login_error(evidence(bare)))
    sent = replace(evidence(bare), fingerprint="ssh-rsa SHA256:new")
    assert "the host sent ssh-rsa SHA256:new" in str(login_error(sent))
    assert offending_key(CHANGED) == ("/home/me/.ssh/known_hosts", 3)
    assert offending_key(UNKNOWN) is None


def test_changed_key_without_checking() -> None:
    """Where ssh continued with a changed key, there is a warning, and a later failure is the cause."""
    unchecked = CHANGED.replace(UNKNOWN, "").replace("Host key for", "For")
    said = replace(evidence(unchecked), strict="false")
    warning = changed_key_warning(said) or ""
    assert "known is /home/me/.ssh/known_hosts:3, the host sent ED25519 SHA256:new" in warning
    assert "connecting all the same" in warning
    denied = login_error(replace(said, said=unchecked + KEYS_ONLY))
    assert isinstance(denied, AuthenticationError)
    assert changed_key_warning(evidence(CHANGED)) is None
    assert changed_key_warning(evidence(DENIED)) is None


def test_unknown_key() -> None:
    """An unknown key is shown, and also that it could be confirmed if prompts were possible."""
    said = replace(
        evidence(UNKNOWN), fingerprint="ssh-ed25519 SHA256:x", obstacle="nobody is there"
    )
    error = login_error(said)
    assert isinstance(error, HostKeyError)
    assert "SHA256:x, and nobody is there" in str(error)
    assert error.unanswered == ("whether the host key of cluster is right",)
    strict = login_error(replace(said, strict="true", obstacle=None))
    assert isinstance(strict, HostKeyError)
    assert not strict.unanswered


@pytest.mark.parametrize(
    ("said", "strict", "wanted"),
    [
        (DENIED, "ask", ("a password", "an interactive login")),
        (KEYS_ONLY, "ask", ()),
        (UNKNOWN, "ask", ("whether the host key of cluster is right",)),
        (UNKNOWN, "true", ()),
        (CHANGED, "ask", ()),
        ("anything\n", "ask", ()),
    ],
)
def test_wanted(said: str, strict: str, wanted: tuple[str, ...]) -> None:
    """The prompts that a user could have answered are listed; none if there were none."""
    assert replace(evidence(said), strict=strict).wanted == wanted


def test_refused_without_a_person() -> None:
    """Where prompts were impossible, the error has the question and the reason."""
    refused = replace(evidence(DENIED), obstacle="there is no terminal")
    error = login_error(refused)
    assert isinstance(error, AuthenticationError)
    assert "would take a password or an interactive login, but there is no terminal" in str(error)
    assert error.unanswered == ("a password", "an interactive login")
    by_options = login_error(replace(refused, is_batch=True))
    assert isinstance(by_options, AuthenticationError)
    assert not by_options.unanswered


def test_accepted_key_that_is_not_enough() -> None:
    """A host that accepts the key and then asks for a code is told as that."""
    said = (
        'Authenticated using "publickey" with partial success.\n'
        "me@cluster: Permission denied (keyboard-interactive).\n"
    )
    error = login_error(replace(evidence(said), obstacle="there is no terminal"))
    assert isinstance(error, AuthenticationError)
    words = (
        "cluster port 22 accepts the key, and then asks for an interactive login, but there is no"
    )
    assert str(error).startswith(words)
    assert "ControlMaster" in error.hint
    assert error.unanswered == ("an interactive login",)


def test_locked_key() -> None:
    """A key that needs a passphrase is named, with how to unlock it."""
    locked = replace(evidence(KEYS_ONLY), locked=("/k",), obstacle="BatchMode")
    error = login_error(locked)
    assert "the private key /k needs a passphrase" in str(error)
    assert "ssh-add" in str(error)
    assert is_refusal(KEYS_ONLY)
    assert not is_refusal(UNKNOWN)


KEY = KnownKey("ssh-ed25519", b"key", "/known:3", Marker.REVOKED)


def test_revoked_key() -> None:
    """A revoked key is named by its line of known_hosts, if it is the one that was sent."""
    said = "@ WARNING: REVOKED HOST KEY DETECTED! @\n"
    known = KnownHosts("cluster", (KEY,))
    shown = f"ssh-ed25519 {fingerprint(KEY.data)}"
    of_key = replace(evidence(said), known_hosts=known, fingerprint=shown)
    assert f"the host key of cluster is revoked: {shown} (/known:3)" in str(login_error(of_key))
    assert "/known" not in str(login_error(replace(of_key, fingerprint="ssh-ed25519 SHA256:x")))


def test_known_hosts_that_cannot_be_read() -> None:
    """Where a line cannot be read, that is why a key is refused as unknown."""
    known = KnownHosts("cluster", flaws=(Flaw("/known:2", "the key is not base64"),))
    error = login_error(replace(evidence(UNKNOWN), known_hosts=known))
    assert "cannot be checked: /known:2 (the key is not base64)" in str(error)


@pytest.mark.parametrize(
    ("kind", "keyword"),
    [("key exchange method", "KexAlgorithms"), ("host key type", "HostKeyAlgorithms")],
)
def test_no_common_algorithm(kind: str, keyword: str) -> None:
    """Both sides' algorithms are named, and the option that allows one of the host's."""
    said = f"Unable to negotiate with h port 1: no matching {kind} found. Their offer: a,b\r\n"
    error = login_error(replace(evidence(said), algorithms={keyword: ("c",)}))
    assert "it offers a, b, we offer c" in str(error)
    assert f"-o {keyword}=+a" in error.hint


@pytest.mark.parametrize(
    ("said", "is_served", "kind", "words"),
    [
        ("Back at noon.\nConnection closed by h port 1\n", True, UnreachableError, "ends the login: Back at noon."),
        ("Your account has expired\nConnection closed by h port 1\n", True, AuthenticationError, "expired"),
        (
            "Exceeded MaxStartups\nkex_exchange_identification: read: Connection reset\nConnection reset by h port 1\n",
            False,
            UnreachableError,
            "refuses the connection: Exceeded MaxStartups;",
        ),
    ],
)  # fmt: skip
def test_what_the_host_says(
    said: str, is_served: bool, kind: type[XpmRemoteError], words: str
) -> None:
    """What a host says before it closes the connection is the reason."""
    error = login_error(replace(evidence(said), is_served=is_served))
    assert type(error) is kind
    assert words in str(error)
