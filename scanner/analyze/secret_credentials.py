"""Which credential a stored secret is a copy of, where its collector could not read it from the value.

Evidence, strongest first; each counts only where it leads to exactly one credential:

1. ``same-value``: another stored copy of the same value is known.
2. ``beside-key-id``: in the same place and environment stands the id of a key, under the same name but for the words
   "access key id" and "secret access key".
3. ``sign-in``: a pipeline signs in with this secret, and with the id of one key or as one application; or a service connection
   that stores it signs in as one application.
4. ``id-in-name``: its name or tags contain the id of one key, of an application with one secret, or of an account with one key.

A value that was stored before the credential existed is never its copy. An identity has *one* secret only if all credentials
of its account were listed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.parquet import sql_columns
from scanner.records import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.tables import Tables

_STORED = r"""
    SELECT id, account_id, holder_id, environment, visibility, available_to, updated_at, upper(name) AS name,
           list_concat([name], map_values(tags)) AS texts, credential_id,
           looks_like LIKE '%-key-id' AND recognized_by = 'value' AND credential_id IS NOT NULL AS is_key_id,
           credential_id IS NULL AND (looks_like IS NULL OR recognized_by IS DISTINCT FROM 'value'
               OR looks_like LIKE '%secret%' OR looks_like = 'high-entropy') AS is_open,
           CASE WHEN regexp_matches(plain, 'SECRET_?ACCESS_?KEY|[A-Z0-9]_?SECRET_?KEY|ACCESS_?KEY_?SECRET')
                THEN regexp_replace(plain, 'SECRET_?ACCESS_?KEY|ACCESS_?KEY_?SECRET|SECRET_?KEY', '#') END AS secret_stem,
           regexp_replace(plain, 'ACCESS_?KEY_?ID|KEY_?ID|ACCESS_?KEY', '#') AS key_stem
    FROM (SELECT *, regexp_replace(upper(name), '[-. ]', '_', 'g') AS plain FROM secrets)
"""
"""Kept as ``stored_names``. Stems are names without the words that tell an id from its secret: ``AWS_#_PROD``."""

_AS_OLD = "coalesce(c.created_at <= s.updated_at + INTERVAL 1 HOUR, true)"
"""Whether a credential existed when the value was stored, as far as both dates are known."""

_SAME_VALUE = """
    SELECT s.id, k.credential_id FROM secrets AS s JOIN (
        SELECT fingerprint, unnest(list_slice(list(DISTINCT credential_id), 1, 2)) AS credential_id FROM secrets
        WHERE credential_id IS NOT NULL AND fingerprint IS NOT NULL GROUP BY fingerprint) AS k ON k.fingerprint = s.fingerprint
    WHERE s.credential_id IS NULL
"""
"""Two credentials of one value are enough to know that neither is certain."""

_BESIDE = f"""
    SELECT s.id, c.id AS credential_id
    FROM stored_names AS s JOIN stored_names AS k
         ON k.account_id = s.account_id AND k.holder_id IS NOT DISTINCT FROM s.holder_id
            AND k.environment IS NOT DISTINCT FROM s.environment AND k.key_stem = s.secret_stem
         JOIN credentials AS c ON c.id = k.credential_id
    WHERE s.is_open AND k.is_key_id AND {_AS_OLD}
"""

_RECEIVED = """
    WITH RECURSIVE signing AS (
        SELECT id, account_id, environments, list_concat(secrets, variables) AS reads, unnest(sign_ins) AS sign_in
        FROM identities WHERE len(sign_ins) > 0
    ), above AS (
        SELECT account_id, account_id AS place, 0 AS levels FROM (SELECT DISTINCT account_id FROM signing)
        UNION ALL
        SELECT above.account_id, a.parent_id, levels + 1 FROM above JOIN accounts AS a ON a.id = above.place
        WHERE a.parent_id IS NOT NULL AND levels < 32
    ), named AS (
        SELECT *, unnest(list_distinct([upper(x) FOR x IN list_concat(sign_in.names, reads)])) AS name,
               dense_rank() OVER (ORDER BY id, sign_in) AS number
        FROM signing
    )
    SELECT n.number, n.sign_in, list_contains([upper(x) FOR x IN n.sign_in.names], n.name) AS in_sign_in, s.*
    FROM named AS n JOIN above ON above.account_id = n.account_id
         JOIN stored_names AS s ON s.account_id = above.place AND s.name = n.name
    WHERE (s.holder_id IS NULL OR s.holder_id = n.id)
      AND (s.environment IS NULL OR list_has_any(n.environments, [s.environment, '*']))
      AND (coalesce(s.visibility, 'all') <> 'selected' OR above.levels = 0 OR list_contains(s.available_to, n.account_id))
    QUALIFY dense_rank() OVER (PARTITION BY n.number, n.name ORDER BY s.environment IS NULL, above.levels) = 1
"""
"""Kept as ``signing_with``: what each sign-in of a pipeline receives. A nearer secret replaces a farther one of the same name."""

_SIGN_IN_KEYS = f"""
    WITH others AS (
        SELECT number, count(DISTINCT name) FILTER (WHERE in_sign_in AND NOT is_key_id) AS secrets FROM signing_with GROUP BY 1
    )
    SELECT s.id, c.id AS credential_id
    FROM signing_with AS s JOIN signing_with AS k ON k.number = s.number AND k.is_key_id
         JOIN others AS o ON o.number = s.number
         JOIN credentials AS c ON c.id = k.credential_id AND c.provider = s.sign_in.service
    WHERE s.is_open AND s.in_sign_in AND coalesce(k.environment = s.environment, k.environment IS NULL) AND {_AS_OLD}
      AND (k.key_stem = s.secret_stem OR k.in_sign_in AND o.secrets = 1 AND s.secret_stem IS NULL)
"""

_LISTED = """c.account_id NOT IN (SELECT account_id FROM gaps WHERE "table" IN ('credentials', '*'))"""

_ONE_SECRET = f"""
    SELECT w.id, any_value(c.id) AS credential_id FROM ({{wanted}}) AS w
         JOIN stored_names AS s ON s.id = w.id
         JOIN credentials AS c ON c.identity_id = w.identity_id
    WHERE c.kind NOT LIKE '%certificate%' AND c.lifetime <> 'short-lived' AND {_AS_OLD}
    GROUP BY w.id, w.identity_id HAVING count(*) = 1 AND bool_and({_LISTED})
"""
"""The only secret of an identity. ``wanted`` gives id and identity_id."""

_SIGN_IN_AS = _ONE_SECRET.format(
    wanted="""
        SELECT DISTINCT s.id, i.id AS identity_id
        FROM (SELECT *, count(*) OVER (PARTITION BY number) AS held FROM signing_with
              WHERE in_sign_in AND NOT regexp_matches(name, '(^|_|[a-z])IDS?$')) AS s
             JOIN identities AS i ON i.address = s.sign_in.target
        WHERE s.is_open AND s.held = 1
    """
)
_CONNECTION = _ONE_SECRET.format(
    wanted="""
        SELECT DISTINCT s.id, l.target_id AS identity_id
        FROM (SELECT *, count(*) OVER (PARTITION BY holder_id) AS held FROM stored_names WHERE holder_id IS NOT NULL) AS s
             JOIN identities AS i ON i.id = s.holder_id AND NOT i.is_pipeline AND ends_with(i.logins[1], ':static')
             JOIN links AS l ON l.source_id = i.id AND l.relation IN ('uses', 'runs_as')
        WHERE s.is_open AND s.held = 1
    """
)

_TOKENS = r"""
    SELECT s.id, s.updated_at, s.secret_stem IS NOT NULL AS is_secret_key,
           unnest(regexp_extract_all(upper(array_to_string(s.texts, ' ')),
               '[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}|[A-Z0-9]+')) AS token
    FROM stored_names AS s WHERE s.is_open
"""
"""Kept as ``words_of_secrets``: the words of names and tags; an id with hyphens is one word."""

_ID_IN_NAME = f"""
    SELECT s.id, c.id AS credential_id FROM words_of_secrets AS s
         JOIN credentials AS c ON upper(c.native_id) = s.token
    WHERE length(s.token) >= 16 AND {_AS_OLD}
    UNION ALL
    ({
    _ONE_SECRET.format(
        wanted='''
            SELECT DISTINCT t.id, i.id AS identity_id FROM words_of_secrets AS t
                 JOIN identities AS i ON upper(split_part(i.address, ':', -1)) = t.token
            WHERE length(t.token) = 36'''
    )
})
    UNION ALL
    (SELECT s.id, any_value(c.id) FROM words_of_secrets AS s JOIN accounts AS a ON a.native_id = s.token
          JOIN credentials AS c ON c.account_id = a.id AND c.kind LIKE '%access-key'
     WHERE s.is_secret_key AND regexp_full_match(s.token, '[0-9]{{12}}') AND {_AS_OLD}
     GROUP BY s.id, a.id HAVING count(*) = 1 AND bool_and({_LISTED}))
"""

_MATCHED = """
    SELECT id, first(credential_id ORDER BY rank) AS credential_id, first(how ORDER BY rank) AS how FROM (
        SELECT id, how, rank, min(credential_id) AS credential_id FROM ({evidence})
        GROUP BY ALL HAVING count(DISTINCT credential_id) = 1)
    GROUP BY id
"""

_COPIED = """
    SELECT s.id, k.credential_id FROM secrets AS s JOIN (
        SELECT c.fingerprint, min(m.credential_id) AS credential_id FROM secrets AS c JOIN secrets_matched AS m ON m.id = c.id
        WHERE c.fingerprint IS NOT NULL GROUP BY 1 HAVING count(DISTINCT m.credential_id) = 1) AS k
        ON k.fingerprint = s.fingerprint
    WHERE s.credential_id IS NULL AND s.id NOT IN (SELECT id FROM secrets_matched)
"""
"""Copies of a value that was matched by other evidence."""


def match_secrets(tables: Tables, records: Path) -> None:
    """Replace ``secrets`` by rows with `Secret.credential_id` as far as it can be concluded, and how it is known.

    Reads the resolved records. ``records`` is the folder that they are in.
    """
    if "secrets" in tables.empty:
        return
    tables.table_of("stored_names", _STORED)
    tables.table_of("signing_with", _RECEIVED)
    tables.table_of("words_of_secrets", _TOKENS)
    evidence = (
        ("same-value", _SAME_VALUE),
        ("beside-key-id", _BESIDE),
        ("sign-in", f"{_SIGN_IN_KEYS} UNION ALL ({_SIGN_IN_AS}) UNION ALL ({_CONNECTION})"),
        ("id-in-name", _ID_IN_NAME),
    )
    union = " UNION ALL ".join(
        f"SELECT id, credential_id, '{how}' AS how, {rank} AS rank FROM ({query})"
        for rank, (how, query) in enumerate(evidence)
    )
    tables.table_of("secrets_matched", _MATCHED.format(evidence=union))
    tables.table_of("secrets_copied", _COPIED)
    changed = {
        "credential_id": "coalesce(s.credential_id, m.credential_id, v.credential_id)",
        "credential_known_by": """CASE WHEN s.credential_id IS NOT NULL THEN 'key-id'
                                       WHEN m.id IS NOT NULL THEN m.how WHEN v.id IS NOT NULL THEN 'same-value' END""",
    }
    columns = ", ".join(f'{changed.get(name, f"s.{name}")} AS "{name}"' for name in sql_columns(Secret))
    query = f"""
        SELECT {columns} FROM secrets AS s LEFT JOIN secrets_matched AS m ON m.id = s.id
        LEFT JOIN secrets_copied AS v ON v.id = s.id ORDER BY s.id
    """
    tables.copy(query, records / "secrets.parquet")
    tables.view("secrets", Secret, [records / "secrets.parquet"], replace=True)
    for name in ("stored_names", "signing_with", "words_of_secrets", "secrets_matched", "secrets_copied"):
        tables.drop(name)
