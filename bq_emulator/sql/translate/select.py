"""A SELECT under construction. Scans add to it as long as SQL's order of evaluation allows and wrap it otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass
class Select:
    """``items`` are (expression, name) pairs; ``source`` is the text after FROM."""

    items: list[tuple[str, str]]
    source: str | None = None
    where: list[str] = field(default_factory=list)
    group_by: str | None = None
    order_by: list[str] = field(default_factory=list)
    limit: str | None = None
    offset: str | None = None
    ctes: list[tuple[str, str]] = field(default_factory=list)
    recursive: bool = False
    #: True if ``source`` is a join, which needs parentheses on the right of another.
    joined: bool = False

    @property
    def is_open(self) -> bool:
        """True if it only reads, filters and passes columns on, so that more may be added."""
        plain = all(expression == name for expression, name in self.items)
        return plain and self.group_by is None and not self.order_by and self.limit is None and self.offset is None

    def sql(self) -> str:
        text = ""
        if self.ctes:
            entries = ", ".join(f"{name} AS ({query})" for name, query in self.ctes)
            text = f"WITH {'RECURSIVE ' if self.recursive else ''}{entries} "
        items = [expression if expression == name else f"{expression} AS {name}" for expression, name in self.items]
        text += f"SELECT {', '.join(items) or '1 AS _none'}"
        if self.source is not None:
            text += f" FROM {self.source}"
        if self.where:
            text += f" WHERE {' AND '.join(self.where)}"
        if self.group_by is not None:
            text += f" GROUP BY {self.group_by}"
        if self.order_by:
            text += f" ORDER BY {', '.join(self.order_by)}"
        if self.limit is not None:
            text += f" LIMIT {self.limit}"
        if self.offset is not None:
            text += f" OFFSET {self.offset}"
        return text

    def as_source(self, right: bool = False) -> str:
        """The text to read from it in another FROM clause, or on the ``right`` of a join there."""
        if self.is_open and not self.where and not self.ctes and self.source is not None:
            return f"({self.source})" if self.joined and right else self.source
        return f"({self.sql()})"

    def above(self, items: list[tuple[str, str]]) -> Select:
        """A SELECT of all its columns and, computed beneath, ``items``; this must be open."""
        inner = replace(self, items=self.items + items)
        return Select([(name, name) for _, name in inner.items], f"({inner.sql()})")

    def opened(self) -> Select:
        """This, if more may be added to it, else a SELECT of all its columns from it."""
        if self.is_open and self.source is not None:
            return self
        return Select([(name, name) for _, name in self.items], f"({self.sql()})")
