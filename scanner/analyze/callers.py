"""Which identities a trust in callers lets in: the one it names, those of an account, or everyone its conditions leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from scanner.analyze.trust import combine, evaluate, matches
from scanner.findings import Edge
from scanner.records import Test

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.tables import Tables

ASSUMING = ("admin", "become-other")
"""Powers that let an identity assume a role that trusts its whole account."""


class Caller(NamedTuple):
    """An identity as the conditions of a trust on its caller see it."""

    id: str
    account_id: str
    provider: str
    local: bool
    """Whether a trust of its own account in everyone suffices: a person or automation, not a workload."""
    facts: dict[str, str]
    """Its ``address``, ``account`` and ``organization``, as far as they are known."""
    assumes: tuple[str, ...]
    """The resources of its assuming grants."""


# The organization of an account is the topmost account above it.
_CALLERS = """
    WITH RECURSIVE wanted AS (
        SELECT t.issuer, t.trusted_account, i.provider FROM trusts t JOIN identities i ON i.id = t.identity_id
        WHERE t.kind IN ('account', 'anyone') AND coalesce(t.exposure, 'unknown') <> 'nobody'
    ), up AS (
        SELECT id, parent_id, 0 AS levels FROM accounts WHERE parent_id IS NOT NULL
        UNION ALL
        SELECT up.id, a.parent_id, levels + 1 FROM up JOIN accounts a ON a.id = up.parent_id
        WHERE a.parent_id IS NOT NULL AND levels < 32
    ), organizations AS (
        SELECT up.id, a.native_id FROM up JOIN accounts a ON a.id = up.parent_id WHERE a.parent_id IS NULL
    ), assuming AS (
        SELECT identity_id, list(DISTINCT resource ORDER BY resource) AS resources
        FROM (SELECT identity_id, unnest(CASE WHEN assumes IS NOT NULL THEN assumes
                                              WHEN list_has_any(powers, $powers) THEN [resource] ELSE [] END) AS resource
              FROM grants WHERE escalation_path IS NULL AND coalesce(expires_at > $as_of, true))
        GROUP BY 1
    )
    SELECT i.id, i.account_id, i.provider, coalesce(i.surface IN ('human', 'automation'), true), i.address, a.native_id, o.native_id,
           coalesce(g.resources, [])
    FROM identities i LEFT JOIN accounts a ON a.id = i.account_id LEFT JOIN organizations o ON o.id = i.account_id
         LEFT JOIN assuming g ON g.identity_id = i.id
    WHERE coalesce(i.enabled, true)
      AND (i.id IN (SELECT issuer FROM wanted) OR i.address IN (SELECT issuer FROM wanted)
           OR g.resources IS NOT NULL AND i.account_id IN (SELECT trusted_account FROM wanted WHERE trusted_account IS NOT NULL)
           OR i.provider IN (SELECT provider FROM wanted WHERE issuer = '*'))
    ORDER BY i.id
"""
"""The identities that some trust names, or whose account or provider it trusts."""


class Callers:
    """The possible callers of a night's trusts, by what a trust can name."""

    def __init__(self, callers: list[Caller]) -> None:
        self._by_name: dict[str, Caller] = {}
        self._by_account: dict[str, list[Caller]] = {}
        self._by_provider: dict[str, list[Caller]] = {}
        for caller in callers:
            self._by_name.setdefault(caller.facts.get("address", caller.id), caller)
            self._by_account.setdefault(caller.account_id, []).append(caller)
            self._by_provider.setdefault(caller.provider, []).append(caller)
        self._by_name |= {caller.id: caller for caller in callers}

    def admitted(
        self, issuer: str, trusted_account: str | None, target: Identified
    ) -> Iterator[tuple[Caller, str]]:
        """Yield the callers that a trust of ``target`` lets decide for themselves, each with how.

        Trusting an account delegates the decision to that account: there an identity needs a grant that lets it assume. A
        trust that names the caller needs no such grant within one account.
        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html
        """
        named = self._by_name.get(issuer)
        if named is not None:
            # A credential of another provider is exchanged: no grant of that provider decides about it.
            foreign = named.provider != target.provider
            if foreign or named.account_id == target.account_id or _may_assume(named, target):
                yield named, issuer
        elif trusted_account is not None:
            for caller in self._by_account.get(trusted_account, ()):
                if _may_assume(caller, target):
                    yield caller, issuer
        elif issuer == "*":
            for caller in self._by_provider.get(target.provider, ()):
                if (caller.local and caller.account_id == target.account_id) or _may_assume(caller, target):
                    yield caller, "everyone"


class Identified(NamedTuple):
    """The identity that a trust lets others become."""

    id: str
    address: str | None
    account_id: str
    provider: str


def caller_edges(tables: Tables, night: dict[str, Any]) -> Iterator[Edge]:
    """Yield the identities that a trust names or whose account it trusts, unless a condition on the caller fails."""
    query = """
        SELECT t.id, t.issuer, t.trusted_account, t.tests, i.id, i.address, i.account_id, i.provider
        FROM trusts t JOIN identities i ON i.id = t.identity_id
        WHERE t.kind IN ('account', 'anyone') AND coalesce(t.exposure, 'unknown') <> 'nobody'
          AND i.surface IS DISTINCT FROM 'workload'  -- to call a workload is not to become it
        ORDER BY t.id
    """
    trusts = list(tables.rows(query))
    if not trusts:
        return
    known = Callers([_caller(row) for row in tables.rows(_CALLERS, {"powers": list(ASSUMING), **night})])
    for trust, issuer, trusted_account, raw, *target in trusts:
        identified = Identified(*target)
        # An insider can satisfy the other conditions: a session tag, MFA, an external id.
        tests = [
            test
            for test in msgspec.convert(raw or [], list[Test])
            if test.caller is not None and test.caller != "chosen"
        ]
        for caller, whom in known.admitted(issuer, trusted_account, identified):
            verdict = combine(evaluate(test, _claim_of(test, caller)) for test in tests)
            if caller.id != identified.id and verdict != "no":
                yield Edge(
                    source_id=caller.id,
                    target_id=identified.id,
                    kind="trust" if verdict == "exact" else "trust-pattern",
                    evidence=trust,
                    confidence="low" if verdict == "unknown" else "high",
                    why=f"the role trusts {whom}"
                    + (
                        ""
                        if verdict == "exact"
                        else ", under a condition on the caller that could not be evaluated"
                    ),
                )


def _caller(row: tuple[Any, ...]) -> Caller:
    identity, account_id, provider, local, address, account, organization, assumes = row
    facts = {"address": address, "account": account, "organization": organization}
    known = {name: value for name, value in facts.items() if value is not None}
    return Caller(identity, account_id, provider, local, known, tuple(assumes))


def _claim_of(test: Test, caller: Caller) -> dict[str, str]:
    """Return what a test on a caller asks about it, as a claim; empty if that is unknown."""
    known = caller.facts.get(test.caller or "")
    return {} if known is None else {test.claim.lower(): known}


def _may_assume(caller: Caller, target: Identified) -> bool:
    """Whether one of a caller's assuming grants covers the target."""
    return any(
        resource == "*" or (target.address is not None and matches(resource, target.address))
        for resource in caller.assumes
    )
