"""From a sealed snapshot to findings: their texts, owners, addresses, completeness, ids, and identical bytes."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from scanner.analyze.rule_files import RuleError
from scanner.analyze.steps import AnalyzeSettings, analyze
from scanner.document import DocumentError
from scanner.records import Grant, Link, Secret, Trust
from scanner.snapshot import SnapshotError
from tests.sealed_night import (
    ACCOUNT,
    account,
    analyzed,
    denied,
    everything,
    findings,
    key,
    listed,
    role,
    rows,
    run_of,
    seal_night,
)

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.records import Record

ADMIN: dict[str, Any] = {
    "provider": "aws",
    "account_id": ACCOUNT,
    "role": "AdministratorAccess",
    "resource": "*",
    "breadth": "account",
    "powers": ["admin"],
    "level": "admin",
}

OWN_RULE = """\
title: Own
severity: low
category: stale
why: It is so. It is.
fix: Change it. Then look.
needs: [credentials]
subject: credentials
query: SELECT {query}
examples: []
"""


def one(tmp_path: Path, rule: str, night: int = 1) -> dict[str, Any]:
    names = [row[0] for row in rows(tmp_path, night, "SELECT column_name FROM (DESCRIBE findings)")]
    [row] = rows(tmp_path, night, f"SELECT * FROM findings WHERE rule = '{rule}'")
    return dict(zip(names, row, strict=True))


def own_rule(tmp_path: Path, query: str, name: str = "own") -> Path:
    folder = tmp_path / "rules"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(OWN_RULE.format(query=query), encoding="utf-8")
    return folder


def test_a_finding_says_who_where_what_and_by_when(tmp_path: Path) -> None:
    night = [account(environment="production"), role("deploy"), *everything(), key("A"), Grant(id="g", identity_id="aws:iam-role:deploy", **ADMIN)]  # fmt: skip
    analyzed(tmp_path, 1, night)
    found = one(tmp_path, "credential-unused")
    digest = hashlib.sha256(b'["credential-unused","aws:access-key:A"]').digest()
    assert found["id"] == "nf1-" + base64.b32encode(digest).decode().lower()[:26]
    assert {name: found[name] for name in ("severity", "status", "category", "provider", "account_id", "account_name", "subject", "subject_table", "subject_kind", "subject_name", "identity_id", "identity_name", "surface", "credential_id", "owner", "owner_source", "environment", "blast")} == {
        "severity": "medium",
        "status": "new",
        "category": "stale",
        "provider": "aws",
        "account_id": ACCOUNT,
        "account_name": "account-1",
        "subject": "aws:access-key:A",
        "subject_table": "credentials",
        "subject_kind": "access-key",
        "subject_name": "A",
        "identity_id": "aws:iam-role:deploy",
        "identity_name": "deploy",
        "surface": "automation",
        "credential_id": "aws:access-key:A",
        "owner": "platform",
        "owner_source": "tag:owner",
        "environment": "production",
        "blast": "has admin in account-1",
    }  # fmt: skip
    assert found["path"] == ["has admin on * through AdministratorAccess"]
    assert found["evidence"]["last_used_at"] == "2026-08-14T02:00:00Z"
    assert (found["due_at"] - found["first_seen"]).days == 60
    # medium 3000, reaches admin 300, confidence 50, first night 0
    assert found["rank"] == 3350.0


@pytest.mark.parametrize("subject", ["plain", 'quote"back\\slash', "é – 漢字 🎉", "tab\tnewline\nbell\u0007", "'; DROP TABLE x"])  # fmt: skip
def test_ids_are_the_hash_of_canonical_json_whatever_is_in_a_name(tmp_path: Path, subject: str) -> None:
    analyzed(tmp_path, 1, [*everything(), key("A"), key(subject)])
    wanted = json.dumps(
        ["credential-unused", f"aws:access-key:{subject}"], separators=(",", ":"), ensure_ascii=False
    )
    digest = hashlib.sha256(wanted.encode()).digest()
    ids = {row[0] for row in rows(tmp_path, 1, "SELECT id FROM findings WHERE rule = 'credential-unused'")}
    assert "nf1-" + base64.b32encode(digest).decode().lower()[:26] in ids
    assert len(ids) == 2


def test_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    night: list[Record] = [
        account(),
        role("deploy"),
        *everything(),
        *[key(f"K{number}") for number in range(200)],
    ]
    run_id = seal_night(tmp_path, 1, night, [account(), key("other")])

    def everything_written() -> dict[str, bytes]:
        folders = (tmp_path / "analysis", tmp_path / "history")
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        assert all(path.stat().st_mode & 0o077 == 0 for path in files)
        return {str(path.relative_to(tmp_path)): path.read_bytes() for path in files}

    analyze(tmp_path, run_id, settings=AnalyzeSettings())
    first = everything_written()
    analyze(tmp_path, run_id, settings=AnalyzeSettings())
    assert everything_written() == first
    assert f"analysis/{run_id}/findings.parquet" in first
    assert not any("work" in name or "partial" in name for name in first)


def test_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    run_id = seal_night(tmp_path, 1, [*everything(), key("A")])
    path = next((tmp_path / "snapshots" / run_id / "credentials").iterdir())
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(SnapshotError, match="differs from the manifest"):
        analyze(tmp_path, run_id, settings=AnalyzeSettings())
    assert not (tmp_path / "analysis").exists()


def test_owners_come_from_file_then_record_then_identity_then_account(tmp_path: Path) -> None:
    owners = tmp_path / "owners.csv"
    owners.write_text(
        "Match,Owner,Environment,Cost center\n"
        "arn:aws:iam::1:role/exact,by-address,staging,1\n"
        "arn:aws:iam::1:role/ex*,by-glob,,2\n"
        "aws:account:2,by-account-line,,3\n"
        "aws:iam-role:empty,,,4\n",
        encoding="utf-8",
    )
    other = "aws:account:2"
    roles = [
        role("exact", owner=None),
        role("exotic", owner=None),
        role("tagged", owner="tag"),
        role("bare", owner=None),
        role("empty", owner=None),
        role("foreign", owner=None, account_id=other),
    ]
    keys = [key("of-tagged", identity_id="aws:iam-role:tagged"), key("of-none", identity_id="aws:iam-role:bare"), key("own", owner="mine")]  # fmt: skip
    analyzed(tmp_path, 1, [account(), account(2), *roles, *keys, *everything()], owners=owners)
    assert rows(
        tmp_path, 1, "SELECT name, owner, owner_source, environment FROM identities ORDER BY name"
    ) == [
        ("bare", None, None, None),
        ("empty", None, None, None),
        ("exact", "by-address", "file", "staging"),
        ("exotic", "by-glob", "file", None),
        ("foreign", "by-account-line", "account:account-2", None),
        ("tagged", "tag", "tag:owner", None),
    ]
    assert rows(tmp_path, 1, "SELECT name, owner FROM credentials ORDER BY name") == [
        ("of-none", None),
        ("of-tagged", "tag"),
        ("own", "mine"),
    ]
    assert findings(tmp_path, 1, "identity-without-owner") == {"bare": "new", "empty": "new"}


def test_owners_are_inherited_from_the_nearest_account_that_has_one(tmp_path: Path) -> None:
    group = account(1, owner="platform", owner_source="group owner", address="acme")
    below = account(2, parent_id="aws:account:1")
    project = account(3, parent_id="aws:account:2", address="acme/app")
    own = account(
        4, parent_id="aws:account:1", owner="payments", owner_source="tag:owner", address="acme/pay"
    )
    alone = account(5)
    rings = [account(6, parent_id="aws:account:7"), account(7, parent_id="aws:account:6")]
    strays = account(8, parent_id="aws:account:99")
    accounts = [group, below, project, own, alone, *rings, strays]
    roles = [role(f"in-{item.name}", owner=None, owner_source=None, account_id=item.id) for item in accounts]
    analyzed(tmp_path, 1, [*accounts, *roles, *everything("aws:account:3"), *everything("aws:account:5")])
    query = "SELECT id[13:], owner, owner_source FROM accounts ORDER BY id"
    assert rows(tmp_path, 1, query) == [
        ("1", "platform", "group owner"),
        ("2", "platform", "account:acme"),
        ("3", "platform", "account:acme"),
        ("4", "payments", "tag:owner"),
        ("5", None, None),
        ("6", None, None),
        ("7", None, None),
        ("8", None, None),
    ]
    query = "SELECT name[12:], owner, owner_source FROM identities ORDER BY name"
    assert rows(tmp_path, 1, query) == [
        ("1", "platform", "account:acme"),
        ("2", "platform", "account:acme"),
        ("3", "platform", "account:acme"),
        ("4", "payments", "account:acme/pay"),
        ("5", None, None),
        ("6", None, None),
        ("7", None, None),
        ("8", None, None),
    ]
    assert "in-account-5" in findings(tmp_path, 1, "identity-without-owner")
    assert "in-account-3" not in findings(tmp_path, 1, "identity-without-owner")


def test_an_ownership_file_without_its_columns_is_reported(tmp_path: Path) -> None:
    owners = tmp_path / "owners.csv"
    owners.write_text("match,team\nx,y\n", encoding="utf-8")
    run_id = seal_night(tmp_path, 1, everything())
    with pytest.raises(DocumentError, match=r"owners.csv:1: no column `owner` \(or owned_by\)"):
        analyze(tmp_path, run_id, settings=AnalyzeSettings(owners=owners))


def test_addresses_become_ids(tmp_path: Path) -> None:
    arn = "arn:aws:iam::1:role/deploy"
    night = [
        account(),
        role("deploy"),
        role("other"),
        Grant(id="g", identity_id=arn, **ADMIN),
        Link(
            id="l",
            provider="aws",
            account_id=ACCOUNT,
            source_id="aws:iam-role:other",
            relation="uses",
            target_id=arn,
        ),
        Trust(id="t", provider="aws", account_id=ACCOUNT, identity_id="arn:unknown", kind="oidc", issuer="x"),
        Secret(id="s", provider="aws", account_id=ACCOUNT, store="lambda-env", name="S", holder_id=arn),
        *everything(),
    ]
    analyzed(tmp_path, 1, night)
    assert rows(tmp_path, 1, "SELECT identity_id FROM grants") == [("aws:iam-role:deploy",)]
    assert rows(tmp_path, 1, "SELECT source_id, target_id FROM links") == [
        ("aws:iam-role:other", "aws:iam-role:deploy")
    ]
    assert rows(tmp_path, 1, "SELECT identity_id FROM trusts") == [("arn:unknown",)]
    assert rows(tmp_path, 1, "SELECT holder_id, owner FROM secrets") == [("aws:iam-role:deploy", "platform")]
    assert one(tmp_path, "automation-admin")["identity_name"] == "deploy"


def test_a_record_of_two_targets_counts_once_from_the_first(tmp_path: Path) -> None:
    analyzed(
        tmp_path, 1, [account(owner="first"), key("A"), *everything()], [account(owner="second"), key("A")]
    )
    assert rows(tmp_path, 1, "SELECT id, owner FROM accounts") == [(ACCOUNT, "first")]
    assert findings(tmp_path, 1, "credential-unused") == {"A": "new"}


def test_a_rule_says_how_far_its_silence_goes(tmp_path: Path) -> None:
    accounts = [account(number) for number in range(1, 6)]
    partly = [listed("credentials", account_id="aws:account:2"), denied("credentials", call="more", account_id="aws:account:2")]  # fmt: skip
    blind = [denied("credentials", account_id="aws:account:3")]
    other_kind = [
        listed("credentials", account_id="aws:account:4"),
        denied("grants", account_id="aws:account:4"),
    ]
    never_asked = [listed("identities", account_id="aws:account:5")]
    analyzed(tmp_path, 1, [*accounts, *everything(), *partly, *blind, *other_kind, *never_asked])
    query = "SELECT account_id, status, missing_table, reason FROM rule_results WHERE rule = 'credential-unused' ORDER BY 1"
    assert rows(tmp_path, 1, query) == [
        ("aws:account:1", "evaluated", None, None),
        ("aws:account:2", "incomplete", "credentials", "more: denied (needs iam:ListAccessKeys)"),
        ("aws:account:3", "not-evaluated", "credentials", "list: denied (needs iam:ListAccessKeys)"),
        ("aws:account:4", "evaluated", None, None),
    ]


def test_a_finding_where_a_need_is_never_asked_for_is_kept_and_marked(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [account(), key("A")])
    assert findings(tmp_path, 1, "credential-unused") == {"A": "new"}
    query = "SELECT status, findings, reason FROM rule_results WHERE rule = 'credential-unused'"
    assert rows(tmp_path, 1, query) == [
        ("incomplete", 1, "not everything that this rule needs is listed here")
    ]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("id AS subject, ''::INTEGER::VARCHAR AS detail FROM credentials", "query"),
        ("id AS subject, 'x' AS detail FROM credentials, range(2)", "query gives the subject aws:access-key:A 2 times"),
        ("NULL AS subject, 'x' AS detail FROM credentials", "query gives a subject that is NULL"),
        ("identity_id AS subject, 'x' AS detail FROM credentials", "its subject aws:iam-role:deploy is no row of credentials"),
        ("id AS subject FROM credentials", "query gives no column `detail`"),
        ("1; DROP TABLE rules", "query must be exactly one SELECT"),
        ("id AS subject, now() AS detail FROM credentials", "query must not use `now`"),
        ("id AS subject, 'x' AS detail FROM '/etc/passwd'", "query is refused"),
        ("id AS subject, 'x' AS detail FROM nowhere", "query is refused"),
    ],
)  # fmt: skip
def test_a_custom_rule_that_fails_is_an_error_and_the_others_go_on(
    tmp_path: Path, query: str, error: str
) -> None:
    night = [account(), key("A"), *everything()]
    summary = analyzed(tmp_path, 1, night, custom_rules=own_rule(tmp_path, query))
    [said] = summary.errors
    assert said.startswith(f"own: {error}")
    assert findings(tmp_path, 1, "own") == {}
    assert findings(tmp_path, 1, "credential-unused") == {"A": "new"}
    assert rows(tmp_path, 1, "SELECT account_id, status FROM rule_results WHERE rule = 'own'") == [
        (ACCOUNT, "error")
    ]
    assert (
        json.loads((tmp_path / "analysis" / run_of(1) / "summary.json").read_bytes())["errors"]
        == summary.errors
    )


def test_a_custom_rule_cannot_change_what_others_see(tmp_path: Path) -> None:
    folder = own_rule(
        tmp_path, "id AS subject, 'x' AS detail, current_setting('memory_limit') AS m FROM credentials"
    )
    own_rule(
        tmp_path, "id AS subject, content AS detail FROM credentials, read_text('/etc/hostname')", "reader"
    )
    summary = analyzed(tmp_path, 1, [key("A"), *everything()], custom_rules=folder)
    assert summary.errors == [
        "own: query must not use `current_setting`: use $as_of, the tables and the parameters only",
        "reader: query must not use `read_text`: use $as_of, the tables and the parameters only",
    ]


def test_a_query_without_a_detail_still_counts(tmp_path: Path) -> None:
    folder = own_rule(
        tmp_path, "id AS subject, expires_at::VARCHAR AS detail, 'grave' AS severity FROM credentials"
    )
    analyzed(tmp_path, 1, [key("A"), *everything()], custom_rules=folder)
    found = one(tmp_path, "own")
    assert (found["detail"], found["severity"]) == ("Own", "low")


def test_thresholds_and_unknown_rules_in_the_configuration(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [key("A"), *everything()], rule_params={"credential-unused": {"days": 101}})
    assert findings(tmp_path, 1, "credential-unused") == {}
    with pytest.raises(RuleError, match="no such parameter"):
        analyzed(tmp_path, 2, everything(), rule_params={"credential-unused": {"dys": 1}})


def test_rules_json_says_which_rules_ran_and_for_which_controls(tmp_path: Path) -> None:
    run_id = seal_night(tmp_path, 1, everything())
    analyze(tmp_path, run_id, settings=AnalyzeSettings(frameworks=["cis-aws"], disabled=["trust-open"]))
    rules = {
        rule["id"]: rule for rule in json.loads((tmp_path / "analysis" / run_id / "rules.json").read_bytes())
    }
    assert "trust-open" not in rules
    assert rules["credential-unused"]["controls"] == {
        "aws": [{"framework": "CIS AWS 7.0.0", "code": "2.11", "relation": "full"}]
    }
    assert rules["credential-unused"]["params"] == {"days": 45}


def test_figures_of_the_night(tmp_path: Path) -> None:
    night = [account(), role("deploy"), key("A"), key("B", unused_days=None, lifetime="static"), *everything(), denied("links", call="x")]  # fmt: skip
    analyzed(tmp_path, 1, night)
    figures = dict(rows(tmp_path, 1, "SELECT metric, value FROM metrics WHERE dimension = 'all'"))
    assert figures["open_findings"] == 1
    assert figures["resolved_findings"] == 0
    assert figures["static_credentials"] == 1
    assert figures["credentials_with_known_use"] == 0.5
    assert figures["listings_complete"] == 0.875
    by_owner = (
        "SELECT dimension_value, value FROM metrics WHERE metric = 'open_findings' AND dimension = 'owner'"
    )
    assert rows(tmp_path, 1, by_owner) == [("platform", 1.0)]
    assert figures["median_days_to_resolve"] is None


def test_an_empty_night_proves_nothing(tmp_path: Path) -> None:
    summary = analyzed(tmp_path, 1, [])
    assert summary.findings == {}
    assert summary.coverage.ratio == 0.0
    assert set(summary.rule_results) == {"evaluated"}  # the rules about exceptions.yaml, which was read
    assert rows(tmp_path, 1, "SELECT DISTINCT account_id FROM rule_results") == [
        ("sprawlscan:file:exceptions",)
    ]
