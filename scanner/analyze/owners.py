"""The ownership file: a CSV file of owners, written by hand or exported from a CMDB.

Columns are found by header, in any order and case. Other columns are ignored:

- ``match`` (or ``id``, ``address``): an account's or identity's id or address, or a glob over either
- ``owner`` (or ``owned_by``)
- ``environment`` (or ``env``): optional

A line for an account applies to everything in it without an owner of its own. An exact match takes precedence over a
glob; among equals the first line wins.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import msgspec

from scanner.document import DocumentError
from scanner.glob import is_glob, like_pattern
from scanner.regular_file import read_settings
from scanner.stated import stated

if TYPE_CHECKING:
    from _csv import Reader
    from collections.abc import Iterator
    from pathlib import Path

_NAMES = {
    "match": ("match", "id", "address"),
    "owner": ("owner", "owned_by"),
    "environment": ("environment", "env"),
}


class OwnerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ownership file."""

    line: int
    match: str
    like: str | None
    """The pattern, if ``match`` is a glob."""
    owner: str
    environment: str | None


def read_owners(path: Path) -> list[OwnerLine]:
    """Read an ownership file. Raises `DocumentError`. Lines without an owner are ignored."""
    try:
        text = read_settings(path, "utf-8-sig")
    except OSError as exc:
        raise DocumentError([f"{path}: {exc.strerror}; see `owners` in config.yaml"]) from None
    except UnicodeDecodeError as exc:
        raise DocumentError([f"{path}: not UTF-8: {exc.reason}"]) from None
    reader = csv.reader(io.StringIO(text), dialect=_dialect(text))
    header = [name.strip().lower() for name in next(reader, [])]
    at: dict[str, int] = {}
    for name, spellings in _NAMES.items():
        found = next((spelling for spelling in spellings if spelling in header), None)
        if found is not None:
            at[name] = header.index(found)
        elif name != "environment":
            raise DocumentError([f"{path}:1: no column `{name}` (or {', '.join(spellings[1:])})"])
    lines = []
    for cells in _cells(path, reader):
        match, owner, environment = (
            cells[at[name]].strip() if name in at and at[name] < len(cells) else "" for name in _NAMES
        )
        owner = stated(owner) or ""
        if match and owner:
            lines.append(
                OwnerLine(
                    line=reader.line_num,
                    match=match,
                    like=like_pattern(match) if is_glob(match) else None,
                    owner=owner,
                    environment=environment or None,
                )
            )
    return lines


def _cells(path: Path, reader: Reader) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as exc:
        raise DocumentError([f"{path}:{reader.line_num}: not valid CSV: {exc}"]) from None


def _dialect(text: str) -> type[csv.Dialect]:
    """Return the dialect: semicolons if the header has them and no comma, as written by European spreadsheets."""
    header = text.split("\n", maxsplit=1)[0]

    class Chosen(csv.excel):
        delimiter = ";" if ";" in header and "," not in header else ","

    return Chosen
