"""A thin view on the analyzer's resolved tree, read straight from its protobuf messages.

A resolved node is stored as nested messages: one per class of its inheritance chain (field ``parent``), wrapped in
``Any…`` messages wherever a subclass may stand. :class:`Node` hides both, so ``node.kind`` and ``node.<field>`` read
like Google's own documentation of the tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

#: For each message type: where a field lives (how many ``parent`` steps up) and what it is.
_FIELDS: dict[str, dict[str, tuple[int, FieldDescriptor]]] = {}


def _fields(descriptor: Descriptor) -> dict[str, tuple[int, FieldDescriptor]]:
    known = _FIELDS.get(descriptor.full_name)
    if known is None:
        known = {}
        depth, current = 0, descriptor
        while True:
            for field in current.fields:
                known.setdefault(field.name, (depth, field))
            parent = current.fields_by_name.get("parent")
            if parent is None:
                break
            depth, current = depth + 1, parent.message_type
        _FIELDS[descriptor.full_name] = known
    return known


#: Messages named like nodes that are none.
_NO_NODES = ("ResolvedColumnProto",)


class Node:
    """One node. ``kind`` is its class without the prefix "Resolved" (``FunctionCall``, ``ProjectScan``, …).

    Fields give nodes (None where absent), lists of nodes, enum names as strings, or plain protobuf values.
    """

    __slots__ = ("kind", "message")

    def __init__(self, message: Message) -> None:
        while message.DESCRIPTOR.name.startswith("Any"):
            which = message.WhichOneof("node")
            if which is None:
                raise ValueError(f"empty {message.DESCRIPTOR.name}")
            message = getattr(message, which)
        self.message = message
        self.kind = message.DESCRIPTOR.name.removeprefix("Resolved").removesuffix("Proto")

    def __getattr__(self, name: str) -> Any:
        return self.get(name)

    def get(self, name: str) -> Any:
        """A field; needed by name only where this class has an attribute so called (``kind``)."""
        try:
            depth, field = _fields(self.message.DESCRIPTOR)[name]
        except KeyError:
            raise AttributeError(f"{self.kind} has no field {name}") from None
        message: Any = self.message
        for _ in range(depth):
            message = message.parent
        value = getattr(message, name)
        if field.message_type is not None:
            resolved = "Resolved" in field.message_type.name or "AST" in field.message_type.name
            if field.is_repeated:
                return [Node(item) for item in value] if resolved else value
            if not message.HasField(name):
                return None
            return Node(value) if resolved and _present(value) else None if resolved else value
        if field.enum_type is not None and not field.is_repeated:
            return field.enum_type.values_by_number[value].name
        return value

    def __repr__(self) -> str:
        return f"<{self.kind}>"


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below ``node``, in the order of its class's fields; columns are no nodes."""
    message: Any = node.message
    while True:
        for field, value in message.ListFields():
            kind = field.message_type
            if kind is None or field.name == "parent" or "Resolved" not in kind.name or kind.name in _NO_NODES:
                continue
            for each in value if field.is_repeated else (value,):
                if _present(each):
                    yield Node(each)
        if "parent" not in message.DESCRIPTOR.fields_by_name:
            return
        message = message.parent


def _present(message: Message) -> bool:
    """An ``Any…`` message may be there and hold nothing: an absent optional node."""
    while message.DESCRIPTOR.name.startswith("Any"):
        which = message.WhichOneof("node")
        if which is None:
            return False
        message = getattr(message, which)
    return True
