"""``gs://`` and ``file://`` addresses: files to load and files to extract to.

A local folder stands for Cloud Storage; each of its subfolders is a bucket.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from bq_emulator.model import BigQueryError


@dataclass(frozen=True)
class SourceFile:
    """A file to read; ``uri`` is None for an upload."""

    path: Path
    uri: str | None = None


class Objects:
    def __init__(self, gcs_dir: Path) -> None:
        self._gcs_dir = gcs_dir

    def find(self, uri: str) -> list[SourceFile]:
        """The files an address stands for, in the order of their names. One ``*`` in the object's name stands for any
        characters, ``/`` included (cloud.google.com/bigquery/docs/batch-loading-data#load-wildcards).

        Raises:
            BigQueryError: invalid for a malformed address, notFound if there is no such file.
        """
        root, name = self._split(uri)
        prefix, star, suffix = name.partition("*")
        if not star:
            path = root / name
            if not path.is_file():
                raise BigQueryError("notFound", f"Not found: URI {uri}")
            return [SourceFile(path, uri)]
        if "*" in suffix:
            raise BigQueryError("invalid", f"Invalid source URI {uri}: only one wildcard is allowed.")
        folder = root / prefix.rpartition("/")[0]
        found = []
        for path in folder.rglob("*") if folder.is_dir() else ():
            relative = path.relative_to(root).as_posix()
            matches = relative.startswith(prefix) and relative.endswith(suffix)
            if matches and len(relative) >= len(prefix) + len(suffix) and path.is_file():
                found.append(SourceFile(path, uri[: -len(name)] + relative))
        if not found:
            raise BigQueryError("notFound", f"Not found: URI {uri}")
        return sorted(found, key=lambda file: file.uri or "")

    def target(self, uri: str) -> Path:
        """Where to write a file of an extract job. Raises BigQueryError invalid or notFound (the bucket)."""
        root, name = self._split(uri)
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _split(self, uri: str) -> tuple[Path, str]:
        """The folder that stands for the bucket (or the file system) and the object's name."""
        scheme, separator, rest = uri.partition("://")
        if not separator or scheme not in ("gs", "file"):
            raise BigQueryError("invalid", f"Invalid source URI {uri}: gs:// and file:// addresses are known here.")
        if scheme == "file":
            return Path("/"), unquote(rest).removeprefix("localhost").lstrip("/")
        bucket, _, name = rest.partition("/")
        if not bucket or not name or ".." in PurePosixPath(rest).parts or "*" in bucket:
            raise BigQueryError("invalid", f"Invalid source URI {uri}: gs://bucket/object is expected.")
        root = self._gcs_dir / bucket
        if not root.is_dir():
            raise BigQueryError(
                "notFound", f"Not found: Bucket {bucket}; in this emulator a bucket is a folder in {self._gcs_dir}."
            )
        return root, name
