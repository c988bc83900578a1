"""CSV for GRC tools: one file for each table, joined by id, with a manifest of row counts and hashes.

The dialect is RFC 4180 (https://www.rfc-editor.org/rfc/rfc4180): UTF-8 without byte order mark, comma, CRLF, quotes
only where needed. Times are ISO 8601 in UTC, booleans ``true`` and ``false``, several values are joined by ``|``,
unknown is an empty cell; ``NULL`` is never written, because import sets of ServiceNow clear a field on it. Rows are
sorted by key, and the main files contain no values that change by themselves: a night without changes gives the same
bytes.

Cells that a spreadsheet would interpret as a formula get a leading apostrophe
(https://owasp.org/www-community/attacks/CSV_Injection): anyone can choose names and tags.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from bisect import bisect_right
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import msgspec
from pydantic import Field

from reports.csv.data_package import package, resource
from reports.csv.sheets import SHEETS, join_tables
from scanner.config import InWords, Section
from scanner.private_files import create_private, write_private
from scanner.safe_text import FORMULA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reports.csv.sheet import Sheet
    from scanner.night import Night

SCHEMA_VERSION = "1.0"
"""The last column of every file."""

SLICE_ROWS = 5_000
"""Approximate number of rows sorted at once, which limits memory."""

BATCH_ROWS = 10_000
"""Number of rows kept before they are appended to the slices: about 10 MB."""

FETCHED_ROWS = 500
"""Number of rows read from the database at once."""

SAMPLED = 100
"""One in this many keys is sampled to find ranges of about equal size."""


Delimiter = Annotated[
    str, InWords(r"[,;|\t]", 'a comma, semicolon, `|` or a tab, in quotes: ",", ";", "|" or "\\t"')
]


class Config(Section):
    """CSV files for GRC tools."""

    delimiter: Delimiter = ","
    """The character between cells: comma, semicolon, ``|`` or a tab (``"\\t"``)."""
    bom: bool = False
    """Start each file with a byte order mark, for Excel."""
    raw: bool = False
    """Do not protect cells against formula injection."""
    max_rows: int = Field(default=0, ge=0)
    """Split files after this many rows; 0 keeps each in one file."""


class CsvFile(msgspec.Struct, frozen=True, kw_only=True):
    """The entry of one file in the export manifest."""

    file: str
    rows: int
    sha256: str
    guarded_cells: int
    """Number of cells that got an apostrophe against formula injection."""
    columns: list[str]


def _dangerous(cell: str, config: Config) -> str:
    """Return the SQL for whether a spreadsheet would compute a cell, or an import clear the field."""
    if config.raw:
        return "false"
    # Begins with a letter or a digit: needs no regular expression, and nearly every cell does.
    plain = f"({cell} >= 'A' AND {cell} < '{{' OR {cell} >= '0' AND {cell} < ':')"
    return f"CASE WHEN {plain} THEN {cell} = 'NULL' ELSE coalesce(regexp_matches({cell}, '{FORMULA}'), false) END"


_BREAKS = "\r\n\0\x1b\x9b"
"""Characters that end a line of the file, or control the terminal that shows it."""


def _on_one_line(cell: str) -> str:
    odd = " OR ".join(f"contains({cell}, chr({ord(character)}))" for character in _BREAKS)
    return f"CASE WHEN {odd} THEN regexp_replace({cell}, '[\\r\\n\\x00\\x1b\\x{{9b}}]+', ' ', 'g') ELSE {cell} END"


def _quoted(cell: str, config: Config) -> str:
    """Return the SQL for a cell in quotes, where the dialect asks for them."""
    return f"""CASE WHEN contains({cell}, '{config.delimiter}') OR contains({cell}, '"')
                    THEN '"' || replace({cell}, '"', '""') || '"' ELSE {cell} END"""


class _Cells(NamedTuple):
    """The cells of a sheet as a query gives them, before they are made safe."""

    query: str
    """Gives a column for each header, and ``_place``: the key, a zero character, and the order within the key."""
    shown: dict[str, str]
    """SQL of each header's cell as text."""
    texts: list[str]
    """Headers of text from providers; the other cells are times, numbers and the like."""


def _cells(sheet: Sheet, kinds: dict[str, str]) -> _Cells:
    columns = sheet.columns()
    chosen = ", ".join(f'{sql} AS "{header}"' for header, sql in columns.items())
    place = f"{_on_one_line(sheet.key)} || chr(0)"
    if sheet.within:
        place += f" || {_on_one_line(sheet.within)}"
    query = f"SELECT {chosen}, {place} AS _place FROM {sheet.source}"
    formats = {"VARCHAR": '"{0}"', "TIMESTAMP": "strftime(\"{0}\", '%Y-%m-%dT%H:%M:%SZ')"}
    shown = {header: formats.get(kinds[header], '"{0}"::VARCHAR').format(header) for header in columns}
    return _Cells(query, shown, [header for header in columns if kinds[header] == "VARCHAR"])


def _many_rows(cells: _Cells, config: Config) -> str:
    """Return the query for a sheet's entries (`_lines`): fast over many rows."""
    shown = {
        header: _quoted(cell, config) if header in cells.texts else cell
        for header, cell in cells.shown.items()
    }
    line = f", '{config.delimiter}', ".join([*shown.values(), f"'{SCHEMA_VERSION}'"])
    # concat() takes NULL for an empty cell.
    source = _texts_by_column(cells.query, cells.texts, config)
    return f"SELECT concat(_place, chr(0), _guarded, chr(0), {line}) FROM ({source})"


def _few_rows(night: Night, cells: _Cells, params: dict[str, Any], config: Config) -> Iterator[tuple[str]]:
    """Yield the same entries as `_many_rows`, whose query takes longer to plan than few rows to write."""
    are_texts = [header in cells.texts for header in cells.shown]
    query = f"SELECT _place, {', '.join(cells.shown.values())} FROM ({cells.query})"
    for place, *row in night.rows(query, params, batch=500):
        line, guarded = [], 0
        for is_text, cell in zip(are_texts, row, strict=True):
            if cell is None or not is_text:
                line.append(cell or "")
                continue
            dangerous = not config.raw and (cell == "NULL" or re.match(FORMULA, cell) is not None)
            guarded += dangerous
            text = "'" * dangerous + re.sub(f"[{_BREAKS}]+", " ", cell)
            quoted = config.delimiter in text or '"' in text
            line.append('"' + text.replace('"', '""') + '"' if quoted else text)
        yield (f"{place}\0{guarded}\0{config.delimiter.join([*line, SCHEMA_VERSION])}",)


def _texts_by_column(inner: str, texts: list[str], config: Config) -> str:
    """Return rows with their texts on one line and guarded, an expression for each column.

    What is dangerous is asked in a step of its own, so that the planner does not see the question three times.
    """
    named = {header: f'"{header}"' for header in texts}
    asked = "".join(f', {_dangerous(cell, config)} AS "_is_{header}"' for header, cell in named.items())
    guarded = ", ".join(
        f"""CASE WHEN "_is_{header}" THEN chr(39) ELSE '' END || {_on_one_line(cell)} AS {cell}"""
        for header, cell in named.items()
    )
    total = " + ".join(f'"_is_{header}"::INT' for header in texts) or "0"
    replaced = f" REPLACE ({guarded})" if texts else ""
    return f"SELECT *{replaced}, {total} AS _guarded FROM (SELECT *{asked} FROM ({inner}))"


CsvLine: TypeAlias = tuple[str, str]
"""A row as written, without its end, and its number of dangerous cells: a plain pair, because there may be millions."""


def _lines(
    night: Night, sheet: Sheet, kinds: dict[str, str], params: dict[str, Any], config: Config
) -> Iterator[CsvLine]:
    """Yield a sheet's rows in the order of its key. The table is read once, and wide rows are never all in memory.

    Many rows are distributed over files by ranges of the key, which are then sorted one by one. An entry of such a file
    is key, order within the key, number of dangerous cells and line, with zero characters between them: none of the four
    contains one, nor the line break at which entries end, so that entries sort as their keys do.
    """
    if night.tables.is_empty(sheet.table):
        return
    cells = _cells(sheet, kinds)
    batches: Iterator[list[tuple[str]]] = (
        night.tables.batches(_many_rows(cells, config), params, FETCHED_ROWS)
        if night.tables.large
        else iter([list(_few_rows(night, cells, params, config))])
    )
    first: list[tuple[str]] = []
    for batch in batches:
        first += batch
        if len(first) >= SLICE_ROWS:
            break
    else:
        yield from _in_order([entry for (entry,) in first], sheet)
        return
    sample = (
        f"SELECT _key FROM (SELECT {_on_one_line(sheet.key)} AS _key FROM {sheet.source}) "
        f"WHERE hash(_key) % {SAMPLED} = 0 ORDER BY _key"
    )
    sampled = [row[0] for row in night.rows(sample, params)]
    bounds = sampled[SLICE_ROWS // SAMPLED :: SLICE_ROWS // SAMPLED]
    with TemporaryDirectory(dir=night.tables.temp) as folder:
        slices = [Path(folder) / str(number) for number in range(len(bounds) + 1)]
        parts: list[list[str]] = [[] for _ in slices]
        kept = 0
        for batch in itertools.chain((first,), batches):
            for (entry,) in batch:
                # All rows of a key come after a bound of the same text.
                parts[bisect_right(bounds, entry)].append(entry)
            kept += len(batch)
            if kept >= BATCH_ROWS:
                _append(slices, parts)
                kept = 0
        _append(slices, parts)
        for path in filter(Path.exists, slices):
            yield from _in_order(path.read_bytes().decode().split("\r\n")[:-1], sheet)
            path.unlink()


def _append(slices: list[Path], parts: list[list[str]]) -> None:
    """Append entries to their files, and forget them."""
    for path, part in zip(slices, parts, strict=True):
        if part:
            with path.open("ab") as file:
                file.write("\r\n".join([*part, ""]).encode())
            part.clear()


def _in_order(entries: list[str], sheet: Sheet) -> Iterator[CsvLine]:
    entries.sort()
    before = None
    for entry in entries:
        key, _, guarded, text = entry.split("\0")
        if sheet.one_a_key and key == before:
            continue
        before = key
        yield text, guarded


def _parts(lines: Iterator[CsvLine], most: int) -> Iterator[Iterator[CsvLine]]:
    """Split lines into parts of at most ``most`` lines; 0 does not split. There is always a first part."""
    first = next(lines, None)
    yield _part(first, lines, most)
    while most and (first := next(lines, None)) is not None:
        yield _part(first, lines, most)


def _part(first: CsvLine | None, lines: Iterator[CsvLine], most: int) -> Iterator[CsvLine]:
    if first is None:
        return
    yield first
    yield from itertools.islice(lines, most - 1) if most else lines


def _write(path: Path, header: list[str], lines: Iterator[CsvLine], config: Config) -> CsvFile:
    temporary = path.with_name(path.name + ".tmp")
    count = guarded = 0
    sha256 = hashlib.sha256()
    with os.fdopen(create_private(temporary), "wb") as file:
        first = config.delimiter.join(header) + "\r\n"
        data = first.encode("utf-8-sig" if config.bom else "utf-8")
        while data:
            sha256.update(data)
            file.write(data)
            batch = list(itertools.islice(lines, 1_000))
            data = "\r\n".join([*[text for text, _ in batch], ""]).encode() if batch else b""
            guarded += sum(int(cells) for _, cells in batch)
            count += len(batch)
    temporary.replace(path)
    return CsvFile(
        file=path.name, rows=count, sha256=sha256.hexdigest(), guarded_cells=guarded, columns=header
    )


def write(night: Night, folder: Path, config: Config) -> list[Path]:
    """Write every sheet, the data dictionary ``datapackage.json`` and ``export-manifest.json``. Returns the files."""
    join_tables(night)
    params = {
        "run_id": night.run_id,
        "as_of": night.as_of.replace(tzinfo=None),
        "version": night.manifest.tool_version,
    }
    written: list[CsvFile] = []
    resources = []
    for sheet in SHEETS:
        kinds = sheet.kinds()
        lines = _lines(night, sheet, kinds, params, config)
        header = [*sheet.columns(), "schema_version"]
        files = []
        for number, part in enumerate(_parts(lines, config.max_rows)):
            name = f"{sheet.name}.csv" if number == 0 else f"{sheet.name}.{number + 1}.csv"
            files.append(_write(folder / name, header, part, config))
        sizes = [(one.file, (folder / one.file).stat().st_size, one.sha256) for one in files]
        resources.append(
            resource(sheet, kinds, sizes, config.delimiter, "utf-8-sig" if config.bom else "utf-8")
        )
        written += files
    # Of the analysis: a listing that fell suddenly is a gap only there.
    gaps = int(night.one("SELECT count(*) FROM gaps") or 0)
    manifest = {
        "run_id": night.run_id,
        "as_of": night.as_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "schema_version": SCHEMA_VERSION,
        "complete": not night.manifest.partial and gaps == 0,
        "coverage": msgspec.to_builtins(night.coverage),
        "gaps": gaps,
        "dialect": {
            "encoding": "utf-8-sig" if config.bom else "utf-8",
            "delimiter": config.delimiter,
            "line_terminator": "\r\n",
            "unknown": "",
            "list_separator": "|",
            "formula_guard": not config.raw,
        },
        "files": written,
    }
    created = night.as_of.strftime("%Y-%m-%dT%H:%M:%SZ")
    paths = []
    for name, data in (
        ("datapackage.json", package(night.run_id, created, resources)),
        ("export-manifest.json", manifest),
    ):
        paths.append(folder / name)
        write_private(paths[-1], msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n")
    return [*(folder / item.file for item in written), *paths]
