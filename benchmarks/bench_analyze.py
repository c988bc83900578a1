"""Analysis of a second night of 1 M identities, 1 M credentials and 2 M grants: all rules, reach, comparison.

The estate is made by SQL: 1,000 accounts of 1,000 identities each, of which a fiftieth changes between the nights.
10,000 pipelines sign in by OIDC, each to its own role and to one that all may use; 10,000 deploy a workload.
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import msgspec

from scanner.analyze.steps import AnalyzeSettings, analyze
from scanner.ledger import Ledger
from scanner.parquet import sql_columns
from scanner.private_files import write_private
from scanner.records import TABLES
from scanner.snapshot import RunInfo, ShardFile, TargetDone, begin, run_id_of, seal, sha256_of

BUDGETS = {"seconds, second night": 60.0, "peak MB": 2048.0}

FIRST = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
SECOND = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)

IDENTITIES = 1_000_000
"""As many credentials, and twice as many grants."""

ESTATE = {
    "accounts": """
        SELECT 'aws:account:' || lpad(n::VARCHAR, 12, '0') AS id, 'aws' AS provider, id AS account_id,
               'aws-account' AS kind, lpad(n::VARCHAR, 12, '0') AS native_id, 'account-' || n AS name,
               CASE n % 3 WHEN 0 THEN 'production' WHEN 1 THEN 'staging' END AS environment,
               CASE WHEN n % 2 = 0 THEN 'team-' || n % 40 END AS owner
        FROM range($n // 1000) AS t(n)
    """,
    "identities": """
        SELECT 'aws' AS provider, 'aws:account:' || lpad((n // 1000)::VARCHAR, 12, '0') AS account_id,
               CASE WHEN n % 10 < 6 THEN 'automation' WHEN n % 10 < 8 THEN 'workload' ELSE 'human' END AS surface,
               CASE WHEN n % 10 < 6 THEN 'iam-role' WHEN n % 10 < 8 THEN 'lambda-function' ELSE 'iam-user' END AS kind,
               'aws:' || kind || ':ID' || n AS id, 'ID' || n AS native_id, 'identity-' || n AS name,
               'arn:aws:iam::' || lpad((n // 1000)::VARCHAR, 12, '0') || ':x/identity-' || n AS address,
               CASE WHEN n % 100 = 3 THEN 'https://token.actions.githubusercontent.com' END AS issuer,
               CASE WHEN n % 100 = 3 THEN ['repo:acme/app-' || n || ':environment:production'] ELSE [] END AS subjects,
               true AS enabled, $as_of - to_days(10 + (n * 7 % 900)::INT) AS created_at,
               CASE WHEN n % 5 < 3 THEN $as_of - to_days((n * 13 % 100)::INT) END AS last_used_at,
               n % 50 = 4 AS never_used, 400 AS usage_window_days, n % 3 > 0 AS mfa,
               CASE WHEN n % 4 < 3 THEN 'team-' || n % 40 END AS owner
        FROM range($n) AS t(n)
    """,
    "credentials": """
        SELECT 'aws:access-key:AKIA' || n AS id, 'aws' AS provider,
               'aws:account:' || lpad((n // 1000)::VARCHAR, 12, '0') AS account_id,
               'aws:' || CASE WHEN n % 10 < 6 THEN 'iam-role' WHEN n % 10 < 8 THEN 'lambda-function'
                              ELSE 'iam-user' END || ':ID' || n AS identity_id,
               'access-key' AS kind, 'AKIA' || n AS native_id, 'AKIA' || n AS name,
               CASE n % 4 WHEN 0 THEN 'static' WHEN 1 THEN 'expiring' ELSE 'short-lived' END AS lifetime,
               n % 7 > 0 AS enabled, $as_of - to_days((n * 3 % 200)::INT) AS created_at,
               CASE WHEN n % 6 > 0 THEN $as_of - to_days((n * 11 % 52)::INT) END AS last_used_at,
               n % 60 = 6 AS never_used
        FROM range($n) AS t(n) WHERE n % 50 <> $gone
    """,
    "secrets": """
        SELECT 'aws:lambda-env:S' || n AS id, 'aws' AS provider,
               'aws:account:' || lpad((n // 200)::VARCHAR, 12, '0') AS account_id,
               CASE WHEN n % 2 = 0 THEN 'lambda-env' ELSE 'secrets-manager' END AS store,
               'SECRET_' || n AS name, 'aws:lambda-function:ID' || (n * 5 + 6 + n % 2) AS holder_id,
               n % 3 = 0 AS readable, CASE WHEN n % 4 = 0 THEN 'aws-secret-access-key' END AS looks_like,
               CASE WHEN n % 4 = 0 THEN 'fp' || n // 8 END AS fingerprint,
               CASE WHEN n % 8 = 0 THEN 'aws:access-key:AKIA' || n * 5 END AS credential_id
        FROM range($n // 5) AS t(n)
    """,
    "grants": """
        SELECT 'aws:grant:G' || n AS id, 'aws' AS provider,
               'aws:account:' || lpad((n // 2000)::VARCHAR, 12, '0') AS account_id,
               'aws:' || CASE WHEN n // 2 % 10 < 6 THEN 'iam-role' WHEN n // 2 % 10 < 8 THEN 'lambda-function'
                              ELSE 'iam-user' END || ':ID' || n // 2 AS identity_id,
               'policy-' || n % 500 AS role, CASE WHEN n % 9 = 0 THEN '*' ELSE 'arn:aws:s3:::bucket-' || n END AS resource,
               CASE WHEN n % 9 = 0 THEN 'account' ELSE 'resource' END AS breadth,
               CASE WHEN n % 40 = 0 THEN ['admin', 'grant-access', 'become-other', 'read-secrets', 'deploy', 'read']
                    WHEN n % 40 = 1 THEN ['grant-access', 'change-data', 'read']
                    WHEN n % 5 = 0 THEN ['deploy', 'change-data', 'read'] ELSE ['read'] END AS powers,
               CASE WHEN n % 40 = 0 THEN 'admin' WHEN n % 40 = 1 THEN 'escalation'
                    WHEN n % 5 = 0 THEN 'write' ELSE 'read' END AS level,
               'high' AS confidence, CASE WHEN n % 90 = 0 THEN '*' END AS wildcard
        FROM range($n * 2) AS t(n)
    """,
    "trusts": """
        SELECT 'aws:trust:T' || n AS id, 'aws' AS provider,
               'aws:account:' || lpad((n // 100)::VARCHAR, 12, '0') AS account_id,
               'aws:iam-role:ID' || n * 10 AS identity_id, CASE WHEN n % 2 = 0 THEN 'account' ELSE 'service' END AS kind,
               CASE WHEN n % 2 = 0 THEN 'arn:aws:iam::' || lpad((n // 100)::VARCHAR, 12, '0') || ':x/identity-'
                                        || (n * 10 + 1) ELSE 'lambda.amazonaws.com' END AS issuer,
               CASE n % 100 WHEN 0 THEN 'anyone' WHEN 1 THEN 'another-tenant' ELSE 'exact' END AS exposure,
               CASE WHEN n % 100 < 2 THEN 'XACCT-1' END AS problem,
               []::STRUCT(claim VARCHAR, operator VARCHAR, "values" VARCHAR[], optional BOOLEAN)[] AS tests
        FROM range($n // 10) AS t(n)
        UNION ALL
        SELECT 'aws:trust:O' || n, 'aws', 'aws:account:' || lpad((n // 10)::VARCHAR, 12, '0'),
               'aws:iam-role:ID' || n * 100 + 5, 'oidc', 'token.actions.githubusercontent.com',
               CASE WHEN n = 7 THEN 'organization' ELSE 'exact' END, CASE WHEN n = 7 THEN 'OIDC-4' END,
               [{'claim': 'sub', 'operator': CASE WHEN n = 7 THEN 'glob' ELSE 'equals' END,
                 'values': [CASE WHEN n = 7 THEN 'repo:acme/*' ELSE 'repo:acme/app-' || n * 100 + 3
                                                                   || ':environment:production' END],
                 'optional': false}]
        FROM range($n // 100) AS t(n)
    """,
    "links": """
        SELECT 'aws:link:L' || n AS id, 'aws' AS provider,
               'aws:account:' || lpad((n // 200)::VARCHAR, 12, '0') AS account_id,
               'aws:lambda-function:ID' || (n * 5 + CASE WHEN n % 2 = 0 THEN 6 ELSE 2 END) AS source_id,
               'runs_as' AS relation,
               'arn:aws:iam::' || lpad(((n * 5) // 1000)::VARCHAR, 12, '0') || ':x/identity-' || n * 5 // 10 * 10
               AS target_id
        FROM range($n // 5) AS t(n)
        UNION ALL
        SELECT 'aws:link:D' || n, 'aws', 'aws:account:' || lpad((n // 10)::VARCHAR, 12, '0'),
               'aws:iam-role:ID' || n * 100 + 3, 'deploys', 'aws:lambda-function:ID' || n * 100 + 6
        FROM range($n // 100) AS t(n)
    """,
    "coverage": """
        SELECT 'aws:coverage:' || n || '-' || name AS id, 'aws' AS provider,
               'aws:account:' || lpad(n::VARCHAR, 12, '0') AS account_id, 'aws' AS collector,
               lpad(n::VARCHAR, 12, '0') AS target, name AS "table", 'list-' || name AS call, 1000 AS items
        FROM range($n // 1000) AS t(n), (SELECT unnest(['accounts', 'identities', 'credentials', 'secrets', 'grants',
                                                        'trusts', 'links', 'controls', 'weaknesses', 'artifacts']) AS name)
    """,
    "gaps": """
        SELECT 'aws:gap:' || n AS id, 'aws' AS provider, 'aws:account:' || lpad((n * 50)::VARCHAR, 12, '0') AS account_id,
               'aws' AS collector, lpad((n * 50)::VARCHAR, 12, '0') AS target, 'secrets' AS "table",
               'list-more' AS call, 'denied' AS reason, 'no' AS detail
        FROM range($n // 50000) AS t(n)
    """,
}


def write_night(state: Path, as_of: datetime, identities: int, gone: int) -> str:
    """Write and seal a snapshot of the estate. ``gone`` is which fiftieth of the credentials is missing."""
    run_id = run_id_of(as_of)
    folder = state / "snapshots" / run_id
    info = RunInfo(run_id=run_id, as_of=as_of, tool_version="bench", config_digest="")
    begin(folder, info)
    files = []
    with duckdb.connect() as con:
        for table, query in ESTATE.items():
            path = folder / table / "aws-bench.parquet"
            path.parent.mkdir()
            columns = sql_columns(TABLES[table])
            empty = ", ".join(
                f'{"[]" if kind.endswith("[]") else "MAP {}" if kind.startswith("MAP") else "NULL"}::{kind} AS "{name}"'
                for name, kind in columns.items()
            )
            given: dict[str, object] = {"n": identities}
            given |= {"as_of": as_of.replace(tzinfo=None)} if "$as_of" in query else {}
            given |= {"gone": gone} if "$gone" in query else {}
            names = [row[0] for row in con.execute(f"DESCRIBE {query}", given).fetchall()]
            rest = ", ".join(f"e.{name}" for name in (f'"{c}"' for c in columns if c not in names))
            order = ", ".join(f'"{name}"' for name in columns)
            whole = f"SELECT g.*, {rest} FROM ({query}) AS g, (SELECT {empty}) AS e"
            con.execute(f"COPY (SELECT {order} FROM ({whole})) TO '{path}' (COMPRESSION zstd)", given)
            rows = con.execute(f"SELECT count(*) FROM '{path}'").fetchall()[0][0]
            files.append(
                ShardFile(path=f"{table}/aws-bench.parquet", table=table, rows=rows, sha256=sha256_of(path))
            )
    done = TargetDone(
        collector="aws",
        target="bench",
        account_id="aws:account:000000000000",
        complete=False,
        gaps=1,
        records=sum(file.rows for file in files),
        seconds=0.0,
        files=files,
    )
    write_private(folder / "targets" / "aws-bench.json", msgspec.json.encode(done))
    seal(folder, info, record=Ledger(state).sealing(info))
    return run_id


def run() -> dict[str, float]:
    """Measure the second night, with the first as its baseline."""
    identities = int(os.environ.get("BENCH_IDENTITIES", str(IDENTITIES)))
    state = Path(tempfile.mkdtemp(prefix="bench-analyze-"))
    try:
        first = write_night(state, FIRST, identities, gone=7)
        second = write_night(state, SECOND, identities, gone=8)
        settings = AnalyzeSettings(threads=2)
        started = time.perf_counter()
        analyze(state, first, settings=settings)
        cpu, between = time.process_time(), time.perf_counter()
        summary = analyze(state, second, settings=settings)
        cpu, ended = time.process_time() - cpu, time.perf_counter()
        size = sum(path.stat().st_size for path in (state / "analysis" / second).rglob("*.parquet"))
        return {
            "seconds, first night": between - started,
            "seconds, second night": ended - between,
            "CPU seconds, second night": cpu,
            "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "findings": sum(count for counts in summary.findings.values() for count in counts.values()),
            "rules times accounts": sum(summary.rule_results.values()),
            "rules that failed": len(summary.errors),
            "analysis on disk, MB": size / 1e6,
        }
    finally:
        shutil.rmtree(state)
