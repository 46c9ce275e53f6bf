"""A source that does what its configuration says: ``script`` is a list of steps, run in order.

Steps: ``{"records": N, "stream": S}`` emits records id 1..N after the given state; ``{"state": S, "value": V}``;
``{"status": S, "value": V}``; ``{"sleep": seconds}``; ``{"crash": text}`` writes half a message and dies;
``{"error": failure_type, "message": M}`` reports an error and exits 1; ``{"log": text}``; ``{"text": text}`` writes a
line that is no message; ``{"raw": line}``; ``{"once": path, "steps": [...]}`` runs its steps only the first time;
``{"count_to": N, "pause": seconds}`` goes on from the given state, with a state after every other record;
``{"save_state": path}`` keeps the given --state file; ``{"fork": path}`` leaves a grandchild whose pid is in the file,
``apart`` in a session of its own; ``{"script_file": path}`` runs the steps in a file.
"""

import json
import os
import shutil
import subprocess
import sys
import time

SPEC = {
    "type": "object",
    "required": ["script"],
    "properties": {
        "script": {"type": "array"},
        "api_key": {"type": "string", "airbyte_secret": True},
        "nested": {
            "type": "object",
            "oneOf": [
                {"properties": {"kind": {"const": "none"}}},
                {"properties": {"kind": {"const": "key"}, "private": {"type": "string", "airbyte_secret": True}}},
            ],
        },
        "tokens": {"type": "array", "items": {"type": "string", "airbyte_secret": True}},
        "streams": {"type": "array", "items": {"type": "string"}},
        "fields": {"type": "array", "items": {"type": "string"}},
        "extra_field": {"type": "string"},
        "key": {"type": "string"},
        "reachable": {"type": "boolean"},
    },
}


def emit(message):
    sys.stdout.write(json.dumps(message, separators=(",", ":"), ensure_ascii=False) + "\n")


def stream(name, fields, key):
    schema = {field: {"type": "integer" if field == "id" else "string"} for field in fields}
    return {
        "name": name,
        "namespace": "public",
        "json_schema": {"type": "object", "properties": schema},
        "supported_sync_modes": ["full_refresh", "incremental"],
        "source_defined_primary_key": [[key]],
    }


def count_on(step, state_path):
    seen = 0
    if state_path:
        with open(state_path) as file:
            seen = json.load(file)[0]["stream"]["stream_state"]["n"]
    for number in range(seen + 1, step["count_to"] + 1):
        data = {"id": number, "updated_at": str(number)}
        emit({"type": "RECORD", "record": {"namespace": "public", "stream": "users", "data": data, "emitted_at": 1}})
        if number % 2 == 0:
            run([{"state": "users", "value": {"n": number}}], None)
        sys.stdout.flush()
        time.sleep(step["pause"])


def run(steps, state_path):
    for step in steps:
        if "records" in step:
            name = step.get("stream", "users")
            for number in range(1, step["records"] + 1):
                data = {"id": number, "name": f'ü{number} "data":', "updated_at": "2026-01-01"}
                record = {"namespace": "public", "stream": name, "data": data, "emitted_at": 1_700_000_000_000}
                emit({"type": "RECORD", "record": record})
        elif "count_to" in step:
            count_on(step, state_path)
        elif "state" in step:
            descriptor = {"name": step["state"], "namespace": "public"}
            body = {"stream_descriptor": descriptor, "stream_state": step["value"]}
            emit({"type": "STATE", "state": {"type": "STREAM", "stream": body}})
        elif "status" in step:
            descriptor = {"name": step["status"], "namespace": "public"}
            status = {"stream_descriptor": descriptor, "status": step.get("value", "COMPLETE")}
            emit({"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": 1, "stream_status": status}})
        elif "sleep" in step:
            sys.stdout.flush()
            time.sleep(step["sleep"])
        elif "crash" in step:
            sys.stdout.write('{"type":"RECORD","record":{"namespace":"public","stream":"users","data":{"id":')
            sys.stdout.flush()
            sys.stderr.write(step["crash"] + "\n")
            sys.stderr.flush()
            os._exit(3)
        elif "error" in step:
            error = {"message": step["message"], "failure_type": step["error"], "internal_message": step["message"]}
            emit({"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": 1, "error": error}})
            sys.stdout.flush()
            sys.exit(1)
        elif "log" in step:
            emit({"type": "LOG", "log": {"level": "INFO", "message": step["log"]}})
        elif "text" in step or "raw" in step:
            sys.stdout.write(step.get("text", step.get("raw")) + "\n")
        elif "once" in step:
            if not os.path.exists(step["once"]):
                open(step["once"], "w").close()
                run(step["steps"], state_path)
        elif "save_state" in step:
            if state_path:
                shutil.copy(state_path, step["save_state"])
        elif "script_file" in step:
            with open(step["script_file"]) as file:
                run(json.load(file), state_path)
        elif "fork" in step:
            child = subprocess.Popen(["sleep", "300"], start_new_session=step.get("apart", False))
            with open(step["fork"], "w") as file:
                file.write(str(child.pid))
        else:
            raise ValueError(step)
    sys.stdout.flush()


def main():
    command, *arguments = sys.argv[1:]
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    if command == "spec":
        emit({"type": "SPEC", "spec": {"connectionSpecification": SPEC}})
        return
    with open(options["--config"]) as file:
        config = json.load(file)
    if command == "check":
        reachable = config.get("reachable", True)
        message = None if reachable else f"cannot log in with {config.get('api_key')}"
        status = {"status": "SUCCEEDED" if reachable else "FAILED", "message": message}
        emit({"type": "CONNECTION_STATUS", "connectionStatus": status})
    elif command == "discover":
        if not config.get("reachable", True):
            run([{"error": "config_error", "message": f"no login with {config.get('api_key')}"}], None)
        fields = config.get("fields", ["id", "name", "updated_at"])
        if os.path.exists(config.get("extra_field", "")):
            fields = [*fields, "extra"]
            with open(config["extra_field"]) as file:
                time.sleep(float(file.read() or 0))
        streams = [stream(name, fields, config.get("key", "id")) for name in config.get("streams", ["users", "orders"])]
        emit({"type": "CATALOG", "catalog": {"streams": streams}})
    else:
        run(config["script"], options.get("--state"))


main()
