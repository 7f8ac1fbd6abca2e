"""The methods of a monitor server that we use, as typed calls; the answers as records of the model.

Names and parameters are those of experimaestro's monitor protocol, versions 1.0 and 2.0. ``refresh`` is sent with every
query: without it, servers since 2.7.0 answer from a cache.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TypeVar

import msgspec

from xpm_remote.errors import ProtocolError
from xpm_remote.model.records import ExperimentRecord, JobRecord, SyncInfo, decode_slices
from xpm_remote.rpc.client import RpcClient
from xpm_remote.rpc.protocol import Asked

log = logging.getLogger(__name__)

PROTOCOLS = ("1.0", "2.0")
CURRENT_PROTOCOL = "2.0"
"""Spoken by the oldest release that we support, and by some before it."""

FIRST: Asked = (("get_sync_info", {}), ("get_experiments", {"refresh": True}))
"""The handshake and the first query, sent at once: the server answers in order, and no round trip is waited for."""

_Record = TypeVar("_Record")


class MonitorServer:
    """A remote monitor server.

    Every call may raise what ``RpcClient.call`` raises, and ProtocolError where an answer has another shape.

    Args:
        client: Carries the calls.
        needs_current: Whether to raise ProtocolError as soon as the server shows that it is older than 2.7.
    """

    def __init__(self, client: RpcClient, *, needs_current: bool = False) -> None:
        self._client = client
        self._needs_current = needs_current
        self.protocol = ""

    async def handshake(self) -> SyncInfo:
        """Return what the server tells of itself; must be called first.

        Raises:
            ProtocolError: We do not speak the server's protocol.
        """
        info = await self._one("get_sync_info", SyncInfo)
        if info is None or info.protocol_version not in PROTOCOLS:
            found = info.protocol_version if info else "none"
            raise ProtocolError(
                f"the remote server speaks protocol {found}, we speak {' and '.join(PROTOCOLS)}",
                "install a matching experimaestro there, or a newer xpm-remote here",
            )
        if self._needs_current and info.protocol_version != CURRENT_PROTOCOL:
            raise _outdated(f"it speaks protocol {info.protocol_version}")
        self.protocol = info.protocol_version
        return info

    async def experiments(self) -> list[ExperimentRecord]:
        """Return the current run of every experiment. The server clears its cache."""
        records = await self._list("get_experiments", ExperimentRecord, refresh=True)
        if self._needs_current and records and all(each.runs_count is None for each in records):
            raise _outdated("it counts no runs")
        return records

    async def jobs(self, experiment_id: str) -> list[JobRecord]:
        """Return the jobs of the current run of an experiment; none for an unknown one."""
        return await self._list("get_jobs", JobRecord, experiment_id=experiment_id, refresh=True)

    async def job(self, task_id: str, job_id: str) -> JobRecord | None:
        """Return one job; None where its folder is gone."""
        return await self._one("get_job", JobRecord, task_id=task_id, job_id=job_id, refresh=True)

    async def _one(self, method: str, kind: type[_Record], **params: object) -> _Record | None:
        raw = await self._client.call(method, params)
        try:
            return msgspec.json.decode(raw, type=kind | None)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _unreadable(method, error) from error

    async def _list(self, method: str, kind: type[_Record], **params: object) -> list[_Record]:
        raw = await self._client.call(method, params)
        records: list[_Record] = []
        rejected = 0
        try:
            for found, misfits in decode_slices(raw, kind):
                records += found
                rejected += misfits
                await asyncio.sleep(0)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _unreadable(method, error) from error
        if rejected:
            log.warning("%s: left out %d records that cannot be read", method, rejected)
        return records


def _outdated(sign: str) -> ProtocolError:
    return ProtocolError(
        f"the remote experimaestro is older than 2.7 ({sign}), and would change the workspace by looking",
        "install a newer one there, or take --backend agent",
    )


def _unreadable(method: str, error: Exception) -> ProtocolError:
    return ProtocolError(
        f"the answer of the remote server to {method} cannot be read: {error}",
        "the experimaestro there may be of another kind than ours",
    )
