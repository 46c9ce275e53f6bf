"""The statements that make tables, views and datasets again, laid out as Google's column ``ddl`` shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bq_emulator.information_schema.source import Option, quoted
from bq_emulator.metadata import TableRecord
from bq_emulator.model import Field
from bq_emulator.partitions import by_ingestion_time
from bq_emulator.schema import sql_type

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
#: https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#reserved_keywords
_RESERVED = re.compile(
    r"all|and|any|array|as|asc|assert_rows_modified|at|between|by|case|cast|collate|contains|create|cross|cube|current|"
    r"default|define|desc|distinct|else|end|enum|escape|except|exclude|exists|extract|false|fetch|following|for|from|"
    r"full|group|grouping|groups|hash|having|if|ignore|in|inner|intersect|interval|into|is|join|lateral|left|like|"
    r"limit|lookup|merge|natural|new|no|not|null|nulls|of|on|or|order|outer|over|partition|preceding|proto|qualify|"
    r"range|recursive|respect|right|rollup|rows|select|set|some|struct|tablesample|then|to|treat|true|unbounded|union|"
    r"unnest|using|when|where|window|with|within",
    re.IGNORECASE,
)


def _name(name: str) -> str:
    return name if _NAME.fullmatch(name) and not _RESERVED.fullmatch(name) else f"`{name}`"


def _path(*parts: str) -> str:
    return f"`{'.'.join(parts)}`"


def schema(project: str, dataset: str, location: str, options: Sequence[Option]) -> str:
    """CREATE SCHEMA."""
    located = [*options, ("location", "STRING", quoted(location.lower()))]
    return f"CREATE SCHEMA {_path(project, dataset)}\n{_options(located)};"


def table(record: TableRecord, options: Sequence[Option]) -> str:
    """CREATE TABLE, VIEW, MATERIALIZED VIEW or SNAPSHOT TABLE."""
    resource, path = record.resource, _path(record.ref.project, record.ref.dataset, record.ref.table)
    lines: list[str] = []
    if record.kind == "SNAPSHOT":
        base = resource["snapshotDefinition"]["baseTableReference"]
        lines += [
            f"CREATE SNAPSHOT TABLE {path}",
            f"CLONE {_path(base['projectId'], base['datasetId'], base['tableId'])}",
        ]
    elif record.kind == "TABLE":
        lines.append(f"CREATE TABLE {path}")
        parts = [f"  {_column(field)}" for field in record.schema] + [f"  {text}" for text in _constraints(record)]
        if parts:
            lines += ["(", ",\n".join(parts), ")"]
        lines += _layout(record)
    else:
        lines.append(f"CREATE {record.kind.replace('_', ' ')} {path}")
        if any(field.description for field in record.schema):
            columns = [f"  {_name(field.name)}{_described(field)}" for field in record.schema]
            lines += ["(", ",\n".join(columns), ")"]
        lines += _layout(record)
    if options:
        lines.append(_options(options))
    if record.kind in ("VIEW", "MATERIALIZED_VIEW"):
        query = (resource.get("view") or resource["materializedView"])["query"].rstrip().rstrip(";")
        lines.append(f"AS {query}")
    return "\n".join(lines) + ";"


def _column(field: Field) -> str:
    default = f" DEFAULT {field.default_expression}" if field.default_expression else ""
    return f"{_name(field.name)} {_type(field)}{default}{_suffix(field)}"


def _type(field: Field) -> str:
    """A column's type, with what its fields carry."""
    if field.type != "STRUCT":
        return sql_type(field)
    inner = ", ".join(f"{_name(each.name)} {_type(each)}{_suffix(each)}" for each in field.fields)
    return f"ARRAY<STRUCT<{inner}>>" if field.mode == "REPEATED" else f"STRUCT<{inner}>"


def _suffix(field: Field) -> str:
    return f"{' NOT NULL' if field.mode == 'REQUIRED' else ''}{_described(field)}"


def _described(field: Field) -> str:
    return f" OPTIONS(description={quoted(field.description)})" if field.description else ""


def _constraints(record: TableRecord) -> list[str]:
    constraints = record.resource.get("tableConstraints") or {}
    texts = []
    if primary := constraints.get("primaryKey"):
        texts.append(f"PRIMARY KEY ({', '.join(map(_name, primary['columns']))}) NOT ENFORCED")
    for key in constraints.get("foreignKeys", ()):
        pairs, other = key["columnReferences"], key["referencedTable"]
        columns, referenced = (
            ", ".join(_name(each[side]) for each in pairs) for side in ("referencingColumn", "referencedColumn")
        )
        named = key.get("name") or ""
        constraint = f"CONSTRAINT {_name(named)} " if named and "$" not in named else ""
        path = _path(other["projectId"], other["datasetId"], other["tableId"])
        texts.append(f"{constraint}FOREIGN KEY ({columns}) REFERENCES {path}({referenced}) NOT ENFORCED")
    return texts


def _layout(record: TableRecord) -> list[str]:
    lines = []
    if record.partitioning is not None:
        lines.append(f"PARTITION BY {_partition(record)}")
    if clustering := (record.resource.get("clustering") or {}).get("fields"):
        lines.append(f"CLUSTER BY {', '.join(map(_name, clustering))}")
    return lines


def _partition(record: TableRecord) -> str:
    partitioning = record.partitioning
    if partitioning is None:
        raise ValueError(f"{record} has no partitions")
    name, granularity = _name(partitioning.column), partitioning.granularity
    if not granularity:
        first, end, interval = partitioning.bounds
        return f"RANGE_BUCKET({name}, GENERATE_ARRAY({first}, {end}, {interval}))"
    if by_ingestion_time(record.resource):
        return "_PARTITIONDATE" if granularity == "DAY" else f"TIMESTAMP_TRUNC(_PARTITIONTIME, {granularity})"
    if granularity == "DAY" and partitioning.type != "DATETIME":
        return name if partitioning.type == "DATE" else f"DATE({name})"
    return f"{partitioning.type}_TRUNC({name}, {granularity})"


def _options(options: Sequence[Option]) -> str:
    def value(name: str, text: str) -> str:
        return text.replace("STRUCT(", "(") if name == "labels" else text

    values = ",\n".join(f"  {name}={value(name, text)}" for name, _, text in options)
    return f"OPTIONS(\n{values}\n)"
