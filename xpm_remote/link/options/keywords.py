"""OpenSSH's client keywords and flags: which are honoured, and by what.

The keywords are those of ssh_config(5) of OpenSSH 9.2 to 10.5, with its aliases and those that distributions patch in.
Whether asyncssh honours one was checked in its connection code, not in its parser alone: it parses some
(``CASignatureAlgorithms``, ``ForwardX11Trusted``) and does something else. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import NamedTuple

from xpm_remote.link.options import values as v


class Honoured(Enum):
    """What honours a keyword."""

    BY_LIBRARY = "asyncssh, from its configuration"
    BY_US = "our transport"
    WHEN = "nothing: only values that ask for the usual behaviour are accepted"
    NEVER = "nothing"


class Reason(NamedTuple):
    """Why something cannot be honoured, and what to do instead.

    Attributes:
        why: The reason, as part of a sentence.
        advice: What to do instead.
        is_ours: Whether neither engine can honour it; else the program ``ssh`` can.
    """

    why: str
    advice: str = "remove it"
    is_ours: bool = False


_NO_REASON = Reason("", "")


@dataclass(frozen=True)
class Keyword:
    """One of OpenSSH's keywords.

    Attributes:
        name: In the spelling of ssh_config(5).
        honoured: What honours it.
        value: The kind of its value.
        accepted: The canonical values that are accepted; None: any.
        reason: Why the others are not.
    """

    name: str
    honoured: Honoured
    value: v.Value
    accepted: frozenset[str] | None = None
    reason: Reason = _NO_REASON

    def accepts(self, value: str) -> bool:
        """Return whether a canonical value is honoured."""
        return self.accepted is None or value.lower() in self.accepted


# The two general reasons; the others exist because they have advice.
NOT_OURS = Reason("it does not apply to a connection of xpm-remote", is_ours=True)
NO_SUPPORT = Reason("the SSH library (asyncssh) has nothing like it")

NO_FORWARDING = Reason("xpm-remote runs one command and forwards nothing", "forward with plain ssh")
NO_SHARING = Reason(
    "xpm-remote opens a connection of its own and cannot share OpenSSH's",
    "remove it; ControlMaster=no and ControlPath=none are accepted",
)
OWN_COMMAND = Reason(
    "xpm-remote chooses the remote command itself and talks to it",
    "use --remote-shell-init or --remote-xpm to change the command",
    is_ours=True,
)
NO_LOCAL_COMMAND = Reason("xpm-remote runs no local commands", "run it yourself before connecting")
HOST_KEYS = Reason(
    "host keys are looked up in known_hosts files only",
    "put the key into a file and name it with UserKnownHostsFile",
)
KNOWN_HOSTS_AS_THEY_ARE = Reason(
    "xpm-remote adds no keys to known_hosts but that of a new host", "set UpdateHostKeys=no"
)
LOCALHOST = Reason(
    "xpm-remote checks the keys of all hosts",
    "use StrictHostKeyChecking=accept-new and HostKeyAlias",
)
FILE_ONLY = Reason(
    "it belongs in a configuration file", "write the file and name it with -F", is_ours=True
)
LOGGING = Reason(
    "xpm-remote writes its log to stderr", "use -v or LogLevel, and redirect stderr", is_ours=True
)
BIND = Reason("the SSH library binds to addresses only", "use -b ADDRESS (BindAddress)")
AGENT_UNTOUCHED = Reason("xpm-remote adds no keys to the agent", "use ssh-add before connecting")
CA_ALGORITHMS = Reason(
    "the SSH library cannot restrict how certificates of hosts are signed",
    "restrict HostKeyAlgorithms instead",
)
REFUSED_BY_OPTION = Reason("it asks not to connect", "remove it to connect", is_ours=True)

_LIBRARY = {
    "AddressFamily": v.choice("any", "inet", "inet6"),
    "BindAddress": v.NAME,
    "CanonicalDomains": v.WORDS,
    "CanonicalizeFallbackLocal": v.FLAG,
    "CanonicalizeHostname": v.choice("yes", "no", "always", true="yes", false="no"),
    "CanonicalizeMaxDots": v.number(0),
    "CanonicalizePermittedCNAMEs": v.CNAME_RULES,
    "CertificateFile": v.KEY_FILE,
    "Ciphers": v.NAMES,
    "Compression": v.FLAG,
    "ConnectTimeout": v.SECONDS,
    "EnableSSHKeysign": v.FLAG,
    "ForwardAgent": v.FORWARDED_AGENT,
    "GSSAPIAuthentication": v.FLAG,
    "GSSAPIDelegateCredentials": v.FLAG,
    "GSSAPIKeyExchange": v.FLAG,
    "HostKeyAlgorithms": v.NAMES,
    "HostKeyAlias": v.NAME,
    "HostbasedAuthentication": v.FLAG,
    "Hostname": v.HOST,
    "IdentitiesOnly": v.FLAG,
    "IdentityAgent": v.AGENT,
    "IdentityFile": v.KEY_FILE,
    "KbdInteractiveAuthentication": v.FLAG,
    "KexAlgorithms": v.NAMES,
    "MACs": v.NAMES,
    "PKCS11Provider": v.TEXT,
    "PasswordAuthentication": v.FLAG,
    "Port": v.PORT,
    "PreferredAuthentications": v.NAMES,
    "ProxyJump": v.JUMP,
    # asyncssh has no host-bound extension, so 'unbound' is what 'yes' means to it.
    "PubkeyAuthentication": v.choice("yes", "no", true="yes", false="no", unbound="yes"),
    "RekeyLimit": v.REKEY,
    "SendEnv": v.ENVIRONMENT_NAMES,
    # asyncssh refuses to count to zero; ServerAliveInterval=0 is how to have no such messages.
    "ServerAliveCountMax": v.number(1),
    "ServerAliveInterval": v.SECONDS,
    "SetEnv": v.ENVIRONMENT,
    "TCPKeepAlive": v.FLAG,
    "Tag": v.NAME,
    "User": v.USER,
}
_OURS = {
    "BatchMode": v.FLAG,
    "ConnectionAttempts": v.number(1),
    # asyncssh reads these two, but not the defaults beside them, and fails when a file is missing.
    "GlobalKnownHostsFile": v.FILES,
    "HashKnownHosts": v.FLAG,
    "LogLevel": v.LOG_LEVEL,
    "NumberOfPasswordPrompts": v.number(0),
    # asyncssh runs it without a shell, and fills in its tokens before it has read the files.
    "ProxyCommand": v.COMMAND,
    "StrictHostKeyChecking": v.choice(
        "yes", "no", "accept-new", "ask", true="yes", false="no", off="no"
    ),
    "UserKnownHostsFile": v.FILES,
}
_NO = {"no"}
_NONE = {"none"}
_WHEN: dict[str, tuple[v.Value, set[str], Reason]] = {
    "AddKeysToAgent": (v.STATE, _NO, AGENT_UNTOUCHED),
    "ChannelTimeout": (v.WORDS, _NONE, NO_SUPPORT),
    "CheckHostIP": (v.STATE, _NO, NO_SUPPORT),
    "ControlMaster": (v.STATE, _NO, NO_SHARING),
    "ControlPath": (v.TEXT, _NONE, NO_SHARING),
    "ControlPersist": (v.STATE, _NO, NO_SHARING),
    "FingerprintHash": (v.TEXT, {"sha256"}, NOT_OURS),
    "ForkAfterAuthentication": (v.STATE, _NO, NOT_OURS),
    "ForwardX11": (v.STATE, _NO, NO_FORWARDING),
    "GSSAPIRenewalForcesRekey": (v.STATE, _NO, NO_SUPPORT),
    "GSSAPITrustDns": (v.STATE, _NO, NO_SUPPORT),
    "GatewayPorts": (v.STATE, _NO, NO_FORWARDING),
    "IPQoS": (v.QUALITY_OF_SERVICE, _NONE, NO_SUPPORT),
    "KnownHostsCommand": (v.LINE, _NONE, HOST_KEYS),
    "LocalCommand": (v.LINE, _NONE, NO_LOCAL_COMMAND),
    "LogVerbose": (v.WORDS, _NONE, LOGGING),
    "NoHostAuthenticationForLocalhost": (v.STATE, _NO, LOCALHOST),
    "PermitLocalCommand": (v.STATE, _NO, NO_LOCAL_COMMAND),
    "Protocol": (v.TEXT, {"2"}, NOT_OURS),
    "ProxyUseFdpass": (v.STATE, _NO, NO_SUPPORT),
    "PubkeyAcceptedAlgorithms": (v.PUBLIC_KEY_ALGORITHMS, {"+ssh-rsa"}, NO_SUPPORT),
    "RemoteCommand": (v.LINE, _NONE, OWN_COMMAND),
    "RequestTTY": (v.STATE, {"no", "auto"}, NOT_OURS),
    "RevokedHostKeys": (v.TEXT, _NONE, HOST_KEYS),
    "SecurityKeyProvider": (v.TEXT, {"internal"}, NO_SUPPORT),
    "SessionType": (v.STATE, {"default"}, OWN_COMMAND),
    "StdinNull": (v.STATE, _NO, NOT_OURS),
    "Tunnel": (v.STATE, _NO, NO_FORWARDING),
    "UpdateHostKeys": (v.STATE, _NO, KNOWN_HOSTS_AS_THEY_ARE),
    "UseRoaming": (v.STATE, _NO, NOT_OURS),
    "VerifyHostKeyDNS": (v.STATE, _NO, HOST_KEYS),
    "VersionAddendum": (v.WORDS, _NONE, NO_SUPPORT),
    "VisualHostKey": (v.STATE, _NO, NO_SUPPORT),
    "WarnWeakCrypto": (v.WORDS, {"no", "false", "no-pq-kex"}, NO_SUPPORT),
}
# They are about what we never do (forwardings, terminals, syslog), so every value is honoured.
_IDLE = (
    "ClearAllForwardings",
    "EnableEscapeCommandline",
    "EscapeChar",
    "ExitOnForwardFailure",
    "ForwardX11Timeout",
    "ForwardX11Trusted",
    "ObscureKeystrokeTiming",
    "PermitRemoteOpen",
    "StreamLocalBindMask",
    "StreamLocalBindUnlink",
    "SyslogFacility",
    "TunnelDevice",
    "XAuthLocation",
)
_NEVER = {
    "AFSTokenPassing": NOT_OURS,
    "BindInterface": BIND,
    "CASignatureAlgorithms": CA_ALGORITHMS,
    "Cipher": NOT_OURS,
    "CompressionLevel": NOT_OURS,
    "DynamicForward": NO_FORWARDING,
    "FallBackToRsh": NOT_OURS,
    "GSSAPIClientIdentity": NO_SUPPORT,
    "GSSAPIKexAlgorithms": NO_SUPPORT,
    "GSSAPIServerIdentity": NO_SUPPORT,
    "GlobalKnownHostsFile2": NOT_OURS,
    "Host": FILE_ONLY,
    "HostbasedAcceptedAlgorithms": NO_SUPPORT,
    "IgnoreUnknown": NOT_OURS,
    "Include": FILE_ONLY,
    "KbdInteractiveDevices": NO_SUPPORT,
    "KerberosAuthentication": NOT_OURS,
    "KerberosTGTPassing": NOT_OURS,
    "LocalForward": NO_FORWARDING,
    "Match": FILE_ONLY,
    "RSAAuthentication": NOT_OURS,
    "RefuseConnection": REFUSED_BY_OPTION,
    "RemoteForward": NO_FORWARDING,
    "RequiredRSASize": NO_SUPPORT,
    "RhostsAuthentication": NOT_OURS,
    "RhostsRSAAuthentication": NOT_OURS,
    "UsePrivilegedPort": NOT_OURS,
    "UseRsh": NOT_OURS,
    "UserKnownHostsFile2": NOT_OURS,
}
ALIASES = {
    "challengeresponseauthentication": "KbdInteractiveAuthentication",
    "dsaauthentication": "PubkeyAuthentication",
    "hostbasedkeytypes": "HostbasedAcceptedAlgorithms",
    "identityfile2": "IdentityFile",
    "keepalive": "TCPKeepAlive",
    "protocolkeepalives": "ServerAliveInterval",
    "pubkeyacceptedkeytypes": "PubkeyAcceptedAlgorithms",
    "setuptimeout": "ServerAliveInterval",
    "skeyauthentication": "KbdInteractiveAuthentication",
    "smartcarddevice": "PKCS11Provider",
    "tisauthentication": "KbdInteractiveAuthentication",
}
"""Other names of keywords in OpenSSH (the 2 of Debian included), in lower case."""

KEYWORDS: tuple[Keyword, ...] = (
    *(Keyword(name, Honoured.BY_LIBRARY, value) for name, value in _LIBRARY.items()),
    *(Keyword(name, Honoured.BY_US, value) for name, value in _OURS.items()),
    *(
        Keyword(name, Honoured.WHEN, value, frozenset(accepted), reason)
        for name, (value, accepted, reason) in _WHEN.items()
    ),
    *(Keyword(name, Honoured.WHEN, v.WORDS) for name in _IDLE),
    *(
        Keyword(name, Honoured.NEVER, v.LINE, frozenset(), reason)
        for name, reason in _NEVER.items()
    ),
)
OURS = frozenset(_OURS)
"""Keywords that this package honours itself; asyncssh does not, or not as OpenSSH does."""

READ_BY_LIBRARY = frozenset(_LIBRARY) - {"Port", "User"} | {
    "GlobalKnownHostsFile",
    "ProxyCommand",
    "UserKnownHostsFile",
}
"""Keywords that asyncssh reads from a configuration file; the last three, of ``OURS``, precede those of files there."""

NEEDS_GSSAPI = frozenset(name for name in _LIBRARY if name.startswith("GSSAPI"))
"""Keywords that asyncssh honours with ``yes`` only if the package gssapi is installed; else it ignores them."""

OF_FILES = frozenset({"Host", "IgnoreUnknown", "Include", "Match"})
"""Keywords of configuration files only: refused as options, and honoured there by the file's reader."""

FORWARDS = frozenset({"DynamicForward", "LocalForward", "RemoteForward"})

ACCUMULATING = frozenset({"CertificateFile", "IdentityFile", "SendEnv"}) | FORWARDS
"""Keywords whose occurrences all count; of the others the first wins."""

NEEDS_OPENSSH = (
    "BindInterface",
    "CASignatureAlgorithms",
    "GSSAPIClientIdentity",
    "GSSAPIServerIdentity",
    "GSSAPITrustDns",
    "HostbasedAcceptedAlgorithms",
    "KnownHostsCommand",
    "NoHostAuthenticationForLocalhost",
    "ProxyUseFdpass",
    "PubkeyAcceptedAlgorithms",
    "RequiredRSASize",
    "RevokedHostKeys",
    "SecurityKeyProvider",
    "VerifyHostKeyDNS",
)
"""Keywords that asyncssh lacks and that a host may need to be reached, or to be trusted. The others that it lacks are
about sharing connections, forwarding, local commands, or more output."""

BY_NAME = {keyword.name.lower(): keyword for keyword in KEYWORDS}
"""All keywords by their names and aliases in lower case."""

BY_NAME |= {alias: BY_NAME[name.lower()] for alias, name in ALIASES.items()}


_NEAR = 0.75  # the similarity of a typing error, not of another word


def find_keyword(name: str) -> Keyword | None:
    """Return the keyword of that name or alias, in any case."""
    return BY_NAME.get(name.lower())


def nearest_keyword(name: str) -> str | None:
    """Return the keyword of the most similar name; None if there is none."""
    near = get_close_matches(name.lower(), BY_NAME, n=1, cutoff=_NEAR)
    return BY_NAME[near[0]].name if near else None


PLAIN_FLAGS: dict[str, tuple[tuple[str, str], ...]] = {
    "2": (),
    "4": (("AddressFamily", "inet"),),
    "6": (("AddressFamily", "inet6"),),
    "A": (("ForwardAgent", "yes"),),
    "C": (("Compression", "yes"),),
    "K": (("GSSAPIAuthentication", "yes"), ("GSSAPIDelegateCredentials", "yes")),
    "M": (("ControlMaster", "yes"),),
    "N": (("SessionType", "none"),),
    "T": (("RequestTTY", "no"),),
    "X": (("ForwardX11", "yes"),),
    "Y": (("ForwardX11", "yes"),),
    "a": (("ForwardAgent", "no"),),
    "f": (("ForkAfterAuthentication", "yes"),),
    "g": (("GatewayPorts", "yes"),),
    "k": (("GSSAPIDelegateCredentials", "no"),),
    "n": (("StdinNull", "yes"),),
    "q": (("LogLevel", "QUIET"),),
    "s": (("SessionType", "subsystem"),),
    "t": (("RequestTTY", "yes"),),
    "x": (("ForwardX11", "no"),),
}
"""Letters without an argument, and the keywords that they set, also if those are set already."""

FLAGS_WITH_ARGUMENT: dict[str, tuple[str, bool]] = {
    "B": ("BindInterface", True),
    "D": ("DynamicForward", False),
    "I": ("PKCS11Provider", True),
    "J": ("ProxyJump", False),
    "L": ("LocalForward", False),
    "P": ("Tag", False),
    "R": ("RemoteForward", False),
    "S": ("ControlPath", True),
    "b": ("BindAddress", True),
    "c": ("Ciphers", True),
    "e": ("EscapeChar", True),
    "i": ("IdentityFile", False),
    "l": ("User", False),
    "m": ("MACs", True),
    "p": ("Port", False),
}
"""Letters with an argument, the keyword that they set, and whether also if it is set already."""

_DIAGNOSTIC = Reason("it is for something else than a connection", "use plain ssh for that")
REFUSED_FLAGS: dict[str, Reason] = {
    "1": NOT_OURS,
    "E": LOGGING,
    "G": Reason(_DIAGNOSTIC.why, "use --dry-run to see how xpm-remote connects"),
    "O": NO_SHARING,
    "Q": _DIAGNOSTIC,
    "V": _DIAGNOSTIC,
    "W": NO_FORWARDING,
    "Z": _DIAGNOSTIC,
    "w": NO_FORWARDING,
    "y": LOGGING,
}
"""Letters that set no keyword and cannot be honoured."""
