"""What the HTML report says, section by section: figures and rows of one night, read with SQL.

The templates only lay these out. Every list that may grow with the estate is cut, and says by how much.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from scanner.findings import SEVERITIES
from scanner.rule import RULES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from scanner.night import Night

OPEN = "status IN ('new', 'open', 'reopened')"
WORST = 10
TABLE = 25
"""Rows of the table that is there without JavaScript."""
ROWS = 60
"""Rows of any other list."""
EXPIRING_DAYS = 14


class RuleText(msgspec.Struct, frozen=True, kw_only=True):
    """What the analysis keeps of a rule in force: an entry of ``rules.json``."""

    id: str
    why: str
    fix: str
    params: dict[str, Any] = {}
    controls: list[str] = []
    """``CIS AWS 5.0: 1.11``."""


class Cut(NamedTuple):
    """Rows that are shown, and how many there are."""

    rows: list[dict[str, Any]]
    total: int

    @property
    def more(self) -> int:
        """How many are left out."""
        return self.total - len(self.rows)


class Verdict(NamedTuple):
    """Coverage first, then what the night says."""

    complete: bool
    coverage: list[str]
    words: list[str]
    open: dict[str, int]
    new: dict[str, int]
    total: int
    unowned: int
    overdue: int
    unobserved: int


class Since(NamedTuple):
    """What changed since the night before."""

    baseline: str | None
    rows: list[dict[str, Any]]
    arrived: Cut
    gone: Cut
    expiring: int


class Delivery(NamedTuple):
    """The signature comparison."""

    excess: Cut
    equal: int
    unknown: Cut
    pipelines: int
    pipelines_in_excess: int


class Trust(NamedTuple):
    """One of the five questions: tonight's answer, what is not known, and where to read on."""

    question: str
    answer: str
    unknown: str
    link: str
    label: str
    category: str = ""
    """The category of findings that the link shows."""


class Gaps(NamedTuple):
    """What was not covered."""

    groups: Cut
    needs: list[str]
    rules: Cut
    not_started: list[str]


class Inventory(NamedTuple):
    """How many things of which sort were seen."""

    identities: list[dict[str, Any]]
    tables: list[dict[str, Any]]
    credentials: Cut


class Page(NamedTuple):
    """All that the templates lay out."""

    scope: str
    providers: list[dict[str, Any]]
    verdict: Verdict
    since: Since
    worst: list[dict[str, Any]]
    table: Cut
    delivery: Delivery
    trust: list[Trust]
    owners: Cut
    gaps: Gaps
    exceptions: Cut
    inventory: Inventory
    rules: list[dict[str, Any]]
    silent_rules: list[str]
    """In force, and without an account to look at."""
    disabled_rules: list[str]
    """Built in, and not in force."""
    frameworks: dict[str, list[dict[str, Any]]]
    """By framework and version: controls with ``code``, ``rules`` and open ``findings``."""


def plural(count: float, one: str, many: str | None = None) -> str:
    """Return a count with its noun: ``1 finding``, ``1,204 findings``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _cut(night: Night, query: str, limit: int = ROWS, params: dict[str, Any] | None = None) -> Cut:
    total = int(night.one(f"SELECT count(*) FROM ({query})", params))
    return Cut(list(night.dicts(f"{query} LIMIT {limit}", params)), total)


def _first(night: Night, query: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    return next(night.dicts(query, params))


def _by_severity(night: Night, where: str) -> dict[str, int]:
    found = dict(night.rows(f"SELECT severity, count(*) FROM findings WHERE {where} GROUP BY severity"))
    return {severity: int(found.get(severity, 0)) for severity in SEVERITIES}


def _coverage_lines(night: Night) -> tuple[bool, list[str]]:
    figures = _first(
        night,
        """
        SELECT (SELECT count(*) FROM coverage) AS answered, (SELECT count(*) FROM gaps) AS missed,
               (SELECT count(DISTINCT account_id) FROM gaps) AS accounts_missed,
               (SELECT count(*) FROM (SELECT account_id FROM gaps UNION SELECT account_id FROM coverage
                                      UNION SELECT id FROM accounts)) AS accounts,
               (SELECT count(DISTINCT rule) FROM rule_results WHERE status <> 'evaluated') AS weak,
               (SELECT count(DISTINCT rule) FROM rule_results WHERE status IN ('not-evaluated', 'error')) AS silent,
               (SELECT count(DISTINCT rule) FROM rule_results) AS rules
        """,
    )
    manifest = night.manifest
    asked = figures["answered"] + figures["missed"]
    lines = []
    if asked == 0:
        lines.append("Nothing was asked of any provider, so this report proves nothing.")
    if figures["missed"]:
        lines.append(
            f"{figures['missed']:,} of {plural(asked, 'listing')} failed, "
            f"in {figures['accounts_missed']:,} of {plural(figures['accounts'], 'account')}."
        )
    if manifest.partial or manifest.not_started:
        lines.append(
            f"The run was stopped before its end: {plural(len(manifest.not_started), 'target')} not started."
        )
    if figures["rules"] == 0:
        lines.append("No rule was evaluated.")
    elif figures["weak"]:
        lines.append(
            f"{figures['weak']:,} of {plural(figures['rules'], 'rule')} lacked an input somewhere; "
            f"{figures['silent']:,} could not be evaluated in at least one account."
        )
    if lines:
        return False, [*lines, "Where something was not seen, the absence of findings proves nothing."]
    return True, [
        (
            f"All {plural(asked, 'listing')} asked for were answered in full, in {plural(figures['accounts'], 'account')}, "
            f"and all {plural(figures['rules'], 'rule')} had their inputs."
        )
    ]


def _verdict(night: Night, delivery: Delivery) -> Verdict:
    complete, coverage = _coverage_lines(night)
    still = _by_severity(night, OPEN)
    new = _by_severity(night, "status IN ('new', 'reopened')")
    figures = _first(
        night,
        f"""
        SELECT count(*) FILTER (WHERE {OPEN}) AS total, count(*) FILTER (WHERE {OPEN} AND owner IS NULL) AS unowned,
               count(*) FILTER (WHERE {OPEN} AND due_at::DATE < $as_of::DATE) AS overdue,
               count(*) FILTER (WHERE status = 'unobserved') AS unobserved,
               count(*) FILTER (WHERE status = 'error') AS errors
        FROM findings
        """,
        {"as_of": _utc(night.as_of)},
    )
    words = []
    if delivery.pipelines_in_excess:
        words.append(
            f"{delivery.pipelines_in_excess:,} of {plural(delivery.pipelines, 'pipeline')} that deliver a workload "
            f"{'reaches' if delivery.pipelines_in_excess == 1 else 'reach'} more than the workload itself."
        )
    if figures["total"]:
        urgent = still["critical"] + still["high"]
        words.append(
            f"{plural(figures['total'], 'finding')} {'is' if figures['total'] == 1 else 'are'} open, {urgent:,} of them critical or high"
            + (f"; {figures['unowned']:,} have no owner" if figures["unowned"] else "")
            + (f"; {figures['overdue']:,} are overdue." if figures["overdue"] else ".")
        )
    else:
        words.append("No open finding in what was seen and what the rules look at.")
    if figures["unobserved"]:
        words.append(
            f"{plural(figures['unobserved'], 'earlier finding')} could not be checked tonight and count as neither open nor resolved."
        )
    if figures["errors"]:
        words.append(f"{plural(figures['errors'], 'subject')} could not be judged because of an error.")
    return Verdict(
        complete=complete,
        coverage=coverage,
        words=words,
        open=still,
        new=new,
        total=int(figures["total"]),
        unowned=int(figures["unowned"]),
        overdue=int(figures["overdue"]),
        unobserved=int(figures["unobserved"]),
    )


def _utc(moment: datetime) -> datetime:
    """Return the moment as views hold it: UTC, without a zone."""
    return moment.replace(tzinfo=None)


_BRIEF = (
    "id, severity, status, title, subject_name, account_name, owner, gone_in, previous_status, first_seen"
)


def _since(night: Night) -> Since:
    rows = []
    for status, meaning in (
        ("new", "first seen tonight"),
        ("reopened", "was resolved, is back"),
        ("resolved", "seen gone, with all inputs complete"),
        ("unobserved", "not looked at tonight, so not resolved"),
        ("excepted", "covered by an exception in force"),
    ):
        counts = _by_severity(night, f"status = '{status}'")
        rows.append({"status": status, "meaning": meaning, "counts": counts, "total": sum(counts.values())})
    order = "ORDER BY rank DESC, id"
    arrived = f"SELECT {_BRIEF} FROM findings WHERE status IN ('new', 'reopened') {order}"
    gone = f"SELECT {_BRIEF} FROM findings WHERE status = 'resolved' {order}"
    expiring = (
        "SELECT count(*) FROM exceptions WHERE state IN ('active', 'expiring') AND expires_at >= $as_of "
        f"AND expires_at < $as_of + to_days({EXPIRING_DAYS})"
    )
    return Since(
        baseline=night.previous_run_id,
        rows=rows,
        arrived=_cut(night, arrived, 12),
        gone=_cut(night, gone, 12),
        expiring=int(night.one(expiring, {"as_of": _utc(night.as_of)})),
    )


def _worst(night: Night) -> Cut:
    query = f"""
        SELECT id, rule, title, severity, status, confidence, provider, account_name, account_id, subject, subject_kind,
               subject_name, owner, owner_source, environment, detail, fix, blast, path, url, first_seen, due_at
        FROM findings WHERE {OPEN} ORDER BY rank DESC, id
    """
    return _cut(night, query, TABLE)


def _delivery(night: Night) -> Delivery:
    columns = """
        SELECT e.pipeline_id, e.pipeline_name, e.workload_name, e.pipeline_powers, e.workload_powers, e.excess,
               e.pipeline_level, e.workload_level, e.path, e.complete, e.why, i.owner
        FROM excess e LEFT JOIN identities i ON i.id = e.pipeline_id
    """
    excess = _cut(
        night,
        f"""{columns} WHERE len(e.excess) > 0
        ORDER BY list_position(['admin', 'escalation', 'write', 'read', 'unknown'], e.pipeline_level),
                 len(e.excess) DESC, e.pipeline_name, e.workload_name, e.pipeline_id, e.workload_id""",
    )
    unknown = _cut(
        night,
        f"{columns} WHERE len(e.excess) = 0 AND NOT e.complete "
        "ORDER BY e.pipeline_name, e.workload_name, e.pipeline_id, e.workload_id",
        20,
    )
    figures = _first(
        night,
        """
        SELECT count(*) FILTER (WHERE len(excess) = 0 AND complete) AS equal, count(DISTINCT pipeline_id) AS pipelines,
               count(DISTINCT pipeline_id) FILTER (WHERE len(excess) > 0) AS in_excess
        FROM excess
        """,
    )
    return Delivery(
        excess, int(figures["equal"]), unknown, int(figures["pipelines"]), int(figures["in_excess"])
    )


def _trust(night: Night) -> list[Trust]:
    as_of = {"as_of": _utc(night.as_of)}
    who = _first(
        night,
        """
        SELECT count(*) AS identities, count(*) FILTER (WHERE surface = 'automation') AS automation,
               count(*) FILTER (WHERE surface = 'workload') AS workloads, count(*) FILTER (WHERE surface = 'human') AS humans,
               count(*) FILTER (WHERE last_used_at IS NULL AND never_used IS NOT true) AS unknown,
               count(*) FILTER (WHERE never_used) AS never
        FROM identities
        """,
    )
    reach = _first(
        night,
        """
        SELECT count(DISTINCT r.identity_id) FILTER (WHERE r.level = 'admin') AS admin,
               count(DISTINCT r.identity_id) FILTER (WHERE r.level = 'escalation') AS escalation,
               (SELECT count(*) FROM grants WHERE level = 'unknown') AS unknown,
               (SELECT count(*) FROM trusts WHERE exposure IN ('anyone', 'another-tenant', 'organisation')) AS wide
        FROM reach r JOIN identities i ON i.id = r.identity_id WHERE i.surface = 'automation'
        """,
    )
    made = _first(
        night,
        """
        SELECT count(*) AS artifacts, count(*) FILTER (WHERE signed) AS signed, count(*) FILTER (WHERE provenance) AS provenance,
               count(*) FILTER (WHERE sbom) AS sbom, count(*) FILTER (WHERE signed IS NULL) AS unknown,
               count(*) FILTER (WHERE mutable_tag) AS mutable
        FROM artifacts
        """,
    )
    gates = _first(
        night,
        """
        SELECT count(*) AS controls, count(*) FILTER (WHERE enforcement = 'enforced') AS enforced,
               count(*) FILTER (WHERE enforcement = 'absent') AS absent,
               (SELECT count(*) FROM rollouts WHERE pinned) AS pinned, (SELECT count(*) FROM rollouts) AS rollouts,
               (SELECT count(*) FROM rollouts WHERE pinned IS NULL) AS unknown
        FROM controls
        """,
    )
    ends = _first(
        night,
        """
        SELECT count(*) AS credentials, count(*) FILTER (WHERE lifetime = 'static') AS static,
               count(*) FILTER (WHERE expires_at >= $as_of AND expires_at < $as_of + to_days(30)) AS soon,
               count(*) FILTER (WHERE last_used_at IS NULL AND never_used IS NOT true) AS unknown,
               median(date_diff('day', created_at, $as_of)) FILTER (WHERE lifetime = 'static') AS age
        FROM credentials
        """,
        as_of,
    )
    age = f" Their median age is {ends['age']:,.0f} days." if ends["age"] is not None else ""
    return [
        Trust(
            "Which identity acted?",
            f"{plural(who['identities'], 'identity', 'identities')} listed: {who['automation']:,} automation, "
            f"{who['workloads']:,} workload, {who['humans']:,} human. {who['never']:,} never used.",
            f"Last use unknown for {who['unknown']:,}.",
            "inventory",
            "Inventory",
        ),
        Trust(
            "What could it reach?",
            f"{plural(reach['admin'], 'automation identity reaches', 'automation identities reach')} administrator rights, {reach['escalation']:,} can escalate. "
            f"{plural(reach['wide'], 'trust')} may be passed by an organisation or wider.",
            f"{plural(reach['unknown'], 'grant')} could not be judged.",
            "delivery",
            "Pipeline and workload",
        ),
        Trust(
            "What did it produce?",
            f"{plural(made['artifacts'], 'artifact')} seen: {made['signed']:,} signed, {made['provenance']:,} with provenance, "
            f"{made['sbom']:,} with a bill of materials.",
            f"Signature unknown for {made['unknown']:,}.",
            "inventory",
            "Inventory",
        ),
        Trust(
            "Should the next stage rely on it?",
            f"{gates['enforced']:,} of {plural(gates['controls'], 'gate')} enforced, {gates['absent']:,} absent. "
            f"{gates['pinned']:,} of {plural(gates['rollouts'], 'workload')} run a pinned digest. {plural(made['mutable'], 'artifact')} under a tag that can be moved.",
            f"Pinning unknown for {gates['unknown']:,}.",
            "findings",
            "Findings on integrity",
            "integrity",
        ),
        Trust(
            "When should that access end?",
            f"{ends['static']:,} of {plural(ends['credentials'], 'credential')} work until somebody revokes them.{age} "
            f"{ends['soon']:,} end by themselves within 30 days.",
            f"Last use unknown for {ends['unknown']:,}.",
            "exceptions",
            "Exceptions and their ends",
        ),
    ]


def _owners(night: Night) -> Cut:
    counts = ", ".join(f"count(*) FILTER (WHERE severity = '{name}') AS {name}" for name in SEVERITIES)
    query = f"""
        SELECT owner, count(*) AS total, {counts}, min(first_seen) AS oldest,
               count(*) FILTER (WHERE due_at::DATE < $as_of::DATE) AS overdue, count(*) FILTER (WHERE status <> 'open') AS new
        FROM findings WHERE {OPEN} GROUP BY owner
        ORDER BY owner IS NULL DESC, critical DESC, high DESC, medium DESC, low DESC, info DESC, owner
    """
    return _cut(night, query, ROWS, {"as_of": _utc(night.as_of)})


def _gaps(night: Night) -> Gaps:
    groups = _cut(
        night,
        """
        SELECT g.collector, g.table, g.kind, g.call, g.reason, g.needs, min(g.detail) AS detail, count(*) AS listings,
               count(DISTINCT g.account_id) AS accounts,
               list_slice(list(DISTINCT coalesce(a.name, g.account_id) ORDER BY coalesce(a.name, g.account_id)), 1, 4) AS names
        FROM gaps g LEFT JOIN accounts a ON a.id = g.account_id
        GROUP BY ALL ORDER BY accounts DESC, g.collector, g.call, g.table, g.kind, g.reason, g.needs
        """,
        100,
    )
    needs = night.rows(
        "SELECT DISTINCT provider, needs FROM gaps WHERE needs IS NOT NULL ORDER BY ALL LIMIT 200"
    )
    rules = _cut(
        night,
        """
        SELECT r.rule, r.title, r.severity, r.status, r.reason, count(*) AS accounts,
               list_slice(list(DISTINCT coalesce(a.name, r.account_id) ORDER BY coalesce(a.name, r.account_id)), 1, 4) AS names
        FROM rule_results r LEFT JOIN accounts a ON a.id = r.account_id WHERE r.status <> 'evaluated'
        GROUP BY r.rule, r.title, r.severity, r.status, r.reason
        ORDER BY list_position(['error', 'not-evaluated', 'incomplete'], r.status), accounts DESC, r.rule, r.reason
        """,
        100,
    )
    return Gaps(
        groups, [f"{provider}: {need}" for provider, need in needs], rules, night.manifest.not_started
    )


def _inventory(night: Night) -> Inventory:
    surfaces = ", ".join(
        f"count(*) FILTER (WHERE surface = '{name}') AS {name}"
        for name in ("human", "automation", "artifact", "workload")
    )
    identities = night.dicts(
        f"SELECT provider, {surfaces}, count(*) AS total FROM identities GROUP BY provider ORDER BY provider"
    )
    counted = " UNION ALL ".join(
        f"SELECT '{table}' AS name, provider FROM {table}"
        for table in ("accounts", "credentials", "secrets", "grants", "trusts", "controls", "artifacts")
    )
    tables = night.dicts(
        f"SELECT name, provider, count(*) AS total FROM ({counted}) GROUP BY ALL ORDER BY ALL"
    )
    credentials = _cut(
        night,
        """
        SELECT provider, kind, count(*) AS total, count(*) FILTER (WHERE lifetime = 'static') AS static,
               count(*) FILTER (WHERE never_expires) AS endless, count(*) FILTER (WHERE never_used) AS never,
               count(*) FILTER (WHERE last_used_at IS NULL AND never_used IS NOT true) AS unknown
        FROM credentials GROUP BY provider, kind ORDER BY total DESC, provider, kind
        """,
        40,
    )
    return Inventory(list(identities), list(tables), credentials)


def _rules(night: Night, texts: Mapping[str, RuleText]) -> list[dict[str, Any]]:
    query = """
        SELECT rule, any_value(title) AS title, any_value(severity) AS severity, any_value(category) AS category,
               count(*) FILTER (WHERE status = 'evaluated') AS evaluated, count(*) FILTER (WHERE status = 'incomplete') AS incomplete,
               count(*) FILTER (WHERE status = 'not-evaluated') AS missing, count(*) FILTER (WHERE status = 'error') AS errors,
               sum(findings)::BIGINT AS findings
        FROM rule_results GROUP BY rule
        ORDER BY list_position(['critical', 'high', 'medium', 'low', 'info'], any_value(severity)), rule
    """
    found = []
    for row in night.dicts(query):
        text = texts.get(row["rule"])
        params = text.params if text else {}
        found.append(
            {
                **row,
                "why": text.why if text else None,
                "params": ", ".join(f"{name} = {value}" for name, value in params.items()),
                "controls": ", ".join(text.controls) if text else "",
            }
        )
    return found


def _frameworks(
    rules: list[dict[str, Any]], texts: Mapping[str, RuleText]
) -> dict[str, list[dict[str, Any]]]:
    findings = {row["rule"]: row["findings"] for row in rules}
    cited: dict[tuple[str, str], list[str]] = {}
    for text in texts.values():
        for control in text.controls:
            framework, _, code = control.partition(": ")
            cited.setdefault((framework, code), []).append(text.id)
    found: dict[str, list[dict[str, Any]]] = {}
    for (framework, code), names in sorted(
        cited.items(), key=lambda item: (item[0][0], _numbers(item[0][1]))
    ):
        total = sum(findings.get(name, 0) for name in names)
        found.setdefault(framework, []).append({"code": code, "rules": len(names), "findings": total})
    return found


def _numbers(code: str) -> list[tuple[int, str]]:
    """Sort 1.9 before 1.11, and NHI2 before NHI10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", code)]


def read_page(night: Night, texts: Mapping[str, RuleText]) -> Page:
    """Return what the report of a night says. ``texts`` are the rules in force, by id."""
    delivery = _delivery(night)
    worst = _worst(night)
    rules = _rules(night, texts)
    providers = list(
        night.dicts(
            """
            SELECT provider, count(DISTINCT account_id) AS accounts
            FROM (SELECT provider, account_id FROM coverage UNION SELECT provider, account_id FROM gaps
                  UNION SELECT provider, id FROM accounts)
            GROUP BY provider ORDER BY provider
            """
        )
    )
    ran = {row["rule"] for row in rules}
    return Page(
        scope=", ".join(f"{row['provider']} ({plural(row['accounts'], 'account')})" for row in providers)
        or "nothing was asked for",
        providers=providers,
        verdict=_verdict(night, delivery),
        since=_since(night),
        worst=worst.rows[:WORST],
        table=worst,
        delivery=delivery,
        trust=_trust(night),
        owners=_owners(night),
        gaps=_gaps(night),
        exceptions=_cut(
            night,
            "SELECT * FROM exceptions ORDER BY list_position(['malformed', 'void', 'expired', 'unmatched', 'expiring', "
            "'active'], state), expires_at, id",
            100,
        ),
        inventory=_inventory(night),
        rules=rules,
        silent_rules=sorted(set(texts) - ran),
        disabled_rules=sorted({path.stem for path in RULES.glob("*.yaml")} - set(texts)) if texts else [],
        frameworks=_frameworks(rules, texts),
    )
