"""From HTTP to a handler and back: bodies, paths, errors, etags, pages."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from bq_emulator.emulator import Emulator
from bq_emulator.model import BigQueryError
from bq_emulator.rest import fields

log = structlog.get_logger("bq_emulator.rest")

_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}


@dataclass
class Call:
    """One request. ``body`` is the parsed JSON, an empty object for none."""

    emulator: Emulator
    path: dict[str, str]
    query: QueryParams
    headers: dict[str, str]
    body: dict[str, Any]

    def integer(self, name: str, default: int) -> int:
        """A non-negative number among the query parameters."""
        return non_negative(name, self.query.get(name), default)

    def check_location(self, what: str) -> None:
        """Raises BigQueryError notFound if the request looks for ``what`` in another location."""
        location = self.query.get("location")
        if location and location.upper() != self.emulator.location.upper():
            raise BigQueryError("notFound", f"Not found: {what} was not found in location {location}")

    @property
    def int64_timestamps(self) -> bool:
        """See :func:`int64_timestamps`."""
        prefix = "formatOptions."
        return int64_timestamps(
            self.query.get(f"{prefix}useInt64Timestamp"), self.query.get(f"{prefix}timestampOutputFormat")
        )

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() == "true"

    def check_etag(self, etag: str) -> None:
        """Raises BigQueryError conditionNotMet if the request's If-Match is for another version."""
        wanted = self.headers.get("if-match")
        if wanted and wanted != "*" and wanted != etag:
            raise BigQueryError("conditionNotMet", "Precondition check failed: the resource was changed meanwhile.")


def non_negative(name: str, value: Any, default: int) -> int:
    if value in (None, ""):
        return default
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise BigQueryError("invalid", f"Invalid value for {name}: {value!r}; a whole number from 0 is expected.")
    return number


def int64_timestamps(use_int64: Any, output_format: Any) -> bool:
    """Whether timestamps are sent as whole microseconds, from the two of ``formatOptions`` that say so.

    Raises:
        BigQueryError: notImplemented for ISO8601_STRING.
    """
    if output_format not in (None, "", "TIMESTAMP_OUTPUT_FORMAT_UNSPECIFIED", "FLOAT64", "INT64"):
        raise BigQueryError(
            "notImplemented", f"timestampOutputFormat {output_format} is not supported by this emulator."
        )
    return output_format == "INT64" or str(use_int64).lower() == "true"


def page(items: list[Any], call: Call, default_size: int = 1000) -> tuple[list[Any], dict[str, str]]:
    """The part of ``items`` that maxResults and pageToken ask for, and the ``nextPageToken`` if there is more."""
    start = non_negative("pageToken", call.query.get("pageToken"), 0)
    size = call.integer("maxResults", default_size) or default_size
    rest = {"nextPageToken": str(start + size)} if start + size < len(items) else {}
    return items[start : start + size], rest


def json_response(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def error_response(error: BigQueryError) -> Response:
    """Google's error JSON (https://cloud.google.com/bigquery/docs/error-messages)."""
    detail = {"message": error.message, "domain": "global", "reason": error.reason}
    if error.location:
        detail |= {"location": error.location, "locationType": "parameter"}
    status = error.status if error.status >= 400 else 400
    content = {
        "code": status,
        "message": error.message,
        "errors": [detail],
        "status": _STATUS_NAMES.get(status, "UNKNOWN"),
    }
    return json_response({"error": content}, status)


async def read_body(request: Request) -> bytes:
    """The request's body, unpacked if it came compressed."""
    body = await request.body()
    if request.headers.get("content-encoding", "").lower() == "gzip":
        try:
            return await run_in_threadpool(gzip.decompress, body)
        except (OSError, EOFError, zlib.error) as error:
            raise BigQueryError("invalid", f"The request body is not valid gzip: {error}") from error
    return body


def parse_json(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BigQueryError("invalid", f"Invalid JSON payload received: {error}") from error
    if not isinstance(content, dict):
        raise BigQueryError("invalid", "Invalid JSON payload received: an object is expected.")
    return content


Handler = Callable[[Call], Any]


def check_project(emulator: Emulator, project: str) -> None:
    if project != emulator.project:
        raise BigQueryError(
            "notFound", f"Not found: Project {project}: not found; this emulator serves {emulator.project}"
        )


def endpoint(handler: Handler) -> Callable[[Request], Any]:
    """An ASGI endpoint that answers with what ``handler`` returns: a JSON value, None for no content, or a Response.
    A plain function runs in a thread, a coroutine on the event loop."""

    async def respond(request: Request) -> Response:
        emulator: Emulator = request.app.state.emulator
        try:
            if project := request.path_params.get("project"):
                check_project(emulator, project)
            mask = fields.parse(request.query_params["fields"]) if request.query_params.get("fields") else None
            call = Call(
                emulator,
                dict(request.path_params),
                request.query_params,
                dict(request.headers),
                parse_json(await read_body(request)),
            )
            if asyncio.iscoroutinefunction(handler):
                result = await handler(call)
            else:
                result = await run_in_threadpool(handler, call)
        except BigQueryError as error:
            return error_response(error)
        except Exception as error:
            log.exception("request failed", method=request.method, path=request.url.path)
            return error_response(
                BigQueryError("emulatorError", f"The emulator failed: {type(error).__name__}: {error}")
            )
        if isinstance(result, Response):
            return result
        if mask is not None and result is not None:
            # Rows may be JSON text already.
            return json_response(fields.select(orjson.loads(orjson.dumps(result)), mask))
        return Response(status_code=204) if result is None else json_response(result)

    return respond
