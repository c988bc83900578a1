"""CSV for GRC tools: one file a table, joined by id, with a manifest that counts and hashes every row.

The dialect is RFC 4180 (https://www.rfc-editor.org/rfc/rfc4180): UTF-8 without byte order mark, comma, CRLF, quotes
only where needed. Times are ISO 8601 in UTC, booleans ``true`` and ``false``, several values are joined by ``|``,
unknown is an empty cell; ``NULL`` is never written, since import sets of ServiceNow clear a field on it. Rows are
sorted by key, and the main files hold nothing that changes by itself: a night in which nothing changed gives the same
bytes.

Cells that a spreadsheet would take for a formula get a leading apostrophe
(https://owasp.org/www-community/attacks/CSV_Injection): names and tags are written by strangers.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from bisect import bisect_right
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from scanner.snapshot import write_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scanner.night import Night

SCHEMA_VERSION = "1.0"
"""The last column of every file. Columns are only ever added, before it; a change of meaning gets a new file name."""

SLICE_ROWS = 5_000
"""Rows sorted at once, more or less: bounds memory."""

SAMPLED = 100
"""One key in so many is looked at to find the ranges of about as many rows each."""

FORMULA = r"^[\s\x00]*[=+\-@\t\r＝＋－＠]"
"""What makes a spreadsheet compute a cell: also behind white space, and in full width."""

_FINDING = {
    "finding_id": "f.id",
    "rule_id": "f.rule",
    "rule_version": "f.rule_version",
    "category": "f.category",
    "title": "f.title",
    "severity": "f.severity",
    "status": "f.status",
    "provider": "f.provider",
    "tenant_id": "coalesce(p.tenant_id, f.account_id)",
    "scope_id": "f.account_id",
    "scope_name": "f.account_name",
    "identity_id": "f.identity_id",
    "identity_type": "f.surface",
    "identity_name": "f.identity_name",
    "credential_id": "f.credential_id",
    "credential_type": "CASE WHEN f.subject_table = 'credentials' THEN f.subject_kind END",
    "grant_id": "f.grant_id",
    "resource_id": "f.resource",
    "owner": "f.owner",
    "owner_source": "f.owner_source",
    "environment": "f.environment",
    "first_seen_at": "f.first_seen",
    "status_changed_at": "f.changed_at",
    "due_at": "f.due_at",
    "evidence_summary": "f.detail",
    "impact": "f.blast",
    "remediation": "f.fix",
    "remediation_url": "f.url",
    "control_refs": "r.controls",
    "exception_id": "f.exception_id",
    "evidence_ref": "f.subject_table || '/' || f.subject",
    "subject_name": "f.subject_name",
    "path": "array_to_string(f.path, ' > ')",
    "confidence": "f.confidence",
}

_FINDINGS_FROM = """
    findings f LEFT JOIN tenants p ON p.account_id = f.account_id
    LEFT JOIN rule_controls r ON r.rule = f.rule
"""

_DELTA = {
    "change_type": "f.status",
    "previous_status": "f.previous_status",
    "changed_fields": "CASE WHEN f.status IS DISTINCT FROM f.previous_status THEN 'status' END",
    "run_id": "$run_id",
    "observed_at": "$as_of::TIMESTAMP",
    **_FINDING,
}

_IDENTITIES = {
    "identity_id": "i.id",
    "provider": "i.provider",
    "tenant_id": "coalesce(p.tenant_id, i.account_id)",
    "scope_id": "i.account_id",
    "scope_name": "p.name",
    "native_id": "i.native_id",
    "name": "i.name",
    "identity_type": "i.surface",
    "subtype": "i.kind",
    "is_human": "i.surface = 'human'",
    "enabled": "i.enabled",
    "created_at": "i.created_at",
    "last_used_at": "i.last_used_at",
    "last_used_source": "CASE WHEN i.last_used_at IS NOT NULL THEN i.provider END",
    "usage_known": "i.last_used_at IS NOT NULL OR coalesce(i.never_used, false)",
    "owner": "i.owner",
    "owner_source": "i.owner_source",
    "environment": "i.environment",
    "tags": "array_to_string(list_sort([e.key || '=' || e.value FOR e IN map_entries(i.tags)]), '|')",
    "federation_issuer": "i.issuer",
    "credential_count": "coalesce(c.n, 0)",
    "grant_count": "coalesce(g.n, 0)",
    "max_privilege": "g.level",
    "open_findings": "coalesce(o.n, 0)",
    "highest_severity": "o.severity",
    "address": "i.address",
}

_WORST = """CASE min(CASE severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 WHEN 'low' THEN 3
            ELSE 4 END) WHEN 0 THEN 'critical' WHEN 1 THEN 'high' WHEN 2 THEN 'medium' WHEN 3 THEN 'low' ELSE 'info' END"""

_LEVEL = """CASE min(CASE level WHEN 'admin' THEN 0 WHEN 'escalation' THEN 1 WHEN 'write' THEN 2 WHEN 'unknown' THEN 3
            ELSE 4 END) WHEN 0 THEN 'admin' WHEN 1 THEN 'escalation' WHEN 2 THEN 'write' WHEN 3 THEN 'unknown'
            ELSE 'read' END"""

_COUNTS = {
    "credential_counts": "SELECT identity_id, count(*) AS n FROM credentials GROUP BY 1",
    "grant_counts": f"SELECT identity_id, count(*) AS n, {_LEVEL} AS level FROM grants GROUP BY 1",
    "finding_counts": f"""SELECT identity_id, count(*) AS n, {_WORST} AS severity FROM findings
                          WHERE status IN ('new', 'open', 'reopened') GROUP BY 1""",
}

_IDENTITIES_FROM = """
    identities i LEFT JOIN tenants p ON p.account_id = i.account_id
    LEFT JOIN credential_counts c ON c.identity_id = i.id
    LEFT JOIN grant_counts g ON g.identity_id = i.id
    LEFT JOIN finding_counts o ON o.identity_id = i.id
"""

_CREDENTIALS = {
    "credential_id": "c.id",
    "identity_id": "c.identity_id",
    "provider": "c.provider",
    "tenant_id": "coalesce(p.tenant_id, c.account_id)",
    "scope_id": "c.account_id",
    "native_id": "c.native_id",
    "credential_type": "c.kind",
    "is_static": "c.lifetime = 'static'",
    "state": "CASE WHEN c.enabled THEN 'active' WHEN c.enabled = false THEN 'inactive' END",
    "created_at": "c.created_at",
    "rotated_at": "c.rotated_at",
    "expires_at": "c.expires_at",
    "last_used_at": "c.last_used_at",
    "last_used_service": "c.last_used_service",
    "usage_known": "c.last_used_at IS NOT NULL OR coalesce(c.never_used, false)",
    "location": "c.location",
    "scopes": "array_to_string(c.scopes, '|')",
    "owner": "coalesce(c.owner, i.owner)",
    "never_used": "c.never_used",
    "never_expires": "c.never_expires",
    "name": "c.name",
}

_SECRETS = {
    "secret_id": "s.id",
    "provider": "s.provider",
    "tenant_id": "coalesce(p.tenant_id, s.account_id)",
    "scope_id": "s.account_id",
    "scope_name": "p.name",
    "store": "s.store",
    "name": "s.name",
    "holder_id": "s.holder_id",
    "environment": "s.environment",
    "visibility": "s.visibility",
    "readable": "s.readable",
    "masked": "s.masked",
    "protected": "s.protected",
    "encrypted": "s.encrypted",
    "rotation_enabled": "s.rotation_enabled",
    "looks_like": "s.looks_like",
    "credential_id": "s.credential_id",
    "managed_by": "s.managed_by",
    "created_at": "s.created_at",
    "updated_at": "s.updated_at",
    "rotated_at": "s.rotated_at",
    "last_used_at": "s.last_used_at",
    "expires_at": "s.expires_at",
    "usage_known": "s.last_used_at IS NOT NULL OR coalesce(s.never_used, false)",
    "owner": "s.owner",
    "location": "s.location",
}

_GRANTS = {
    "grant_id": "g.id",
    "identity_id": "g.identity_id",
    "provider": "g.provider",
    "tenant_id": "coalesce(p.tenant_id, g.account_id)",
    "grant_type": "g.via",
    "role_name": "g.role",
    "scope_type": "g.breadth",
    "scope_id": "g.account_id",
    "resource_id": "g.resource",
    "privilege_level": "g.level",
    "powers": "array_to_string(g.powers, '|')",
    "wildcard": "g.wildcard",
    "actions": "array_to_string(g.actions, '|')",
    "unused_actions_count": "g.unused_actions",
    "condition_present": "g.conditional",
    "confidence": "g.confidence",
    "usage_known": "g.last_used_at IS NOT NULL OR coalesce(g.never_used, false)",
    "last_used_at": "g.last_used_at",
    "granted_at": "g.granted_at",
    "expires_at": "g.expires_at",
    "why": "g.why",
}

_EXCEPTIONS = {
    "exception_id": "e.id",
    "selector": "e.selector",
    "rule_id": "e.rule",
    "finding_id": "(SELECT string_agg(id, '|' ORDER BY id) FROM findings WHERE exception_id = e.id)",
    "reason": "e.reason",
    "compensating_control": "e.compensating_control",
    "ticket": "e.ticket",
    "approved_by": "e.approved_by",
    "approved_at": "e.approved_at",
    "expires_at": "e.expires_at",
    "state": "e.state",
    "matched_findings": "e.matched",
    "owner": "e.owner",
    "detail": "e.detail",
}

_METRICS = {
    "run_date": "strftime($as_of::TIMESTAMP, '%Y-%m-%d')",
    "metric": "metric",
    "dimension": "dimension",
    "dimension_value": "dimension_value",
    "value": "value",
    "unit": "unit",
}

_COVERAGE = {
    "run_id": "$run_id",
    "collector": "collector",
    "collector_version": "$version",
    "provider": "c.provider",
    "tenant_id": "coalesce(p.tenant_id, c.account_id)",
    "scope_id": "c.account_id",
    "scope_name": "p.name",
    "resource_kind": "c.\"table\" || coalesce('/' || c.kind, '')",
    "listing": "call",
    "region": "region",
    "status": "status",
    "items_collected": "items",
    "reason_code": "reason",
    "reason": "detail",
    "missing_permission": "needs",
    "data_as_of": "$as_of::TIMESTAMP",
}

_COVERAGE_FROM = """
    (SELECT id, collector, provider, account_id, "table", kind, call, region, 'complete' AS status, items,
            NULL AS reason, NULL AS detail, NULL AS needs FROM coverage
     UNION ALL
     SELECT id, collector, provider, account_id, "table", kind, call, region,
            CASE reason WHEN 'deadline' THEN 'skipped' WHEN 'truncated' THEN 'partial' ELSE 'failed' END, NULL,
            reason, detail, needs FROM gaps) c LEFT JOIN tenants p ON p.account_id = c.account_id
"""

_PLACES = "LEFT JOIN tenants p ON p.account_id ="


class Sheet(NamedTuple):
    """One file: its columns (header -> SQL), where they come from, and the key that its rows are sorted by."""

    name: str
    columns: dict[str, str]
    source: str
    key: str


SHEETS = (
    Sheet("findings", _FINDING, _FINDINGS_FROM, "f.id"),
    Sheet(
        "findings_delta",
        _DELTA,
        _FINDINGS_FROM
        + " WHERE f.status IS DISTINCT FROM 'open' OR f.previous_status IS DISTINCT FROM 'open'",
        "f.id",
    ),
    Sheet("identities", _IDENTITIES, _IDENTITIES_FROM, "i.id"),
    Sheet(
        "credentials",
        _CREDENTIALS,
        f"credentials c {_PLACES} c.account_id LEFT JOIN identities i ON i.id = c.identity_id",
        "c.id",
    ),
    Sheet("secrets", _SECRETS, f"secrets s {_PLACES} s.account_id", "s.id"),
    Sheet("grants", _GRANTS, f"grants g {_PLACES} g.account_id", "g.id"),
    Sheet("exceptions", _EXCEPTIONS, "exceptions e", "e.id"),
    Sheet("metrics", _METRICS, "metrics", "metric || chr(31) || dimension || chr(31) || dimension_value"),
    Sheet("coverage", _COVERAGE, _COVERAGE_FROM, "c.id || c.status"),
)


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What the export manifest says of one file."""

    file: str
    rows: int
    sha256: str
    guarded_cells: int
    """Cells that got an apostrophe, so that no spreadsheet computes them."""
    columns: list[str]


_PLAIN = """("{0}" >= 'A' AND "{0}" < '{{' OR "{0}" >= '0' AND "{0}" < ':')"""
"""Begins with a letter or a digit: needs no look at a regular expression, and nearly every cell does."""


def _text(column: str, *, raw: bool) -> tuple[str, str]:
    """Return the SQL for a cell's text on one line, and for whether it is dangerous."""
    odd = " OR ".join(f'contains("{column}", chr({code}))' for code in (10, 13, 0))
    line = (
        f"""CASE WHEN {odd} THEN regexp_replace("{column}", '[\\r\\n\\x00]+', ' ', 'g') ELSE "{column}" END"""
    )
    if raw:
        return line, "false"
    test = f"""CASE WHEN {_PLAIN.format(column)} THEN "{column}" = 'NULL'
                    ELSE coalesce(regexp_matches("{column}", '{FORMULA}'), false) END"""
    return f"CASE WHEN {test} THEN chr(39) ELSE '' END || {line}", test


def _query(night: Night, sheet: Sheet, params: dict[str, Any], settings: dict[str, Any]) -> str:
    """Return the query for a sheet's keys, lines (quoted where the dialect asks for it) and dangerous cells a line."""
    chosen = ", ".join(f'{sql} AS "{header}"' for header, sql in sheet.columns.items())
    inner = f"SELECT {chosen}, {sheet.key} AS _key FROM {sheet.source}"
    kinds = {row[0]: row[1] for row in night.rows(f"DESCRIBE {inner}", params)}
    delimiter = settings.get("csv_delimiter", ",")
    texts = {
        header: _text(header, raw=bool(settings.get("csv_raw")))
        for header in sheet.columns
        if kinds[header] == "VARCHAR"
    }
    cells = []
    for header in sheet.columns:
        if header in texts:
            cells.append(
                f"""CASE WHEN contains("{header}", '{delimiter}') OR contains("{header}", '"')
                    THEN '"' || replace("{header}", '"', '""') || '"' ELSE "{header}" END"""
            )
        elif kinds[header] == "TIMESTAMP":
            cells.append(f"strftime(\"{header}\", '%Y-%m-%dT%H:%M:%SZ')")
        else:
            cells.append(f'"{header}"::VARCHAR')
    shown = f", '{delimiter}', ".join([*cells, f"'{SCHEMA_VERSION}'"])
    replaced = ", ".join(f'{text} AS "{header}"' for header, (text, _) in texts.items())
    guarded = " + ".join(f"({test})::INT" for _, test in texts.values()) or "0"
    # concat() takes NULL for an empty cell.
    return (
        f"SELECT _key, concat({shown}, chr(13), chr(10)), _guarded "
        f"FROM (SELECT * REPLACE ({replaced}), {guarded} AS _guarded FROM ({inner}))"
    )


class Line(NamedTuple):
    """A row as it is written, and how many of its cells were dangerous."""

    text: str
    guarded: int


def _lines(night: Night, sheet: Sheet, params: dict[str, Any], settings: dict[str, Any]) -> Iterator[Line]:
    """Yield a sheet's rows in order of its key: distributed over files by ranges of the key, then sorted one by one.

    The tables are read once, and wide rows are never in memory together.
    """
    sample = (
        f"SELECT _key FROM (SELECT {sheet.key} AS _key FROM {sheet.source}) "
        f"WHERE hash(_key) % {SAMPLED} = 0 ORDER BY _key"
    )
    sampled = [row[0] for row in night.rows(sample, params)]
    bounds = sampled[SLICE_ROWS // SAMPLED :: SLICE_ROWS // SAMPLED]
    query = _query(night, sheet, params, settings)
    rows = night.rows(query, params, batch=500)
    if not bounds:
        yield from _in_order(rows)
        return
    with TemporaryDirectory(dir=night.tables.temp) as folder:
        slices = [Path(folder) / str(number) for number in range(len(bounds) + 1)]
        while batch := list(itertools.islice(rows, 2_000)):
            parts: dict[int, list[tuple[Any, ...]]] = {}
            for row in batch:
                parts.setdefault(bisect_right(bounds, row[0]), []).append(row)
            for number, part in parts.items():
                with slices[number].open("ab") as file:
                    file.write(msgspec.json.encode(part) + b"\n")
        for path in filter(Path.exists, slices):
            with path.open("rb") as file:
                yield from _in_order(
                    row for part in file for row in msgspec.json.decode(part, type=list[tuple[str, str, int]])
                )
            path.unlink()


def _in_order(rows: Iterable[tuple[Any, ...]]) -> Iterator[Line]:
    for _, text, guarded in sorted(rows):
        yield Line(text, guarded)


def _parts(lines: Iterator[Line], most: int) -> Iterator[Iterator[Line]]:
    """Cut lines into parts of at most ``most``; 0 keeps them together. There is always a first part."""
    first = next(lines, None)
    yield _part(first, lines, most)
    while most and (first := next(lines, None)) is not None:
        yield _part(first, lines, most)


def _part(first: Line | None, lines: Iterator[Line], most: int) -> Iterator[Line]:
    if first is None:
        return
    yield first
    yield from itertools.islice(lines, most - 1) if most else lines


def _write(path: Path, header: list[str], lines: Iterator[Line], settings: dict[str, Any]) -> Written:
    temporary = path.with_name(path.name + ".tmp")
    count = guarded = 0
    sha256 = hashlib.sha256()
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        first = settings.get("csv_delimiter", ",").join(header) + "\r\n"
        data = first.encode("utf-8-sig" if settings.get("csv_bom") else "utf-8")
        while data:
            sha256.update(data)
            file.write(data)
            batch = list(itertools.islice(lines, 1_000))
            data = "".join(line.text for line in batch).encode()
            guarded += sum(line.guarded for line in batch)
            count += len(batch)
    temporary.replace(path)
    return Written(
        file=path.name, rows=count, sha256=sha256.hexdigest(), guarded_cells=guarded, columns=header
    )


def _views(night: Night) -> None:
    """Make the small tables that sheets join: the top account above each account, and the controls of each rule."""
    night.tables.con.execute("""
        CREATE OR REPLACE TABLE tenants AS
        WITH RECURSIVE up AS (
            SELECT id AS account_id, name, id AS tenant_id, parent_id, 0 AS steps FROM accounts
            UNION ALL
            SELECT up.account_id, up.name, a.id, a.parent_id, steps + 1
            FROM up JOIN accounts a ON a.id = up.parent_id WHERE steps < 12
        )
        SELECT account_id, any_value(name) AS name, arg_max(tenant_id, steps) AS tenant_id FROM up GROUP BY 1
    """)
    night.tables.con.execute("CREATE OR REPLACE TABLE rule_controls (rule VARCHAR, controls VARCHAR)")
    path = night.analysis / "rules.json"
    rules = msgspec.json.decode(path.read_bytes()) if path.is_file() else []
    rows = [(rule["id"], "|".join(rule["controls"])) for rule in rules]
    for name, query in _COUNTS.items():
        night.tables.con.execute(f"CREATE OR REPLACE TABLE {name} AS {query}")
    if rows:
        night.tables.con.executemany("INSERT INTO rule_controls VALUES (?, ?)", rows)


def write(night: Night, folder: Path) -> list[Path]:
    """Write every sheet and ``export-manifest.json`` into a folder. Returns the files."""
    _views(night)
    settings = night.settings
    params = {
        "run_id": night.run_id,
        "as_of": night.as_of.replace(tzinfo=None),
        "version": night.manifest.tool_version,
    }
    written: list[Written] = []
    for sheet in SHEETS:
        lines = _lines(night, sheet, params, settings)
        header = [*sheet.columns, "schema_version"]
        for number, part in enumerate(_parts(lines, int(settings.get("csv_max_rows", 0)))):
            name = f"{sheet.name}.csv" if number == 0 else f"{sheet.name}.{number + 1}.csv"
            written.append(_write(folder / name, header, part, settings))
    manifest = {
        "run_id": night.run_id,
        "as_of": night.as_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "schema_version": SCHEMA_VERSION,
        "complete": not night.manifest.partial and night.manifest.rows["gaps"] == 0,
        "coverage": night.manifest.coverage,
        "gaps": night.manifest.rows["gaps"],
        "dialect": {
            "encoding": "utf-8-sig" if settings.get("csv_bom") else "utf-8",
            "delimiter": settings.get("csv_delimiter", ","),
            "line_terminator": "\r\n",
            "unknown": "",
            "list_separator": "|",
            "formula_guard": not settings.get("csv_raw"),
        },
        "files": written,
    }
    path = folder / "export-manifest.json"
    write_private(path, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    return [*(folder / item.file for item in written), path]
