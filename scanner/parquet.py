"""Records in Parquet files: the schema of a record class, writing, and reading back.

A file has exactly the fields of its class, in order. Times are UTC microseconds without a zone. A column that an older
file lacks is read as unknown. pyarrow is imported where a file is written or read: it takes 0.2 s and 50 MB, and most
modules only need the columns.
"""

from __future__ import annotations

import os
import sys
import types
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from scanner.private_files import create_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_ROWS = 20_000
"""Rows kept in memory before they are written: 3 s and 150 MB per million rows."""

UNWRITABLE = (TypeError, ValueError, OverflowError, AttributeError)
"""What `batch_of` raises for a value that is not of its column's type. Arrow's errors are among them."""

S = TypeVar("S", bound=msgspec.Struct)


class _NoPandas:
    """An import hook that blocks pandas."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


@cache
def _convert_first_list() -> None:
    """Convert a list while pandas cannot be imported.

    Before the first list, pyarrow imports pandas if it is installed, only to check whether the list is a pandas object,
    which takes a third of a second. It tries once, and again only when something needs pandas:
    https://github.com/apache/arrow/blob/main/python/pyarrow/pandas-shim.pxi
    """
    import pyarrow as pa

    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _NoPandas)
        try:
            pa.array([0])
        finally:
            sys.meta_path.remove(_NoPandas)


def _arrow_type(hint: Any) -> pa.DataType:
    import pyarrow as pa

    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _arrow_type(next(arg for arg in get_args(hint) if arg is not type(None)))
    if origin is Literal:
        return pa.string()
    if origin is list:
        return pa.list_(_arrow_type(get_args(hint)[0]))
    if origin is dict:
        return pa.map_(pa.string(), pa.string())
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return pa.struct(
            [(name, _arrow_type(field)) for name, field in get_type_hints(hint).items() if name != "__test__"]
        )
    plain = {
        str: pa.string(),
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        datetime: pa.timestamp("us"),
    }
    return plain[hint]


@cache
def arrow_schema(record: type[msgspec.Struct]) -> pa.Schema:
    """Return the Parquet schema of a record class: its fields in order; times as UTC microseconds without a zone."""
    import pyarrow as pa

    _convert_first_list()
    hints = get_type_hints(record)
    return pa.schema([(name, _arrow_type(hints[name])) for name in record.__struct_fields__])


_SQL_TYPES = {str: "VARCHAR", bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", datetime: "TIMESTAMP"}


def _sql_type(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _sql_type(next(arg for arg in get_args(hint) if arg is not type(None)))
    if origin is Literal:
        return "VARCHAR"
    if origin is list:
        return f"{_sql_type(get_args(hint)[0])}[]"
    if origin is dict:
        return "MAP(VARCHAR, VARCHAR)"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        fields = (f'"{name}" {kind}' for name, kind in sql_columns(hint).items())
        return f"STRUCT({', '.join(fields)})"
    return _SQL_TYPES[hint]


@cache
def sql_columns(record: type[msgspec.Struct]) -> Mapping[str, str]:
    """Return a record class's columns and their DuckDB types, in order: those of `arrow_schema`."""
    hints = get_type_hints(record)
    return {name: _sql_type(hints[name]) for name in record.__struct_fields__}


def batch_of(schema: pa.Schema, records: Sequence[msgspec.Struct]) -> pa.RecordBatch:
    """Return records of one class as Arrow columns."""
    import pyarrow as pa

    columns = []
    for field in schema:
        values = [getattr(record, field.name) for record in records]
        if pa.types.is_map(field.type):
            values = [list(value.items()) for value in values]
        elif pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type):
            values = [[msgspec.structs.asdict(item) for item in value] for value in values]
        elif pa.types.is_list(field.type) and pa.types.is_map(field.type.value_type):
            values = [[list(item.items()) for item in value] for value in values]
        try:
            columns.append(pa.array(values, field.type))
        except UnicodeEncodeError:
            columns.append(pa.array(_encodable(values), field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _encodable(value: Any) -> Any:
    """Return text with invalid Unicode escaped: file names may contain any bytes."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case tuple():
            return tuple(_encodable(item) for item in value)
        case list():
            return [_encodable(item) for item in value]
        case dict():
            return {_encodable(key): _encodable(item) for key, item in value.items()}
        case _:
            return value


def write_table(path: Path, record: type[msgspec.Struct], records: Iterable[msgspec.Struct]) -> int:
    """Write records of one class to a Parquet file atomically. Returns the number of rows."""
    schema = arrow_schema(record)
    temporary = path.with_suffix(".tmp")
    total = 0
    with opened(temporary, schema) as writer:
        batch: list[msgspec.Struct] = []
        for item in records:
            batch.append(item)
            if len(batch) >= BATCH_ROWS:
                writer.write_batch(batch_of(schema, batch))
                total += len(batch)
                batch.clear()
        writer.write_batch(batch_of(schema, batch))
        total += len(batch)
    temporary.replace(path)
    return total


def opened(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a writer for a file that only its owner can read; creates the folder."""
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(create_private(path))
    return pq.ParquetWriter(path, schema, compression="zstd")


def read_table(path: Path, record: type[S]) -> Iterator[S]:
    """Yield the rows of a file written by `write_table`, batch by batch, with aware UTC times."""
    import pyarrow.parquet as pq

    fields = {field.name: field for field in arrow_schema(record)}
    with pq.ParquetFile(path) as file:
        known = [name for name in file.schema_arrow.names if name in fields]
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=known):
            for row in batch.to_pylist():
                values = {name: _restored(value, fields[name].type) for name, value in row.items()}
                yield msgspec.convert(values, type=record)


def _restored(value: Any, kind: pa.DataType) -> Any:
    """Return a value as in a record: Arrow's pairs become a dict, and times have a zone."""
    import pyarrow as pa

    if value is None:
        return None
    if pa.types.is_map(kind):
        return dict(value)
    if pa.types.is_list(kind):
        return [_restored(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind):
        return {field.name: _restored(value[field.name], field.type) for field in kind}
    return value.replace(tzinfo=UTC) if pa.types.is_timestamp(kind) else value
