"""The gRPC service ``google.cloud.bigquery.storage.v1.BigQueryRead``. Writing (BigQueryWrite) is not served."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import structlog
from google.cloud.bigquery_storage_v1 import types

from bq_emulator.emulator import Emulator
from bq_emulator.model import BigQueryError
from bq_emulator.storage_api.sessions import ReadSessions

log = structlog.get_logger("bq_emulator.storage")

_SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"
_TABLE = re.compile(r"projects/(?P<project>[^/]+)/datasets/(?P<dataset>[^/]+)/tables/(?P<table>[^/]+)")
_THREADS = 8
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    501: grpc.StatusCode.UNIMPLEMENTED,
}


class StorageServer:
    """Serves from construction on. Raises RuntimeError if it cannot listen."""

    def __init__(self, emulator: Emulator, host: str, port: int) -> None:
        self._emulator = emulator
        self._sessions = ReadSessions(emulator)
        self._server = grpc.server(ThreadPoolExecutor(_THREADS, thread_name_prefix="storage"))
        request, response = types.CreateReadSessionRequest, types.ReadRowsRequest
        handlers = {
            "CreateReadSession": grpc.unary_unary_rpc_method_handler(
                _answering(self._create), request.deserialize, types.ReadSession.serialize
            ),
            "ReadRows": grpc.unary_stream_rpc_method_handler(
                _streaming(self._read), response.deserialize, types.ReadRowsResponse.serialize
            ),
            "SplitReadStream": grpc.unary_unary_rpc_method_handler(
                _answering(self._split),
                types.SplitReadStreamRequest.deserialize,
                types.SplitReadStreamResponse.serialize,
            ),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
        self.port = self._server.add_insecure_port(f"{host}:{port}")
        self._server.start()

    def _create(self, request: Any) -> Any:
        wanted = request.read_session
        match = _TABLE.fullmatch(wanted.table)
        if match is None:
            raise BigQueryError("invalid", f"Invalid table name: {wanted.table!r}.")
        if match["project"] != self._emulator.project:
            raise BigQueryError("notFound", f"Not found: Project {match['project']}")
        if wanted.data_format != types.DataFormat.ARROW:
            raise BigQueryError("notImplemented", "This emulator's Storage API sends Arrow only: set data_format.")
        options = wanted.read_options
        for key, given in (
            ("table_modifiers.snapshot_time", "snapshot_time" in wanted.table_modifiers),
            ("read_options.sample_percentage", "sample_percentage" in options),
            ("read_options.response_compression_codec", bool(options.response_compression_codec)),
        ):
            if given:
                raise BigQueryError("notImplemented", f"{key} is not supported by this emulator.")
        # Buffers are sent as they are, whatever compression a client likes: on loopback that is faster.
        session = self._sessions.create(
            match["dataset"],
            match["table"],
            list(options.selected_fields),
            options.row_restriction,
        )
        return types.ReadSession(
            name=session.name,
            data_format=types.DataFormat.ARROW,
            arrow_schema=types.ArrowSchema(serialized_schema=session.schema.serialize().to_pybytes()),
            table=wanted.table,
            read_options=options,
            streams=[types.ReadStream(name=session.stream)],
            estimated_row_count=session.row_count,
            estimated_total_bytes_scanned=session.size,
        )

    def _read(self, request: Any) -> Iterator[Any]:
        session = self._sessions.find(request.read_stream)
        first = True
        for batch in session.read(request.offset):
            message = types.ReadRowsResponse(
                arrow_record_batch=types.ArrowRecordBatch(
                    serialized_record_batch=batch.serialize().to_pybytes(),
                    row_count=batch.num_rows,
                ),
                row_count=batch.num_rows,
            )
            if first:
                schema = session.schema.serialize().to_pybytes()
                message.arrow_schema = types.ArrowSchema(serialized_schema=schema)
                first = False
            yield message

    def _split(self, request: Any) -> Any:
        """Streams are not split, which the answer may say."""
        self._sessions.find(request.name)
        return types.SplitReadStreamResponse()

    def close(self) -> None:
        self._server.stop(grace=1).wait()
        self._sessions.close()


def _abort(context: grpc.ServicerContext, error: Exception) -> None:
    if isinstance(error, BigQueryError):
        context.abort(_CODES.get(error.status, grpc.StatusCode.INTERNAL), error.message)
    log.error("storage request failed", error=f"{type(error).__name__}: {error}")
    context.abort(grpc.StatusCode.INTERNAL, f"The emulator failed: {type(error).__name__}: {error}")


def _answering(method: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(request)
        except Exception as error:
            return _abort(context, error)

    return answer


def _streaming(method: Callable[[Any], Iterator[Any]]) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
    def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            yield from method(request)
        except Exception as error:
            _abort(context, error)

    return stream
