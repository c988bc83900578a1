"""Which identity can become which: by links, stored credentials, and trusts that a known token passes."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from scanner.analyze.callers import caller_edges
from scanner.analyze.trust import Verdict, literal_prefix, simulate
from scanner.findings import Edge
from scanner.parquet import write_table
from scanner.records import Test

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from scanner.tables import Tables


class Token(NamedTuple):
    """One token that an identity can present."""

    identity_id: str
    subject: str
    """``*`` if it is unknown."""
    claims: dict[str, str]
    """By name in lower case."""
    sure: bool = True
    """False if the identity may have such a token, and it is not known."""


def write_edges(tables: Tables, as_of: datetime, path: Path) -> None:
    """Write every edge once, by source, target and kind. ``tables`` has the record views with addresses resolved.

    Links and stored keys can be numerous, so SQL joins find them. Tokens and trusts are evaluated one by one.
    """
    night = {"as_of": as_of.replace(tzinfo=None)}
    tables.table_of("received_secrets", _RECEIVED, night)
    if {"links", "secrets", "trusts"} <= tables.empty:
        write_table(path, Edge, [])
        tables.view("edges", Edge, [])
        return
    evaluated = path.with_name("edges-evaluated.parquet")
    write_table(evaluated, Edge, _evaluated(tables, night))
    tables.view("edges_evaluated", Edge, [evaluated])
    tables.copy(
        f"SELECT source_id, target_id, kind, evidence, why, via, confidence FROM (({_LINKS}) UNION ALL ({_ONE_IDENTITY}) UNION ALL ({_HELD_KEYS}) "
        "UNION ALL SELECT source_id, target_id, kind, evidence, why, via, confidence FROM edges_evaluated) WHERE source_id <> target_id ORDER BY source_id, target_id, kind",
        path,
        night,
    )
    tables.drop("edges_evaluated")
    evaluated.unlink()
    tables.view("edges", Edge, [path])


def _evaluated(tables: Tables, night: dict[str, Any]) -> Iterator[Edge]:
    seen: set[tuple[str, str, str]] = set()
    for edge in itertools.chain(_tokens(tables), caller_edges(tables, night)):
        key = (edge.source_id, edge.target_id, edge.kind)
        if key not in seen:
            seen.add(key)
            yield edge


# A pipeline that asks for a role gets it only when the role's trust lets it in: such a link counts only where the
# target has no trust of its own to ask (a user whose keys are used).
_LINKS = """
    SELECT source_id, target_id, CASE relation WHEN 'can_become' THEN 'escalation' ELSE relation END AS kind,
           first.evidence AS evidence, first.why AS why, first.via AS via,
           first.confidence AS confidence
    FROM (SELECT l.source_id, l.target_id, l.relation,
                 arg_min({'evidence': coalesce(l.evidence, l.id), 'why': l.why, 'via': l.via,
                          'confidence': coalesce(l.confidence, 'high')}, l.id) AS first
          FROM links l
          WHERE (l.relation IN ('runs_as', 'member_of', 'can_become')
                 OR l.relation = 'uses' AND l.target_id NOT IN (SELECT identity_id FROM trusts))
            AND coalesce(l.expires_at > $as_of, true)
            AND l.source_id IN (SELECT id FROM identities) AND l.target_id IN (SELECT id FROM identities)
          GROUP BY ALL)
"""

# What presents the same token is one identity that two systems describe: a service account in its cluster, and in the cloud that
# gives it a role without a trust that names it.
_ONE_IDENTITY = """
    WITH presented AS (
        SELECT id, provider, rtrim(issuer, '/') AS issuer, subjects[1] AS subject FROM identities
        WHERE issuer IS NOT NULL AND len(subjects) = 1 AND subjects[1] NOT LIKE '%*%' AND coalesce(enabled, true)
    )
    SELECT a.id AS source_id, b.id AS target_id, 'runs_as' AS kind, b.id AS evidence,
           'both present the token ' || a.subject || ' of ' || a.issuer AS why, a.subject AS via, 'high' AS confidence
    FROM presented a JOIN presented b ON b.issuer = a.issuer AND b.subject = a.subject AND b.provider <> a.provider
"""

# Who receives a stored secret: its direct holder, or the pipelines below the place where it is stored that name it. Places
# and environments limit who gets it; names are compared without case, since some providers do.
_RECEIVED = """
    WITH RECURSIVE stored AS (
        SELECT id, store, name, holder_id, account_id, environment, visibility, available_to FROM secrets
        WHERE credential_id IS NOT NULL OR looks_like IS NOT NULL AND recognized_by IS DISTINCT FROM 'name'
    ), places AS (
        SELECT DISTINCT account_id AS place, account_id FROM stored WHERE holder_id IS NULL
        UNION
        SELECT p.place, a.id FROM places p JOIN accounts a ON a.parent_id = p.account_id
    )
    SELECT holder_id AS identity_id, id AS secret_id FROM stored WHERE holder_id IS NOT NULL
    UNION ALL
    SELECT i.id, s.id
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
"""
"""Kept as ``received_secrets``: identity_id, secret_id. Only of secrets that can matter to a comparison."""

_HELD_KEYS = """
    SELECT r.identity_id AS source_id, c.identity_id AS target_id, 'holds-key' AS kind, min(s.id) AS evidence,
           'key in ' || arg_min(s.store || ' ' || s.name, s.id) AS why, arg_min(s.name, s.id) AS via,
           CASE WHEN bool_and(coalesce(s.credential_known_by = 'id-in-name', false)) THEN 'low' ELSE 'high' END AS confidence
    FROM received_secrets r JOIN secrets s ON s.id = r.secret_id JOIN credentials c ON c.id = s.credential_id
    WHERE coalesce(c.enabled, true) AND coalesce(c.expires_at > $as_of, true)
      AND r.identity_id IN (SELECT id FROM identities) AND c.identity_id IN (SELECT id FROM identities)
    GROUP BY 1, 2
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
        if test.claim.lower() == "sub" and not test.optional:
            match test.operator:
                case "equals" | "prefix":
                    return test.values
                case "glob":
                    return [literal_prefix(value) for value in test.values]
                case _:
                    pass
    return [""]


_CHOSEN = frozenset(("aud",))
"""Claims that the caller chooses, unless its token fixes them."""
_VERDICTS: tuple[Verdict, ...] = ("exact", "pattern", "unknown")
"""Most certain first."""


def _presented(tables: Tables) -> dict[str, list[Token]]:
    """Return the tokens by issuer. Disabled identities, such as pipelines of archived repositories, have none."""
    found: dict[str, list[Token]] = {}
    query = """
        SELECT id, issuer, subjects, tokens FROM identities
        WHERE (issuer IS NOT NULL OR len(tokens) > 0) AND coalesce(enabled, true) ORDER BY id
    """
    for identity, issuer, subjects, tokens in tables.rows(query):
        for given in tokens or [{"sub": subject} for subject in subjects or []]:
            claims = {name.lower(): value for name, value in given.items()}
            # A token whose subject is unknown can have any.
            token = Token(identity, claims.get("sub", "*"), claims, issuer is not None)
            signer = issuer or claims.get("iss")
            if signer:
                found.setdefault(canonical_issuer(signer), []).append(token)
    return found


def _tokens(tables: Tables) -> Iterator[Edge]:
    """Yield the identities whose tokens pass an OIDC trust, each with the token that passes most certainly.

    If no identity presents a token of an issuer below a known one (``https://issuer.example/acme``), tenants of the known
    issuer may use it.
    """
    indexed = {issuer: Subjects(tokens) for issuer, tokens in _presented(tables).items()}
    trusts = """
        SELECT t.id, t.identity_id, t.issuer, t.tests, t.audience FROM trusts t JOIN identities i ON i.id = t.identity_id
        WHERE t.kind = 'oidc' AND coalesce(t.exposure, 'unknown') <> 'nobody' ORDER BY t.id
    """
    for trust, target, issuer, raw, audience in tables.rows(trusts):
        canonical = canonical_issuer(issuer)
        known = indexed.get(canonical)
        sure = known is not None
        if known is None:
            known = indexed.get(canonical.rpartition("/")[0])
        if known is None:
            continue
        tests = msgspec.convert(raw or [], list[Test])
        if audience:
            tests.append(Test(claim="aud", operator="glob", values=audience))
        best: dict[str, tuple[int, Token]] = {}
        for token in _candidates(known, tests):
            if sure and token.identity_id in best and best[token.identity_id][0] == 0:
                continue
            verdict = simulate(tests, token.claims, _CHOSEN)
            if verdict == "no":
                continue
            rank = _VERDICTS.index(verdict if sure and token.sure else "unknown")
            if token.identity_id not in best or rank < best[token.identity_id][0]:
                best[token.identity_id] = (rank, token)
        for identity, (rank, token) in best.items():
            yield Edge(
                source_id=identity,
                target_id=target,
                kind="trust" if rank == 0 else "trust-pattern",
                evidence=trust,
                why=_evidence(token, _VERDICTS[rank])
                if sure
                else f"its token {token.subject} may pass: its issuer may be {issuer}",
                via=token.subject,
                confidence="low" if _VERDICTS[rank] == "unknown" else "high",
            )


def _candidates(known: Subjects, tests: list[Test]) -> Iterator[Token]:
    for prefix in _prefixes(tests):
        yield from known.candidates(prefix)


def _evidence(token: Token, verdict: str) -> str:
    subject = token.subject
    if not token.sure:
        return f"a token {subject} would pass, and it is not known whether it has one"
    match verdict:
        case "exact":
            return f"its token {subject} passes the trust"
        case "pattern":
            return f"some tokens {subject} pass the trust"
        case _:
            return f"its token {subject} may pass: one condition could not be evaluated"


def canonical_issuer(issuer: str) -> str:
    """Return an issuer so that equal ones are equal texts: scheme and host in lower case, no slash at the end.

    Without a scheme, ``https`` is meant: some providers name issuers that way, while tokens contain the full URL.
    https://openid.net/specs/openid-connect-core-1_0.html#IDToken: an issuer is an https URL, compared exactly; of a URL,
    scheme and host have no case: https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2.1.
    """
    scheme, separator, rest = issuer.partition("://")
    if not separator:
        scheme, rest = "https", issuer
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}".rstrip("/")
