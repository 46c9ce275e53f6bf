"""source-postgres as it was before data channels: the same connector, whose spec offers none."""

import io
import json
import sys

from source_postgres.cli import main

if sys.argv[1] != "spec":
    main()
output, sys.stdout = sys.stdout, io.TextIOWrapper(io.BytesIO())
try:
    main()
except SystemExit:
    message = json.loads(sys.stdout.buffer.getvalue())
    del message["spec"]["dataChannels"]
    output.write(json.dumps(message) + "\n")
