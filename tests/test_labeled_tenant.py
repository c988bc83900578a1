"""A labeled tenant: every fact and every conclusion as written down beforehand, and none that is marked as wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import collectors.entra
from sandbox.entra import EntraSandbox
from sandbox.estate import FIRST_NIGHT
from sandbox.kit.provider import environment
from scanner.command.progress import LogProgress
from scanner.config import ReportSettings, Settings
from scanner.config_file import Loaded
from scanner.night import Night
from scanner.pipeline.stages import run_night
from scanner.snapshot import run_id_of
from scanner.yaml_data import read_yaml
from tests.labeled_tenant import build

LABELS: dict[str, list[dict[str, Any]]] = read_yaml(Path(__file__).parent / "data" / "labeled_tenant.yaml")
_NAMED = {
    "identities": "SELECT *, name AS key FROM identities",
    "credentials": "SELECT *, name AS key FROM credentials",
    "trusts": "SELECT t.*, i.name AS key FROM trusts t JOIN identities i ON i.id = t.identity_id WHERE t.kind = 'oidc'",
    "grants": "SELECT g.*, i.name AS key FROM grants g JOIN identities i ON i.id = g.identity_id",
    "links": "SELECT l.relation, s.name AS source, t.name AS target FROM links l JOIN identities s ON s.id = l.source_id"
    " JOIN identities t ON t.id = l.target_id",
    "findings": "SELECT f.rule, f.subject_name, f.detail, i.name AS identity FROM findings f"
    " LEFT JOIN identities i ON i.id = f.identity_id",
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("labeled")
    with EntraSandbox(page=500) as sandbox, environment(sandbox.environment()):
        sandbox.directory = build()
        settings = Settings(
            state=folder / "state",
            collectors={"entra": [collectors.entra.Config.model_validate(sandbox.section())]},
            reports=ReportSettings(formats=[]),
        )
        loaded = Loaded(settings=settings, path=folder / "config.yaml", digest="")
        run_night(loaded, as_of=FIRST_NIGHT, progress=LogProgress())
    night = Night(folder / "state", run_id_of(FIRST_NIGHT))
    assert list(night.rows("SELECT call, detail FROM gaps", {})) == []
    return {table: list(night.dicts(query)) for table, query in _NAMED.items()}


def found(tables: dict[str, list[dict[str, Any]]], table: str, label: dict[str, Any]) -> bool:
    """Whether a row is as its label says."""
    wanted = {name: value for name, value in label.items() if name not in {"must_not", "of", "name", "text"}}
    for row in tables[table]:
        match table:
            case "findings":
                text = f"{row['subject_name']} {row['detail']} {row['identity']}"
                same = label["text"] in text
            case "links":
                same = True
            case _:
                same = row["key"] == (label.get("of") or label.get("name") or label["must_not"])
        if same and all(row[name] == value for name, value in wanted.items()):
            return True
    return False


@pytest.mark.parametrize(
    ("table", "label"),
    [
        pytest.param(table, label, id=f"{table}-{number}")
        for table, labels in LABELS.items()
        for number, label in enumerate(labels)
    ],
)
def test_the_tenant_is_seen_as_it_is(
    tables: dict[str, list[dict[str, Any]]], table: str, label: dict[str, Any]
) -> None:
    assert found(tables, table, label) is not bool(label.get("must_not")), label
