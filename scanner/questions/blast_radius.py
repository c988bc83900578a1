"""What a leaked secret, credential or identity reaches, where its copies are, and in which order to revoke it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple

from scanner.records import POWERS
from scanner.safe_text import NAME, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.night import Night

MOST = 40
"""Lines of a list."""
HOLDING = ("holds-key", "uses", "runs_as", "reads")
"""Ways of using an identity that end when its credential is revoked."""


class NoSuchThingError(Exception):
    """No record, or more than one, has this id or name."""


class BlastRadius(NamedTuple):
    """What follows from the loss of one secret, credential or identity."""

    what: str
    """The record in one sentence."""
    identity: dict[str, Any] | None
    """The identity that it proves; None if it is not known."""
    how_known: str
    """How the credential and the identity are known."""
    credentials: list[dict[str, Any]]
    copies: list[dict[str, Any]]
    """Stored copies of the same value or credential."""
    reaches: list[dict[str, Any]]
    """Powers by account, with the shortest path."""
    users: list[dict[str, Any]]
    """Who uses it: identities that receive a copy, run as the identity or are able to become it."""


HOW_KNOWN: dict[str | None, str] = {
    "key-id": "its value or its store names the key id",
    "same-value": "another copy of the same value is known to be that credential",
    "beside-key-id": "the key id is stored beside it",
    "sign-in": "a pipeline or connection signs in with both",
    "id-in-name": "its name or tags contain the id; check before you rely on it",
    None: "it is not known which credential this is",
}
"""What `Secret.credential_known_by` means."""

_CANDIDATES = """
    SELECT 'secret' AS what, id, name, account_id FROM secrets WHERE $wanted IN (id, name)
    UNION ALL SELECT 'credential', id, name, account_id FROM credentials WHERE $wanted IN (id, native_id, name)
    UNION ALL SELECT 'identity', id, name, account_id FROM identities WHERE $wanted IN (id, native_id, address, name)
    ORDER BY ALL
"""

_NAMES = """
    SELECT name FROM secrets UNION SELECT native_id FROM credentials UNION SELECT name FROM identities ORDER BY 1 LIMIT 20000
"""

_REACHES = """
    WITH own AS (
        SELECT unnest(g.powers) AS power, g.account_id, 0 AS steps, [g.role || ' on ' || g.resource] AS path FROM grants AS g
        WHERE g.identity_id = $identity AND coalesce(g.expires_at > $as_of, true)
        UNION ALL
        SELECT power, account_id, steps, path[2:] AS path FROM reach WHERE identity_id = $identity AND steps > 0
    )
    SELECT coalesce(a.name, o.account_id) AS account, o.power, o.steps, o.path
    FROM own AS o LEFT JOIN accounts AS a ON a.id = o.account_id
    QUALIFY row_number() OVER (PARTITION BY o.account_id, o.power ORDER BY o.steps, o.path) = 1
    ORDER BY account, list_position($powers, o.power)
"""

_USERS = """
    SELECT DISTINCT i.id, CASE WHEN i.location IS NOT NULL AND i.address IS NOT NULL THEN i.address ELSE i.name END AS name, i.kind, coalesce(a.name, i.account_id) AS account, e.kind AS way, e.why
    FROM edges AS e JOIN identities AS i ON i.id = e.source_id LEFT JOIN accounts AS a ON a.id = i.account_id
    WHERE e.target_id = $identity ORDER BY ALL
"""

_REFERS = """
    u.managed_by IS NOT NULL AND v.managed_by IS NULL AND v.holder_id IS NULL AND u.account_id = v.account_id
    AND (v.name IN (u.managed_by, u.location) OR v.location = u.location
         OR ends_with(u.managed_by, '/secrets/' || split_part(v.name, '/', -1))
            AND contains(u.managed_by, '//' || split_part(v.name, '/', 1) || '.'))
"""
"""Whether ``u``, a setting of a workload, names ``v``, a secret of a vault, in place of a copy."""

_COPIES = f"""
    WITH related AS (
        SELECT id, CASE WHEN id = $itself THEN 'the secret itself' WHEN fingerprint = $fingerprint THEN 'the same value'
                        ELSE 'the same credential' END AS known_by
        FROM secrets WHERE id = $itself OR fingerprint = $fingerprint OR list_contains($credentials, credential_id)
        UNION ALL
        SELECT u.id, 'reads it from there' FROM secrets AS v JOIN secrets AS u ON {_REFERS} WHERE v.id = $itself
        UNION ALL
        SELECT v.id, 'it is read from here' FROM secrets AS u JOIN secrets AS v ON {_REFERS} WHERE u.id = $itself
    )
    SELECT s.id, s.name, s.store, coalesce(a.name, s.account_id) AS account, s.holder_id, s.location, s.readable, r.known_by,
           s.managed_by IS NOT NULL AND s.holder_id IS NOT NULL AS is_reference
    FROM related AS r JOIN secrets AS s ON s.id = r.id LEFT JOIN accounts AS a ON a.id = s.account_id
    ORDER BY account, is_reference, s.store, s.name, s.id
"""
"""Stored copies, and settings that name a vault in place of a copy."""

_READERS = """
    SELECT DISTINCT i.id, CASE WHEN i.location IS NOT NULL AND i.address IS NOT NULL THEN i.address ELSE i.name END AS name, i.kind,
           coalesce(a.name, i.account_id) AS account, 'reads' AS way,
           CASE WHEN i.id = s.holder_id THEN 'receives ' || s.name ELSE 'its definition reads ' || s.name END AS why
    FROM secrets AS s JOIN identities AS i
         ON i.id = s.holder_id OR s.holder_id IS NULL AND i.is_pipeline AND list_contains(list_concat(i.secrets, i.variables), s.name)
    LEFT JOIN accounts AS a ON a.id = i.account_id
    WHERE list_contains($copies, s.id) AND (i.id = s.holder_id OR s.account_id IN (i.account_id, a.parent_id))
    ORDER BY ALL
"""


def blast_radius(night: Night, wanted: str) -> BlastRadius:
    """Return what follows from the loss of a record. ``wanted`` is its id, native id, address or exact name.

    Raises `NoSuchThingError`.
    """
    found = list(night.dicts(_CANDIDATES, {"wanted": wanted}))
    if not found:
        names = [row[0] for row in night.rows(_NAMES)]
        near = difflib.get_close_matches(wanted, names, n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        lists = "secrets.csv, credentials.csv and identities.csv of the report list the ids"
        raise NoSuchThingError(
            f"no secret, credential or identity has the id or name {wanted!r}; {meant}{lists}"
        )
    exact = [row for row in found if row["id"] == wanted] or found
    if len(exact) > 1:
        ids = "\n".join(f"  {row['what']:10}  {row['id']}" for row in exact[:12])
        raise NoSuchThingError(f"{wanted!r} is the name of {len(exact)} records; give the id of one:\n{ids}")
    one = exact[0]
    match one["what"]:
        case "secret":
            return _of_secret(night, one["id"])
        case "credential":
            return _of_credential(night, one["id"])
        case _:
            return _of_identity(night, one["id"])


def _row(night: Night, table: str, key: str) -> dict[str, Any] | None:
    return next(night.dicts(f"SELECT * FROM {table} WHERE id = $key", {"key": key}), None)


def _of_secret(night: Night, key: str) -> BlastRadius:
    secret = _row(night, "secrets", key) or {}
    credential = secret["credential_id"]
    how = HOW_KNOWN[secret["credential_known_by"]]
    what = f"stored secret {plain(secret['name'], NAME)} in {secret['store']}"
    return _complete(night, what, how, credential, None, itself=key, fingerprint=secret["fingerprint"])


def _of_credential(night: Night, key: str) -> BlastRadius:
    row = _row(night, "credentials", key) or {}
    what = f"{row['kind']} {plain(row['name'] or row['native_id'], NAME)} ({row['lifetime']})"
    return _complete(night, what, "its issuer names the identity", key, None)


def _of_identity(night: Night, key: str) -> BlastRadius:
    row = _row(night, "identities", key) or {}
    what = f"{row['kind']} {plain(row['name'], NAME)}"
    return _complete(night, what, "it is the identity itself", None, key)


def _complete(
    night: Night, what: str, how: str, credential: str | None, identity: str | None, *, itself: str | None = None,
    fingerprint: str | None = None,
) -> BlastRadius:  # fmt: skip
    if credential is not None:
        identity = night.one("SELECT identity_id FROM credentials WHERE id = $key", {"key": credential})
    credentials = (
        list(
            night.dicts(
                "SELECT * FROM credentials WHERE identity_id = $identity ORDER BY id", {"identity": identity}
            )
        )
        if identity is not None
        else []
    )
    mine = [credential] if credential is not None else [row["id"] for row in credentials]
    copies = list(night.dicts(_COPIES, {"itself": itself, "fingerprint": fingerprint, "credentials": mine}))
    given = {"identity": identity, "as_of": night.as_of.replace(tzinfo=None), "powers": list(POWERS)}
    return BlastRadius(
        what,
        _row(night, "identities", identity) if identity is not None else None,
        how,
        [row for row in credentials if row["id"] in mine],
        copies,
        list(night.dicts(_REACHES, given)) if identity is not None else [],
        _users(night, copies, identity),
    )


def _users(night: Night, copies: list[dict[str, Any]], identity: str | None) -> list[dict[str, Any]]:
    """Return who uses the identity, and who reads a copy, each identity once."""
    found = list(night.dicts(_USERS, {"identity": identity})) if identity is not None else []
    holding = {row["id"] for row in found if row["way"] in HOLDING}
    readers = night.dicts(_READERS, {"copies": [row["id"] for row in copies]})
    seen: set[str] = set()
    for row in readers:
        if row["id"] not in holding and row["id"] not in seen:
            seen.add(row["id"])
            found.append(row)
    return found


def blast_radius_lines(night: Night, found: BlastRadius) -> Iterator[str]:
    """Yield the answer as text."""
    yield found.what
    if found.identity is not None:
        name = found.identity
        yield f"proves {plain(name['name'], NAME)} ({name['kind']}, owner {plain(name['owner'] or 'unknown', NAME)}): {found.how_known}"
    else:
        ((matched, stored),) = night.rows("SELECT count(credential_id), count(*) FROM secrets")
        yield f"{found.how_known}, so what it reaches is unknown ({matched} of {stored} stored secrets are matched with a credential)"
    yield ""
    yield "Reaches:" if found.reaches else "Reaches nothing known."
    for row in found.reaches[:MOST]:
        how = "" if row["steps"] == 0 else f" ({row['steps']} step{'' if row['steps'] == 1 else 's'})"
        yield f"  {plain(row['account'], NAME)}: {row['power']}{how}: {plain(' > '.join(row['path']))}"
    yield from _more(len(found.reaches))
    yield "Copies:" if found.copies else "No stored copy is known."
    for row in found.copies[:MOST]:
        place = f" at {plain(row['location'], NAME)}" if row["location"] else ""
        yield f"  {plain(row['name'], NAME)} in {row['store']} of {plain(row['account'], NAME)}{place}: {row['known_by']}"
    yield from _more(len(found.copies))
    yield from _order(found)
    coverage = night.coverage
    if coverage.partial + coverage.unread:
        yield ""
        yield (
            f"{coverage.partial + coverage.unread} of {coverage.complete + coverage.partial + coverage.unread} accounts were "
            "not read in full, so there can be more."
        )


def _more(count: int) -> Iterator[str]:
    if count > MOST:
        yield f"  and {count - MOST} more"


def _order(found: BlastRadius) -> Iterator[str]:
    yield ""
    yield "Order of revocation:"
    step = 1
    for row in found.credentials:
        used = f"last used {row['last_used_at']:%Y-%m-%d}" if row["last_used_at"] else (
            "never used" if row["never_used"] else "last use unknown"
        )  # fmt: skip
        yield f"  {step}. Create a replacement for {row['kind']} {plain(row['name'] or row['native_id'], NAME)} ({used}), or move to federation."
        step += 1
    if not found.credentials and found.copies:
        yield f"  {step}. Create a replacement at its issuer."
        step += 1
    for row in found.copies:
        place = f"{row['store']} {plain(row['name'], NAME)} of {plain(row['account'], NAME)}"
        yield f"  {step}. {'Restart what reads it through' if row['is_reference'] else 'Replace it in'} {place}."
        step += 1
    if found.credentials or found.copies:
        yield f"  {step}. Disable the old one at its issuer, check what fails, and delete it."
        step += 1
    yield f"  {step}. Read the provider's logs for what it did since it was exposed."
    holders = [row for row in found.users if row["way"] in HOLDING]
    yield (
        "Breaks if it is revoked first:"
        if holders
        else "No user of it is known; that does not prove that there is none."
    )
    for row in holders[:MOST]:
        yield f"  {plain(row['name'], NAME)} ({row['kind']}) in {plain(row['account'], NAME)}: {plain(row['why'] or row['way'])}"
    yield from _more(len(holders))
