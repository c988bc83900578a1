"""Random small estates, for the brute force of edges, reach, excess and metrics: one night of records each."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from scanner.records import (
    POWERS,
    TABLE_OF,
    Account,
    Artifact,
    Control,
    Coverage,
    Credential,
    Deployment,
    Gap,
    Grant,
    Identity,
    Link,
    Record,
    Rollout,
    Secret,
    Test,
    Trust,
    level_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanner.records import Breadth, Enforcement, Level, Operator, Power, Reason, Relation, Stage, Surface

AS_OF = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)
GITHUB = "https://token.actions.githubusercontent.com"
GITLAB = "https://gitlab.example.com"
ORGANIZATION, ONE, TWO = "aws:organization:o-1", "aws:account:111111111111", "aws:account:222222222222"
HUB, APP, WEB = "github:organization:7", "github:repository:71", "github:repository:72"
PARENTS = {ORGANIZATION: None, ONE: ORGANIZATION, TWO: None, HUB: None, APP: HUB, WEB: HUB}
ACCOUNTS = tuple(PARENTS)
TABLES = (
    "accounts",
    "identities",
    "credentials",
    "secrets",
    "grants",
    "trusts",
    "links",
    "controls",
    "artifacts",
    "deployments",
    "rollouts",
)
SUBJECTS = (
    "repo:acme/app:ref:refs/heads/main",
    "repo:acme/app:environment:prod",
    "repo:acme/app:pull_request",
    "repo:acme/web:ref:refs/heads/main",
    "repo:acme/web:ref:refs/heads/*",
    "repo:Acme/App:environment:prod",
)
PATTERNS = (
    "repo:acme/app:*",
    "repo:acme/*",
    "repo:ac?e/app:environment:prod",
    "*",
    "repo:acme/web:ref:refs/heads/v?",
)
PREFIXES = ("repo:acme/app:", "repo:acme/", "repo:acme/*", "")
REGEXES = (
    "repo:(",
    "repo:acme/.*",
    "repo:acme/(app|web):environment:.*",
    "^repo:acme/web:ref:refs/heads/main$",
)
STAGES: tuple[Stage, ...] = ("source", "build", "artifact", "deploy", "runtime")
T = TypeVar("T")


@dataclass
class RandomEstate:
    """One night's records, and when it was."""

    records: list[Record] = field(default_factory=list)
    as_of: datetime = AS_OF

    def of(self, kind: type[T]) -> list[T]:
        """Return the records of one kind."""
        return [record for record in self.records if isinstance(record, kind)]


class EstateDrawing:
    """Draws one estate. ``clean`` leaves every listing complete and every reference resolved."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.clean = self._chance(0.4)
        self.estate = RandomEstate()
        self.count = 0
        self.roles: list[Identity] = []
        self.users: list[Identity] = []
        self.pipelines: list[Identity] = []
        self.workloads: list[Identity] = []
        self.groups: list[Identity] = []
        self.credentials: list[Credential] = []

    def draw(self) -> RandomEstate:
        """Return the estate."""
        self._accounts()
        self._identities()
        self._grants()
        self._trusts()
        self._links()
        self._credentials_and_secrets()
        self._delivery()
        self._coverage()
        return self.estate

    def _next(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def _add(self, record: Record) -> None:
        self.estate.records.append(record)

    def _chance(self, share: float) -> bool:
        return self.dice.random() < share

    def _some(self, choices: Sequence[T], most: int) -> list[T]:
        return self.dice.sample(list(choices), self.dice.randint(0, min(most, len(choices))))

    @property
    def _everybody(self) -> list[Identity]:
        return self.roles + self.users + self.pipelines + self.workloads + self.groups

    def _accounts(self) -> None:
        for account in ACCOUNTS:
            provider, kind, native = account.split(":")
            if account == ORGANIZATION and not self.clean and self._chance(0.1):
                continue
            self._add(
                Account(
                    id=account,
                    provider=provider,
                    account_id=account,
                    kind=f"{provider}-{kind}",
                    native_id=native,
                    name=f"{provider}-{native}",
                    parent_id=PARENTS[account],
                    visibility=self.dice.choice((None, "public", "private"))
                    if provider == "github"
                    else None,
                )
            )

    def _identity(self, kind: str, surface: Surface, account: str, **more: Any) -> Identity:
        name = self._next(kind[0])
        given: dict[str, Any] = {
            "address": None,
            "enabled": self.dice.choice((None, True, True, True, True, False)),
            "environment": self.dice.choice((None, "production")),
            "owner": self.dice.choice((None, "platform")),
            "owner_source": "tag:owner",
            **more,
        }
        made = Identity(
            id=f"{account.split(':', maxsplit=1)[0]}:{kind}:{name}",
            provider=account.split(":", maxsplit=1)[0],
            account_id=account,
            surface=surface,
            kind=kind,
            native_id=name,
            name=name,
            **given,
        )
        self._add(made)
        return made

    def _identities(self) -> None:
        for number in range(self.dice.randint(3, 5)):
            account = self.dice.choice((ONE, ONE, TWO))
            address = f"arn:aws:iam::{account[-12:]}:role/r{number}"
            self.roles.append(self._identity("iam-role", "automation", account, address=address))
        for number in range(self.dice.randint(1, 3)):
            account = self.dice.choice((ONE, TWO))
            address = f"arn:aws:iam::{account[-12:]}:user/u{number}"
            surface: Surface = self.dice.choice(("human", "automation"))
            self.users.append(self._identity("iam-user", surface, account, address=address))
        for number in range(self.dice.randint(0, 1)):
            address = f"arn:aws:iam::{ONE[-12:]}:group/g{number}"
            self.groups.append(self._identity("iam-group", "human", ONE, address=address))
        for number in range(self.dice.randint(1, 3)):
            account = self.dice.choice((ONE, TWO))
            address = f"arn:aws:lambda:eu-west-1:{account[-12:]}:function:f"
            if any(one.address == address for one in self.workloads):
                address += str(number)
            self.workloads.append(self._identity("lambda-function", "workload", account, address=address))
        for _ in range(self.dice.randint(1, 4)):
            subjects = self._some(SUBJECTS, 2)
            tokens = [self._token(subject) for subject in subjects] if self._chance(0.7) else []
            self.pipelines.append(
                self._identity(
                    "github-workflow",
                    "automation",
                    self.dice.choice((APP, WEB)),
                    issuer=self.dice.choice(
                        (GITHUB, GITHUB, GITHUB.upper().replace("HTTPS", "https") + "/", GITLAB, None)
                    ),
                    subjects=subjects,
                    tokens=tokens,
                    is_pipeline=self._chance(0.9),
                    logins=self._some(("aws:oidc", "aws:static", "pypi:static"), 1)
                    if self._chance(0.4)
                    else [],
                    secrets=self._some(("key", "KEY", "*", "other"), 2),
                    variables=self._some(("plain",), 1),
                    environments=self._some(("prod", "*", "staging"), 1),
                    reusable=self.dice.choice((None, None, None, None, "only", "also")),
                )
            )

    def _token(self, subject: str) -> dict[str, str]:
        token = {"sub": subject}
        for claim, values in (
            ("repository", ("acme/app", "acme/web", "acme/*")),
            ("repository_id", ("1", "2")),
            ("environment", ("prod", "")),
            ("ref", ("refs/heads/main", "refs/heads/*", "")),
        ):
            if self._chance(0.75):
                token[claim] = self.dice.choice(values)
        if self._chance(0.2):
            token["aud"] = self.dice.choice(("*", "sts.amazonaws.com", "other", ""))
        return token

    def _grants(self) -> None:
        for identity in self._everybody:
            for _ in range(self.dice.choice((0, 1, 1, 2, 3))):
                self._grant(identity.id, identity.account_id)
        if not self.clean and self._chance(0.1):
            self._grant("aws:iam-role:unknown", ONE)

    def _grant(self, identity_id: str, account: str) -> None:
        few = ("read", "read-data", "deploy") if self._chance(0.4) else POWERS
        powers: list[Power] = sorted(self._some(few, 3), key=POWERS.index)
        level: Level = level_of(powers)
        role_addresses = [role.address or "" for role in self.roles]
        resource = self.dice.choice(("*", "*", f"arn:aws:iam::{ONE[-12:]}:role/*", *role_addresses))
        breadth: Breadth = "account" if resource == "*" else "group" if "*" in resource else "resource"
        name = self._next("grant")
        days = self.dice.choice((None, None, None, -1, 0, 1))
        if not powers and self.clean:
            powers, level = ["read"], "read"
        self._add(
            Grant(
                id=f"aws:grant:{name}",
                provider=account.split(":", maxsplit=1)[0],
                account_id=account,
                identity_id=identity_id,
                role=name,
                resource=resource,
                breadth=breadth,
                powers=powers,
                level=level,
                conditional=self.dice.choice((None, None, True)),
                confidence="low" if not self.clean and self._chance(0.1) else "high",
                escalation_path="PassRole" if self._chance(0.1) else None,
                expires_at=None if days is None else AS_OF + timedelta(days=days),
            )
        )

    def _trusts(self) -> None:
        for role in (*self.roles, *self.workloads[:1]):
            for _ in range(self.dice.choice((0, 1, 2, 2))):
                if self._chance(0.6):
                    self._oidc_trust(role)
                else:
                    self._account_trust(role)

    def _tokens_of(self, pipeline: Identity) -> list[dict[str, str]]:
        return pipeline.tokens or [{"sub": subject} for subject in pipeline.subjects]

    def _oidc_trust(self, role: Identity) -> None:
        tests = []
        if self._chance(0.8):
            tests.append(self._test("sub"))
        tests += [
            self._test(claim)
            for claim in self._some(("repository", "repository_id", "environment", "ref"), 1)
        ]
        if self._chance(0.1):
            tests.append(Test(claim="session", operator="glob", values=["ci-*"], caller="chosen"))
        audience = self.dice.choice(([], ["sts.amazonaws.com"], ["sts.*", "x"]))
        host = GITHUB.removeprefix("https://")
        issuer = self.dice.choice(
            (GITHUB, GITHUB, host, "HTTPS://" + host.title() + "/", GITHUB + "/acme", GITLAB)
        )
        self._trust(role, "oidc", issuer, tests, audience=audience)

    def _account_trust(self, role: Identity) -> None:
        known = [one.address or one.id for one in self.roles + self.users]
        named = self.dice.choice((*known, self.roles[0].id))
        root = self.dice.choice((ONE, TWO))
        way = self.dice.choice(("root", "root", "named", "anyone"))
        issuer = {"root": f"arn:aws:iam::{root[-12:]}:root", "named": named, "anyone": "*"}[way]
        tests = []
        if self._chance(0.5):
            operator: Operator = self.dice.choice(("equals", "glob", "not-equals", "not-glob", "principal"))
            values = [self.dice.choice((*known, f"arn:aws:iam::{ONE[-12:]}:role/*"))]
            tests.append(Test(claim="aws:PrincipalArn", operator=operator, values=values, caller="address"))
        if self._chance(0.25):
            operator = self.dice.choice(("equals", "not-equals"))
            tests.append(
                Test(claim="aws:PrincipalAccount", operator=operator, values=[root[-12:]], caller="account")
            )
        if self._chance(0.25):
            values = [self.dice.choice(("o-1", "o-2"))]
            tests.append(
                Test(claim="aws:PrincipalOrgID", operator="equals", values=values, caller="organization")
            )
        if self._chance(0.15):
            tests.append(Test(claim="sts:ExternalId", operator="equals", values=["x-1"]))
        if self._chance(0.1):
            tests.append(Test(claim="sts:RoleSessionName", operator="glob", values=["ci-*"], caller="chosen"))
        self._trust(
            role,
            "anyone" if way == "anyone" else "account",
            issuer,
            tests,
            trusted_account=root if way == "root" else None,
            exposure=self.dice.choice(("unknown", "exact", "organization", "nobody")),
        )

    def _test(self, claim: str) -> Test:
        values = {
            "sub": SUBJECTS,
            "repository": ("acme/app", "acme/web", "ACME/app"),
            "repository_id": ("1", "2", "3"),
            "environment": ("prod", "Prod", "test"),
            "ref": ("refs/heads/main", "refs/heads/dev"),
        }[claim]
        presented = [token.get(claim, "") for one in self.pipelines for token in self._tokens_of(one)]
        values = tuple(value for value in presented if value) * 2 + values
        operator: Operator = self.dice.choice(
            (
                "equals",
                "equals",
                "equals",
                "equals-ignore-case",
                "glob",
                "glob",
                "glob-ignore-case",
                "prefix",
                "regex",
                "not-equals",
                "not-glob",
                "exists",
                "unknown",
                "cel",
                "principal",
            )
        )
        if operator == "exists":
            chosen = [self.dice.choice(("true", "false"))]
        elif operator == "regex":
            chosen = [
                self.dice.choice(REGEXES if claim == "sub" else (".*", "acme/.*", "[0-9]+", "refs/heads/.*"))
            ]
        elif operator == "prefix":
            chosen = [self.dice.choice(PREFIXES if claim == "sub" else ("acme/", "", "refs/", "1"))]
        elif operator in ("glob", "glob-ignore-case", "not-glob"):
            patterns = PATTERNS if claim == "sub" else ("*", "acme/*", "?", "refs/heads/*")
            chosen = [self.dice.choice((*patterns, *values)) for _ in range(self.dice.randint(1, 2))]
        else:
            chosen = [self.dice.choice(values) for _ in range(self.dice.randint(1, 2))]
        return Test(claim=claim, operator=operator, values=chosen, optional=self._chance(0.2))

    def _trust(self, role: Identity, kind: str, issuer: str, tests: list[Test], **more: Any) -> None:
        name = self._next("trust")
        self._add(
            Trust(
                id=f"aws:trust:{name}",
                provider="aws",
                account_id=role.account_id,
                identity_id=role.id,
                kind=kind,
                issuer=issuer,
                tests=tests,
                **more,
            )
        )

    def _link(self, source: str, relation: Relation, target: str, **more: Any) -> None:
        name = self._next("link")
        days = self.dice.choice((None, None, None, None, None, -1, 1)) if self._chance(0.7) else None
        self._add(
            Link(
                id=f"aws:link:{name}",
                provider="aws",
                account_id=ONE,
                source_id=source,
                relation=relation,
                target_id=target,
                evidence=name,
                expires_at=None if days is None else AS_OF + timedelta(days=days),
                **more,
            )
        )

    def _named(self, identity: Identity) -> str:
        return identity.address if identity.address and self._chance(0.3) else identity.id

    def _lost(self, share: float) -> bool:
        return not self.clean and self._chance(share)

    def _links(self) -> None:
        unknown = "arn:aws:iam::999999999999:role/unknown"
        for workload in self.workloads:
            if self._chance(0.8):
                self._link(
                    self._named(workload),
                    "runs_as",
                    unknown if self._lost(0.1) else self._named(self.dice.choice(self.roles)),
                )
        for user in self.users:
            for group in self.groups:
                if self._chance(0.5):
                    self._link(
                        user.id,
                        "member_of",
                        "aws:iam-group:unknown" if self._lost(0.1) else self._named(group),
                    )
        for pipeline in self.pipelines:
            if self._chance(0.35):
                others = [one for one in self.roles + self.pipelines + self.pipelines if one is not pipeline]
                self._link(
                    pipeline.id, "uses", unknown if self._lost(0.1) else self._named(self.dice.choice(others))
                )
            for workload in self._some(self.workloads, 3):
                self._link(pipeline.id, "deploys", self._named(workload))
            if self._lost(0.06):
                self._link(pipeline.id, "deploys", "aws:lambda-function:unknown")
            if self._chance(0.15):
                self._by_name(pipeline)
        if self._lost(0.1):
            self._link("github:github-workflow:unknown", "deploys", self.workloads[0].id)
        for _ in range(self.dice.choice((0, 0, 1, 2))):
            source, target = self.dice.choice(self.roles + self.users), self.dice.choice(self.roles)
            self._link(source.id, "can_become", self._named(target))
        if self._chance(0.1):
            self._long_chain()
        if self._chance(0.2):
            self._link(self.dice.choice(self.users).id, "owns", self.dice.choice(self._everybody).id)

    def _long_chain(self) -> None:
        chain = [self._identity("iam-role", "automation", TWO) for _ in range(self.dice.choice((9, 66)))]
        for one, following in pairwise([self.roles[0], *chain]):
            self._add(
                Link(
                    id=f"aws:link:{one.name}-{following.name}",
                    provider="aws",
                    account_id=ONE,
                    source_id=one.id,
                    relation="can_become",
                    target_id=following.id,
                )
            )
        self._grant(chain[-1].id, TWO)

    def _by_name(self, pipeline: Identity) -> None:
        workload = self.dice.choice(self.workloads)
        ending = (workload.address or "").rpartition(":")[2]
        name = self.dice.choice((workload.name, ending, "elsewhere"))
        self._link(
            pipeline.id,
            "deploys",
            f"aws:lambda-function:named-{name}",
            target_name=name,
            target_provider="aws",
            target_kind="lambda-function",
        )

    def _credentials_and_secrets(self) -> None:
        days = (None, None, -1, 0, 1, 40)
        for identity in self.users + self.pipelines:
            for _ in range(self.dice.choice((0, 1, 1, 2))):
                name = self._next("key")
                until, made_at, used = (self.dice.choice(days) for _ in range(3))
                made = Credential(
                    id=f"aws:access-key:{name}",
                    provider=identity.provider,
                    account_id=identity.account_id,
                    identity_id="aws:iam-user:unknown" if self._lost(0.08) else identity.id,
                    kind="access-key",
                    native_id=name,
                    name=name,
                    lifetime=self.dice.choice(("static", "expiring", "short-lived")),
                    enabled=self.dice.choice((None, True, True, False)),
                    created_at=None if made_at is None else AS_OF - timedelta(days=100, hours=made_at),
                    rotated_at=None if used is None else AS_OF - timedelta(days=50, hours=-used),
                    last_used_at=None if used is None else AS_OF - timedelta(days=2),
                    never_used=self.dice.choice((None, True, False)) if used is None else None,
                    expires_at=None if until is None else AS_OF + timedelta(days=until),
                )
                self.credentials.append(made)
                self._add(made)
        for holder in (*self.pipelines, *self.workloads, None, None):
            for _ in range(self.dice.choice((0, 0, 1, 2))):
                self._secret(holder)

    def _secret(self, holder: Identity | None) -> None:
        number = self._next("secret")
        copied = self.dice.choice(self.credentials).id if self.credentials and self._chance(0.5) else None
        if copied and self._lost(0.1):
            copied = "aws:access-key:unknown"
        looks = self.dice.choice((None, "password", "password", "aws-access-key"))
        if self.clean and copied is None and looks == "aws-access-key":
            looks = None
        account = holder.account_id if holder else self.dice.choice((APP, HUB, HUB))
        visibility = (
            self.dice.choice((None, "all", "private", "selected", "repository")) if holder is None else None
        )
        self._add(
            Secret(
                id=f"{account.split(':')[0]}:secret:{number}",
                provider=account.split(":")[0],
                account_id=account,
                store="lambda-env" if account.startswith("aws") else "github-actions",
                name=self.dice.choice(("KEY", "key", "PLAIN", "unused")),
                holder_id=holder.id if holder else None,
                environment=self.dice.choice((None, None, "prod", "Prod", "pr*")) if holder is None else None,
                visibility=visibility,
                available_to=[APP] if visibility == "selected" and self._chance(0.6) else [],
                looks_like=looks,
                recognized_by=None if looks is None else "name" if looks == "password" else "value",
                readable=self.dice.choice((None, True)),
                credential_id=copied,
            )
        )

    def _delivery(self) -> None:
        digests = ("sha256:aa", "sha256:bb", None)
        for digest in ("sha256:aa", "sha256:bb"):
            signed, provenance, sbom = (self.dice.choice((None, True, True, False)) for _ in range(3))
            self._add(
                Artifact(
                    id=f"aws:artifact:{digest}",
                    provider="aws",
                    account_id=ONE,
                    kind="image",
                    name="app",
                    digest=digest,
                    builder_id=self.dice.choice(self.pipelines).id,
                    signed=signed,
                    provenance=provenance,
                    sbom=sbom,
                )
            )
        for _ in range(self.dice.randint(0, 3)):
            name = self._next("deployment")
            pipeline = self.dice.choice((None, *self.pipelines))
            workload = self.dice.choice((None, *self.workloads))
            self._add(
                Deployment(
                    id=f"github:deployment:{name}",
                    provider="github",
                    account_id=APP,
                    pipeline_id=pipeline.id if pipeline else None,
                    workload_id=self._named(workload) if workload else None,
                    environment=self.dice.choice((None, "production", "staging")),
                    digest=self.dice.choice(digests),
                    approved_by=self._some(("alice", "bob"), 1),
                    deployed_by=self.dice.choice((None, "alice")),
                    deployed_at=self.dice.choice((None, AS_OF - timedelta(days=1))),
                )
            )
        for workload in self.workloads:
            if self._chance(0.5):
                self._add(
                    Rollout(
                        id=f"aws:rollout:{workload.name}",
                        provider="aws",
                        account_id=workload.account_id,
                        workload_id=workload.id,
                        declared_digest=self.dice.choice(digests),
                        running_digest=self.dice.choice(digests),
                        pinned=self.dice.choice((None, True, False)),
                    )
                )
        for stage in self._some(STAGES, 4):
            name = self._next("control")
            enforcement: Enforcement = self.dice.choice(("enforced", "audited", "documented", "absent"))
            self._add(
                Control(
                    id=f"github:control:{name}",
                    provider="github",
                    account_id=HUB,
                    stage=stage,
                    kind="ruleset",
                    name=name,
                    enforcement=enforcement,
                )
            )

    def _coverage(self) -> None:
        for account in ACCOUNTS:
            for table in (*TABLES, "weaknesses"):
                rows = sum(
                    TABLE_OF[type(one)] == table and one.account_id == account for one in self.estate.records
                )
                told: dict[str, Any] = {
                    "id": f"x:coverage:{account}/{table}",
                    "provider": account.split(":")[0],
                    "account_id": account,
                    "collector": account.split(":")[0],
                    "target": account.split(":")[2],
                    "table": table,
                    "call": "list",
                }
                if self._lost(0.04):
                    kind = self.dice.choice((None, None, "access-key", "last-accessed"))
                    reason: Reason = self.dice.choice(("denied", "throttled", "unsupported"))
                    self._add(
                        Gap(
                            **told,
                            kind=kind,
                            reason=reason,
                            detail="refused",
                            hides_access=kind != "last-accessed",
                        )
                    )
                elif not self._lost(0.03):
                    self._add(Coverage(**told, items=rows))
            if self._lost(0.02):
                self._add(
                    Gap(
                        id=f"x:gap:{account}",
                        provider=account.split(":")[0],
                        account_id=account,
                        collector="x",
                        target=account.split(":")[2],
                        table="*",
                        call="connect",
                        reason="denied",
                        detail="refused",
                    )
                )
