"""Which identity can become which: by links, stored credentials, and trusts that a known token passes."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from scanner.analyze.trust import intersects, literal_prefix, matches, simulate
from scanner.findings import Edge
from scanner.parquet import write_table
from scanner.records import Test

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from scanner.tables import Tables

ASSUMING = ("admin", "become-other")
"""Powers that let an identity assume a role that trusts its whole account."""


class Token(NamedTuple):
    """One token that an identity can present."""

    identity_id: str
    subject: str
    claims: dict[str, str]
    """Including ``sub``."""


def write_edges(tables: Tables, as_of: datetime, path: Path) -> None:
    """Write every edge once, by source, target and kind. ``tables`` has the record views with addresses resolved.

    Links and stored keys can be numerous, so SQL joins find them. Tokens and trusts are evaluated one by one.
    """
    if {"links", "secrets", "trusts"} <= tables.empty:
        write_table(path, Edge, [])
        tables.view("edges", Edge, [])
        return
    judged = path.with_name("edges-judged.parquet")
    write_table(judged, Edge, _judged(tables))
    tables.view("edges_judged", Edge, [judged])
    tables.copy(
        f"SELECT source_id, target_id, kind, evidence, why FROM (({_LINKS}) UNION ALL ({_HELD_KEYS}) "
        "UNION ALL SELECT source_id, target_id, kind, evidence, why FROM edges_judged) WHERE source_id <> target_id ORDER BY source_id, target_id, kind",
        path,
        {"as_of": as_of.replace(tzinfo=None)},
    )
    tables.drop("edges_judged")
    judged.unlink()
    tables.view("edges", Edge, [path])


def _judged(tables: Tables) -> Iterator[Edge]:
    seen: set[tuple[str, str, str]] = set()
    for edge in itertools.chain(_tokens(tables), _principals(tables)):
        key = (edge.source_id, edge.target_id, edge.kind)
        if key not in seen:
            seen.add(key)
            yield edge


# A pipeline that asks for a role gets it only when the role's trust lets it in: such a link counts only where the
# target has no trust of its own to ask (a user whose keys are used).
_LINKS = """
    SELECT source_id, target_id, CASE relation WHEN 'can_become' THEN 'escalation' ELSE relation END AS kind,
           first.evidence AS evidence, first.why AS why
    FROM (SELECT l.source_id, l.target_id, l.relation,
                 arg_min({'evidence': coalesce(l.evidence, l.id), 'why': l.why}, l.id) AS first
          FROM links l
          WHERE (l.relation IN ('runs_as', 'member_of', 'can_become')
                 OR l.relation = 'uses' AND l.target_id NOT IN (SELECT identity_id FROM trusts))
            AND l.source_id IN (SELECT id FROM identities) AND l.target_id IN (SELECT id FROM identities)
          GROUP BY ALL)
"""

# From each holder of a stored credential to the identity that the credential proves: the direct holder, or the
# pipelines below the place where it is stored that name it. Places and environments limit who gets it; names are
# compared without case, since GitHub does.
_HELD_KEYS = """
    WITH RECURSIVE stored AS (
        SELECT s.*, c.identity_id AS proves FROM secrets s JOIN credentials c ON c.id = s.credential_id
        WHERE coalesce(c.enabled, true) AND coalesce(c.expires_at > $as_of, true)
    ), places AS (
        SELECT DISTINCT account_id AS place, account_id FROM stored
        UNION
        SELECT p.place, a.id FROM places p JOIN accounts a ON a.parent_id = p.account_id
    )
    SELECT source AS source_id, target AS target_id, 'holds-key' AS kind, min(id) AS evidence,
           'key in ' || arg_min(store || ' ' || name, id) AS why
    FROM (
        SELECT id, store, name, holder_id AS source, proves AS target FROM stored WHERE holder_id IS NOT NULL
        UNION
        SELECT s.id, s.store, s.name, i.id, s.proves
        FROM stored s JOIN places p ON p.place = s.account_id JOIN identities i ON i.account_id = p.account_id
        LEFT JOIN accounts a ON a.id = i.account_id
        WHERE s.holder_id IS NULL AND i.surface = 'automation' AND coalesce(i.enabled, true)
          AND list_has_any([upper(x) FOR x IN list_concat(i.secrets, i.variables)], [upper(s.name), '*'])
          AND (s.environment IS NULL
               OR len([1 FOR x IN i.environments IF x = '*' OR regexp_full_match(
                       lower(x), replace(regexp_escape(lower(s.environment)), '\\*', '.*'))]) > 0)
          AND (coalesce(s.visibility, 'all') <> 'private' OR coalesce(a.visibility, 'private') <> 'public')
          AND (coalesce(s.visibility, 'all') <> 'selected' OR i.account_id = s.account_id
               OR list_contains(s.available_to, i.account_id))
    )
    WHERE source IN (SELECT id FROM identities) AND target IN (SELECT id FROM identities)
    GROUP BY source, target
"""


class Subjects:
    """The tokens of one issuer, searchable by the prefix of their subject."""

    def __init__(self, tokens: list[Token]) -> None:
        self._all = tokens
        self._literal = sorted(
            ((token.subject, number) for number, token in enumerate(tokens) if "*" not in token.subject)
        )
        self._open: dict[str, list[int]] = {}
        for number, token in enumerate(tokens):
            if "*" in token.subject:
                self._open.setdefault(literal_prefix(token.subject), []).append(number)

    def candidates(self, prefix: str) -> Iterator[Token]:
        """Yield the tokens whose subject can start with ``prefix``."""
        if not prefix:
            yield from self._all
            return
        at = bisect_left(self._literal, (prefix, -1))
        while at < len(self._literal) and self._literal[at][0].startswith(prefix):
            yield self._all[self._literal[at][1]]
            at += 1
        for start, numbers in self._open.items():
            if start.startswith(prefix) or prefix.startswith(start):
                for number in numbers:
                    yield self._all[number]


def _prefixes(tests: list[Test]) -> list[str]:
    """Return the prefixes of which a passing subject must have one; an empty prefix if no test limits it."""
    for test in tests:
        if test.claim == "sub" and not test.optional:
            match test.operator:
                case "equals":
                    return test.values
                case "glob":
                    return [literal_prefix(value) for value in test.values]
                case "prefix":
                    return test.values
                case _:
                    pass
    return [""]


# Chosen by the caller unless the issuer fixes them: the audience and the session name.
_CHOSEN = {"aud": "*", "sts:rolesessionname": "*"}
_VERDICTS = ("exact", "pattern", "unknown")
"""Most certain first."""


def _presented(tables: Tables) -> dict[str, list[Token]]:
    """Return the tokens by issuer. Disabled identities, such as pipelines of archived repositories, have none."""
    found: dict[str, list[Token]] = {}
    query = """
        SELECT id, issuer, subjects, tokens FROM identities WHERE issuer IS NOT NULL AND coalesce(enabled, true) ORDER BY id
    """
    for identity, issuer, subjects, tokens in tables.rows(query):
        for claims in tokens or [{"sub": subject} for subject in subjects or []]:
            found.setdefault(_host(issuer), []).append(Token(identity, claims["sub"], claims))
    return found


def _tokens(tables: Tables) -> Iterator[Edge]:
    """Yield the identities whose tokens pass an OIDC trust, each with the token that passes most certainly.

    If no identity presents a token of an issuer below a known one (``token.actions.githubusercontent.com/acme``),
    tenants of the known issuer may use it.
    """
    indexed = {issuer: Subjects(tokens) for issuer, tokens in _presented(tables).items()}
    trusts = """
        SELECT t.id, t.identity_id, t.issuer, t.tests FROM trusts t JOIN identities i ON i.id = t.identity_id
        WHERE t.kind = 'oidc' AND coalesce(t.exposure, 'unknown') <> 'nobody' ORDER BY t.id
    """
    for trust, target, issuer, raw in tables.rows(trusts):
        host = _host(issuer)
        known = indexed.get(host)
        sure = known is not None
        if known is None:
            known = indexed.get(host.rpartition("/")[0])
        if known is None:
            continue
        tests = msgspec.convert(raw or [], list[Test])
        best: dict[str, tuple[int, str]] = {}
        for token in _candidates(known, tests):
            if sure and token.identity_id in best and best[token.identity_id][0] == 0:
                continue
            verdict = simulate(tests, token.claims, _CHOSEN)
            if verdict == "no":
                continue
            rank = _VERDICTS.index(verdict if sure else "unknown")
            if token.identity_id not in best or rank < best[token.identity_id][0]:
                best[token.identity_id] = (rank, token.subject)
        for identity, (rank, subject) in best.items():
            yield Edge(
                source_id=identity,
                target_id=target,
                kind="trust" if rank == 0 else "trust-pattern",
                evidence=trust,
                why=_said(subject, _VERDICTS[rank])
                if sure
                else f"its token {subject} may pass: its issuer may be {issuer}",
            )


def _candidates(known: Subjects, tests: list[Test]) -> Iterator[Token]:
    for prefix in _prefixes(tests):
        yield from known.candidates(prefix)


def _said(subject: str, verdict: str) -> str:
    match verdict:
        case "exact":
            return f"its token {subject} passes the trust"
        case "pattern":
            return f"some tokens {subject} pass the trust"
        case _:
            return f"its token {subject} may pass: one condition could not be evaluated"


def _host(issuer: str) -> str:
    """Return an issuer without scheme and trailing slash. AWS names providers this way; tokens contain the full URL."""
    return issuer.removeprefix("https://").rstrip("/").lower()


def _principals(tables: Tables) -> Iterator[Edge]:
    """Yield the identities that a trust names by address, or whose whole account it trusts.

    Trusting an account delegates the decision to that account: there an identity needs a grant that lets it assume
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html). A trust that names
    the principal needs no such grant within one account.
    """
    query = """
        SELECT t.id, t.identity_id, i.address, i.account_id, t.issuer, t.tests, t.provider
        FROM trusts t JOIN identities i ON i.id = t.identity_id
        WHERE t.kind = 'account' AND coalesce(t.exposure, 'unknown') <> 'nobody' ORDER BY t.id
    """
    trusts = list(tables.rows(query))
    if not trusts:
        return
    named = {
        row[0]: row
        for row in tables.rows(
            "SELECT address, id, account_id FROM identities WHERE address IN (SELECT issuer FROM trusts WHERE kind = 'account')"
        )
    }
    assuming = _assuming(tables)
    for trust, target, address, account, issuer, raw, provider in trusts:
        tests = msgspec.convert(raw or [], list[Test])
        if issuer in named:
            _, source, home = named[issuer]
            if home == account or _may_assume(assuming.get(home, {}).get(source, ()), address):
                yield from _admitted(source, target, trust, issuer, tests)
            continue
        home = f"{provider}:account:{_account_number(issuer)}"
        for source, resources in sorted(assuming.get(home, {}).items()):
            if source != target and _may_assume(resources, address):
                yield from _admitted(source, target, trust, issuer, tests)


def _admitted(source: str, target: str, trust: str, issuer: str, tests: list[Test]) -> Iterator[Edge]:
    """Yield the edge unless a test on the caller certainly fails. An insider can satisfy the other tests."""
    sure = [test for test in tests if test.claim.lower() in ("aws:principalarn", "aws:principalaccount")]
    if simulate(sure, {"aws:principalarn": issuer if ":root" not in issuer else "*"}) != "no":
        yield Edge(
            source_id=source, target_id=target, kind="trust", evidence=trust, why=f"the role trusts {issuer}"
        )


def _assuming(tables: Tables) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the identities that may assume roles by account, with the resources they may assume."""
    query = """
        SELECT i.account_id, g.identity_id, list(DISTINCT g.resource ORDER BY g.resource)
        FROM grants g JOIN identities i ON i.id = g.identity_id
        WHERE list_has_any(g.powers, $powers) AND g.role NOT LIKE 'escalation:%'
          AND i.account_id IN (SELECT account_id FROM trusts WHERE kind = 'account'
                               UNION SELECT provider || ':account:' || regexp_extract(issuer, '([0-9]{12})', 1)
                               FROM trusts WHERE kind = 'account')
        GROUP BY 1, 2
    """
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for account, identity, resources in tables.rows(query, {"powers": list(ASSUMING)}):
        found.setdefault(account, {})[identity] = tuple(resources)
    return found


def _may_assume(resources: tuple[str, ...], address: str | None) -> bool:
    """Whether one of the resources of an identity's grants covers a role's address."""
    return any(
        resource == "*"
        or (address is not None and (matches(resource, address) or intersects(resource, address)))
        for resource in resources
    )


def _account_number(principal: str) -> str:
    """Return the account of an ARN, or the principal itself when it is a bare account number."""
    parts = principal.split(":")
    return parts[4] if len(parts) > 5 else principal
