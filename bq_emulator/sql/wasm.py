"""Google's analyzer as a WebAssembly module: compiled once, cached, instantiated once per thread."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import logging
import os
import platform
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, TypeVar

import platformdirs
import tzdata
import wasmtime
from filelock import FileLock
from google.protobuf import message
from wasmtime import _bindings as wasmtime_ffi
from zetasql.wasi import get_wasm_path

from bq_emulator.sql.errors import AnalyzerError

log = logging.getLogger(__name__)

Response = TypeVar("Response", bound=message.Message)

#: Deep expressions recurse on the native stack of the compiled code; the analyzer's own default overflows at a chain
#: of about 100 operators. wasmtime checks that the (unused) async stack is at least as large and aborts otherwise.
STACK_BYTES = 256 << 20
#: WebAssembly's stack lives on the stack of the calling thread, so calls that may recurse run on threads this large.
THREAD_STACK_BYTES = STACK_BYTES + (16 << 20)
#: The package is built with its assertions, and two of them take more than half of an analysis. By the digest of the
#: module, where their functions' bodies stand in it; both give nothing back and change nothing.
_ASSERTIONS = {
    "00135b44fe391fa8d56f6804dca013bc681e45d607561a638b81c98a08744bcb": (
        # IdString: the pool of an identifier still lives. Takes a lock and looks for the pool, at each identifier.
        range(0x1082CD, 0x10841F),
        # Abseil's hash tables, those of a name scope: hash and equality of a key agree for each entry of up to 16.
        range(0x73FBE0, 0x740089),
    )
}


class AnalyzerCrash(Exception):
    """The WebAssembly code trapped (for example a stack overflow); the instance was thrown away."""


def allow_deep_messages() -> None:
    """Let protobuf parse messages nested deeper than 100 levels; upb has only this process-wide switch for it."""
    from google._upb import _message

    _message.SetAllowOversizeProtos(True)


def _engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.shared_memory = True
    wasmtime_ffi.wasmtime_config_async_stack_size_set(config.ptr(), STACK_BYTES + (1 << 20))
    config.max_wasm_stack = STACK_BYTES
    return wasmtime.Engine(config)


def cache_folder() -> Path:
    return Path(platformdirs.user_cache_dir("bq-emulator", appauthor=False))


def without_assertions(module: bytes) -> bytes:
    """The module with the slowest of its assertions doing nothing; another one than the pinned package's as it is."""
    quick = bytearray(module)
    for body in _ASSERTIONS.get(hashlib.sha256(module).hexdigest(), ()):
        # No locals, nothing done, end.
        quick[body.start : body.stop] = b"\x00" + b"\x01" * (len(body) - 2) + b"\x0b"
    return bytes(quick)


class CompiledAnalyzer:
    """The compiled module, shared by all instances of the process.

    It is kept in :func:`cache_folder` under the versions that made it and the digest of its bytes: running damaged
    machine code would be worse than compiling again. What another processor's features were compiled into wasmtime
    refuses, so machines may share the folder.
    """

    def __init__(self) -> None:
        self.engine = _engine()
        versions = "-".join(f"{name}{importlib.metadata.version(name)}" for name in ("zetasql", "wasmtime"))
        versions += "-unasserted"
        self._name = f"analyzer-{versions}-{platform.system()}-{platform.machine()}".lower()
        self.module = self._cached() or self._compiled_once()

    def _cached(self) -> wasmtime.Module | None:
        for path in sorted(cache_folder().glob(f"{self._name}-*.cwasm")):
            try:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                if path.stem == f"{self._name}-{digest}":
                    return wasmtime.Module.deserialize_file(self.engine, str(path))
                log.warning("cached analyzer %s is damaged and is thrown away", path)
                path.unlink()
            except (OSError, wasmtime.WasmtimeError) as error:
                log.warning("cached analyzer %s is not usable here: %s", path, str(error).splitlines()[0])
        return None

    def _compiled_once(self) -> wasmtime.Module:
        """What another process is compiling is waited for: two at once would take twice as long each."""
        try:
            cache_folder().mkdir(parents=True, exist_ok=True)
            with FileLock(cache_folder() / f"{self._name}.lock"):
                return self._cached() or self._compiled()
        except OSError:  # a folder that cannot be written is no reason not to start
            return self._compiled()

    def _compiled(self) -> wasmtime.Module:
        folder = cache_folder()
        log.warning("compiling the SQL analyzer (once per version, about 15 s); it will be kept in %s", folder)
        started = time.monotonic()
        module = wasmtime.Module(self.engine, without_assertions(get_wasm_path().read_bytes()))
        log.warning("analyzer compiled in %.1f s", time.monotonic() - started)
        content = module.serialize()
        try:
            handle, temporary = tempfile.mkstemp(dir=folder)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, folder / f"{self._name}-{hashlib.sha256(content).hexdigest()}.cwasm")
        except OSError as error:
            log.warning("the compiled analyzer could not be kept in %s: %s; the next start compiles", folder, error)
        return module


class Instance:
    """One running copy of the analyzer. Not thread-safe; 25 MB each."""

    def __init__(self, compiled: CompiledAnalyzer) -> None:
        wasi = wasmtime.WasiConfig()
        wasi.inherit_stderr()
        wasi.preopen_dir(str(Path(tzdata.__file__).parent / "zoneinfo"), "/usr/share/zoneinfo")
        self._store = wasmtime.Store(compiled.engine)
        self._store.set_wasi(wasi)
        linker = wasmtime.Linker(compiled.engine)
        linker.define_wasi()
        # The wrapper types every export as any kind of export.
        exports: Any = linker.instantiate(self._store, compiled.module).exports(self._store)
        self._exports = exports
        if "_initialize" in self._exports:
            self._exports["_initialize"](self._store)
        # A shared memory never moves, so its address is taken once; the wrapper offers only byte-wise access.
        self._base = ctypes.addressof(self._exports["memory"].data_ptr().contents)

    def call(self, method: str, request: message.Message, response_type: type[Response]) -> Response:
        """Call one method of the analyzer's local service.

        Raises:
            AnalyzerError: what the analyzer said.
            AnalyzerCrash: the code trapped; this instance must not be used again.
        """
        try:
            return response_type.FromString(self._call(f"ZetaSqlLocalService_{method}", request.SerializeToString()))
        except (wasmtime.Trap, wasmtime.WasmtimeError) as trap:
            raise AnalyzerCrash(str(trap).splitlines()[0]) from trap

    def _call(self, function: str, request: bytes) -> bytes:
        size = len(request)
        pointer = self._exports["wasm_malloc"](self._store, size + 8)
        size_pointer = pointer + (size + 3) // 4 * 4
        try:
            ctypes.memmove(self._base + pointer, request, size)
            response = self._exports[function](self._store, pointer, size, size_pointer)
            if response == 0:
                raise AnalyzerError(self._last_error())
            response_size = int.from_bytes(self._read(size_pointer, 4), "little")
            try:
                return self._read(response, response_size)
            finally:
                self._exports["wasm_free"](self._store, response)
        finally:
            self._exports["wasm_free"](self._store, pointer)

    def _last_error(self) -> str:
        size = self._exports["wasm_get_last_error_size"](self._store)
        pointer = self._exports["wasm_get_last_error"](self._store)
        return self._read(pointer, size).decode()

    def _read(self, pointer: int, size: int) -> bytes:
        return ctypes.string_at(self._base + pointer, size)


_compiled: CompiledAnalyzer | None = None
_lock = threading.Lock()


def compiled_analyzer() -> CompiledAnalyzer:
    """The process's compiled module; the first call loads it (0.1 s) or compiles it (15 s)."""
    global _compiled
    with _lock:
        if _compiled is None:
            allow_deep_messages()
            _compiled = CompiledAnalyzer()
        return _compiled
