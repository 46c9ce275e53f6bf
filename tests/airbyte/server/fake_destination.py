"""A destination that appends what it receives to ``folder``: ``records.jsonl``, ``catalog.json``, ``other.jsonl``.

``mode``: ``echo`` (default) confirms states as it gets them; ``forgetful`` confirms them without members it does not
know, as old CDKs do; ``miscount`` claims one record too few for each; ``die`` reports an error at the first record;
``hang`` reads nothing; ``slow`` takes 0.2 s a line.
"""

import json
import os
import sys
import time

SPEC = {
    "type": "object",
    "required": ["folder"],
    "properties": {"folder": {"type": "string"}, "mode": {"type": "string"}, "token": {"airbyte_secret": True}},
}


def emit(message):
    sys.stdout.write(json.dumps(message, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def write(config, catalog_path):
    folder, mode, seen = config["folder"], config.get("mode", "echo"), 0
    with open(catalog_path) as source, open(os.path.join(folder, "catalog.json"), "w") as target:
        target.write(source.read())
    if mode == "hang":
        time.sleep(300)
    with (
        open(os.path.join(folder, "records.jsonl"), "a") as records,
        open(os.path.join(folder, "other.jsonl"), "a") as other,
    ):
        for line in sys.stdin:
            message = json.loads(line)
            if mode == "slow":
                time.sleep(0.2)
            if message["type"] == "RECORD":
                seen += 1
                if mode == "die":
                    error = {"message": f"no access with {config.get('token')}", "failure_type": "config_error"}
                    emit({"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": 1, "error": error}})
                    sys.exit(1)
                records.write(line)
            else:
                other.write(line)
                records.flush()
                other.flush()
            if message["type"] == "STATE":
                state = message["state"]
                if mode == "forgetful":
                    state = {"type": state["type"], "stream": state["stream"], "data": None}
                if mode == "miscount":
                    state = {**state, "destinationStats": {"recordCount": seen - 1.0}}
                    seen = 0
                emit({"type": "STATE", "state": state})


def main():
    command, *arguments = sys.argv[1:]
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    if command == "spec":
        emit({"type": "SPEC", "spec": {"connectionSpecification": SPEC}})
    elif command == "check":
        emit({"type": "CONNECTION_STATUS", "connectionStatus": {"status": "SUCCEEDED"}})
    else:
        with open(options["--config"]) as file:
            config = json.load(file)
        write(config, options["--catalog"])


main()
