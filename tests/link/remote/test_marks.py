"""Marks and noise in one stream, told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_remote.link.remote.startup import LINE_KEPT, MARK, NOISE_KEPT, Mark, MarkedStream, Section

SHELL = f"\n{MARK} shell\n".encode()
INIT = f"\n{MARK} init\n".encode()


def noise_of(stream: MarkedStream) -> dict[str, tuple[int, str]]:
    """Give size and text of all noise that there is."""
    return {
        section.value: (noise.size, noise.text)
        for section, noise in stream.noise.items()
        if noise.size
    }


class TestNoise:
    """What others printed."""

    def test_belongs_to_its_section(self) -> None:
        """What is printed belongs to whoever was at work, byte for byte."""
        stream = MarkedStream()
        stream.feed(b"motd\n42\n" + SHELL + b"loaded " + INIT + b"later\n")
        assert noise_of(stream) == {
            "login files": (8, "motd\n42\n"),
            "shell_init": (7, "loaded "),
            "our commands": (6, "later\n"),
        }

    def test_none(self) -> None:
        """The newline with which a mark begins is nobody's noise."""
        stream = MarkedStream()
        assert stream.feed(SHELL + INIT) == [Mark("shell", ""), Mark("init", "")]
        assert noise_of(stream) == {}

    def test_odd_bytes(self) -> None:
        """What is not UTF-8 is escaped, and counted as it came."""
        stream = MarkedStream()
        stream.feed(b"caf\xe9" + SHELL)
        assert noise_of(stream) == {"login files": (4, "caf\\xe9")}

    def test_much(self) -> None:
        """Of much noise the head is kept, and all of it is counted."""
        stream = MarkedStream()
        for _ in range(3):
            stream.feed(b"x" * NOISE_KEPT + b"\n")
        size, text = noise_of(stream)["login files"]
        assert size == 3 * (NOISE_KEPT + 1)
        assert text == "x" * NOISE_KEPT

    def test_cut_by_a_mark(self) -> None:
        """The newline of a mark is not kept where it would be the last byte of the head."""
        stream = MarkedStream()
        stream.feed(b"x" * (NOISE_KEPT - 1) + SHELL)
        assert noise_of(stream)["login files"] == (NOISE_KEPT - 1, "x" * (NOISE_KEPT - 1))

    def test_endless_line(self) -> None:
        """A line without an end takes no more memory than a screenful and what is looked at."""
        stream = MarkedStream()
        for _ in range(100):
            assert stream.feed(b"y" * 10_000) == []
        assert noise_of(stream)["login files"][0] + LINE_KEPT >= 1_000_000
        assert len(stream.noise[Section.LOGIN].head) == NOISE_KEPT

    def test_unfinished_line(self) -> None:
        """At the end, what there is of a line counts."""
        stream = MarkedStream()
        stream.feed(b"logout")
        assert noise_of(stream) == {}
        stream.end()
        assert noise_of(stream) == {"login files": (6, "logout")}


class TestMarks:
    """Lines of ours."""

    def test_words(self) -> None:
        """A mark has a word, and a rest with its blanks."""
        data = f"\n{MARK} found python3 /opt/my python\n".encode()
        assert MarkedStream().feed(data) == [Mark("found", "python3 /opt/my python")]

    def test_first_of_all(self) -> None:
        """A mark counts also where its first newline was lost."""
        stream = MarkedStream()
        assert stream.feed(f"{MARK} shell\n".encode()) == [Mark("shell", "")]
        assert noise_of(stream) == {}

    @pytest.mark.parametrize("line", [f"{MARK}x shell", f" {MARK} shell", f"echo {MARK} shell"])
    def test_others_are_noise(self, line: str) -> None:
        """What only resembles a mark is noise."""
        stream = MarkedStream()
        assert stream.feed(f"{line}\n".encode()) == []
        assert noise_of(stream) == {"login files": (len(line) + 1, f"{line}\n")}

    @given(st.lists(st.integers(1, 40), max_size=8))
    def test_pieces(self, cuts: list[int]) -> None:
        """However the bytes are cut, the marks and the noise are the same."""
        data = b"hello\npart" + SHELL + b"\xff\n" + INIT + f"\n{MARK} tools\n".encode()
        stream, marks = MarkedStream(), []
        for cut in [*cuts, len(data)]:
            marks += stream.feed(data[:cut])
            data = data[cut:]
        assert marks == [Mark("shell", ""), Mark("init", ""), Mark("tools", "")]
        assert noise_of(stream) == {
            "login files": (10, "hello\npart"),
            "shell_init": (2, "\\xff\n"),
        }
