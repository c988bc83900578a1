"""`findings`, `who-can` and `blast-radius` over the demo, against answers that stand in its export and in its story."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from scanner.command.cli import app
from scanner.questions.finding_list import FIELDS, as_csv, as_markdown, as_table
from scanner.snapshot import list_sealed

if TYPE_CHECKING:
    from tests.conftest import Demo


def ask(demo: Demo, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(
        app, [*arguments, "--state", str(demo.folder), "--config", str(demo.folder / "config.yaml")]
    )
    assert result.exit_code == code, result.output
    return result.output


def exported(demo: Demo, name: str) -> list[dict[str, str]]:
    folder = max((demo.folder / "reports").iterdir())
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_list_is_that_of_the_export(demo: Demo) -> None:
    rows = json.loads(ask(demo, "findings", "--format", "json"))
    still = [row for row in exported(demo, "findings.csv") if row["status"] in ("new", "open", "reopened")]
    assert sorted(row["id"] for row in rows) == sorted(row["finding_id"] for row in still)
    urgent = json.loads(ask(demo, "findings", "--severity", "high+", "--owner", "none", "--format", "json"))
    wanted = [row for row in still if row["severity"] in ("critical", "high") and not row["owner"]]
    assert sorted(row["id"] for row in urgent) == sorted(row["finding_id"] for row in wanted)
    new = json.loads(ask(demo, "findings", "--new", "--format", "json"))
    assert {row["id"] for row in new} == {row["finding_id"] for row in still if row["status"] != "open"}
    one = json.loads(ask(demo, "findings", "--rule", "deploy-key-write", "--format", "json"))
    assert one
    assert {row["rule"] for row in one} == {"deploy-key-write"}


def test_every_format_has_every_row(demo: Demo) -> None:
    count = len(json.loads(ask(demo, "findings", "--format", "json")))
    assert ask(demo, "findings").count("nf1-") == count
    assert len(list(csv.DictReader(io.StringIO(ask(demo, "findings", "--format", "csv"))))) == count
    table = ask(demo, "findings", "--format", "markdown")
    assert table.count("\n|") == count + 1
    assert "<script" not in table


def test_the_first_lines_are_the_most_urgent(demo: Demo) -> None:
    lines = ask(demo, "findings").splitlines()
    assert lines[0].startswith("critical")
    critical = sum(line.startswith("critical") for line in lines)
    assert lines[-1].startswith(f"{len(lines) - 1} findings: {critical} critical")


def test_who_can_names_the_ways_to_administrator(demo: Demo) -> None:
    text = ask(demo, "who-can", "admin", "--in", "lantern-prod")
    assert "deploy-payments (iam-role" in text
    # The story of the demo: a stored key leads to a role that passes an administrator role to a function.
    assert any("deploy.yml" in line and "3 steps" in line for line in text.splitlines())
    assert "accounts were not read in full, so there can be more" in text
    rows = json.loads(ask(demo, "who-can", "admin", "--in", "lantern-prod", "--format", "json"))
    reached = {
        row["identity_id"]
        for row in exported(demo, "reach.csv")
        if row["power"] == "admin" and int(row["steps"])
    }
    here = {row["id"] for row in rows if row["steps"]}
    assert here
    assert here <= reached


def test_a_day_chooses_the_run(demo: Demo) -> None:
    runs = [sealed.name for sealed in list_sealed(demo.folder / "snapshots")]
    first = ask(demo, "who-can", "admin", "--on", f"{runs[0][:4]}-{runs[0][4:6]}-{runs[0][6:8]}")
    assert "hotfix-runner" not in first  # created before the second night
    assert "hotfix-runner" in ask(demo, "who-can", "admin")
    assert "no analyzed run up to 2020-01-01" in ask(demo, "who-can", "admin", "--on", "2020-01-01", code=2)


def test_a_leaked_key_names_its_copies_its_reach_and_the_order(demo: Demo) -> None:
    text = ask(demo, "blast-radius", "github:github-variable:repo/5003/AWS_ACCESS_KEY_ID")
    assert "proves ci-ledger (iam-user" in text
    assert "lantern-prod: admin (2 steps)" in text
    assert "Order of revocation:" in text
    assert (
        text.index("Create a replacement") < text.index("Replace it in") < text.index("Disable the old one")
    )
    assert "deploy.yml" in text[text.index("Breaks if it is revoked first") :]


def test_a_secret_whose_key_id_is_stored_beside_it_proves_the_user(demo: Demo) -> None:
    text = ask(demo, "blast-radius", "github:github-actions:repo/5003/AWS_SECRET_ACCESS_KEY")
    assert "proves ci-ledger (iam-user, owner core): the key id is stored beside it" in text
    known = {
        row["name"] for row in exported(demo, "secrets.csv") if row["credential_known_by"] == "beside-key-id"
    }
    assert known == {"AWS_SECRET_ACCESS_KEY"}


def test_what_reads_a_vault_is_restarted_after_the_vault_has_the_new_value(demo: Demo) -> None:
    text = ask(demo, "blast-radius", "/prod/web/session_secret")
    vault, reader = "Replace it in ssm-parameter", "Restart what reads it through ecs-env SESSION_SECRET"
    assert text.index("Create a replacement at its issuer") < text.index(vault) < text.index(reader)
    assert "web-frontend (ecs-service) in lantern-prod: receives SESSION_SECRET" in text
    same = ask(demo, "blast-radius", "LEDGER_PASSWORD")
    assert "kv-legacy/ledger-password in key-vault-secret" in same
    assert "PSP_API_KEY" not in same  # another setting of the same application


def test_what_is_not_known_is_said(demo: Demo) -> None:
    text = ask(demo, "blast-radius", "RELEASE_PAT")
    assert "it is not known which credential this is, so what it reaches is unknown (" in text
    assert "stored secrets are matched with a credential)" in text
    assert "No user of it is known; that does not prove that there is none." in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("who-can", "fly"), "'fly' is not a power; use one of admin, grant-access"),
        (
            ("who-can", "admin", "--in", "nowhere"),
            "no account has the name or id 'nowhere'; known: Azure tenant",
        ),
        (("findings", "--severity", "huge"), "use one of critical, high, medium, low, info"),
        (("findings", "--format", "xml"), "use one of table, json, csv, markdown"),
        (("findings", "--rule", "no-such-rule"), "no rule of this run; `sprawlscan rules list` lists them"),
        (("blast-radius", "no-such-secret"), "no secret, credential or identity has the id or name"),
        (("blast-radius", "AWS_ACCESS_KEY_ID"), "is the name of 4 records; give the id of one:"),
        (("who-can", "admin", "--format", "xml"), "use text or json"),
    ],
)
def test_a_wrong_question_says_what_is_right(demo: Demo, arguments: tuple[str, ...], message: str) -> None:
    assert message in ask(demo, *arguments, code=2)


def test_names_cannot_forge_lines() -> None:
    texts = dict.fromkeys(FIELDS, "=x\n\x1b[31m|<b>")
    row: dict[str, Any] = {**texts, "id": "nf1-a", "severity": "high", "due_at": None}
    assert len(as_table([row]).splitlines()) == 2
    assert "\x1b" not in as_table([row]) + as_csv([row]) + as_markdown([row])
    assert "'=x" in as_csv([row]).splitlines()[1]
    assert "<b>" not in as_markdown([row]).replace("\\<b\\>", "")


def test_a_run_names_its_most_urgent_new_findings(demo: Demo) -> None:
    lines = [line.strip() for line in demo.out.splitlines() if line.strip().startswith("new: ")]
    assert len(lines) == 10  # five of each night
    assert lines[0].startswith("new: critical: ")
    tonight = {row["finding_id"]: row for row in exported(demo, "findings.csv")}
    for line in lines[5:]:
        row = tonight[line.rpartition(" ")[2]]
        assert row["status"] == "new"
        assert f"{row['severity']}: {row['title']}: " in line
