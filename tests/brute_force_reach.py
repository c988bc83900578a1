"""Edges, reach, excess and figures of one night by naive enumeration, written from docs/analysis.md alone.

Every pair is tried, every path is walked; nothing is indexed. What a function computes is the paragraph of that page which
its docstring names.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit

from scanner.records import (
    POWERS,
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
    Rollout,
    Secret,
    Test,
    Trust,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from scanner.records import Power
    from tests.random_estates import RandomEstate

Verdict: TypeAlias = Literal["exact", "pattern", "unknown", "no"]
EdgeKey: TypeAlias = tuple[str, str, str]
BEST: tuple[Verdict, ...] = ("exact", "pattern", "unknown", "no")
OWN_POWERS = ("admin", "grant-access", "become-other", "read-secrets")
FOR_DELIVERY = {"deploy", "change-delivery", "read"}
T = TypeVar("T")
MANY = "many"
ONE = "one"


# --- Would this token pass? -------------------------------------------------------------------------------------------


def pattern_of(text: str, *, wild: str) -> list[str]:
    """Return a text as symbols: characters, `MANY` for a star and `ONE` for a question mark where these are wild."""
    return [MANY if c == "*" and "*" in wild else ONE if c == "?" and "?" in wild else c for c in text]


def _closed(pattern: list[str], places: frozenset[int]) -> frozenset[int]:
    found = set(places)
    for place in sorted(places):
        at = place
        while at < len(pattern) and pattern[at] == MANY:
            at += 1
            found.add(at)
    return frozenset(found)


def _after(pattern: list[str], places: frozenset[int], symbol: str) -> frozenset[int]:
    after = set()
    for place in places:
        if place < len(pattern):
            if pattern[place] == MANY:
                after.add(place)
            elif pattern[place] in (ONE, symbol):
                after.add(place + 1)
    return _closed(pattern, frozenset(after))


def compare(claim: list[str], wanted: list[str]) -> Verdict:
    """Return ``exact`` if every text of the claim is one of the wanted, ``pattern`` if some is, ``no`` if none is.

    Walks both as automata over the characters that occur, and one that does not.
    """
    symbols = {c for c in claim + wanted if c not in (MANY, ONE)} | {"\N{SNOWMAN}"}
    start = (_closed(claim, frozenset({0})), _closed(wanted, frozenset({0})))
    seen, waiting = {start}, [start]
    some = every = False
    missed = False
    while waiting:
        left, right = waiting.pop()
        if len(claim) in left:
            if len(wanted) in right:
                some = True
            else:
                missed = True
        for symbol in symbols:
            following = (_after(claim, left, symbol), _after(wanted, right, symbol))
            if following[0] and following not in seen:
                seen.add(following)
                waiting.append(following)
    every = some and not missed
    return "exact" if every else "pattern" if some else "no"


def evaluate_value(operator: str, claim: str, value: str) -> Verdict:
    """Judge one value of a test (step 5)."""
    if operator.endswith("-ignore-case"):
        claim, value = claim.lower(), value.lower()
    stars = pattern_of(claim, wild="*")
    match operator:
        case "glob" | "glob-ignore-case":
            return compare(stars, pattern_of(value, wild="*?"))
        case "prefix":
            return compare(stars, [*value, MANY])
        case "regex":
            if "*" in claim:
                return "unknown"
            try:
                return "exact" if re.fullmatch(value, claim) else "no"
            except re.error:
                return "unknown"
        case _:
            found = compare(stars, list(value))
            return "pattern" if found == "exact" and "*" in claim else found


def evaluate_test(test: Test, claims: dict[str, str]) -> Verdict:
    """Judge one test: the six steps, and what the caller chooses."""
    if test.operator == "cel":
        # What is drawn as such is a plain text, which is no expression.
        return "unknown"
    by_name = {name.lower(): value for name, value in claims.items()}
    name = test.claim.lower()
    chosen = (name == "aud" or test.caller == "chosen") and by_name.get(name, "*") == "*"
    if chosen:
        by_name[name] = "*"
    if name not in by_name:
        return "exact" if test.optional and test.operator not in ("exists", "unknown") else "unknown"
    claim = by_name[name]
    if test.operator == "exists":
        return "exact" if bool(claim) != ("false" in test.values) else "no"
    if claim == "":
        if test.optional:
            return "exact"
        return "unknown" if test.operator == "unknown" else "no"
    if test.operator == "unknown":
        return "unknown"
    if test.operator in ("not-equals", "not-glob"):
        operator = test.operator.removeprefix("not-")
        found = best(evaluate_value(operator, claim, value) for value in test.values)
        verdict: Verdict = {"exact": "no", "no": "exact"}.get(found, found)  # type: ignore[assignment]
    else:
        verdict = best(evaluate_value(test.operator, claim, value) for value in test.values)
    return "exact" if chosen and verdict == "pattern" else verdict


def best(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the best of several verdicts."""
    return min(verdicts, key=BEST.index, default="no")


def evaluate_tests(tests: Iterable[Test], claims: dict[str, str]) -> Verdict:
    """Judge all tests together: no, else unknown, else pattern, else exact."""
    found = {evaluate_test(test, claims) for test in tests}
    for verdict in ("no", "unknown", "pattern"):
        if verdict in found:
            return verdict
    return "exact"


def glob_matches(pattern: str, text: str) -> bool:
    """Return whether a glob matches a whole text."""
    return compare(list(text), pattern_of(pattern, wild="*?")) == "exact"


def issuer_key(issuer: str) -> str:
    """Return an issuer in the one form in which issuers are compared."""
    parts = urlsplit(issuer if "://" in issuer else f"https://{issuer}")
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


@dataclass(frozen=True)
class ExcessRow:
    """One row of the comparison of pipeline and workload."""

    pipeline_powers: frozenset[Power]
    workload_powers: frozenset[Power]
    excess: frozenset[Power]
    complete: bool


@dataclass(frozen=True)
class RecomputedFigure:
    """One figure. ``value`` is None where it was not measured."""

    value: float | None
    numerator: float | None = None
    denominator: float | None = None
    unknown: float | None = None


@dataclass
class BruteForce:
    """Everything of one estate."""

    estate: RandomEstate
    gaps: list[Gap] = field(init=False)

    def __post_init__(self) -> None:
        self.gaps = self.estate.of(Gap)

    # --- Words --------------------------------------------------------------------------------------------------------

    @cached_property
    def as_of(self) -> datetime:
        """The time of the night."""
        return self.estate.as_of

    @cached_property
    def identities(self) -> dict[str, Identity]:
        """The known identities."""
        return {one.id: one for one in self.estate.of(Identity)}

    @cached_property
    def accounts(self) -> dict[str, Account]:
        """The accounts of the inventory."""
        return {one.id: one for one in self.estate.of(Account)}

    @cached_property
    def credentials(self) -> dict[str, Credential]:
        """All credentials."""
        return {one.id: one for one in self.estate.of(Credential)}

    @cached_property
    def grants(self) -> list[Grant]:
        """The live grants."""
        return [one for one in self.estate.of(Grant) if self._lasts(one.expires_at)]

    @cached_property
    def grants_of_all(self) -> list[Grant]:
        """The grants, also those that ended."""
        return self.estate.of(Grant)

    @cached_property
    def links(self) -> list[tuple[str, str, str, Link]]:
        """The live links, as source, relation and target, with addresses replaced by ids."""
        return [
            (self.resolve(one.source_id), one.relation, self.resolve(one.target_id), one)
            for one in self.estate.of(Link)
            if self._lasts(one.expires_at)
        ]

    def _lasts(self, expires_at: datetime | None) -> bool:
        return expires_at is None or expires_at > self.as_of

    def live_credential(self, credential: Credential) -> bool:
        """Return whether a credential is neither disabled nor expired."""
        return credential.enabled is not False and self._lasts(credential.expires_at)

    def resolve(self, name: str) -> str:
        """Return the id of the identity with an address, or the name itself."""
        return next((one.id for one in self.identities.values() if one.address == name), name)

    def ancestors(self, account: str) -> list[str]:
        """Return the accounts above an account, the nearest first."""
        found: list[str] = []
        at = self.accounts.get(account)
        while at is not None and at.parent_id is not None:
            found.append(at.parent_id)
            at = self.accounts.get(at.parent_id)
        return found

    def covers(self, grant: Grant, identity: Identity) -> bool:
        """Return whether a grant covers an identity."""
        if grant.resource == "*":
            return True
        return identity.address is not None and glob_matches(grant.resource, identity.address)

    def may_assume(self, caller: Identity, target: Identity) -> bool:
        """Return whether a caller holds an assuming grant that covers a target."""
        return any(
            grant.identity_id == caller.id
            and {"admin", "become-other"} & set(grant.powers)
            and grant.escalation_path is None
            and self.covers(grant, target)
            for grant in self.grants
        )

    # --- Edges --------------------------------------------------------------------------------------------------------

    @cached_property
    def edges(self) -> set[EdgeKey]:
        """Every edge as source, target and kind."""
        trusted = {trust.identity_id for trust in self.estate.of(Trust)}
        found: set[EdgeKey] = set()
        for source, relation, target, _ in self.links:
            if relation in ("runs_as", "member_of"):
                found.add((source, target, relation))
            elif relation == "can_become":
                found.add((source, target, "escalation"))
            elif relation == "uses" and target not in trusted:
                found.add((source, target, "uses"))
        for secret in self.estate.of(Secret):
            key = self.credentials.get(secret.credential_id or "")
            if key is not None and self.live_credential(key):
                found |= {(receiver, key.identity_id, "holds-key") for receiver in self.receivers(secret)}
        for trust in self.estate.of(Trust):
            if trust.exposure != "nobody":
                for source, verdict in self._who_passes(trust):
                    if verdict != "no":
                        kind = "trust" if verdict == "exact" else "trust-pattern"
                        found.add((source, trust.identity_id, kind))
        return {
            (source, target, kind)
            for source, target, kind in found
            if source != target and source in self.identities and target in self.identities
        }

    def receivers(self, secret: Secret) -> set[str]:
        """Return the identities that receive a stored secret."""
        if secret.holder_id is not None:
            return {secret.holder_id}
        return {one.id for one in self.identities.values() if self._receives(one, secret)}

    def _receives(self, one: Identity, secret: Secret) -> bool:
        if one.surface != "automation" or one.enabled is False:
            return False
        if secret.account_id not in (one.account_id, *self.ancestors(one.account_id)):
            return False
        names = {name.lower() for name in (*one.secrets, *one.variables)}
        if secret.name.lower() not in names and "*" not in names:
            return False
        if secret.environment is not None:
            stars = pattern_of(secret.environment.lower(), wild="*")
            fits = any(compare(list(name.lower()), stars) == "exact" for name in one.environments)
            if not fits and "*" not in one.environments:
                return False
        account = self.accounts.get(one.account_id)
        if secret.visibility == "private" and account is not None and account.visibility == "public":
            return False
        return secret.visibility != "selected" or one.account_id in (secret.account_id, *secret.available_to)

    def _who_passes(self, trust: Trust) -> Iterable[tuple[str, Verdict]]:
        if trust.kind == "oidc":
            yield from self._by_token(trust)
        elif trust.kind in ("account", "anyone"):
            yield from self._by_caller(trust)

    def _by_token(self, trust: Trust) -> Iterable[tuple[str, Verdict]]:
        tests = list(trust.tests)
        if trust.audience:
            tests.append(Test(claim="aud", operator="glob", values=trust.audience))
        wanted = issuer_key(trust.issuer)
        presented: dict[str, dict[str, list[dict[str, str]]]] = {}
        for one in self.identities.values():
            for token in one.tokens or [{"sub": subject} for subject in one.subjects]:
                signer = one.issuer or token.get("iss")
                if signer and one.enabled is not False:
                    presented.setdefault(issuer_key(signer), {}).setdefault(one.id, []).append(token)
        parent = wanted not in presented
        if parent:
            wanted = wanted.rpartition("/")[0]
        for name, tokens in presented.get(wanted, {}).items():
            verdict = best(evaluate_tests(tests, token) for token in tokens)
            certain = not parent and self.identities[name].issuer is not None
            yield name, verdict if certain or verdict == "no" else "unknown"

    def _by_caller(self, trust: Trust) -> Iterable[tuple[str, Verdict]]:
        target = self.identities.get(trust.identity_id)
        if target is None or target.surface == "workload":
            return
        conditions = [test for test in trust.tests if test.caller in ("address", "account", "organization")]
        for caller in self._callers(trust, target):
            verdicts = [evaluate_test(test, self._as_claim(test, caller)) for test in conditions]
            yield (
                caller.id,
                max(verdicts, key=("exact", "pattern", "unknown", "no").index, default="exact"),
            )

    def _callers(self, trust: Trust, target: Identity) -> list[Identity]:
        enabled = [one for one in self.identities.values() if one.enabled is not False]
        named = {one.id for one in self.identities.values() if trust.issuer in (one.id, one.address)}
        if named:
            return [
                one
                for one in enabled
                if one.id in named and (one.account_id == target.account_id or self.may_assume(one, target))
            ]
        if trust.trusted_account is not None:
            return [
                one
                for one in enabled
                if one.account_id == trust.trusted_account and self.may_assume(one, target)
            ]
        if trust.issuer != "*":
            return []
        return [
            one
            for one in enabled
            if one.provider == target.provider
            and (
                self.may_assume(one, target)
                or (one.account_id == target.account_id and one.surface in ("human", "automation"))
            )
        ]

    def _as_claim(self, test: Test, caller: Identity) -> dict[str, str]:
        account = self.accounts.get(caller.account_id)
        above = self.ancestors(caller.account_id)
        topmost = self.accounts.get(above[-1]) if above else None
        value = {
            "address": caller.address,
            "account": account.native_id if account else None,
            "organization": topmost.native_id if topmost else None,
        }[test.caller or "address"]
        return {} if value is None else {test.claim: value}

    # --- Reach --------------------------------------------------------------------------------------------------------

    @cached_property
    def neighbors(self) -> dict[str, set[str]]:
        """The targets of the edges of each identity."""
        found: dict[str, set[str]] = {name: set() for name in self.identities}
        for source, target, _ in self.edges:
            found[source].add(target)
        return found

    def distances(self, start: str) -> dict[str, int]:
        """Return the least number of edges from one identity to every one that it reaches, itself with 0."""
        found = {start: 0}
        waiting = deque([start])
        while waiting:
            at = waiting.popleft()
            for following in self.neighbors.get(at, ()):
                if following not in found:
                    found[following] = found[at] + 1
                    waiting.append(following)
        return found

    def powers_of(self, identity: str) -> set[Power]:
        """Return every power of the live grants of one identity."""
        return {power for grant in self.grants if grant.identity_id == identity for power in grant.powers}

    @cached_property
    def reach(self) -> dict[tuple[str, Power, bool], int]:
        """The steps of each row, by identity, power, and whether it is the identity's own."""
        found: dict[tuple[str, Power, bool], int] = {}
        for start in self.identities:
            away = self.distances(start)
            for power in POWERS:
                if power == "read":
                    continue
                if power in OWN_POWERS and power in self.powers_of(start):
                    found[start, power, True] = 0
                holders = [
                    steps for name, steps in away.items() if name != start and power in self.powers_of(name)
                ]
                if holders and min(holders) <= 64:
                    found[start, power, False] = min(holders)
        return found

    # --- Excess -------------------------------------------------------------------------------------------------------

    @cached_property
    def deliveries(self) -> dict[tuple[str, str], tuple[str, bool]]:
        """Which pipeline delivers which workload, with the workload's provider and whether the match is certain."""
        raw: dict[str, set[tuple[str, str | None]]] = {}
        by_id: dict[str | None, Link | None] = {None: None}
        for source, relation, target, link in self.links:
            if relation == "deploys":
                number = None if link is None else link.id
                by_id[number] = link
                raw.setdefault(source, set()).add((target, number))
        for deployment in self.estate.of(Deployment):
            if deployment.pipeline_id is not None and deployment.workload_id is not None:
                raw.setdefault(deployment.pipeline_id, set()).add(
                    (self.resolve(deployment.workload_id), None)
                )
        growing = True
        while growing:
            growing = False
            for source, relation, target, _ in self.links:
                called, caller = self.identities.get(target), self.identities.get(source)
                if (
                    relation == "uses"
                    and called
                    and called.reusable
                    and caller
                    and caller.surface == "automation"
                ):
                    more = raw.get(target, set()) - raw.get(source, set())
                    growing = growing or bool(more)
                    raw.setdefault(source, set()).update(more)
        found: dict[tuple[str, str], tuple[str, bool]] = {}
        for pipeline, delivered in raw.items():
            one = self.identities.get(pipeline)
            if one and (one.enabled is False or (one.reusable == "only" and self._is_called(pipeline))):
                continue
            for target, how in delivered:
                for workload, provider, certain in self._named(pipeline, target, by_id[how]):
                    _, before = found.get((pipeline, workload), ("", False))
                    found[pipeline, workload] = (provider, certain or before)
        return found

    def _named(self, pipeline: str, target: str, link: Link | None) -> set[tuple[str, str, bool]]:
        known = self.identities.get(target)
        if known is not None:
            return {(target, known.provider, True)}
        if link is None or not link.target_name:
            return {(target, "", False)}
        matching = [
            one
            for one in self.identities.values()
            if (one.provider, one.kind) == (link.target_provider, link.target_kind)
            and (
                one.name == link.target_name
                or (one.address or "").endswith((f"/{link.target_name}", f":{link.target_name}"))
            )
        ]
        nodes = [name for name in self.distances(pipeline) if name in self.identities]
        powerful = {grant.account_id for grant in self.grants if grant.identity_id in nodes}
        reached = {self.identities[name].account_id for name in nodes} | {
            name for name in (*self.accounts, *powerful) if powerful & {name, *self.ancestors(name)}
        }
        inside = [one for one in matching if one.account_id in reached]
        taken = matching if len(matching) == 1 else inside
        if not taken:
            return {(target, link.target_provider or "", False)}
        return {(one.id, one.provider, one.account_id in reached) for one in taken}

    def _is_called(self, pipeline: str) -> bool:
        return any(relation == "uses" and target == pipeline for _, relation, target, _ in self.links)

    @cached_property
    def excess(self) -> dict[tuple[str, str], ExcessRow]:
        """The comparison of each pipeline with each workload that it delivers."""
        return {key: self._compare(*key, *how) for key, how in self.deliveries.items()}

    def _compare(self, pipeline: str, workload: str, provider: str, certain: bool) -> ExcessRow:
        one, other = self.identities.get(pipeline), self.identities.get(workload)
        mine = set(self.distances(pipeline)) if one else set()
        theirs = set(self.distances(workload)) if other else set()
        counting = {
            name
            for name in mine | theirs
            if not self._is_a_pipeline(name) or self.identities[name].provider == provider
        }
        powers = {power for name in mine & counting for power in self.powers_of(name)}
        has = {power for name in theirs & counting for power in self.powers_of(name)}
        excess = set() if other is None or "admin" in has else powers - has - FOR_DELIVERY
        complete = one is not None and other is not None and certain
        complete = complete and not (
            one is not None and one.reusable == "only" and not self._is_called(pipeline)
        )
        complete = complete and not any(
            self._hides_something(name, counts=name in counting) for name in mine | theirs
        )
        return ExcessRow(frozenset(powers), frozenset(has), frozenset(excess), complete)

    def _is_a_pipeline(self, name: str) -> bool:
        one = self.identities[name]
        if one.provider in self._platforms or one.is_pipeline or one.logins:
            return True
        return any(pipeline == name for pipeline, _ in self.deliveries)

    @cached_property
    def _platforms(self) -> set[str]:
        """The providers that have pipelines and no workloads."""
        every = self.identities.values()
        return {one.provider for one in every if one.is_pipeline} - {
            one.provider for one in every if one.surface == "workload"
        }

    def _hides_something(self, name: str, *, counts: bool) -> bool:
        one = self.identities[name]
        above = self.ancestors(one.account_id)
        for gap in self.gaps:
            tables = ("*", "identities", "credentials", "secrets", "grants", "trusts", "links")
            if gap.hides_access and gap.account_id == one.account_id and gap.table in tables:
                return True
            if gap.hides_access and gap.account_id in above and gap.table in ("*", "secrets"):
                return True
        unread = {gap.provider for gap in self.gaps if gap.hides_access and gap.table in ("*", "grants")}
        for grant in self.grants_of_all:
            holder = self.identities.get(grant.identity_id)
            if holder and holder.provider == one.provider != grant.provider and grant.provider in unread:
                return True
        listed = {row.account_id for row in self.estate.of(Coverage) if row.table == "grants"}
        if counts and not listed & {one.account_id, *above}:
            return True
        mine = [grant for grant in self.grants if grant.identity_id == name]
        if counts and any(grant.level == "unknown" or grant.confidence == "low" for grant in mine):
            return True
        relations = ("uses", "runs_as", "member_of", "can_become")
        if any(
            source == name and relation in relations and target not in self.identities
            for source, relation, target, _ in self.links
        ):
            return True
        return any(
            self._secret_hides(secret, name) for secret in self.estate.of(Secret)
        ) or self._login_hides(one)

    def _secret_hides(self, secret: Secret, name: str) -> bool:
        if name not in self.receivers(secret):
            return False
        if secret.credential_id is None:
            if secret.readable is False and secret.holder_id and self._runs_elsewhere(secret.holder_id):
                return False
            return secret.looks_like is not None and secret.recognized_by != "name"
        key = self.credentials.get(secret.credential_id)
        return key is None or (self.live_credential(key) and key.identity_id not in self.identities)

    def _runs_elsewhere(self, name: str) -> bool:
        return any(
            source == name
            and kind == "runs_as"
            and self.identities[target].provider != self.identities[name].provider
            for source, target, kind in self.edges
        )

    def _login_hides(self, one: Identity) -> bool:
        if self._runs_elsewhere(one.id):
            return False
        providers = {each.provider for each in self.identities.values()}
        providers |= {provider for provider, _ in self.deliveries.values() if provider}
        for login in one.logins:
            provider, _, how = login.partition(":")
            holds = any(
                source == one.id and kind == "holds-key" and self.identities[target].provider == provider
                for source, target, kind in self.edges
            )
            if how == "static" and provider in providers and not holds:
                return True
        return False

    # --- Figures ------------------------------------------------------------------------------------------------------

    @cached_property
    def figures(self) -> dict[tuple[str, str, str], RecomputedFigure]:
        """Inventory, paths and the delivery metrics, by name, dimension and value. A value without rows is left out."""
        found: dict[tuple[str, str, str], RecomputedFigure] = {}
        providers = {one.provider for one in (*self.identities.values(), *self.accounts.values())}
        for provider in (None, *sorted(providers)):
            place = ("all", "") if provider is None else ("provider", provider)
            for name, figure in self._inventory(provider).items():
                found[name, *place] = figure
        for name, figure in (self._paths() | self._delivery()).items():
            found[name, "all", ""] = figure
        for environment in {self._environment_of(row) for row in self.estate.of(Rollout)}:
            rows = [row for row in self.estate.of(Rollout) if self._environment_of(row) == environment]
            for name, figure in self._rollouts(rows).items():
                found[name, "environment", environment] = figure
        return found

    def _inventory(self, provider: str | None) -> dict[str, RecomputedFigure]:
        def ours(kind: type[T]) -> list[T]:
            return [one for one in self.estate.of(kind) if provider in (None, getattr(one, "provider", None))]

        identities, credentials, artifacts = ours(Identity), ours(Credential), ours(Artifact)
        enabled = [one for one in credentials if one.enabled is not False]
        static = [one for one in enabled if one.lifetime == "static"]
        ages = [self._days(made) for one in static if (made := one.rotated_at or one.created_at) is not None]
        secrets, rollouts, controls = ours(Secret), ours(Rollout), ours(Control)
        return {
            "identities": _count(identities),
            "automation_identities": _count(one for one in identities if one.surface == "automation"),
            "identities_with_owner": _ratio((one.owner is not None for one in identities), certain=True),
            "credentials": _count(credentials),
            "secrets": _count(secrets),
            "artifacts": _count(artifacts),
            "workloads_running": _count(rollouts),
            "static_credentials": _count(static),
            "share_of_static_credentials": _ratio(
                (one.lifetime == "static" for one in enabled), certain=True
            ),
            "median_age_of_static_credentials": RecomputedFigure(
                median(ages) if ages else None, unknown=len(static) - len(ages)
            ),
            "credentials_with_known_use": _ratio(
                (one.last_used_at is not None or one.never_used is True for one in credentials), certain=True
            ),
            "credentials_expiring_soon": _count(
                one
                for one in credentials
                if self.live_credential(one)
                and one.expires_at is not None
                and one.expires_at - self.as_of <= timedelta(days=30)
            ),
            "secrets_readable": _count(one for one in secrets if one.readable and one.looks_like),
            "admin_grants": _count(
                one for one in ours(Grant) if self._lasts(one.expires_at) and one.level == "admin"
            ),
            "open_trusts": _count(one for one in ours(Trust) if one.exposure in ("anyone", "another-tenant")),
            "unresolved_references": RecomputedFigure(0),
            "gaps": _count(ours(Gap)),
            "signed_artifacts": _ratio(one.signed for one in artifacts),
            "artifacts_with_provenance": _ratio(one.provenance for one in artifacts),
            "artifacts_with_sbom": _ratio(one.sbom for one in artifacts),
            "pinned_workloads": _ratio(one.pinned for one in rollouts),
            "gates_enforced": _ratio((one.enforcement == "enforced" for one in controls), certain=True),
        }

    def _days(self, since: datetime) -> int:
        return (self.as_of - since).days

    def _paths(self) -> dict[str, RecomputedFigure]:
        reaching = {
            name
            for (name, power, own), steps in self.reach.items()
            if power == "admin" and not own and steps > 0
        }
        rows = self.excess
        return {
            "pipelines_reaching_admin": _count(one for one in self._pipelines if one.id in reaching),
            "pipelines_compared": _count({pipeline for pipeline, _ in rows}),
            "pipelines_exceeding_their_workload": _count({key[0] for key, row in rows.items() if row.excess}),
        }

    @property
    def _pipelines(self) -> list[Identity]:
        return [one for one in self.identities.values() if one.is_pipeline and one.enabled is not False]

    def _gap_in(self, account: str, tables: Iterable[str]) -> bool:
        return any(
            gap.account_id == account
            and (
                gap.table == "*"
                or (gap.table in tables and (gap.kind is None or gap.reason != "unsupported"))
            )
            for gap in self.gaps
        )

    def _delivery(self) -> dict[str, RecomputedFigure]:
        holders = {source for source, _, kind in self.edges if kind == "holds-key"}
        with_static = {
            one.holder_id
            for one in self.estate.of(Secret)
            if one.looks_like is not None or one.credential_id is not None
        }
        pipelines: list[bool | None] = []
        for one in self._pipelines:
            if one.secrets or one.id in with_static or one.id in holders:
                pipelines.append(False)
            else:
                pipelines.append(None if self._gap_in(one.account_id, ("secrets", "weaknesses")) else True)
        trusted = {trust.identity_id for trust in self.estate.of(Trust)}
        credentials = list(self.credentials.values())
        with_credential = {one.identity_id for one in credentials if self.live_credential(one)}
        running = {source for source, relation, _, _ in self.links if relation == "runs_as"}
        long_lived = {
            one.identity_id
            for one in credentials
            if self.live_credential(one) and one.lifetime != "short-lived"
        }
        sign_ins: list[bool | None] = []
        for one in self.identities.values():
            signs_in = bool(one.issuer) or one.id in trusted or one.id in with_credential or one.id in running
            if one.surface in ("automation", "workload") and one.enabled is not False and signs_in:
                how = self._how_connected(one)
                if one.id in long_lived or one.id in holders or how == "static":
                    sign_ins.append(False)
                elif how == "unknown" or self._gap_in(one.account_id, ("credentials",)):
                    sign_ins.append(None)
                else:
                    sign_ins.append(True)
        attested: list[bool | None] = []
        for artifact in self.estate.of(Artifact):
            flags = (artifact.signed, artifact.provenance, artifact.sbom)
            attested.append(True if all(flags) else False if False in flags else None)
        stages: dict[tuple[str, str], bool | None] = {}
        for control in self.estate.of(Control):
            key = (control.account_id, control.stage)
            if control.enforcement == "enforced":
                stages[key] = True
            elif stages.get(key) is not True:
                stages[key] = None if self._any_gap(control.account_id, ("controls", "*")) else False
        evident = [
            bool(one.deployed_by and (one.digest or one.ref) and one.deployed_at and one.approved_by)
            for one in self.estate.of(Deployment)
        ]
        return {
            "pipelines_without_static_secrets": _ratio(pipelines),
            "service_connections_scoped_or_federated": _ratio(self._connections()),
            "automation_with_short_lived_credentials": _ratio(sign_ins),
            "artifacts_signed_and_attested": _ratio(attested),
            "deployments_with_policy_evidence": RecomputedFigure(None),
            "deployments_of_the_approved_digest": RecomputedFigure(None),
            "workloads_running_the_approved_digest": RecomputedFigure(None),
            "stages_enforced": _ratio(stages.values()),
            "deployments_with_evidence": _ratio(evident, certain=True),
            **self._rollouts(self.estate.of(Rollout)),
        }

    @staticmethod
    def _how_connected(one: Identity) -> str | None:
        """Return how a service connection signs in; None for any other identity."""
        if not one.kind.endswith("-service-connection"):
            return None
        return one.logins[0].partition(":")[2] if one.logins else ""

    def _connections(self) -> list[bool | None]:
        return [
            self._scoped(one)
            for one in self.identities.values()
            if self._how_connected(one) is not None and one.enabled is not False
        ]

    def _scoped(self, one: Identity) -> bool | None:
        how = self._how_connected(one)
        if how in ("oidc", "managed", "app", "none"):
            return True
        if how == "unknown" or any(
            source == one.id and relation in ("runs_as", "uses") and target not in self.identities
            for source, relation, target, _ in self.links
        ):
            return None
        behind = {
            target
            for source, target, kind in self.edges
            if source == one.id and kind in ("runs_as", "holds-key")
        }
        behind |= {target for source, target, kind in self.edges if source in behind and kind == "member_of"}
        if not behind or any(
            grant.identity_id in behind and grant.breadth in ("organization", "account")
            for grant in self.grants
        ):
            return False
        service = one.logins[0].partition(":")[0] if one.logins else ""
        unread = [gap for gap in self.gaps if gap.hides_access and gap.table in ("grants", "*")]
        listed = any(row.table == "grants" and row.provider == service for row in self.estate.of(Coverage))
        hidden = any(
            gap.provider == service or gap.account_id in {self.identities[name].account_id for name in behind}
            for gap in unread
        )
        return None if hidden or not listed else True

    def _any_gap(self, account: str, tables: Iterable[str]) -> bool:
        return any(gap.account_id == account and gap.table in tables for gap in self.gaps)

    def _environment_of(self, row: Rollout) -> str:
        workload = self.identities.get(self.resolve(row.workload_id))
        return (workload.environment if workload else None) or "none"

    def _rollouts(self, rows: list[Rollout]) -> dict[str, RecomputedFigure]:
        same = [
            None
            if row.running_digest is None or row.declared_digest is None
            else row.running_digest == row.declared_digest
            for row in rows
        ]
        return {
            "workloads_running_the_declared_digest": _ratio(same),
            "runtime_drift": RecomputedFigure(
                None if same and set(same) == {None} else same.count(False),
                denominator=len(same) - same.count(None),
                unknown=same.count(None),
            ),
        }


def _count(rows: Iterable[object]) -> RecomputedFigure:
    return RecomputedFigure(sum(1 for _ in rows))


def _ratio(answers: Iterable[bool | None], *, certain: bool = False) -> RecomputedFigure:
    every = list(answers)
    known = [one for one in every if one is not None]
    value = float(Fraction(sum(known), len(known))) if known else None
    return RecomputedFigure(value, sum(known), len(known), None if certain else len(every) - len(known))
