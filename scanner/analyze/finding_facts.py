"""Turns hits into findings without a status: subject, owner, reach and urgency.

The rank, highest first, is ``severity + exposure + reach + confidence + age``:

- severity: critical 5000, high 4000, medium 3000, low 2000, info 1000, so severity always dominates
- exposure of the trust, or of the widest trust of the identity: anyone 400, another tenant 300, organization 200,
  repository 100, unknown 50
- level that the identity reaches: admin 300, escalation 250, write 100, read 20
- confidence high: 50
- age: one for each day since it was first found, or found again, at most 49
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.analyze.exceptions import EXCEPTIONS_ACCOUNT
from scanner.analyze.framework import EVERY
from scanner.analyze.resolve import BY_ACCOUNT
from scanner.analyze.rule import SUBJECTS
from scanner.records import POWERS

if TYPE_CHECKING:
    from scanner.tables import Tables

_BASE32 = " || ".join(
    # Of a 64-bit number, 12 base32 digits: 15 hexadecimal ones.
    f"to_base(('0x' || substr(hex, {start}, {length}))::BIGINT, 32, {length * 4 // 5})"
    for start, length in ((1, 15), (16, 15), (31, 5))
)


def define_finding_id(tables: Tables) -> None:
    """Define the macro ``finding_id(rule, subject)``.

    It gives ``nf1-`` and the first 26 base32 digits, lower case, of the sha256 of the canonical JSON ``[rule, subject]``.
    """
    digits = "'0123456789ABCDEFGHIJKLMNOPQRSTUV', 'abcdefghijklmnopqrstuvwxyz234567'"  # RFC 4648, section 6
    tables.macro("base32_of_hex", "hex", f"(translate(substr({_BASE32}, 1, 26), {digits}))")
    tables.macro(
        "finding_id",
        "rule_id, subject_id",
        "('nf1-' || base32_of_hex(sha256(to_json([rule_id, subject_id])::VARCHAR)))",
    )


_COLUMNS = (
    "account_id",
    "provider",
    "kind",
    "name",
    "address",
    "identity_id",
    "reach_id",
    "owner",
    "owner_source",
    "environment",
    "url",
    "resource",
    "credential_id",
    "grant_id",
    "exposure",
    "fix",
    "confidence",
)

_SUBJECTS: dict[str, dict[str, str]] = {
    "accounts": {
        "kind": "kind",
        "name": "name",
        "address": "address",
        "owner": "owner",
        "owner_source": "owner_source",
        "environment": "environment",
        "url": "url",
    },
    "identities": {
        "kind": "kind",
        # A pipeline's name ("Deploy") is ambiguous without its repository.
        "name": "CASE WHEN location IS NOT NULL THEN coalesce(address, name) ELSE name END",
        "address": "address",
        "identity_id": "id",
        "owner": "owner",
        "owner_source": "owner_source",
        "environment": "environment",
        "url": "url",
    },
    "credentials": {
        "kind": "kind",
        "name": "name",
        # Exceptions may refer to an identity's grants and credentials by the identity's address.
        "address": "(SELECT i.address FROM identities AS i WHERE i.id = t.identity_id)",
        "identity_id": "identity_id",
        "owner": "owner",
        "resource": "location",
        "credential_id": "id",
    },
    "secrets": {
        "kind": "store",
        "name": "name",
        "address": "location",
        "identity_id": "holder_id",
        # A stored copy gives the access of its credential to every holder.
        "reach_id": "(SELECT c.identity_id FROM credentials AS c WHERE c.id = t.credential_id)",
        "owner": "owner",
        "environment": "environment",
        "resource": "location",
        "credential_id": "credential_id",
    },
    "grants": {
        "kind": "breadth",
        "name": "coalesce((SELECT i.name FROM identities AS i WHERE i.id = t.identity_id) || ': ', '') || role",
        "address": "(SELECT i.address FROM identities AS i WHERE i.id = t.identity_id)",
        "identity_id": "identity_id",
        "resource": "resource",
        "grant_id": "id",
        "fix": "fix",
        "confidence": "confidence",
    },
    "trusts": {
        "kind": "kind",
        "name": "coalesce((SELECT i.name FROM identities AS i WHERE i.id = t.identity_id), identity_id)",
        "address": "(SELECT i.address FROM identities AS i WHERE i.id = t.identity_id)",
        "identity_id": "identity_id",
        "resource": "issuer",
        "exposure": "exposure",
        "fix": "fix",
    },
    "links": {
        "kind": "relation",
        "name": "coalesce((SELECT i.name FROM identities AS i WHERE i.id = t.source_id), source_id) || ' '"
        " || replace(relation, '_', ' ') || ' '"
        " || coalesce((SELECT i.name FROM identities AS i WHERE i.id = t.target_id), target_id)",
        "identity_id": "source_id",
    },
    "policies": {"kind": "kind", "name": "name", "address": "address"},
    "controls": {"kind": "kind", "name": "name", "resource": "target"},
    "weaknesses": {
        "kind": "code",
        "name": "what",
        "address": "(SELECT i.address FROM identities AS i WHERE i.id = t.subject_id)",
        "identity_id": "subject_id",
        "resource": "path || coalesce(':' || line, '')",
        "fix": "fix",
        "confidence": "confidence",
    },
    "artifacts": {"kind": "kind", "name": "name", "identity_id": "builder_id", "resource": "digest"},
    "deployments": {
        "kind": "'deployment'",
        "name": "coalesce(ref, digest, id)",
        "identity_id": "pipeline_id",
        "environment": "environment",
    },
    "rollouts": {"kind": "'rollout'", "name": "coalesce(declared, id)", "identity_id": "workload_id"},
    "gaps": {"kind": "reason", "name": "call", "resource": "needs"},
    "coverage": {"kind": '"table"', "name": "call"},
    "target_coverage": {
        "kind": "kind",
        "name": "coalesce(name, target)",
        "address": "collector || '/' || target",
        "resource": "needs",
    },
    "exceptions": {
        "account_id": f"'{EXCEPTIONS_ACCOUNT}'",
        "provider": "'sprawlscan'",
        "kind": "state",
        "name": "rule || ' for ' || selector",
        "owner": "owner",
        "owner_source": "'file'",
        "resource": "selector",
    },
}
"""The columns that a finding takes from its subject's record."""

assert _SUBJECTS.keys() == {*SUBJECTS}


def _subjects(table: str, hits: str) -> str:
    given = {"account_id": "account_id", "provider": "provider", **_SUBJECTS[table]}
    chosen = ", ".join(f"({given.get(column, 'NULL')})::VARCHAR AS {column}" for column in _COLUMNS)
    return f"""
        SELECT '{table}' AS "table", id, {chosen} FROM "{table}" AS t
        WHERE id IN (SELECT h.subject FROM {hits} AS h JOIN rules AS r ON r.rule = h.rule WHERE r.subject = '{table}')
    """


def subject_places(tables: list[str]) -> str:
    """Return the query for the account and kind of every possible subject: "table", id, account_id and kind."""
    parts = []
    for table in tables:
        given = {"account_id": "account_id", **_SUBJECTS[table]}
        chosen = ", ".join(
            f"({given[column]})::VARCHAR AS {column}" for column in ("account_id", "kind") if column in given
        )
        parts.append(f'SELECT \'{table}\' AS "table", id, {chosen} FROM "{table}" AS t')
    return " UNION ALL ".join(parts)


def stray_subjects(tables: list[str], hits: str) -> str:
    """Return the query for hits whose subject is not a row of the rule's table, which is a defect in the rule."""
    parts = [
        f"""
        SELECT h.rule, min(h.subject) AS subject FROM {hits} AS h JOIN rules AS r ON r.rule = h.rule
        WHERE r.subject = '{table}' AND h.subject NOT IN (SELECT id FROM "{table}") GROUP BY h.rule
        """
        for table in tables
    ]
    return " UNION ALL ".join(parts) + " ORDER BY rule"


def _ladder(column: str, figures: dict[str, int]) -> str:
    cases = " ".join(f"WHEN '{name}' THEN {figure}" for name, figure in figures.items())
    return f"CASE {column} {cases} ELSE 0 END"


_SEVERITY = {"critical": 5000, "high": 4000, "medium": 3000, "low": 2000, "info": 1000}
_EXPOSURE = {"anyone": 400, "another-tenant": 300, "organization": 200, "repository": 100, "unknown": 50}
_LEVEL = {"admin": 300, "escalation": 250, "write": 100, "read": 20}

MAX_AGE_DAYS = 49
"""The maximum age that counts in the rank, in days."""

_POWER_LIST = ", ".join(f"'{power}'" for power in POWERS)


def facts(tables: list[str], hits: str) -> str:
    """Return the query for tonight's findings, without the columns that depend on earlier nights.

    Reads ``rules``, ``rule_controls`` and the relation ``hits``; ``tables`` are the subject tables in use.
    """
    subjects = " UNION ALL ".join(_subjects(table, hits) for table in tables)
    return f"""
        WITH subjects AS MATERIALIZED ({subjects}),
        found AS MATERIALIZED (
            SELECT h.*, r.oldest_id, r.version, r.category, r.title, r.fix AS rule_fix, s."table", s.provider, s.kind, s.name,
                   s.address, s.credential_id, s.grant_id, s.owner, s.owner_source, s.environment, s.url,
                   s.fix AS subject_fix, s.confidence AS subject_confidence,
                   s.exposure, coalesce(h.account_id, s.account_id) AS account,
                   coalesce(h.resource, s.resource) AS at_resource,
                   coalesce(h.identity_id, s.identity_id) AS identity,
                   coalesce(s.reach_id, h.identity_id, s.identity_id) AS reacher
            FROM {hits} AS h JOIN rules AS r ON r.rule = h.rule
                 JOIN subjects AS s ON s."table" = r.subject AND s.id = h.subject
        ),
        furthest AS (  -- reach has one row for an identity, power and number of steps, so there are no ties
            SELECT identity_id, arg_min({{'level': level, 'power': power, 'account_id': account_id, 'steps': steps,
                                          'path': path}},
                                        list_position([{_POWER_LIST}], power) * 1000 + steps) AS best
            FROM reach WHERE identity_id IN (SELECT reacher FROM found) GROUP BY identity_id
        ),
        exposed AS (
            SELECT identity_id, max({_ladder("exposure", _EXPOSURE)}) AS exposure FROM trusts
            WHERE identity_id IN (SELECT identity FROM found) GROUP BY identity_id
        )
        SELECT finding_id(f.oldest_id, f.subject) AS id,
               f.rule, f.version AS rule_version, f.category,
               list_concat(coalesce(ca.controls, []), coalesce(co.controls, [])) AS controls, f.title, f.severity,
               CASE WHEN coalesce(f.confidence, f.subject_confidence) = 'low' THEN 'low' ELSE 'high' END AS confidence,
               {_ladder("f.severity", _SEVERITY)}
               + greatest({_ladder("f.exposure", _EXPOSURE)}, coalesce(e.exposure, 0))
               + {_ladder("b.best.level", _LEVEL)}
               + CASE WHEN coalesce(f.confidence, f.subject_confidence) = 'low' THEN 0 ELSE 50 END AS urgency,
               f.provider, f.account AS account_id, a.name AS account_name,
               f.subject, f."table" AS subject_table, f.kind AS subject_kind,
               coalesce(nullif(f.name, ''), f.subject) AS subject_name, f.address AS subject_address,
               f.identity AS identity_id, CASE WHEN i.location IS NOT NULL THEN coalesce(i.address, i.name) ELSE i.name END AS identity_name, i.surface, f.credential_id, f.grant_id,
               f.at_resource AS resource,
               coalesce(f.owner, i.owner, a.owner) AS owner,
               CASE WHEN f.owner IS NOT NULL THEN coalesce(f.owner_source, i.owner_source, a.owner_source)
                    WHEN i.owner IS NOT NULL THEN i.owner_source
                    ELSE {BY_ACCOUNT.format("a")} END AS owner_source,
               coalesce(f.environment, i.environment, a.environment) AS environment,
               f.detail, coalesce(f.fix, f.subject_fix, f.rule_fix) AS fix,
               coalesce(f.blast,
                   CASE WHEN b.best.steps = 0 THEN 'has ' ELSE 'reaches ' END || b.best.power || ' in '
                   || coalesce(p.name, b.best.account_id)
                   || CASE b.best.steps WHEN 0 THEN '' WHEN 1 THEN ' by 1 step'
                           ELSE ' by ' || b.best.steps || ' steps' END) AS blast,
               coalesce(b.best.path, []) AS path,
               f.evidence, coalesce(f.url, i.url, a.url) AS url,
               -- The prefix keeps YAML from reading it as a number where it is pasted.
               'st-' || substr(sha256(to_json({{'severity': f.severity, 'resource': f.at_resource,
                                                'evidence': f.evidence}})::VARCHAR), 1, 16)
               AS state_hash
        FROM found AS f
             LEFT JOIN identities AS i ON i.id = f.identity
             LEFT JOIN accounts AS a ON a.id = f.account
             LEFT JOIN rule_controls AS ca ON ca.rule = f.rule AND ca.provider = '{EVERY}'
             LEFT JOIN rule_controls AS co ON co.rule = f.rule AND co.provider = f.provider
             LEFT JOIN furthest AS b ON b.identity_id = f.reacher
             LEFT JOIN accounts AS p ON p.id = b.best.account_id
             LEFT JOIN exposed AS e ON e.identity_id = f.identity
    """
