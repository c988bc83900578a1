"""A made-up analyzed night in a state folder, for tests and measurements of reports: no scan, no rules run."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from scanner.analyze.metrics import measure
from scanner.findings import (
    RESULT_TABLES,
    Category,
    ExceptionState,
    Excess,
    ExcessStep,
    Finding,
    Metric,
    Reach,
    RuleResult,
    Status,
    TargetCoverage,
)
from scanner.ledger import Analyzed, Ledger
from scanner.parquet import write_table
from scanner.records import (
    TABLES,
    Account,
    Artifact,
    Control,
    Coverage,
    Credential,
    Gap,
    Grant,
    Identity,
    Level,
    Link,
    Power,
    Record,
    Rollout,
    Secret,
    Severity,
    Surface,
    Trust,
    Weakness,
)
from scanner.secrets.detectors import Fingerprint
from scanner.snapshot import RunInfo, begin, run_id_of, seal
from scanner.tables import Tables
from scanner.target_writer import TargetWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

AS_OF = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
PREVIOUS = "20261122T020000Z"

PROD = "aws:account:200000000002"
DEV = "aws:account:300000000003"
MANAGEMENT = "aws:account:100000000001"
ORG = "github:org:7001001"
NAMES = {PROD: "lantern-prod", DEV: "lantern-dev", MANAGEMENT: "lantern-management", ORG: "lanternpay"}
OWNERS = ("team-payments", "team-platform", "team-data", "team-risk", None)
REPOSITORIES = ("payments-api", "web-frontend", "ledger", "data-jobs", "infra", "pr-preview")
_SCORE: dict[Severity, float] = {
    "critical": 1000.0,
    "high": 700.0,
    "medium": 400.0,
    "low": 200.0,
    "info": 50.0,
}


class Pattern(NamedTuple):
    """What findings of one rule look like."""

    rule: str
    title: str
    severity: Severity
    category: Category
    table: str
    kind: str
    surface: Surface
    provider: str
    name: str
    detail: str
    fix: str
    blast: str


PATTERNS = (
    Pattern(
        "aws-oidc-trust-no-subject",
        "Any GitHub repository can become this role",
        "critical",
        "trust",
        "trusts",
        "oidc",
        "automation",
        "aws",
        "deploy-{word}",
        "The trust policy of {name} accepts every token of token.actions.githubusercontent.com with audience sts.amazonaws.com: it tests no subject.",
        "Pin token.actions.githubusercontent.com:sub to repo:lanternpay@7001001/{word}@5001:environment:production in the trust policy of {name}.",
        "AdministratorAccess on lantern-prod: 214 identities and 38 stored secrets",
    ),
    Pattern(
        "automation-admin",
        "Automation holds standing administrator rights",
        "critical",
        "over-scope",
        "grants",
        "iam-role",
        "automation",
        "aws",
        "terraform-{word}",
        "{name} is granted AdministratorAccess and is assumed by a pipeline; it used 14 of 412 services in 400 days.",
        "Replace AdministratorAccess on {name} with the 14 services that it used, and guard the rest with an approval.",
        "everything in lantern-prod, and iam:PassRole into 61 roles",
    ),
    Pattern(
        "access-key-old",
        "Access key older than 90 days",
        "medium",
        "static-secret",
        "credentials",
        "access-key",
        "automation",
        "aws",
        "AKIA{hash16}",
        "Access key {name} of ci-{word} was made 612 days ago and has never been rotated.",
        "Rotate {name}, or give ci-{word} an OIDC login and delete the key.",
        "s3:PutObject on lantern-ledger-exports",
    ),
    Pattern(
        "access-key-in-ci-secret",
        "Static cloud key stored in a pipeline although federation is set up",
        "high",
        "static-secret",
        "secrets",
        "github-actions",
        "automation",
        "github",
        "AWS_SECRET_ACCESS_KEY",
        "The repository secret {name} of lanternpay/{word} signs in as ci-{word}; the account already trusts GitHub's OIDC issuer.",
        "Let the workflow of lanternpay/{word} assume a role by OIDC, then delete {name} and the access key.",
        "ci-{word}: read-secrets on lantern-prod",
    ),
    Pattern(
        "lambda-plaintext-secret",
        "Secret readable in a function's environment",
        "high",
        "static-secret",
        "secrets",
        "lambda-env",
        "workload",
        "aws",
        "DB_PASSWORD_{n}",
        "{name} of {word} is readable in plaintext by everyone with lambda:GetFunctionConfiguration, and looks like a password of 24 characters.",
        "Move {name} to Secrets Manager, let the function read it at start, and change the password.",
        "the production ledger database",
    ),
    Pattern(
        "role-unused",
        "Role not used for 90 days",
        "low",
        "stale",
        "identities",
        "iam-role",
        "automation",
        "aws",
        "legacy-{word}-{n}",
        "{name} was last used 231 days ago; the provider's records reach 400 days back.",
        "Delete {name}, or attach a deny policy for two weeks first.",
        "read on 12 buckets",
    ),
    Pattern(
        "identity-without-owner",
        "Nobody answers for this identity",
        "medium",
        "ownership",
        "identities",
        "iam-user",
        "human",
        "aws",
        "svc-{word}-{n}",
        "{name} has no owner in the register, no owner tag, and its creator is gone.",
        "Name an owner for {name} in owners.csv, or remove it.",
        "write on lantern-dev",
    ),
    Pattern(
        "workflow-write-all",
        "Pipeline token can write to everything in its repository",
        "medium",
        "over-scope",
        "identities",
        "github-workflow",
        "automation",
        "github",
        "lanternpay/{word}/.github/workflows/deploy.yml",
        "{name} declares no permissions, so its token may write contents, packages and deployments.",
        "Put permissions: {{}} at the top of {name} and grant each job what it needs.",
        "code and releases of lanternpay/{word}",
    ),
    Pattern(
        "deploy-key-write",
        "Deploy key with write access",
        "high",
        "static-secret",
        "credentials",
        "deploy-key",
        "automation",
        "github",
        "jenkins-{word}",
        "Deploy key {name} can push to lanternpay/{word} and has no end; GitHub last saw it used 3 days ago.",
        "Replace {name} with a GitHub App installation limited to lanternpay/{word}, then remove it.",
        "the default branch of lanternpay/{word}",
    ),
    Pattern(
        "mutable-image-tag",
        "Running image can be replaced under the same tag",
        "info",
        "integrity",
        "artifacts",
        "image",
        "artifact",
        "aws",
        "{word}:latest",
        "The tag {name} may be moved to another digest; what is deployed is not what was reviewed.",
        "Set image tag immutability on the repository of {name} and deploy by digest.",
        "what runs in production",
    ),
)
WORDS = ("payments", "web", "ledger", "data", "infra", "preview", "risk", "fraud", "mobile", "billing")


def digest(text: str, length: int) -> str:
    """Return a stand-in for an id: base32 of a hash, so that it compresses as badly as a real one."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:length]


def finding(number: int, pattern: Pattern, status: Status, as_of: datetime) -> Finding:
    """Return the numbered finding of a pattern."""
    word = WORDS[(number + number // len(PATTERNS)) % len(WORDS)]
    shape = {"word": word, "n": number, "hash16": digest(f"key{number}", 16)}
    name = pattern.name.format(**shape)
    account = ORG if pattern.provider == "github" else (PROD, DEV, PROD, MANAGEMENT)[number % 4]
    owner = OWNERS[(number * 3 + number // 10) % len(OWNERS)]
    if pattern.rule == "identity-without-owner":
        owner = None
    native = digest(f"native{pattern.rule}{number}", 17)
    subject = f"{pattern.provider}:{pattern.kind}:{'AROA' if 'role' in pattern.kind else ''}{native}"
    days = (number * 37) % 400 if status != "new" else 0
    first_seen = as_of - timedelta(days=days)
    due = {"critical": 7, "high": 30, "medium": 60, "low": 90}.get(pattern.severity)
    changed = status in ("new", "reopened", "resolved")
    return Finding(
        id="nf1-" + digest(f"{pattern.rule}|{subject}", 26).lower(),
        rule=pattern.rule,
        rule_version="rv-5b1c90aa",
        category=pattern.category,
        controls=["CIS AWS 5.0: 1.13"] if pattern.provider == "aws" else [],
        title=pattern.title,
        severity=pattern.severity,
        status=status,
        previous_status=None if status == "new" else "open",
        confidence="low" if number % 11 == 3 else "high",
        rank=_SCORE[pattern.severity] + (100 if owner is None else 0) + days / 10,
        provider=pattern.provider,
        account_id=account,
        account_name=NAMES[account],
        subject=subject,
        subject_table=pattern.table,
        subject_kind=pattern.kind,
        subject_name=name,
        identity_id=f"{pattern.provider}:identity:{word}",
        identity_name=f"ci-{word}",
        surface=pattern.surface,
        resource=f"arn:aws:s3:::lantern-{word}-exports" if pattern.provider == "aws" else None,
        owner=owner,
        owner_source="tag:owner" if owner else None,
        environment="production" if account == PROD else None,
        detail=pattern.detail.format(name=name, **shape),
        fix=pattern.fix.format(name=name, **shape),
        blast=pattern.blast.format(name=name, **shape),
        path=[
            f"lanternpay/{word}/.github/workflows/deploy.yml",
            f"signs in by OIDC as deploy-{word}",
            f"{name} has admin on *",
        ],
        evidence={"last_used_service": "s3", "created_at": "2025-03-21"},
        url=f"https://console.aws.amazon.com/iam/home#/roles/{word}",
        first_seen=first_seen,
        open_since=as_of if status == "reopened" else first_seen,
        counts_as_new=status if status == "new" or status == "reopened" else None,
        changed_at=as_of if changed else first_seen,
        due_at=first_seen + timedelta(days=due) if due else None,
        exception_id="EX-2026-014" if status == "excepted" else None,
        state_hash=digest(f"state{number}", 12),
        gone_in=run_id_of(as_of) if status == "resolved" else None,
    )


_STATUSES: tuple[Status, ...] = (
    "open", "new", "open", "open", "open", "resolved", "open", "open", "excepted", "open",
    "open", "unobserved", "open", "reopened", "open",
)  # fmt: skip


def findings(count: int, as_of: datetime, *, first: bool = False) -> Iterator[Finding]:
    """Yield findings of all patterns and statuses, evenly mixed."""
    for number in range(count):
        pattern = PATTERNS[number % len(PATTERNS)]
        status: Status = "new" if first else _STATUSES[(number * 7 + number // 10) % len(_STATUSES)]
        yield finding(number, pattern, status, as_of)


def records(as_of: datetime) -> Iterator[Record]:
    """Yield a small inventory: three AWS accounts, an organization, pipelines, workloads and what they hold."""
    for account, name in NAMES.items():
        provider = account.split(":")[0]
        yield Account(
            id=account, provider=provider, account_id=account, kind=f"{provider}-account",
            native_id=account.rsplit(":", 1)[1], name=name, owner="team-platform",
        )  # fmt: skip
    for number, repository in enumerate(REPOSITORIES):
        yield Identity(
            id=f"github:workflow:500{number}:deploy.yml", provider="github", account_id=ORG, surface="automation",
            kind="github-workflow", native_id=f"500{number}", name=f"lanternpay/{repository}", owner=OWNERS[number % 5],
            is_pipeline=True, enabled=True, last_used_at=as_of - timedelta(days=number),
        )  # fmt: skip
        yield Identity(
            id=f"aws:lambda-function:{repository}", provider="aws", account_id=PROD, surface="workload",
            kind="lambda-function", native_id=repository, name=repository, enabled=True,
        )  # fmt: skip
        yield Link(
            id=f"github:link:{repository}", provider="github", account_id=ORG, relation="deploys",
            source_id=f"github:workflow:500{number}:deploy.yml", target_id=f"aws:lambda-function:{repository}",
        )  # fmt: skip
        yield Artifact(
            id=f"aws:image:{repository}", provider="aws", account_id=PROD, kind="image", name=f"{repository}:latest",
            digest="sha256:" + digest(repository, 32).lower(), signed=(True, False, None)[number % 3],
            provenance=(True, False, None)[number % 3], sbom=None, mutable_tag=number % 2 == 0,
        )  # fmt: skip
        yield Control(
            id=f"github:control:{repository}", provider="github", account_id=ORG, stage="source",
            kind="branch-protection", name="main", enforcement=("enforced", "audited", "absent")[number % 3],
        )  # fmt: skip
        yield Weakness(
            id=f"github:weakness:{repository}", provider="github", account_id=ORG, code="unpinned-uses",
            subject_id=f"github:workflow:500{number}:deploy.yml", severity=("low", "medium", "high")[number % 3],
            what="x/y@v2 is pinned to a tag", fix="Pin it to the full commit.", path="deploy.yml", line=number + 1,
        )  # fmt: skip
        yield Rollout(
            id=f"aws:rollout:{repository}", provider="aws", account_id=PROD,
            workload_id=f"aws:lambda-function:{repository}", pinned=(True, False, None)[number % 3],
        )  # fmt: skip
        yield Trust(
            id=f"aws:trust:{repository}", provider="aws", account_id=PROD, identity_id=f"aws:iam-role:AROA{number}",
            kind="oidc", issuer="https://token.actions.githubusercontent.com",
            exposure=("exact", "organization", "anyone")[number % 3],
        )  # fmt: skip
        yield Secret(
            id=f"github:secret:{repository}", provider="github", account_id=ORG, store="github-actions",
            name="AWS_SECRET_ACCESS_KEY", readable=False,
        )  # fmt: skip
    for number in range(24):
        yield Identity(
            id=f"aws:iam-role:AROA{number}", provider="aws", account_id=(PROD, DEV)[number % 2], surface="automation",
            kind="iam-role", native_id=f"AROA{number}", name=f"role-{number}",
            last_used_at=as_of - timedelta(days=number * 9) if number % 3 else None, never_used=number % 6 == 0,
        )  # fmt: skip
        yield Grant(
            id=f"aws:grant:{number}", provider="aws", account_id=PROD, identity_id=f"aws:iam-role:AROA{number}",
            role="AdministratorAccess" if number % 8 == 0 else "ReadOnlyAccess", resource="*", breadth="account",
            powers=["admin"] if number % 8 == 0 else ["read"], level="admin" if number % 8 == 0 else "read",
        )  # fmt: skip
    for number in range(9):
        yield Identity(
            id=f"aws:iam-user:AIDA{number}", provider="aws", account_id=(PROD, DEV)[number % 2],
            surface="human" if number % 2 else "automation", kind="iam-user", native_id=f"AIDA{number}",
            name=f"user-{number}", owner=OWNERS[number % 5],
        )  # fmt: skip
        yield Credential(
            id=f"aws:access-key:AKIA{number}", provider="aws", account_id=PROD, identity_id=f"aws:iam-user:AIDA{number}",
            kind="access-key", native_id=f"AKIA{number}", name=f"AKIA{number}", lifetime="static", never_expires=True,
            enabled=True, created_at=as_of - timedelta(days=60 + number * 70),
            last_used_at=as_of - timedelta(days=number * 20) if number % 2 else None,
        )  # fmt: skip
        yield Credential(
            id=f"github:fine-grained-pat:{number}", provider="github", account_id=ORG,
            identity_id=f"github:user:{number}", kind="fine-grained-pat", native_id=str(number), name=f"pat-{number}",
            lifetime="expiring", expires_at=as_of + timedelta(days=5 + number * 12), enabled=True,
            created_at=as_of - timedelta(days=40),
        )  # fmt: skip


def _coverage(number: int, account: str, call: str, table: str) -> Coverage:
    provider = account.split(":", maxsplit=1)[0]
    return Coverage(
        id=f"{provider}:coverage:{number}", provider=provider, account_id=account, collector=provider,
        target=account, table=table, call=call, items=12,
    )  # fmt: skip


def answered() -> Iterator[Coverage]:
    """Yield listings that were answered in full."""
    calls = (
        ("iam:GetAccountAuthorizationDetails", "identities"),
        ("iam:GetCredentialReport", "credentials"),
        ("lambda:ListFunctions", "identities"),
        ("secretsmanager:ListSecrets", "secrets"),
    )
    for index, account in enumerate((PROD, DEV, MANAGEMENT)):
        for number, (call, table) in enumerate(calls):
            yield _coverage(index * 10 + number, account, call, table)
    for number, call in enumerate(
        ("GET /orgs/{org}/repos", "GET /repos/{repo}/actions/secrets", "GET /orgs/{org}/installations")
    ):
        yield _coverage(100 + number, ORG, call, ("accounts", "secrets", "credentials")[number])


def gaps() -> Iterator[Gap]:
    """Yield listings that were refused."""
    yield Gap(
        id="aws:gap:1", provider="aws", account_id=MANAGEMENT, collector="aws", target="100000000001",
        table="grants", call="organizations:ListPoliciesForTarget", reason="denied",
        detail="User: arn:aws:sts::100000000001:assumed-role/sprawlscan/run is not authorized to perform: organizations:ListPoliciesForTarget",
        needs="organizations:ListPoliciesForTarget",
    )  # fmt: skip
    for region in ("eu-west-1", "us-east-1"):
        yield Gap(
            id=f"aws:gap:{region}", provider="aws", account_id=DEV, collector="aws", target="300000000003",
            table="secrets", kind="ssm-parameter", call="ssm:DescribeParameters", region=region, reason="throttled",
            detail="Rate exceeded (after 8 attempts)", needs=None,
        )  # fmt: skip
    yield Gap(
        id="github:gap:1", provider="github", account_id=ORG, collector="github", target="lanternpay",
        table="credentials", kind="fine-grained-pat", call="GET /orgs/{org}/personal-access-tokens", reason="denied",
        detail="Resource not accessible by integration", needs="Personal access tokens (organization): read",
    )  # fmt: skip


def target_coverage(as_of: datetime, *, complete: bool) -> Iterator[TargetCoverage]:
    """Yield what analysis makes of the listings above: a target an account."""
    names = {row.id: row for row in records(as_of) if isinstance(row, Account)}
    missed = [] if complete else list(gaps())
    for account in (PROD, DEV, MANAGEMENT, ORG):
        told = [row for row in answered() if row.account_id == account]
        lost = [row for row in missed if row.account_id == account]
        provider = account.split(":", maxsplit=1)[0]
        yield TargetCoverage(
            id=f"{provider}/{account}", collector=provider, target=account, provider=provider, account_id=account,
            name=names[account].name, kind=names[account].kind, state="partial" if lost else "complete",
            listings_expected=len(told) + len(lost), listings_answered=len(told), listings_never_shown=0,
            items=sum(row.items for row in told), items_expected=sum(row.items for row in told),
            last_read_in=run_id_of(as_of), reason=lost[0].reason if lost else None, needs=lost[0].needs if lost else None,
        )  # fmt: skip


def excesses() -> Iterator[Excess]:
    """Yield the signature comparison: two excesses, an equal, one that could not be compared."""
    cases: tuple[tuple[str, list[Power], list[Power], list[Power], Level, Level, bool], ...] = (
        ("payments-api", ["admin", "grant-access", "become-other", "read-secrets", "deploy"], ["read-data", "read"],
         ["admin", "grant-access", "become-other", "read-secrets"], "admin", "read", True),
        ("ledger", ["become-other", "read-secrets", "deploy", "read"], ["change-data", "read-data", "read"],
         ["become-other", "read-secrets"], "escalation", "write", False),
        ("data-jobs", ["read-secrets", "deploy", "read"], ["read-data", "read"], ["read-secrets"], "write", "read", True),
        ("web-frontend", ["deploy", "read"], ["read-data", "read"], [], "write", "read", True),
        ("pr-preview", ["deploy"], [], [], "write", "unknown", False),
    )  # fmt: skip
    for number, (name, has, own, more, level, workload_level, complete) in enumerate(cases):
        pipeline = f"lanternpay/{name}/.github/workflows/deploy.yml"
        if more:
            why = f"{pipeline} can {', '.join(more)} where {name}, which it delivers, cannot: its level is {level}."
        elif complete:
            why = f"{pipeline} has no permissions beyond those of {name} and of deployment."
        else:
            why = f"{name}, deployed by {pipeline}, is not in the inventory and cannot be compared."
        yield Excess(
            pipeline_id=f"github:workflow:500{number}:deploy.yml", pipeline_name=pipeline,
            workload_id=f"aws:lambda-function:{name}", workload_name=name, pipeline_powers=has, workload_powers=own,
            excess=more, pipeline_level=level, workload_level=workload_level, complete=complete, why=why,
            path=[
                ExcessStep(
                    what=f"can sign in as deploy-{name} (iam-role)", because=f"its token repo:lanternpay/{name}:x passes the trust",
                    kind="trust", identity_id=f"aws:iam-role:deploy-{name}", name=f"deploy-{name}", identity_kind="iam-role",
                    via=f"repo:lanternpay/{name}:x",
                ),
                ExcessStep(
                    what=f"has {more[0]} on * through AdministratorAccess", name="*", via="AdministratorAccess", power=more[0]
                ),
            ] if more else [],
            fix=f"deploy-{name}: Replace the AWS managed policy AdministratorAccess with one of your own." if more else None,
            cut=1 if more else None, excess_after_fix=more[1:] if number == 1 else [],
            more_fixes=[f"deploy-{name}: Pin the subject."] if number == 1 else [],
        )  # fmt: skip


def exceptions(as_of: datetime) -> Iterator[ExceptionState]:
    """Yield one exception of each interesting state."""
    yield ExceptionState(
        id="EX-2026-014", rule="access-key-old", selector="aws:access-key:AKIA2", owner="team-data",
        approved_by="m.okafor@lanternpay.example", approved_at=as_of - timedelta(days=20),
        reason="The vendor's appliance cannot assume roles before its March release.",
        compensating_control="Source address pinned by a bucket policy", ticket="RISK-2211",
        expires_at=as_of + timedelta(days=9), state="expiring", matched=4,
    )  # fmt: skip
    yield ExceptionState(
        id="EX-2026-009", rule="role-unused", selector="aws:iam-role:AROA*", owner="team-platform",
        approved_by="r.lind@lanternpay.example", reason="Break-glass roles are unused by design.",
        expires_at=as_of + timedelta(days=61), state="active", matched=2,
    )  # fmt: skip
    yield ExceptionState(
        id="EX-2026-002", rule="automation-admin", selector="aws:iam-role:AROA0", owner="team-platform",
        approved_by="r.lind@lanternpay.example", reason="Migration of the landing zone.",
        expires_at=as_of + timedelta(days=30), state="void", matched=0,
        detail="The facts it accepted changed: the role gained a second trust.",
    )  # fmt: skip


def reaches() -> Iterator[Reach]:
    """Yield what two pipelines reach at the most."""
    for number, (power, level) in enumerate((("admin", "admin"), ("become-other", "escalation"))):
        yield msgspec.convert(
            {
                "identity_id": f"github:workflow:500{number}:deploy.yml", "target_id": "aws:iam-role:AROA0",
                "grant_id": "aws:grant:0", "power": power, "level": level, "account_id": PROD, "steps": 1,
                "path": ["signs in by OIDC", "has admin"],
            },
            Reach,
        )  # fmt: skip


def rule_results(*, complete: bool) -> Iterator[RuleResult]:
    """Yield how each pattern's rule fared in each account of its provider."""
    for pattern in PATTERNS:
        for account in (PROD, DEV, MANAGEMENT) if pattern.provider == "aws" else (ORG,):
            missing = not complete and account == MANAGEMENT and pattern.table == "grants"
            broken = not complete and pattern.rule == "deploy-key-write"
            yield RuleResult(
                rule=pattern.rule, title=pattern.title, severity=pattern.severity, category=pattern.category,
                provider=pattern.provider, account_id=account,
                status="not-evaluated" if missing else "error" if broken else "evaluated",
                findings=0 if missing else 3,
                reason="grants: organizations:ListPoliciesForTarget was denied" if missing
                else "division by zero" if broken else None,
            )  # fmt: skip


def write_metrics(state: Path, run_id: str, as_of: datetime) -> None:
    """Measure the night's figures from its tables."""
    analysis, snapshot = state / "analysis" / run_id, state / "snapshots" / run_id
    tables = Tables([analysis, snapshot])
    try:
        for name, record in TABLES.items():
            tables.view(name, record, sorted((snapshot / name).glob("*.parquet")))
        for name, result in RESULT_TABLES.items():
            if name != "metrics":
                tables.view(name, result, [analysis / f"{name}.parquet"])
        write_table(analysis / "metrics.parquet", Metric, list(measure(tables, as_of)))
    finally:
        tables.close()


def _history(state: Path, as_of: datetime, nights: int) -> None:
    folder = state / "history"
    folder.mkdir(parents=True, exist_ok=True)
    for back in range(nights, 0, -1):
        wave = (back * 7919) % 5
        rows = [
            Metric(metric="open_findings", dimension="all", dimension_value="", value=38 + back // 2 + wave, unit="count"),
            Metric(metric="open_findings", dimension="severity", dimension_value="critical", value=3 + back // 6, unit="count"),
            Metric(metric="open_findings", dimension="severity", dimension_value="high", value=8 + back // 4 + wave % 2, unit="count"),
            Metric(metric="identities_with_owner", dimension="all", dimension_value="", value=round(0.8 - back * 0.006, 3), unit="ratio"),
            Metric(metric="median_age_of_open_findings", dimension="all", dimension_value="", value=96 + back, unit="days"),
        ]  # fmt: skip
        path = folder / f"{run_id_of(as_of - timedelta(days=back))}.metrics.json"
        path.write_bytes(msgspec.json.encode(rows))


def _cited(framework: str, code: str) -> dict[str, str]:
    return {"framework": framework, "code": code, "relation": "partial"}


def _rules() -> list[dict[str, object]]:
    nhi, cis, nist = "OWASP NHI 2025", "CIS AWS 5.0", "NIST SP 800-53 r5"
    controls = {
        "aws-oidc-trust-no-subject": {"": [_cited(nhi, "NHI4:2025")], "aws": [_cited(cis, "1.11")]},
        "access-key-old": {"": [_cited(nhi, "NHI7:2025")], "aws": [_cited(cis, "1.9")]},
        "automation-admin": {"": [_cited(nhi, "NHI5:2025"), _cited(nist, "AC-6")]},
    }
    return [
        {
            "id": pattern.rule, "title": pattern.title, "version": "rv-5b1c90aa", "severity": pattern.severity,
            "category": pattern.category, "params": {"days": 90} if pattern.category == "stale" else {},
            "why": "Whoever holds this can act without anybody noticing. It outlives the person and the project it was made for.",
            "fix": "Give each pipeline a login that ends by itself. Then remove the old one, and watch for a week what fails.",
            "needs": [pattern.table], "custom": False, "controls": controls.get(pattern.rule, {}), "error": None,
        }
        for pattern in PATTERNS
    ]  # fmt: skip


def _rows_by_table(
    found: list[Finding], as_of: datetime, *, complete: bool
) -> dict[str, Iterable[msgspec.Struct]]:
    return {
        "findings": found,
        "rule_results": rule_results(complete=complete),
        "edges": (),
        "reach": reaches(),
        "excess": excesses(),
        "exceptions": exceptions(as_of),
        "target_coverage": target_coverage(as_of, complete=complete),
    }


def write_night(
    state: Path,
    *,
    count: int = 60,
    as_of: datetime = AS_OF,
    first: bool = False,
    complete: bool = False,
    nights: int = 29,
    empty: bool = False,
    alter: Callable[[Finding], Finding] = lambda item: item,
) -> str:
    """Write an analyzed night into a state folder and return its run id.

    ``count`` findings, each passed through ``alter``; ``first`` makes all of them new and leaves no history;
    ``complete`` leaves no gaps; ``empty`` gives no record, listing or result at all.
    """
    run_id = run_id_of(as_of)
    folder = state / "snapshots" / run_id
    info = RunInfo(
        run_id=run_id, as_of=as_of, tool_version="0.1.0", config_digest=hashlib.sha256(b"config").hexdigest()
    )
    begin(folder, info)
    rows: list[Record] = [] if empty else [*records(as_of), *answered(), *([] if complete else gaps())]
    for provider in sorted({row.provider for row in rows}):
        writer = TargetWriter(folder, provider, provider, provider, fingerprint=Fingerprint(b"k" * 32))
        for row in rows:
            if row.provider == provider:
                writer.write(row)
        writer.finish(1.0)
    seal(folder, info, record=Ledger(state).sealing(info))
    found = [] if empty else [alter(item) for item in findings(count, as_of, first=first)]
    tables = {} if empty else _rows_by_table(found, as_of, complete=complete)
    for table, kind in RESULT_TABLES.items():
        write_table(state / "analysis" / run_id / f"{table}.parquet", kind, tables.get(table, ()))
    write_metrics(state, run_id, as_of)
    if not empty:
        (state / "analysis" / run_id / "rules.json").write_bytes(msgspec.json.encode(_rules()))
    base = None if first else PREVIOUS
    (state / "analysis" / run_id / "summary.json").write_bytes(msgspec.json.encode({"baseline": base}))
    Ledger(state).append(Analyzed(run_id=run_id, base=base, files={}))
    if not first and not empty:
        _history(state, as_of, nights)
    return run_id


if __name__ == "__main__":
    import sys
    from pathlib import Path as _Path

    print(json.dumps(write_night(_Path(sys.argv[1]))))  # noqa: T201
