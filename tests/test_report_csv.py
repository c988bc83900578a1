"""CSV as importers and spreadsheets read it."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sqlite3
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd
import pytest

from reports.csv import Config
from reports.csv import write as write_csv
from reports.csv.sheet import ORDER
from reports.csv.sheets import SHEETS, column_order, join_tables
from reports.json import write as write_json
from scanner.analyze.history import COMPARED
from scanner.night import open_night
from scanner.records import Secret
from tests.synthetic_night import write_night

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scanner.findings import Finding
    from tests.conftest import Demo


def export(state: Path, out: Path, **settings: Any) -> dict[str, list[dict[str, str]]]:
    """Write the sheets of the synthetic night and read them as an importer does."""
    out.mkdir(exist_ok=True)
    (run_id,) = (path.name for path in (state / "snapshots").iterdir())
    config = Config.model_validate(settings)
    with open_night(state, run_id) as night:
        paths = write_csv(night, out, config)
    rows: dict[str, list[dict[str, str]]] = {}
    for path in paths:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8-sig" if config.bom else "utf-8", newline="") as file:
                rows[path.name] = list(csv.DictReader(file, delimiter=config.delimiter))
    return rows


def read_export(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Read the sheets of a report folder."""
    found = {}
    for path in folder.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            found[path.name] = list(csv.DictReader(file))
    return found


def dangerous(finding: Finding) -> Finding:
    names = [
        "=HYPERLINK(1)",
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        "  =1",
        "\u00a0=1",
        "\ufeff=1",
        "\t=1",
        "＝1",
        "NULL",
        'say "hi", then',
        "a\r\nb",
        "a\x1b[2Jb",
    ]
    number = int(hashlib.sha256(finding.id.encode()).hexdigest(), 16) % len(names)
    return msgspec.structs.replace(finding, subject_name=names[number])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    write_night(tmp_path / "state", count=60)
    return tmp_path / "state"


def test_stated_types_are_those_of_the_queries(state: Path) -> None:
    with open_night(state, next((state / "analysis").iterdir()).name) as night:
        join_tables(night)
        given = {"run_id": night.run_id, "as_of": night.as_of.replace(tzinfo=None), "version": "1"}
        for sheet in SHEETS:
            chosen = ", ".join(f'{sql} AS "{header}"' for header, sql in sheet.columns().items())
            asked = night.rows(f"DESCRIBE SELECT {chosen} FROM {sheet.source}", given)
            assert sheet.kinds() == {row[0]: row[1] for row in asked}, sheet.name


@pytest.mark.parametrize("config", [Config(), Config(delimiter=";", bom=True), Config(raw=True)], ids=str)
def test_few_rows_are_written_as_many_are(tmp_path: Path, config: Config) -> None:
    run_id = write_night(tmp_path, count=60, alter=dangerous)
    written = []
    for large in (False, True):
        with open_night(tmp_path, run_id) as night:
            assert not night.tables.large
            night.tables.large = large
            folder = tmp_path / f"large-{large}"
            folder.mkdir()
            written.append({path.name: path.read_bytes() for path in write_csv(night, folder, config)})
    few, many = written
    assert few == many
    assert b"HYPERLINK" in few["findings.csv"]


def test_every_sheet_is_there_with_its_columns_and_reconciles(state: Path, tmp_path: Path) -> None:
    rows = export(state, tmp_path / "out")
    assert set(rows) == {f"{sheet.name}.csv" for sheet in SHEETS}
    manifest = json.loads((tmp_path / "out" / "export-manifest.json").read_text())
    for entry in manifest["files"]:
        data = (tmp_path / "out" / entry["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        assert len(rows[entry["file"]]) == entry["rows"]
    assert len(rows["findings.csv"]) == 60
    for sheet in SHEETS:
        header = next(csv.reader((tmp_path / "out" / f"{sheet.name}.csv").open(encoding="utf-8", newline="")))
        assert header == [*sheet.columns(), "schema_version"]
        assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,29}", name) for name in header)
        assert len(set(header)) == len(header)


def test_the_order_of_columns_is_kept_and_up_to_date() -> None:
    """A column that is added, removed or renamed shows here; ``make docs`` adds, and refuses the rest."""
    assert column_order() == ORDER.read_text()


def test_a_new_field_of_a_record_is_a_column_at_the_end(state: Path, tmp_path: Path) -> None:
    wider = msgspec.defstruct(
        "Wider", [("reviewers", list[str], [])], bases=(Secret,), frozen=True, kw_only=True
    )
    secrets = next(sheet for sheet in SHEETS if sheet.name == "secrets")
    order = json.loads(ORDER.read_text())["secrets"]
    columns = secrets._replace(records=(wider,)).columns()
    assert list(columns) == [*order, "reviewers"]
    assert columns["reviewers"] == "array_to_string(r.\"reviewers\", '|')"


def test_a_column_on_which_importers_rely_cannot_be_lost() -> None:
    secrets = next(sheet for sheet in SHEETS if sheet.name == "secrets")
    for changed in (
        secrets._replace(left_out=frozenset({"store"})),
        secrets._replace(headers=secrets.headers | {"store": "kept_in"}),
    ):
        with pytest.raises(LookupError, match=r"secrets\.csv has lost store"):
            changed.columns()


def test_the_dialect(state: Path, tmp_path: Path) -> None:
    export(state, tmp_path / "out")
    data = (tmp_path / "out" / "findings.csv").read_bytes()
    assert not data.startswith(b"\xef\xbb\xbf")
    assert data.count(b"\r\n") == 61
    assert b"\n" not in data.replace(b"\r\n", b"")


def test_keys_are_first_unique_sorted_and_never_empty(state: Path, tmp_path: Path) -> None:
    for name, rows in export(state, tmp_path / "out").items():
        keys = [next(iter(row.values())) for row in rows]
        assert keys == sorted(keys), name
        assert len(set(keys)) == len(keys), name
        assert "" not in keys, name


RESOLVED_BY = {
    "finding_id": "findings.csv",
    "identity_id": "identities.csv",
    "holder_id": "identities.csv",
    "builder_id": "identities.csv",
    "subject_id": "identities.csv",
    "credential_id": "credentials.csv",
    "grant_id": "grants.csv",
    "secret_id": "secrets.csv",
    "scope_id": "scopes.csv",
    "parent_scope_id": "scopes.csv",
    "tenant_id": "scopes.csv",
    "available_to": "scopes.csv",
    "exception_id": "exceptions.csv",
    "evidence_ref": "evidence.csv",
}
"""The file whose first column holds a key."""


def unresolved(rows: dict[str, list[dict[str, str]]]) -> set[tuple[str, str, str]]:
    """Return file, column and value of each key that no row of the export has."""
    known = {name: {next(iter(row.values())) for row in part} for name, part in rows.items()}
    return {
        (name, column, key)
        for name, part in rows.items()
        for row in part
        for column, file in RESOLVED_BY.items()
        for key in row.get(column, "").split("|")
        if key and key not in known[file]
    }


def test_every_key_resolves_in_the_same_export(state: Path, demo: Demo, tmp_path: Path) -> None:
    assert unresolved(export(state, tmp_path / "out")) == set()
    for reports in sorted((demo.folder / "reports").iterdir()):
        assert unresolved(read_export(reports)) == set()


def test_nothing_looks_like_a_number_that_is_none(demo: Demo) -> None:
    """What an importer reads as a number loses leading zeros, or becomes 5e10 of ``5e10``."""
    names = (
        "rule_version",
        "finding_id",
        "identity_id",
        "credential_id",
        "secret_id",
        "grant_id",
        "metric_id",
    )
    for rows in read_export(max((demo.folder / "reports").iterdir())).values():
        for row in rows:
            assert not any(re.fullmatch(r"[0-9.]+(e[0-9]+)?", row.get(name, "")) for name in names), row


def test_what_was_not_listed_tonight_is_kept_and_marked(demo: Demo) -> None:
    before, after = (read_export(path) for path in sorted((demo.folder / "reports").iterdir())[-2:])
    for name in ("identities.csv", "credentials.csv", "secrets.csv", "grants.csv"):
        key = next(iter(before[name][0]))
        rows = {row[key]: row for row in after[name]}
        lost = {row[key] for row in before[name]} - rows.keys()
        assert lost == set(), f"{name} lost rows, which an import of the state of the world would delete"
        assert all(
            row["last_seen_at"] or not row["first_seen_at"]
            for row in rows.values()
            if row["observed"] == "false"
        )
        assert all(row["observed"] == "false" for row in rows.values() if row["removed_at"])


def test_values_are_plain(state: Path, tmp_path: Path) -> None:
    for rows in export(state, tmp_path / "out").values():
        for row in rows:
            for header, value in row.items():
                assert value not in ("None", "NULL", "nan", "True", "False", "NaT"), header
                if header.endswith("_at") and value:
                    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value), header


def test_no_spreadsheet_computes_a_cell(tmp_path: Path) -> None:
    write_night(tmp_path / "state", count=200, alter=dangerous)
    rows = export(tmp_path / "state", tmp_path / "out")["findings.csv"]
    names = {row["subject_name"] for row in rows}
    assert names == {
        "'=HYPERLINK(1)", "'+1+1", "'-2+3", "'@SUM(A1)", "'  =1", "'\u00a0=1", "'\ufeff=1", "'\t=1", "'＝1", "'NULL", 'say "hi", then', "a b", "a [2Jb",
    }  # fmt: skip
    manifest = json.loads((tmp_path / "out" / "export-manifest.json").read_text())
    guarded = next(entry["guarded_cells"] for entry in manifest["files"] if entry["file"] == "findings.csv")
    assert guarded == sum(row["subject_name"].startswith("'") for row in rows)


def test_raw_cells_on_request(tmp_path: Path) -> None:
    write_night(tmp_path / "state", count=200, alter=dangerous)
    rows = export(tmp_path / "state", tmp_path / "out", raw=True)["findings.csv"]
    assert "=HYPERLINK(1)" in {row["subject_name"] for row in rows}


def test_figures_are_not_taken_for_formulas(state: Path, tmp_path: Path) -> None:
    for row in export(state, tmp_path / "out")["metrics.csv"]:
        assert row["reason"] if row["value"] == "" else float(row["value"]) >= 0


@pytest.mark.parametrize("most", [1, 7, 59, 60, 61, 1000])
def test_splitting_loses_no_row(state: Path, tmp_path: Path, most: int) -> None:
    rows = export(state, tmp_path / "out", max_rows=most)
    parts = {name: part for name, part in rows.items() if re.fullmatch(r"findings(\.\d+)?\.csv", name)}
    assert sum(len(part) for part in parts.values()) == 60
    assert all(len(part) <= most for part in parts.values())
    assert len({row["finding_id"] for part in parts.values() for row in part}) == 60


def test_delimiter_and_byte_order_mark_on_request(state: Path, tmp_path: Path) -> None:
    rows = export(state, tmp_path / "out", delimiter=";", bom=True)
    assert len(rows["findings.csv"]) == 60
    assert rows["findings.csv"][0]["schema_version"] == "1.0"


def test_the_delta_tells_what_changed(state: Path, tmp_path: Path) -> None:
    rows = export(state, tmp_path / "out")
    changed = {row["finding_id"]: row for row in rows["findings_delta.csv"]}
    for row in rows["findings.csv"]:
        assert (row["status"] != "open") <= (row["finding_id"] in changed)
    assert {row["change_type"] for row in changed.values()} >= {"new", "resolved", "unobserved"}


@pytest.mark.parametrize(
    ("before", "status", "changed", "told"),
    [
        (None, "new", [], ("new", "")),
        ("new", "open", [], ("changed", "status")),
        ("open", "open", [], None),
        ("open", "open", ["severity", "owner", "detail", "path", "due_at"],
         ("changed", "severity|owner|evidence_summary|path|due_at")),
        ("open", "open", list(COMPARED), ("changed", ("rule_version|category|control_refs|title|severity|confidence|scope_name|subject_name|"
         "identity_id|identity_name|identity_type|resource_id|owner|owner_source|environment|evidence_summary|remediation|"
         "impact|path|remediation_url"))),
        ("open", "unobserved", [], ("unobserved", "status")),
        ("unobserved", "unobserved", [], None),
        ("excepted", "excepted", ["exception_id"], ("changed", "exception_id")),
        ("excepted", "open", ["exception_id"], ("changed", "status|exception_id")),
        ("resolved", "reopened", [], ("reopened", "status")),
        ("open", "open", ["surface"], ("changed", "identity_type")),
    ],
)  # fmt: skip
def test_the_delta_holds_what_changed_and_names_the_columns(
    tmp_path: Path, before: Any, status: Any, changed: list[str], told: tuple[str, str] | None
) -> None:
    write_night(
        tmp_path / "state",
        count=1,
        alter=lambda finding: msgspec.structs.replace(
            finding, previous_status=before, status=status, changed=changed
        ),
    )
    rows = export(tmp_path / "state", tmp_path / "out")["findings_delta.csv"]
    assert [(row["change_type"], row["changed_fields"]) for row in rows] == ([told] if told else [])


def test_coverage_names_the_missing_permission(state: Path, tmp_path: Path) -> None:
    rows = export(state, tmp_path / "out")["coverage.csv"]
    assert {"complete", "failed"} <= {row["status"] for row in rows}
    assert any(row["missing_permission"] for row in rows if row["status"] == "failed")


def test_the_same_night_gives_the_same_bytes(state: Path, tmp_path: Path) -> None:
    export(state, tmp_path / "a")
    export(state, tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("config", [Config(), Config(raw=True), Config(delimiter=";")])
def test_few_rows_and_many_are_written_in_the_same_way(tmp_path: Path, config: Config) -> None:
    state = tmp_path / "state"
    write_night(state, count=200, alter=dangerous)
    (run_id,) = (path.name for path in (state / "snapshots").iterdir())
    for large in (True, False):
        (tmp_path / str(large)).mkdir()
        with open_night(state, run_id) as night:
            night.tables.large = large
            write_csv(night, tmp_path / str(large), config)
    written = {path.name: path.read_bytes() for path in (tmp_path / "True").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "False").iterdir()} == written
    assert (b"'=HYPERLINK(1)" in written["findings.csv"]) is not config.raw


def test_files_are_private(state: Path, tmp_path: Path) -> None:
    export(state, tmp_path / "out")
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "out").iterdir())


def test_an_empty_night_has_headers(tmp_path: Path) -> None:
    write_night(tmp_path / "state", count=0, empty=True, complete=True)
    rows = export(tmp_path / "state", tmp_path / "out")
    assert rows["findings.csv"] == []
    assert (tmp_path / "out" / "findings.csv").read_bytes().endswith(b",schema_version\r\n")


def test_json_has_every_finding_raw_and_a_summary(tmp_path: Path) -> None:
    write_night(tmp_path / "state", count=200, alter=dangerous)
    (run_id,) = (path.name for path in (tmp_path / "state" / "snapshots").iterdir())
    with open_night(tmp_path / "state", run_id) as night:
        findings, summary = write_json(night, tmp_path)
    lines = [json.loads(line) for line in findings.read_text().splitlines()]
    assert len(lines) == 200
    assert {line["version"] for line in lines} == {1}
    assert "=HYPERLINK(1)" in {line["subject_name"] for line in lines}
    assert all(line["first_seen"].endswith("Z") for line in lines)
    document = json.loads(summary.read_text())
    assert sum(count for counts in document["findings"].values() for count in counts.values()) == 200
    assert document["files"][0]["sha256"] == hashlib.sha256(findings.read_bytes()).hexdigest()


def test_the_data_package_describes_every_cell(state: Path, tmp_path: Path) -> None:
    """Types, closed lists and keys of the dictionary hold for the files, read by a reader of our own.

    https://specs.frictionlessdata.io/table-schema/: a missing value is an empty cell; constraints apply to all others.
    """
    out = tmp_path / "out"
    rows = export(state, out)
    package = json.loads((out / "datapackage.json").read_text())
    described = {resource["path"]: resource for resource in package["resources"]}
    assert described.keys() == {f"{name}.csv" if "." not in name else name for name in rows}
    keys = {name: {row[next(iter(row))] for row in part} for name, part in rows.items() if part}
    checks: dict[str, Callable[[str], bool]] = {
        "boolean": lambda cell: cell in ("true", "false"),
        "integer": lambda cell: cell.lstrip("-").isdigit(),
        "number": lambda cell: isinstance(float(cell), float),
        "datetime": lambda cell: bool(datetime.strptime(cell, "%Y-%m-%dT%H:%M:%SZ")),
        "string": lambda cell: isinstance(cell, str),
    }
    compared = 0
    for name, part in rows.items():
        resource = described[name if name.endswith(".csv") else f"{name}.csv"]
        data = (out / resource["path"]).read_bytes()
        assert resource["bytes"] == len(data)
        assert resource["hash"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        fields = {field["name"]: field for field in resource["schema"]["fields"]}
        assert all("description" in field for field in fields.values()), name
        for row in part:
            assert list(row) == list(fields), name
            for header, cell in row.items():
                if not cell:
                    assert "required" not in fields[header].get("constraints", {}), (name, header)
                    continue
                field = fields[header]
                assert checks[field["type"]](cell), (name, header, cell)
                assert cell in field.get("constraints", {}).get("enum", [cell]), (name, header, cell)
                compared += 1
        for foreign in resource["schema"].get("foreignKeys", []):
            (header,) = foreign["fields"]
            target = f"{foreign['reference']['resource']}.csv"
            assert {row[header] for row in part if row[header]} <= keys.get(target, set()), (name, header)
    assert compared > 1_000


def test_passes_failures_and_what_proves_nothing_are_told_apart(demo: Demo) -> None:
    rows = read_export(max((demo.folder / "reports").iterdir()))
    results = {row["result"] for row in rows["rule_results.csv"]}
    assert {"pass", "fail", "incomplete", "not-evaluated"} <= results
    assert all((row["result"] == "fail") == (int(row["findings"]) > 0) for row in rows["rule_results.csv"])
    assert all(row["status"] == "evaluated" for row in rows["rule_results.csv"] if row["result"] == "pass")
    controls = rows["framework_results.csv"]
    assert any(int(row["checks_passed"]) for row in controls)
    # Where a rule's silence proves nothing, there is no pass.
    assert any(int(row["checks_without_evidence"]) and not int(row["checks_passed"]) for row in controls)
    excess = {row["result"] for row in rows["excess.csv"]}
    assert "excess" in excess
    assert all(row["fix"] and row["path"] for row in rows["excess.csv"] if row["result"] == "excess")


def test_pandas_and_sqlite_load_the_files_with_the_types_of_the_dictionary(
    state: Path, tmp_path: Path
) -> None:
    """As an analyst would: no type is guessed, and no cell is left that is not of its type."""
    out = tmp_path / "out"
    export(state, out)
    package = json.loads((out / "datapackage.json").read_text())
    pandas_types = {"string": "string", "integer": "Int64", "number": "Float64", "boolean": "boolean"}
    affinities = {"integer": "INTEGER", "number": "REAL"}
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("PRAGMA foreign_keys = ON")
        for resource in package["resources"]:
            fields = {field["name"]: field["type"] for field in resource["schema"]["fields"]}
            dates = [name for name, kind in fields.items() if kind == "datetime"]
            frame = pd.read_csv(
                out / resource["path"],
                dtype={name: pandas_types[kind] for name, kind in fields.items() if kind != "datetime"},
                true_values=["true"],
                false_values=["false"],
                keep_default_na=False,
                na_values=[""],
                parse_dates=dates,
                date_format="%Y-%m-%dT%H:%M:%SZ",
            )
            assert list(frame.columns) == list(fields)
            assert all(str(frame[name].dtype).startswith("datetime64") or frame[name].isna().all() for name in dates)  # fmt: skip
            key = resource["schema"]["primaryKey"][0]
            assert frame[key].is_unique
            assert not frame[key].isna().any()
            columns = ", ".join(
                f'"{name}" {affinities.get(kind, "TEXT")}{" PRIMARY KEY" if name == key else ""}'
                for name, kind in fields.items()
            )
            database.execute(f'CREATE TABLE "{resource["name"]}" ({columns}) STRICT')
            with (out / resource["path"]).open(encoding="utf-8", newline="") as file:
                rows = [[cell or None for cell in row] for row in csv.reader(file)][1:]
            marks = ", ".join("?" * len(fields))
            database.executemany(f'INSERT INTO "{resource["name"]}" VALUES ({marks})', rows)
            (count,) = database.execute(f'SELECT count(*) FROM "{resource["name"]}"').fetchone()
            assert count == len(frame)
        query = """
            SELECT count(*) FROM findings AS f JOIN scopes AS s USING (scope_id) JOIN evidence AS e USING (evidence_ref)
        """
        assert database.execute(query).fetchone() == (60,)


def test_columns_keep_their_place_over_versions() -> None:
    """Importers map columns by place: the first ones of the files that exist today are these, whatever is added later."""
    first = {
        "findings": ["finding_id", "rule_id", "rule_version", "category", "title", "severity", "status"],
        "findings_delta": ["finding_id", "change_type", "previous_status", "changed_fields", "run_id", "observed_at"],
        "identities": ["identity_id", "provider", "tenant_id", "scope_id", "scope_name", "native_id", "name"],
        "exceptions": ["exception_id", "selector", "rule_id", "finding_id", "reason"],
        "coverage": ["coverage_id", "run_id", "collector", "collector_version", "provider", "tenant_id", "scope_id"],
        "frameworks": ["framework", "title", "version", "published", "license", "source", "url", "controls", "not_claimed"],
        "control_rules": ["control_rule_id", "framework_result_id", "framework", "control", "rule_id", "relation", "at_most_days", "days"],
        "framework_results": ["framework_result_id", "framework", "control", "control_title", "rules", "checks_passed", "checks_failed",
                              "checks_incomplete", "checks_not_evaluated", "checks_without_evidence", "open_findings",
                              "accepted_findings", "result", "silence_proves", "evidence_tables", "note"],
    }  # fmt: skip
    order = json.loads(ORDER.read_text())
    for name, columns in first.items():
        assert order[name][: len(columns)] == columns, name
