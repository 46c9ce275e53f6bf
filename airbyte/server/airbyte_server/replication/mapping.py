"""Names on the destination's side: a connection's namespace definition and prefix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_SOURCE_NAMESPACE = "${SOURCE_NAMESPACE}"


@dataclass(frozen=True)
class NameMapping:
    """``definition`` is ``destination``, ``source`` or ``custom_format`` (then ``format`` applies)."""

    definition: str
    format: str | None
    prefix: str

    def namespace(self, namespace: str | None) -> str | None:
        """``None`` leaves the choice to the destination's configuration."""
        if self.definition == "destination":
            return None
        if self.definition == "custom_format":
            return (self.format or "").replace(_SOURCE_NAMESPACE, namespace or "") or None
        return namespace

    def stream(self, stream: dict[str, Any]) -> dict[str, Any]:
        """An AirbyteStream or stream descriptor under its destination's name."""
        mapped = {**stream, "name": self.prefix + stream["name"]}
        namespace = self.namespace(stream.get("namespace"))
        if namespace is None:
            mapped.pop("namespace", None)
        else:
            mapped["namespace"] = namespace
        return mapped
