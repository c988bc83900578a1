"""The inventory embedded in the HTML report: identities with what they reach, credentials, secrets, trusts and controls.

A large estate is truncated: identities that reach more than reading or have findings come first, and the page says how
many it shows of how many. The CSV files have all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from reports.html.columns import table
from reports.html.links import web_address
from scanner.analyze.metrics import PIPELINE
from scanner.findings import OPEN
from scanner.records import POWERS
from scanner.safe_text import NAME, SENTENCE, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from reports.html.columns import Text
    from scanner.night import Night

MOST = 20_000
"""Maximum number of identities, and of the rows of every other table."""
LEAST = 2_000
"""The maximum if the findings already fill the page."""
PER_IDENTITY = 12
"""Maximum number of reached resources, and of permissions, for each identity."""

Convert = "Callable[[Any], Text]"


class EmbeddedInventory(NamedTuple):
    """The embedded inventory."""

    tables: dict[str, dict[str, Any]]
    """By the name in the page: I identities, C credentials, S secrets, T trusts, X controls, E edges, R reach, G grants."""
    shown: dict[str, int]
    """Rows shown, by table."""
    total: dict[str, int]
    """Rows in all, by table."""


def _name(value: str | None) -> Text:
    return None if value is None else plain(value, NAME)


def _sentence(value: str | None) -> Text:
    return plain(value, SENTENCE) if value else None


def _day(value: datetime | None) -> Text:
    return None if value is None else value.strftime("%Y-%m-%d")


def _yes(value: bool | None) -> Text:
    return None if value is None else "yes" if value else "no"


def _list(value: Sequence[str] | None) -> Text:
    return plain(", ".join(value), SENTENCE) if value else None


def _powers(value: Sequence[str] | None) -> Text:
    return "|".join(power for power in POWERS if power in (value or ())) or None


def _lines(value: Sequence[str] | None) -> Text:
    return "\n".join(plain(step, SENTENCE) for step in value or ()) or None


def _used(value: dict[str, Any]) -> Text:
    return _day(value["at"]) or ("never" if value["never"] else None)


def _tests(value: Sequence[dict[str, Any]] | None) -> Text:
    said = (f"{test['claim']} {test['operator']} {', '.join(test['values'] or ())}" for test in value or ())
    return plain("; ".join(said), SENTENCE) or None


def _count(value: int) -> Text:
    return value


def _url(value: str | None) -> Text:
    return web_address(value)


_LEVELS = """
    SELECT identity_id, min(list_position(['admin', 'escalation', 'write', 'read', 'unknown'], level)) AS place
    FROM (SELECT identity_id, level FROM reach UNION ALL
          SELECT identity_id, level FROM grants WHERE coalesce(expires_at > $as_of, true)) GROUP BY 1
"""
"""The strongest level that each identity holds or reaches."""

_SHOWN = f"""
    SELECT i.id, ['admin', 'escalation', 'write', 'read', 'unknown'][l.place] AS level, coalesce(f.found, 0) AS found,
           i.id IN (SELECT identity_id FROM reach WHERE power = 'admin' AND steps > 0) AS admin,
           row_number() OVER (ORDER BY coalesce(l.place, 6), coalesce(f.found, 0) DESC, i.name, i.id) AS position
    FROM identities AS i LEFT JOIN ({_LEVELS}) AS l ON l.identity_id = i.id
         LEFT JOIN (SELECT identity_id, count(*) AS found FROM findings WHERE {OPEN} GROUP BY 1) AS f ON f.identity_id = i.id
    QUALIFY position <= $most
"""

_ACCOUNT = "coalesce((SELECT any_value(a.name) FROM accounts AS a WHERE a.id = r.account_id), r.account_id)"
_USE = "{'at': r.last_used_at, 'never': r.never_used}"

_Field = tuple[str, "Callable[[Any], Text]"]

_IDENTITIES: dict[str, _Field] = {
    "id": ("r.id", _name), "name": ("r.name", _name), "kind": ("r.kind", _name), "surface": ("r.surface", _name),
    "provider": ("r.provider", _name), "account": (_ACCOUNT, _name), "owner": ("r.owner", _name),
    "source": ("r.owner_source", _name), "env": ("r.environment", _name), "enabled": ("r.enabled", _yes),
    "created": ("r.created_at", _day), "used": (_USE, _used),
    "seen": ("(SELECT min(p.first_seen) FROM population AS p WHERE p.\"table\" = 'identities' AND p.id = r.id)", _day),
    "mfa": ("r.mfa", _yes), "url": ("r.url", _url), "address": ("r.address", _name), "level": ("s.level", _name),
    "findings": ("s.found", _count), "pipeline": (PIPELINE, _yes), "admin": ("s.admin", _yes), "triggers": ("r.triggers", _list), "runner": ("r.runner", _name),
}  # fmt: skip
_CREDENTIALS: dict[str, _Field] = {
    "id": ("r.id", _name), "name": ("coalesce(nullif(r.name, ''), r.native_id)", _name), "kind": ("r.kind", _name),
    "provider": ("r.provider", _name), "account": (_ACCOUNT, _name), "identity": ("r.identity_id", _name),
    "lifetime": ("r.lifetime", _name), "enabled": ("r.enabled", _yes), "created": ("r.created_at", _day),
    "rotated": ("r.rotated_at", _day), "used": (_USE, _used),
    "expires": ("{'at': r.expires_at, 'never': r.never_expires}", _used), "scopes": ("r.scopes", _list),
    "owner": ("r.owner", _name), "location": ("r.location", _name),
}  # fmt: skip
_SECRETS: dict[str, _Field] = {
    "id": ("r.id", _name), "name": ("r.name", _name), "kind": ("r.store", _name), "provider": ("r.provider", _name),
    "account": (_ACCOUNT, _name), "holder": ("r.holder_id", _name), "env": ("r.environment", _name),
    "readable": ("r.readable AND (NOT r.readable OR r.looks_like IS NOT NULL)", _yes), "protected": ("r.protected", _yes), "visibility": ("r.visibility", _name),
    "looks": ("r.looks_like", _name),
    "copies": ("CASE WHEN r.fingerprint IS NOT NULL THEN count(*) OVER (PARTITION BY r.fingerprint) END", _count),
    "cred": ("r.credential_id", _name), "updated": ("coalesce(r.updated_at, r.rotated_at, r.created_at)", _day),
    "used": (_USE, _used), "owner": ("r.owner", _name), "location": ("r.location", _name),
}  # fmt: skip
_TRUSTS: dict[str, _Field] = {
    "id": ("r.id", _name),
    "name": ("coalesce((SELECT any_value(i.name) FROM identities AS i WHERE i.id = r.identity_id), r.identity_id)", _name),
    "kind": ("r.kind", _name), "provider": ("r.provider", _name), "account": (_ACCOUNT, _name),
    "identity": ("r.identity_id", _name), "issuer": ("r.issuer", _name), "tests": ("r.tests", _tests),
    "exposure": ("r.exposure", _name), "external": ("r.external", _yes), "problem": ("r.problem", _name),
    "severity": ("r.severity", _name), "why": ("r.why", _sentence), "fix": ("r.fix", _sentence),
}  # fmt: skip
_CONTROLS: dict[str, _Field] = {
    "id": ("r.id", _name), "name": ("r.name", _name), "kind": ("r.kind", _name), "stage": ("r.stage", _name),
    "provider": ("r.provider", _name), "account": (_ACCOUNT, _name), "state": ("r.enforcement", _name),
    "detail": ("r.detail", _sentence), "approvers": ("r.approvers", _list), "bypass": ("r.bypass", _list),
    "target": ("r.target", _name),
}  # fmt: skip
_EDGES: dict[str, _Field] = {
    "s": ("r.source_id", _name), "t": ("r.target_id", _name), "kind": ("r.kind", _name), "why": ("r.why", _sentence),
    "via": ("r.via", _name),
}  # fmt: skip
_REACH: dict[str, _Field] = {
    "id": ("r.identity_id", _name), "t": ("r.target_id", _name), "level": ("r.level", _name), "powers": ("r.powers", _powers),
    "steps": ("r.steps", _count), "path": ("r.path", _lines), "on": ("r.resource", _name), "role": ("r.role", _name),
    "account": (_ACCOUNT, _name),
}  # fmt: skip
_GRANTS: dict[str, _Field] = {
    "id": ("r.identity_id", _name), "role": ("r.role", _name), "on": ("r.resource", _name), "level": ("r.level", _name),
    "powers": ("r.powers", _powers), "via": ("r.via", _name), "used": (_USE, _used), "unused": ("r.unused_actions", _count),
}  # fmt: skip

_WORST = "list_position(['admin', 'escalation', 'write', 'read', 'unknown'], r.level)"
_REACHED = f"""
    (SELECT r.identity_id, r.target_id, r.account_id, r.grant_id, arg_min(r.level, {_WORST}) AS level,
            list(DISTINCT r.power ORDER BY r.power) AS powers, min(r.steps) AS steps, arg_min(r.path, (r.steps, r.path)) AS path,
            any_value(g.resource) AS resource, any_value(g.role) AS role
     FROM reach AS r JOIN shown_identities AS s ON s.id = r.identity_id LEFT JOIN grants AS g ON g.id = r.grant_id
     GROUP BY r.identity_id, r.target_id, r.account_id, r.grant_id
     QUALIFY row_number() OVER (PARTITION BY r.identity_id ORDER BY min({_WORST}), min(r.steps), r.grant_id) <= {PER_IDENTITY})
"""
_HELD = f"""
    (SELECT r.* FROM grants AS r JOIN shown_identities AS s ON s.id = r.identity_id
     WHERE coalesce(r.expires_at > $as_of, true)
     QUALIFY row_number() OVER (PARTITION BY r.identity_id ORDER BY {_WORST}, r.role, r.id) <= {PER_IDENTITY})
"""

_SOURCES: dict[str, tuple[str, dict[str, _Field], str]] = {
    "I": ("identities AS r JOIN shown_identities AS s ON s.id = r.id", _IDENTITIES, "s.position"),
    "C": ("credentials AS r LEFT JOIN shown_identities AS s ON s.id = r.identity_id", _CREDENTIALS,
          "s.position NULLS LAST, r.provider, r.kind, r.name, r.id"),
    "S": ("secrets AS r LEFT JOIN shown_identities AS s ON s.id = r.holder_id", _SECRETS,
          "r.readable DESC NULLS LAST, r.provider, r.store, r.name, r.id"),
    "T": ("trusts AS r LEFT JOIN shown_identities AS s ON s.id = r.identity_id", _TRUSTS,
          "list_position(['critical', 'high', 'medium', 'low', 'info'], r.severity) NULLS LAST, r.provider, r.identity_id, r.id"),
    "X": ("controls AS r", _CONTROLS,
          "list_position(['absent', 'documented', 'audited', 'enforced'], r.enforcement), r.provider, r.stage, r.kind, r.name, r.id"),
    "E": ("edges AS r JOIN shown_identities AS s ON s.id = r.source_id JOIN shown_identities AS t ON t.id = r.target_id",
          _EDGES, "s.position, t.position, r.kind"),
    "R": (f"{_REACHED} AS r JOIN shown_identities AS s ON s.id = r.identity_id", _REACH, "s.position, r.steps, r.grant_id"),
    "G": (f"{_HELD} AS r JOIN shown_identities AS s ON s.id = r.identity_id", _GRANTS, "s.position, r.role, r.id"),
}  # fmt: skip
"""The rows of each table, the columns, and a total order, the most important first."""

LISTED = {"identities": "I", "credentials": "C", "secrets": "S", "trusts": "T", "controls": "X"}
"""The tables with a list of their own in the page."""


def embed_inventory(night: Night, findings: int) -> EmbeddedInventory:
    """Return the inventory of a night for a page with so many embedded findings."""
    most = max(LEAST, MOST - findings // 10)
    given = {"most": most, "as_of": night.as_of.replace(tzinfo=None)}
    night.tables.table_of("shown_identities", _SHOWN, given)
    tables = {}
    for name, (source, fields, order) in _SOURCES.items():
        asked = ", ".join(f'{sql} AS "{column}"' for column, (sql, _) in fields.items())
        limit = most if name in LISTED.values() else most * 4
        rows = night.rows(f"SELECT {asked} FROM {source} ORDER BY {order} LIMIT {limit}", given)
        converts = [convert for _, convert in fields.values()]
        tables[name] = table(
            list(fields),
            ([convert(value) for convert, value in zip(converts, row, strict=True)] for row in rows),
        )
    night.tables.drop("shown_identities")
    total = {listed: int(night.one(f"SELECT count(*) FROM {listed}")) for listed in LISTED}
    return EmbeddedInventory(tables, {name: min(most, count) for name, count in total.items()}, total)
