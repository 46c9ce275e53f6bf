"""Load jobs with a file: multipart and resumable uploads (https://cloud.google.com/bigquery/docs/reference/api-uploads)."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from bq_emulator.emulator import Emulator
from bq_emulator.model import BigQueryError
from bq_emulator.rest.call import check_project, error_response, json_response, parse_json, read_body
from bq_emulator.rest.jobs import started

#: Google's sessions end after a week.
IDLE_SECONDS = 7 * 24 * 3600.0
_RANGE = re.compile(r"bytes (?:(?P<start>\d+)-(?P<end>\d+)|\*)/(?P<total>\d+|\*)")


@dataclass
class _Upload:
    """A resumable upload on its way; ``job`` is set once it is whole."""

    request: dict[str, Any]
    file: Path
    job: str | None = None
    used: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> int:
        return self.file.stat().st_size


class Uploads:
    """The resumable uploads begun since the start; they do not outlive the process."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._uploads: dict[str, _Upload] = {}
        emulator.sweeper.add(self.forget_idle)

    def new_file(self) -> Path:
        file = self._emulator.uploads / f"{secrets.token_hex(12)}.upload"
        file.touch()
        return file

    def begin(self, request: dict[str, Any]) -> str:
        check_load(self._emulator, request)
        identifier = secrets.token_urlsafe(16)
        self._uploads[identifier] = _Upload(request, self.new_file())
        return identifier

    def find(self, identifier: str) -> _Upload:
        upload = self._uploads.get(identifier)
        if upload is None:
            raise BigQueryError("notFound", f"Not found: upload {identifier}; begin it again.")
        upload.used = time.monotonic()
        return upload

    def forget_idle(self, seconds: float = IDLE_SECONDS) -> None:
        """Forget the uploads nobody has gone on with for so long."""
        for identifier, upload in list(self._uploads.items()):
            if upload.used < time.monotonic() - seconds:
                del self._uploads[identifier]
                if upload.job is None:  # else the file is its job's
                    upload.file.unlink(missing_ok=True)


def check_load(emulator: Emulator, request: dict[str, Any]) -> None:
    if "load" not in (request.get("configuration") or {}):
        raise BigQueryError("invalid", "An upload needs a load job's configuration.")
    project = (request.get("jobReference") or {}).get("projectId")
    if project:
        check_project(emulator, project)


async def _submit(emulator: Emulator, request: dict[str, Any], file: Path) -> dict[str, Any]:
    try:
        job = await run_in_threadpool(emulator.jobs.submit, request["configuration"], request.get("jobReference"), file)
    except BigQueryError:
        file.unlink()
        raise
    return await started(emulator, job)


async def upload(request: Request) -> Response:
    """The upload address: what is wanted depends on uploadType and the method."""
    emulator: Emulator = request.app.state.emulator
    uploads: Uploads = request.app.state.uploads
    kind = request.query_params.get("uploadType")
    identifier = request.query_params.get("upload_id")
    try:
        check_project(emulator, request.path_params["project"])
        if identifier:
            return await _continue(request, emulator, uploads.find(identifier))
        if kind == "resumable":
            content = parse_json(await read_body(request))
            identifier = uploads.begin(content)
            address = request.url.include_query_params(upload_id=identifier)
            return Response(status_code=200, headers={"Location": str(address), "X-GUploader-UploadID": identifier})
        if kind == "multipart":
            content, data = split_multipart(request.headers.get("content-type", ""), await read_body(request))
            check_load(emulator, content)
            file = uploads.new_file()
            await run_in_threadpool(file.write_bytes, data)
            return json_response(await _submit(emulator, content, file))
        raise BigQueryError("invalid", f"uploadType must be multipart or resumable, not {kind!r}.")
    except BigQueryError as error:
        return error_response(error)


async def _continue(request: Request, emulator: Emulator, upload: _Upload) -> Response:
    """A chunk, or the question how much has arrived."""
    if upload.job is not None:
        # The answer to the last chunk was lost, so the client sends it again.
        return json_response(await run_in_threadpool(emulator.jobs.get, upload.job))
    content_range = request.headers.get("content-range")
    start: int | None = 0
    total: int | None = None
    if content_range:
        match = _RANGE.fullmatch(content_range)
        if match is None:
            raise BigQueryError("invalid", f"Invalid Content-Range: {content_range!r}")
        start = int(match["start"]) if match["start"] else None
        total = int(match["total"]) if match["total"] != "*" else None
    if start is not None:
        if start > upload.size:
            return _incomplete(upload)
        await _append(request, upload.file, start)
    if (content_range and total is None) or (total is not None and upload.size < total):
        return _incomplete(upload)
    if total is not None and upload.size > total:
        raise BigQueryError("invalid", f"The upload has {upload.size} bytes, more than the {total} announced.")
    resource = await _submit(emulator, upload.request, upload.file)
    upload.job = resource["jobReference"]["jobId"]
    return json_response(resource)


async def _append(request: Request, file: Path, start: int) -> None:
    with file.open("r+b") as output:
        output.truncate(start)
        output.seek(start)
        async for chunk in request.stream():
            output.write(chunk)


def _incomplete(upload: _Upload) -> Response:
    headers = {"Range": f"bytes=0-{upload.size - 1}"} if upload.size else {}
    return Response(status_code=308, headers=headers)


def split_multipart(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    """The two parts of a multipart/related body: the job's JSON and the file.

    Raises:
        BigQueryError: invalid for anything else.
    """
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if not boundary:
        raise BigQueryError(
            "invalid", f"A multipart upload needs a Content-Type with a boundary, not {content_type!r}."
        )
    delimiter = b"--" + str(boundary).encode()
    # The file may hold anything, so only its ends are looked at.
    first = body.find(delimiter)
    second = body.find(b"\n" + delimiter, first + 1)
    last = body.rfind(b"\n" + delimiter + b"--")
    if first < 0 or second < 0 or last <= second:
        raise BigQueryError("invalid", "A multipart upload needs two parts: the job's JSON and the file.")
    metadata = _part(body[first + len(delimiter) : second])
    data = _part(body[second + 1 + len(delimiter) : last])
    return parse_json(metadata.removesuffix(b"\r")), data.removesuffix(b"\r")


def _part(text: bytes) -> bytes:
    """A part without its headers, which an empty line ends."""
    match = re.search(rb"\r?\n\r?\n", text)
    if match is None:
        raise BigQueryError("invalid", "A part of the multipart upload has no empty line after its headers.")
    return text[match.end() :]
