"""A file system in user space that shows a directory read-only, and fails where a table of errors says so.

Usage: ``loopback.py SOURCE MOUNT_POINT TABLE``. It speaks the kernel's FUSE protocol on /dev/fuse, so it needs
no library; mounting needs root. TABLE is a JSON file, read at each request: the number of an error by path, relative to
SOURCE; it holds for what is below, too. Nothing is cached by the kernel. Stopped by SIGSTOP, it is a file server that
hangs. It prints a line when it is mounted, and unmounts when its stdin ends.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path

HEADER = struct.Struct("<IIQQIIII")
REPLY = struct.Struct("<IiQ")
ATTRIBUTES = struct.Struct("<6Q10I")
SPACE = struct.Struct("<5Q10I")
FORGET, BATCH_FORGET, INTERRUPT = 2, 42, 36
DIRECT_IO = 1
BUFFER = 1 << 20
MAJOR, MINOR = 7, 31
NO_SUCH_DEVICE = (errno.ENODEV, errno.EBADF)
MNT_DETACH = 2

C = ctypes.CDLL(None, use_errno=True)


class Loopback:
    """Answers the kernel's requests about a directory."""

    def __init__(self, source: str, table: Path) -> None:
        self.source = source
        self.table = table
        self.paths = {1: ""}
        self.nodes = {"": 1}
        self.calls: dict[int, Callable[[int, bytes], bytes]] = {
            1: self.lookup,
            3: self.get_attributes,
            5: self.read_link,
            14: self.open,
            15: self.read,
            17: self.statistics,
            18: lambda *_: b"",  # release
            25: lambda *_: b"",  # flush
            26: self.init,
            27: lambda *_: struct.pack("<QII", 0, 0, 0),  # opendir
            28: self.read_directory,
            29: lambda *_: b"",  # releasedir
            34: lambda *_: b"",  # access
        }

    def answer(self, request: bytes) -> bytes | None:
        """Return the reply to a request; None where none is expected."""
        _, code, unique, node, *_ = HEADER.unpack_from(request)
        if code in (FORGET, BATCH_FORGET, INTERRUPT):
            return None
        try:
            if code not in self.calls:
                raise OSError(errno.ENOSYS, "")
            body = self.calls[code](node, request[HEADER.size :])
        except OSError as error:
            return REPLY.pack(REPLY.size, -(error.errno or errno.EIO), unique)
        return REPLY.pack(REPLY.size + len(body), 0, unique) + body

    def real(self, path: str) -> str:
        """Return the path in the source; raise the error that the table has for it."""
        errors = json.loads(self.table.read_text())
        for place, number in errors.items():
            if place in ("", path) or path.startswith(f"{place}/"):
                raise OSError(number, os.strerror(number))
        return f"{self.source}/{path}"

    def init(self, _: int, body: bytes) -> bytes:
        """Agree on the version of the protocol, and on nothing else."""
        readahead = struct.unpack_from("<III", body)[2]
        return struct.pack(
            "<4I2H2I2H8I", MAJOR, MINOR, readahead, 0, 16, 12, BUFFER // 2, 1, 0, 0, *[0] * 8
        )

    def lookup(self, parent: int, body: bytes) -> bytes:
        """Return the node of a name."""
        name = os.fsdecode(body.rstrip(b"\0"))
        path = f"{self.paths[parent]}/{name}".lstrip("/")
        attributes = self.attributes(path)
        node = self.nodes.setdefault(path, len(self.nodes) + 1)
        self.paths[node] = path
        return struct.pack("<4Q2I", node, 0, 0, 0, 0, 0) + attributes

    def get_attributes(self, node: int, _: bytes) -> bytes:
        """Return the attributes of a node."""
        return struct.pack("<QII", 0, 0, 0) + self.attributes(self.paths[node])

    def attributes(self, path: str) -> bytes:
        """Return the attributes at a path."""
        found = os.lstat(self.real(path))
        times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
        return ATTRIBUTES.pack(
            found.st_ino,
            found.st_size,
            found.st_blocks,
            *(each // 10**9 for each in times),
            *(each % 10**9 for each in times),
            found.st_mode,
            found.st_nlink,
            found.st_uid,
            found.st_gid,
            0,
            found.st_blksize,
            0,
        )

    def read_link(self, node: int, _: bytes) -> bytes:
        """Return where a link leads."""
        return os.fsencode(Path(self.real(self.paths[node])).readlink())

    def open(self, node: int, _: bytes) -> bytes:
        """Open a file, which is opened anew at each read."""
        os.close(os.open(self.real(self.paths[node]), os.O_RDONLY | os.O_NONBLOCK))
        return struct.pack("<QII", 0, DIRECT_IO, 0)

    def read(self, node: int, body: bytes) -> bytes:
        """Return a part of a file."""
        _, offset, size = struct.unpack_from("<QQI", body)
        handle = os.open(self.real(self.paths[node]), os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.pread(handle, size, offset)
        finally:
            os.close(handle)

    def read_directory(self, node: int, body: bytes) -> bytes:
        """Return the entries of a directory after an offset, as many as fit."""
        _, offset, size = struct.unpack_from("<QQI", body)
        names = sorted(each.name for each in Path(self.real(self.paths[node])).iterdir())
        data = b""
        for index, name in enumerate(names[offset:], offset + 1):
            mode = os.lstat(f"{self.source}/{self.paths[node]}/{name}").st_mode
            encoded = os.fsencode(name)
            entry = struct.pack("<QQII", index + 1, index, len(encoded), stat.S_IFMT(mode) >> 12)
            entry += encoded + b"\0" * (-len(encoded) % 8)
            if len(data) + len(entry) > size:
                break
            data += entry
        return data

    def statistics(self, node: int, _: bytes) -> bytes:
        """Return the size of the file system."""
        self.real(self.paths[node])
        return SPACE.pack(1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255, 4096, 0, *[0] * 6)


def main(source: str, mount_point: str, table: str) -> None:
    """Serve until stdin ends."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    kind, target = b"fuse", os.fsencode(mount_point)
    if C.mount(b"loopback", target, kind, 0, options.encode()) != 0:
        number = ctypes.get_errno()
        sys.exit(f"mount: {os.strerror(number)}")
    try:
        print("mounted", flush=True)
        serve(Loopback(source, Path(table)), device)
    finally:
        C.umount2(target, MNT_DETACH)


def serve(loopback: Loopback, device: int) -> None:
    """Answer requests until stdin ends."""
    while True:
        ready, _, _ = select.select([device, 0], [], [])
        if 0 in ready:
            return
        try:
            reply = loopback.answer(os.read(device, BUFFER))
            if reply is not None:
                os.write(device, reply)
        except OSError as error:
            if error.errno in NO_SUCH_DEVICE:
                return
            if error.errno not in (errno.ENOENT, errno.EINTR):  # interrupted meanwhile
                raise


if __name__ == "__main__":
    main(*sys.argv[1:])
