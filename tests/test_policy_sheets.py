"""Policies as a person reads them: where each is attached, and its document once."""

from __future__ import annotations

import csv
import hashlib
import json
from typing import TYPE_CHECKING

from reports.csv import Config, write
from scanner.night import open_night
from scanner.policies import canonical_document, policy_record
from tests.sealed_night import ACCOUNT, account, analyzed, everything, role, run_of

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.records import Policy


def policy(number: str, document: str | None) -> Policy:
    return policy_record(
        provider="aws",
        account_id=ACCOUNT,
        kind="managed-policy",
        native_id=number,
        name=f"policy {number}",
        document=document,
        attached_to=["aws:iam-role:deploy", ACCOUNT],
    )


def test_every_policy_leads_to_its_document(tmp_path: Path) -> None:
    statement = {
        "Statement": [{"Effect": "Allow", "Action": ["s3:*", 'say "hi"'], "Resource": "*", "Sid": "Zürich"}]
    }
    document = canonical_document(statement)
    assert json.loads(document) == statement
    policies = [policy("1", document), policy("2", document), policy("3", None)]
    analyzed(tmp_path, 1, [account(), role("deploy"), *everything(), *policies])
    out = tmp_path / "out"
    out.mkdir()
    with open_night(tmp_path, run_of(1)) as night:
        write(night, out, Config())
    sheets = {}
    for name in ("policies", "policy_documents"):
        with (out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            sheets[name] = list(csv.DictReader(file))
    rows = [(row["name"], row["attached_to"], row["size"]) for row in sheets["policies"]]
    attached, size = f"{ACCOUNT}|aws:iam-role:deploy", str(len(document.encode()))
    assert rows == [("policy 1", attached, size), ("policy 2", attached, size), ("policy 3", attached, "")]
    [kept] = sheets["policy_documents"]
    assert json.loads(kept["document"]) == statement
    assert kept["sha256"] == hashlib.sha256(kept["document"].encode()).hexdigest()
    assert {row["sha256"] for row in sheets["policies"]} == {kept["sha256"], ""}
    assert (kept["policies"], kept["size"]) == ("2", size)
