"""One attempt of a job: a source process, a destination process and the pipe between them.

The caller's thread reads the source and writes to the destination, whose full pipe holds the source back, so memory
stays constant; a second reads the destination's confirmations; two small ones read what is written to stderr. Where
both connectors can, records go by the data channel, which has a thread of its own.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from airbyte_server.connector import write_private
from airbyte_server.failures import Failure
from airbyte_server.replication.checkpoints import Checkpoint, Checkpoints
from airbyte_server.replication.data_channel import FIRST_RECORDS, DataChannel
from airbyte_server.replication.logs import AttemptLog
from airbyte_server.replication.mapping import NameMapping
from airbyte_server.replication.pipes import enlarge, line_batches
from airbyte_server.replication.processes import ConnectorProcess, Launcher, end_group
from airbyte_server.replication.progress import StreamKey, StreamProgress, totals
from airbyte_server.replication.reports import DESTINATION, PLATFORM, SOURCE, Reports
from airbyte_server.replication.translator import Translator
from airbyte_server.replication.watchdog import Watchdog
from airbyte_server.settings import Timeouts

# What a destination that lost its source may still do; a cancelled job must be over within two seconds.
_TERM_GRACE = 1.0


@dataclass(frozen=True)
class Side:
    """One connector of an attempt. ``catalog`` is a ConfiguredAirbyteCatalog as this side names things."""

    argv: list[str]
    configuration: dict[str, Any]
    catalog: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """All an attempt needs to know. ``source`` is ``None`` to clear streams; ``state`` is the protocol's list, and
    ``state_type`` its states' type, ``None`` where there are none; ``arrow`` tells that both connectors take the data
    channel."""

    source: Side | None
    destination: Side
    state: bytes | None
    state_type: str | None
    mapping: NameMapping
    streams: list[StreamKey]
    resumed: frozenset[StreamKey]
    folder: Path
    arrow: bool = False


@dataclass
class Outcome:
    """How an attempt ended: no failures means success; ``cancelled`` wins over both."""

    failures: list[Failure] = field(default_factory=list)
    cancelled: bool = False


class Attempt:
    """Run it once with :meth:`run`; the other methods may be called from other threads meanwhile.

    ``on_commit`` is given the confirmed checkpoints, which must be stored when it returns.
    """

    def __init__(
        self,
        plan: Plan,
        launcher: Launcher,
        log: AttemptLog,
        timeouts: Timeouts,
        on_commit: Callable[[list[Checkpoint]], None],
    ) -> None:
        self.streams = {key: StreamProgress(key, key in plan.resumed) for key in plan.streams}
        self._plan = plan
        self._launcher = launcher
        self._reports = Reports(log)
        self._on_commit = on_commit
        self._checkpoints = Checkpoints(self.streams)
        self._watchdog = Watchdog(timeouts, self._overdue)
        self._channel = DataChannel(
            self.streams, plan.mapping, self._channel_broken, self._end_source, self._reports.platform, self._watchdog
        )
        self._translator = Translator(
            self.streams,
            plan.mapping,
            self._checkpoints,
            lambda message: self._reports.message(SOURCE, message),
            lambda text: self._reports.text(SOURCE, text),
            self._refuse_state,
            self._settle if plan.arrow else None,
            plan.state_type,
        )
        self._processes: list[ConnectorProcess] = []
        self._stopping = threading.Event()
        self._destination_gone = threading.Event()
        self._lock = threading.Lock()
        self._in_step = threading.Lock()
        self._uncertain = self._over = False

    def stats(self) -> list[dict[str, Any]]:
        """The ``streamStats`` entries as of now."""
        return [progress.as_dict() for progress in self.streams.values()]

    @contextlib.contextmanager
    def progress(self) -> Iterator[list[dict[str, Any]] | None]:
        """The ``streamStats`` that may be stored meanwhile: they tell of no record as committed whose state is not
        stored, or that would be counted again. ``None`` when nothing may be stored any more."""
        with self._in_step:
            yield None if self._over or self._uncertain else self.stats()

    @property
    def final_stats(self) -> list[dict[str, Any]] | None:
        """After :meth:`run`. ``None``: what was stored with the last state holds."""
        return None if self._uncertain else self.stats()

    def stop(self) -> None:
        """End both connectors, within two seconds."""
        self._stopping.set()
        with self._lock:
            processes = list(self._processes)
        enders = [threading.Thread(target=end_group, args=(process, _TERM_GRACE)) for process in processes]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()

    def run(self) -> Outcome:
        try:
            self._replicate()
        except OSError as error:
            self._reports.fail(PLATFORM, "system_error", f"a connector could not be started: {error}")
        finally:
            for process in self._processes:
                end_group(process, 0)
                for pipe in (process.stdin, process.stdout, process.stderr):
                    if pipe is not None:
                        pipe.close()
            self._watchdog.stop()
            self._channel.close()
            shutil.rmtree(self._plan.folder, ignore_errors=True)
        self._reports.write_failures()
        numbers = totals(self.stats())
        committed = "an unknown number" if self._uncertain else numbers["recordsCommitted"]
        self._reports.platform("INFO", f"records: {numbers['recordsEmitted']} emitted, {committed} committed")
        return Outcome(self._reports.failures, cancelled=self._stopping.is_set())

    def _replicate(self) -> None:
        if self._plan.arrow:
            self._channel.open()
        destination = self._start(DESTINATION, self._plan.destination, "write")
        source = self._start(SOURCE, self._plan.source, "read") if self._plan.source else None
        threads = [
            threading.Thread(target=self._read_destination, args=(destination, source)),
            threading.Thread(target=self._read_stderr, args=(DESTINATION, destination)),
        ]
        source_words = threading.Thread(target=self._read_stderr, args=(SOURCE, source))
        if source is not None:
            threads.append(source_words)
        self._watchdog.start()
        for thread in threads:
            thread.start()
        try:
            if source is None:
                self._write(destination, [self._translator.stream_status(key, "COMPLETE") for key in self.streams])
            else:
                self._pipe(source, destination, source_words)
        except BaseException:
            for process in self._processes:
                end_group(process, 0)
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                destination.stdin.close()  # type: ignore[union-attr]  # a pipe
            self._watchdog.source_over()
            self._watchdog.waiting_for_destination()
            for thread in threads:
                thread.join()
        self._conclude(destination)

    def _start(self, role: str, side: Side, command: str) -> ConnectorProcess:
        folder = self._plan.folder / role
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(folder / "config.json", orjson.dumps(side.configuration))
        write_private(folder / "catalog.json", orjson.dumps(side.catalog))
        arguments = [*side.argv, command, "--config", "config.json", "--catalog", "catalog.json"]
        if role == SOURCE and self._plan.state is not None:
            write_private(folder / "state.json", self._plan.state)
            arguments += ["--state", "state.json"]
        with self._lock:
            if self._stopping.is_set():
                raise OSError("the job was cancelled")
            process = self._launcher.start(
                arguments,
                folder=folder,
                stdin=subprocess.PIPE if command == "write" else subprocess.DEVNULL,
                variables=self._channel.environment(role) if self._plan.arrow else None,
            )
            self._processes.append(process)
        for pipe in (process.stdin, process.stdout):
            enlarge(pipe)
        by = "the Arrow data channel" if self._plan.arrow else "JSON lines"
        self._reports.platform("INFO", f"{role} started: {side.argv[0]} {command}, records by {by}")
        return process

    def _pipe(self, source: ConnectorProcess, destination: ConnectorProcess, source_words: threading.Thread) -> None:
        awaited = not self._plan.arrow
        for lines in line_batches(source.stdout, on_fragment=self._fragment):
            self._watchdog.source_heard()
            forward = self._translator.translate(lines)
            if awaited and any(progress.emitted for progress in self.streams.values()):
                awaited = False
                self._reports.platform("INFO", FIRST_RECORDS)
            if forward and not self._write(destination, forward):
                end_group(source, _TERM_GRACE)
                break
        status = source.wait()
        if self._plan.arrow:
            self._channel.finish()
        if self._stopping.is_set() or self._destination_gone.is_set():
            return
        if status != 0 and not self._reports.failed(SOURCE):
            source_words.join(_TERM_GRACE)
            self._reports.ended_badly(SOURCE, status)
        self._write(destination, self._missing_statuses(failed=self._reports.failed(SOURCE)))
        self._check_source(failed=self._reports.failed(SOURCE))

    def _missing_statuses(self, *, failed: bool) -> list[bytes]:
        """Sources written before stream statuses existed say by their exit alone that all streams are complete."""
        if not failed and not self._translator.any_status:
            return [self._translator.stream_status(key, "COMPLETE") for key in self.streams]
        unfinished = [
            key for key, progress in self.streams.items() if progress.status not in ("COMPLETE", "INCOMPLETE")
        ]
        return [self._translator.stream_status(key, "INCOMPLETE") for key in unfinished]

    def _check_source(self, *, failed: bool) -> None:
        if not failed:
            for key, progress in self.streams.items():
                if progress.status != "COMPLETE":
                    message = f"the source ended without completing stream {key[1]!r}"
                    self._reports.fail(SOURCE, "system_error", message, stream=key)
        for name, records in [*self._translator.unexpected.items(), *self._channel.unexpected.items()]:
            self._reports.platform("WARN", f"{records} records of stream {name!r}, which is not selected, left out")
        for mismatch in self._translator.count_mismatches:
            self._reports.platform("WARN", f"record count of a state differs for {mismatch}")

    def _conclude(self, destination: ConnectorProcess) -> None:
        status = destination.wait()
        for mismatch in self._checkpoints.count_mismatches:
            self._reports.platform("WARN", f"record count of a state differs for {mismatch}")
        if self._stopping.is_set():
            return
        # Where the platform has failed, it has ended the destination, too.
        if status != 0 and not self._reports.failed(DESTINATION) and not self._reports.failed(PLATFORM):
            self._reports.ended_badly(DESTINATION, status)
        if self._destination_gone.is_set() and status == 0 and not self._reports.failed(DESTINATION):
            self._reports.fail(DESTINATION, "system_error", "the destination ended before the source did")
        if self._reports.failures:
            return
        if self._checkpoints.unconfirmed:
            # The states stay unsaved, so the next job reads those rows again: safe, but people should know.
            message = f"the destination left {self._checkpoints.unconfirmed} states unconfirmed"
            self._reports.platform("WARN", message)
        with self._in_step:
            self._over = True
        self._checkpoints.finish()

    def _write(self, destination: ConnectorProcess, lines: list[bytes]) -> bool:
        """Write lines, however slowly they are taken; ``False`` when the destination no longer reads."""
        if not lines:
            return True
        view = memoryview(b"\n".join(lines) + b"\n")
        self._watchdog.waiting_for_destination()
        try:
            while view:
                view = view[destination.stdin.write(view) :]  # type: ignore[union-attr]  # a raw, blocking pipe
        except (BrokenPipeError, ValueError):
            self._destination_gone.set()
            return False
        finally:
            self._watchdog.went_on()
        return True

    def _read_destination(self, process: ConnectorProcess, source: ConnectorProcess | None) -> None:
        try:
            for lines in line_batches(process.stdout):
                self._watchdog.destination_heard()
                with self._in_step:
                    self._destination_lines(lines)
        except Exception as error:  # the thread's own failure must fail the attempt
            self._reports.fail(
                PLATFORM, "system_error", f"a state could not be stored: {type(error).__name__}: {error}"
            )
            end_group(process, _TERM_GRACE)
        self._channel.hang_up(DESTINATION)
        # A destination that ends early must not leave a source running that nobody reads.
        if source is not None and source.poll() is None:
            self._end_source()

    def _destination_lines(self, lines: list[bytes]) -> None:
        confirmed: list[Checkpoint] = []
        for line in lines:
            self._destination_line(line, confirmed)
        if confirmed:
            # Whether a commit that fails has happened all the same, only the database knows.
            self._uncertain = True
            self._on_commit(confirmed)
            self._uncertain = False

    def _destination_line(self, line: bytes, confirmed: list[Checkpoint]) -> None:
        try:
            message = orjson.loads(line)
            kind = message["type"]
        except (ValueError, KeyError, TypeError):
            self._reports.text(DESTINATION, line.decode(errors="replace"))
            return
        if kind != "STATE":
            self._reports.message(DESTINATION, message)
            return
        found = self._checkpoints.confirm(message["state"])
        if not found:
            self._reports.platform("WARN", "the destination confirmed a state it was not sent; it is not stored")
        confirmed.extend(found)

    def _end_source(self) -> None:
        """Nobody reads it any more."""
        self._destination_gone.set()
        with self._lock:
            sources = self._processes[1:]
        for process in sources:
            end_group(process, _TERM_GRACE)

    def _overdue(self, role: str, failure_type: str, message: str) -> None:
        """A hanging source is ended alone: the destination may still commit what it has."""
        self._reports.fail(role, failure_type, message)
        with self._lock:
            destination, *sources = self._processes
        for process in sources:
            end_group(process, _TERM_GRACE)
        if role != SOURCE:
            self._destination_gone.set()
            end_group(destination, _TERM_GRACE)

    def _settle(self, seq: int) -> int | None:
        last = self._channel.settle(seq)
        if last is None and not (self._stopping.is_set() or self._destination_gone.is_set()):
            self._reports.fail(
                SOURCE, "system_error", f"a state stands behind frame {seq} of the data channel, which is missing"
            )
        return last

    def _refuse_state(self, message: str) -> None:
        self._reports.fail(SOURCE, "config_error", message)
        self._end_source()

    def _channel_broken(self, role: str, message: str) -> None:
        self._reports.fail(role, "system_error", message)

    def _read_stderr(self, role: str, process: ConnectorProcess) -> None:
        for lines in line_batches(process.stderr):
            for line in lines:
                self._reports.text(role, line.decode(errors="replace"))

    def _fragment(self, text: bytes) -> None:
        self._reports.platform("WARN", f"the source's output ends within a message of {len(text)} bytes; left out")
