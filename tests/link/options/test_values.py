"""Values of OpenSSH's keywords."""

from __future__ import annotations

import pytest

from xpm_remote.link.options import values as v


@pytest.mark.parametrize(
    ("value", "words", "expected"),
    [
        (v.FLAG, ["yes"], "yes"),
        (v.FLAG, ["TRUE"], "yes"),
        (v.FLAG, ["false"], "no"),
        (v.STATE, ["off"], "no"),
        (v.STATE, ["Auto"], "auto"),
        (v.TEXT, ["~/a b"], "~/a b"),
        (v.NAMES, ["+ssh-rsa,ssh-ed25519"], "+ssh-rsa,ssh-ed25519"),
        (v.NAME, ["alias"], "alias"),
        (v.number(1), ["007"], "7"),
        (v.SECONDS, ["90"], "90"),
        (v.SECONDS, ["1m30s"], "90"),
        (v.SECONDS, ["1H"], "3600"),
        (v.SECONDS, ["1w1d"], "691200"),
        (v.SECONDS, ["none"], "0"),
        (v.REKEY, ["1G"], "1073741824"),
        (v.REKEY, ["16k", "2m"], "16384 120"),
        (v.REKEY, ["default", "none"], "default none"),
        (v.REKEY, ["0", "0"], "default none"),
        (v.REKEY, ["1G 1h"], "1073741824 3600"),
        (v.LOG_LEVEL, ["debug"], "DEBUG1"),
        (v.LOG_LEVEL, ["quiet"], "QUIET"),
        (v.FILES, ["~/a b", "/c"], "'~/a b' /c"),
        (v.FILES, ["NONE"], "/dev/null"),
        (v.FILES, ["%d/hosts"], "'~/hosts'"),
        (v.KEY_FILE, ["~/.ssh/id"], "~/.ssh/id"),
        (v.ENVIRONMENT_NAMES, ["LANG", "LC_*"], "LANG 'LC_*'"),
        (v.ENVIRONMENT_NAMES, ["LANG LC_*"], "LANG 'LC_*'"),
        (v.ENVIRONMENT, ["A=b c", "D="], "'A=b c' D="),
        (v.CNAME_RULES, ["*.a:*.b", "c:d"], "'*.a:*.b' c:d"),
        (v.CNAME_RULES, ["none"], "none"),
        (v.AGENT, ["none"], "none"),
        (v.AGENT, ["SSH_AUTH_SOCK"], "${SSH_AUTH_SOCK}"),
        (v.AGENT, ["$MY_AGENT"], "${MY_AGENT}"),
        (v.AGENT, ["~/agent"], "~/agent"),
        (v.FORWARDED_AGENT, ["True"], "yes"),
        (v.FORWARDED_AGENT, ["no"], "no"),
        (v.FORWARDED_AGENT, ["~/agent"], "%d/agent"),
        (v.FORWARDED_AGENT, ["$MY_AGENT"], "${MY_AGENT}"),
        (v.FORWARDED_AGENT, ["/agent"], "/agent"),
        (v.COMMAND, ["nc 'a b' %h %p"], "nc 'a b' %h %p"),
        (v.COMMAND, ["none"], "none"),
        (v.COMMAND, ["~/nc %h | cat"], "~/nc %h | cat"),
        (v.KEY_FILE, ["%d/%u_%%h"], "%d/%u_%%h"),
        (v.JUMP, ["ssh://u@a:1,[::1]:2"], "u@a:1,[::1]:2"),
        (v.JUMP, ["NONE"], "none"),
        (v.PORT, ["022"], "22"),
        (v.USER, ["a@b"], "a@b"),
        (v.HOST, ["%h.example"], "%h.example"),
        (v.PUBLIC_KEY_ALGORITHMS, ["+ssh-rsa,rsa-sha2-256"], "+ssh-rsa"),
        (v.PUBLIC_KEY_ALGORITHMS, ["ssh-rsa"], "ssh-rsa"),
        (v.QUALITY_OF_SERVICE, ["Throughput", "cs0"], "none"),
        (v.QUALITY_OF_SERVICE, ["cs1"], "cs1"),
        (v.WORDS, ["a b", "c"], "a b c"),
        (v.LINE, ["a  'b"], "a  'b"),
    ],
)
def test_canonical(value: v.Value, words: list[str], expected: str) -> None:
    """A value has one canonical form, the one that asyncssh reads."""
    assert value.canonical(words) == expected


@pytest.mark.parametrize(
    ("value", "words", "cause"),
    [
        (v.TEXT, [], "empty"),
        (v.TEXT, [""], "empty"),
        (v.WORDS, ["a", ""], "empty"),
        (v.TEXT, ["a\nb"], "control characters"),
        (v.TEXT, ["a", "b"], "one word"),
        (v.FLAG, ["maybe"], "yes, no"),
        (v.number(1), ["0"], "at least 1"),
        (v.number(1), ["x"], "whole number"),
        (v.number(0), ["-1"], "whole number"),
        (v.number(0), ["²"], "whole number"),
        (v.NAMES, ["a, b"], "without blanks"),
        (v.NAMES, ["none"], "none"),
        (v.NAME, ["None"], "none"),
        (v.SECONDS, ["1x"], "not a time"),
        (v.SECONDS, ["-1"], "not a time"),
        (v.SECONDS, ["1.5"], "not a time"),
        (v.SECONDS, ["99999999999"], "too long"),
        (v.REKEY, ["15"], "number of bytes"),
        (v.REKEY, ["1T"], "number of bytes"),
        (v.REKEY, ["1G", "x"], "not a time"),
        (v.REKEY, ["1G", "1h", "1"], "a size and a time"),
        (v.LOG_LEVEL, ["LOUD"], "QUIET"),
        (v.FILES, ["/a", "none"], "alone"),
        (v.FILES, ["/a/%h"], "not expanded"),
        (v.FILES, ["${HOME}/a"], "not expanded"),
        (v.KEY_FILE, ["none"], "PubkeyAuthentication=no"),
        (v.KEY_FILE, ["~/%h"], "%h in '~/%h' cannot be expanded"),
        (v.AGENT, ["/run/%p%r"], "%p in"),
        (v.FORWARDED_AGENT, ["~/%C"], "%C in"),
        (v.ENVIRONMENT_NAMES, ["A=b"], "environment variable"),
        (v.ENVIRONMENT_NAMES, ["-A"], "environment variable"),
        (v.ENVIRONMENT, ["A"], "NAME=VALUE"),
        (v.ENVIRONMENT, ["=a"], "NAME=VALUE"),
        (v.CNAME_RULES, ["a"], "SOURCE:TARGET"),
        (v.COMMAND, ["nc 'a"], "quotes"),
        (v.JUMP, ["a,,b"], "empty"),
        (v.PORT, ["0"], "port"),
        (v.USER, ["-a"], "dash"),
        (v.HOST, ["a b"], "characters"),
    ],
)
def test_refused(value: v.Value, words: list[str], cause: str) -> None:
    """A malformed value is refused with the reason."""
    with pytest.raises(ValueError, match=cause):
        value.canonical(words)
