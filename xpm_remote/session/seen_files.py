"""The files that keep what had been seen of each workspace, between two runs of the program.

They hold nothing that cannot be lost: one that is broken, of another version or another person's is ignored, and a disk
that is full only means that the next run tells more than it had to.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from pathlib import Path

import msgspec

from xpm_remote.model.seen import VERSION, Seen

MAX_SIZE = 4 * 1024 * 1024
"""Bytes of a file that is read: ours have some hundred thousand."""

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC


class _Version(msgspec.Struct):
    version: int


def seen_folder() -> Path | None:
    """Return ``$XDG_STATE_HOME/xpm-remote/seen``, or that in ``~/.local/state``; None where there is no home.

    It holds nothing else: a workspace may have any name.
    """
    home = os.path.expanduser("~/.local/state")  # noqa: PTH111  (leaves an unknown home)
    # As the XDG specification says, a path that is not absolute is ignored.
    bases = (Path(each) for each in (os.environ.get("XDG_STATE_HOME", ""), home))
    return next((base / "xpm-remote" / "seen" for base in bases if base.is_absolute()), None)


class SeenFiles:
    """Reads and writes one file a workspace.

    Args:
        folder: Where they are; it is made when the first is written. None: nothing is kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self._is_kept = folder is not None
        self._folder = folder or Path(os.devnull)

    def path(self, name: str) -> Path:
        """Return the path of a workspace's file; a name that is no plain word does not become a part of it."""
        plain = name if _PLAIN.fullmatch(name) else f"={_hashed(name)}"
        return self._folder / f"{plain}.json"

    def read(self, name: str, workspace: str) -> Seen | None:
        """Return what had been seen of a workspace; None where that is not known.

        Args:
            name: Its name.
            workspace: Where it is: a file about another place of the same name is ignored.
        """
        try:
            seen = msgspec.json.decode(self._bytes(name), type=Seen)
        except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
            return None
        return seen if (seen.version, seen.workspace) == (VERSION, workspace) else None

    def write(self, name: str, seen: Seen) -> str:
        """Write what has been seen of a workspace; return why that is not possible, "" if it is."""
        if not self._is_kept:
            return "what has been seen is not kept: there is no home directory; set XDG_STATE_HOME"
        path = self.path(name)
        try:
            if self._is_newer(name):
                return f"{path} is of a newer version of xpm-remote"
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, msgspec.json.encode(seen))
        except OSError as error:
            return f"{path} cannot be written: {error.strerror or error}"
        except UnicodeEncodeError:  # an experiment whose name is no text
            return f"{path} cannot be written: a name in the workspace is not UTF-8"
        return ""

    def _bytes(self, name: str) -> bytes:
        """Return the bytes of a file of ours.

        Raises:
            OSError: It cannot be read, or is not a file of this user.
        """
        descriptor = os.open(self.path(name), os.O_RDONLY | os.O_NONBLOCK | _FLAGS)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - of a descriptor
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                raise PermissionError("it is not a file of this user")
            return file.read(MAX_SIZE)

    def _is_newer(self, name: str) -> bool:
        try:
            return msgspec.json.decode(self._bytes(name), type=_Version).version > VERSION
        except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
            return False


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in one step: there is the old one or the new one, whole.

    Raises:
        OSError: It cannot be written; nothing is left of the attempt.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
            file.write(data)
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def _hashed(name: str) -> str:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
