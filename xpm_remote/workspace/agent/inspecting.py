"""Requests about single jobs: why they failed, parts of their logs, all that is known of one."""

from __future__ import annotations

from xpm_remote.workspace.agent.scheduling import Scheduling
from xpm_remote.workspace.agent.wire import Method, ParameterError, Params, job_id_of, text
from xpm_remote.workspace.inspecting.detail import DetailReader
from xpm_remote.workspace.inspecting.failures import FailureReader, newest_first
from xpm_remote.workspace.inspecting.logs import STREAMS, log_path, read_part
from xpm_remote.workspace.inspecting.searching import SearchRequest, search_part
from xpm_remote.workspace.layout import JobId, parse_job_id
from xpm_remote.workspace.reading.json_files import JsonObject, whole_of
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.rows import Account
from xpm_remote.workspace.schedulers.accounting import ask_account


class Inspecting:
    """Answers requests about single jobs; all of them in one thread.

    Args:
        reader: Reads the workspace; of that thread alone.
        queue: What the scheduler has of the jobs.
    """

    def __init__(self, reader: WorkspaceReader, queue: Scheduling) -> None:
        self._reader = reader
        self._failures = FailureReader(reader)
        self._details = DetailReader(reader, queue.all_judged)

    def methods(self) -> dict[str, Method]:
        """Return the methods."""
        return {
            "get_failures": self.get_failures,
            "get_job_detail": self.get_job_detail,
            "get_account": self.get_account,
            "read_log_part": self.read_log_part,
            "search_log": self.search_log,
        }

    def get_failures(self, params: Params) -> list[JsonObject]:
        """Return why ``jobs`` failed, the newest first; without those whose stamp in ``known`` is still the same."""
        jobs, known = params.get("jobs"), params.get("known")
        if not isinstance(jobs, list) or not all(isinstance(each, str) for each in jobs):
            message = "jobs is a list of ids"
            raise ParameterError(message)
        stamps = known if isinstance(known, dict) else {}
        found = [
            self._failures.read(parse_job_id(each), str(stamps.get(each, ""))) for each in jobs
        ]
        answered = [each for each in found if each is not None]
        return [each.to_wire() for each in sorted(answered, key=newest_first)]

    def get_job_detail(self, params: Params) -> JsonObject | None:
        """Return what is known of a job; null when there is none."""
        found = self._details.read(job_id_of(params))
        return None if found is None else found.to_wire()

    def get_account(self, params: Params) -> Account | None:
        """Return what SLURM's accounting has of a job, as a list; null for one that is not of SLURM."""
        return ask_account(self._reader.layout.job_files(job_id_of(params)))

    def read_log_part(self, params: Params) -> JsonObject | None:
        """Return ``size`` bytes of a log ``before`` or ``after`` an offset, or its end; null when there is no log."""
        part = read_part(
            self._log_path(params),
            before=whole_of(params.get("before")),
            after=whole_of(params.get("after")),
            size=whole_of(params.get("size")) or 0,
        )
        return None if part is None else part.to_wire()

    def search_log(self, params: Params) -> JsonObject | None:
        """Search a log from the line at ``start`` for a part of a second; null when there is no log."""
        request = SearchRequest(
            text(params, "pattern"),
            params.get("is_regex") is True,
            params.get("ignore_case") is True,
            max(0, whole_of(params.get("start")) or 0),
            max(0, whole_of(params.get("wanted")) or 0),
        )
        found = search_part(self._log_path(params), request)
        return None if found is None else found.to_wire()

    def _log_path(self, params: Params) -> str:
        stream, attempt = params.get("stream"), params.get("attempt") or ""
        if stream not in STREAMS or not isinstance(attempt, str):
            message = f"stream is one of {', '.join(STREAMS)}, and attempt a text"
            raise ParameterError(message)
        job: JobId = job_id_of(params)
        return log_path(self._reader.layout.job_files(job), stream, attempt)
