"""The letters of OpenSSH's command line, in terms of its keywords. Pure."""

from __future__ import annotations

from xpm_remote.link.options.keywords import LOGGING, NO_FORWARDING, NO_SHARING, OBSOLETE, Reason

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
"""Letters without an argument, and the keywords that they set, whatever was set before."""

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
"""Letters with an argument, the keyword that they set, and whether whatever was set before."""

_DIAGNOSTIC = Reason(
    "it asks OpenSSH for something else than a connection", "use plain ssh for that"
)
REFUSED_FLAGS: dict[str, Reason] = {
    "1": OBSOLETE,
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
