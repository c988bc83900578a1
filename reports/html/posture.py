"""How the estate stands: pipelines against their workloads, the five questions, owners, and what was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from reports.html.figures import OPEN, ROWS, Cut, cut, first, plural, utc
from scanner.findings import SEVERITIES

if TYPE_CHECKING:
    from scanner.night import Night


class Delivery(NamedTuple):
    """The signature comparison."""

    excess: Cut
    equal: int
    unknown: Cut
    pipelines: int
    pipelines_in_excess: int


class Question(NamedTuple):
    """One of the five questions: tonight's answer, what is not known, and where to read on."""

    question: str
    answer: str
    unknown: str
    link: str
    label: str
    category: str = ""
    """The category of findings that the link shows."""


class Inventory(NamedTuple):
    """How many things of which sort were seen."""

    identities: list[dict[str, Any]]
    tables: list[dict[str, Any]]
    credentials: Cut


class Step(NamedTuple):
    """A step of a path as a reader sees it."""

    what: str
    because: str
    """What shows it; empty where the step says all."""


def step_of(text: str) -> Step:
    """Part a step's sentence from the reason that stands in brackets behind it; ``(role)`` is part of a name."""
    if not text.endswith(")"):
        return Step(text, "")
    depth = 0
    for at in range(len(text) - 1, 0, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if depth == 0:
            because = text[at + 1 : -1].removesuffix(".")
            return Step(text, "") if " " not in because else Step(text[:at].rstrip(), because)
    return Step(text, "")


def read_delivery(night: Night) -> Delivery:
    """Return the pipelines that reach more than the workload they deliver, strongest first."""
    columns = """
        SELECT e.pipeline_id, e.pipeline_name, e.workload_name, e.pipeline_powers, e.workload_powers, e.excess,
               e.pipeline_level, e.workload_level, e.path, e.fix, e.complete, e.why, i.owner
        FROM excess e LEFT JOIN identities i ON i.id = e.pipeline_id
    """
    excess = cut(
        night,
        f"""{columns} WHERE len(e.excess) > 0
        ORDER BY list_position(['admin', 'escalation', 'write', 'read', 'unknown'], e.pipeline_level),
                 len(e.excess) DESC, e.pipeline_name, e.workload_name, e.pipeline_id, e.workload_id""",
    )
    unknown = cut(
        night,
        f"{columns} WHERE len(e.excess) = 0 AND NOT e.complete "
        "ORDER BY e.pipeline_name, e.workload_name, e.pipeline_id, e.workload_id",
        20,
    )
    for row in excess.rows:
        # The row begins with the pipeline.
        path = row["path"][1:] if row["path"][:1] == [row["pipeline_name"]] else row["path"]
        row["steps"] = [step_of(text) for text in path]
    figures = first(
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


def read_questions(night: Night) -> list[Question]:
    """Return tonight's answers to the five questions that a next stage asks of the one before."""
    as_of = {"as_of": utc(night.as_of)}
    who = first(
        night,
        """
        SELECT count(*) AS identities, count(*) FILTER (WHERE surface = 'automation') AS automation,
               count(*) FILTER (WHERE surface = 'workload') AS workloads, count(*) FILTER (WHERE surface = 'human') AS humans,
               count(*) FILTER (WHERE last_used_at IS NULL AND never_used IS NOT true) AS unknown,
               count(*) FILTER (WHERE never_used) AS never
        FROM identities
        """,
    )
    reach = first(
        night,
        """
        SELECT count(DISTINCT r.identity_id) FILTER (WHERE r.level = 'admin') AS admin,
               count(DISTINCT r.identity_id) FILTER (WHERE r.level = 'escalation') AS escalation,
               (SELECT count(*) FROM grants WHERE level = 'unknown') AS unknown,
               (SELECT count(*) FROM trusts WHERE exposure IN ('anyone', 'another-tenant', 'organization')) AS wide
        FROM reach r JOIN identities i ON i.id = r.identity_id WHERE i.surface = 'automation'
        """,
    )
    made = first(
        night,
        """
        SELECT count(*) AS artifacts, count(*) FILTER (WHERE signed) AS signed, count(*) FILTER (WHERE provenance) AS provenance,
               count(*) FILTER (WHERE sbom) AS sbom, count(*) FILTER (WHERE signed IS NULL) AS unknown,
               count(*) FILTER (WHERE mutable_tag) AS mutable
        FROM artifacts
        """,
    )
    gates = first(
        night,
        """
        SELECT count(*) AS controls, count(*) FILTER (WHERE enforcement = 'enforced') AS enforced,
               count(*) FILTER (WHERE enforcement = 'absent') AS absent,
               (SELECT count(*) FROM rollouts WHERE pinned) AS pinned, (SELECT count(*) FROM rollouts) AS rollouts,
               (SELECT count(*) FROM rollouts WHERE pinned IS NULL) AS unknown
        FROM controls
        """,
    )
    ends = first(
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
    figures = dict(night.rows("SELECT metric, value FROM metrics WHERE dimension = 'all'"))
    age = f" Their median age is {ends['age']:,.0f} days." if ends["age"] is not None else ""
    return [
        Question(
            "Which identity acted?",
            f"{plural(who['identities'], 'identity', 'identities')} listed: {who['automation']:,} automation, "
            f"{who['workloads']:,} workload, {who['humans']:,} human. {who['never']:,} never used.",
            f"Last use unknown for {who['unknown']:,}.",
            "inventory",
            "Inventory",
        ),
        Question(
            "What could it reach?",
            f"{plural(reach['admin'], 'automation identity reaches', 'automation identities reach')} administrator rights, {reach['escalation']:,} can escalate. "
            f"{plural(reach['wide'], 'trust')} may be passed by an organization or wider.",
            f"{plural(reach['unknown'], 'grant')} could not be judged.",
            "delivery",
            "Pipeline and workload",
        ),
        Question(
            "What did it produce?",
            f"{plural(made['artifacts'], 'artifact')} seen: {made['signed']:,} signed, {made['provenance']:,} with provenance, "
            f"{made['sbom']:,} with a bill of materials.",
            f"Signature unknown for {made['unknown']:,}.",
            "inventory",
            "Inventory",
        ),
        Question(
            "Should the next stage rely on it?",
            f"{gates['enforced']:,} of {plural(gates['controls'], 'gate')} enforced, {gates['absent']:,} absent. "
            f"{gates['pinned']:,} of {plural(gates['rollouts'], 'workload')} run a pinned digest. {plural(made['mutable'], 'artifact')} under a tag that can be moved.",
            f"Pinning unknown for {gates['unknown']:,}.",
            "findings",
            "Findings on integrity",
            "integrity",
        ),
        Question(
            "When should that access end?",
            f"{ends['static']:,} of {plural(ends['credentials'], 'credential')} work until somebody revokes them.{age} "
            f"{ends['soon']:,} end by themselves within 30 days.{_shares(figures)}",
            f"Last use unknown for {ends['unknown']:,}.{_unjudged(figures)}",
            "exceptions",
            "Exceptions and their ends",
        ),
    ]


def _shares(figures: dict[str, float]) -> str:
    """Say how many pipelines and identities do without what lasts; nothing of what no figure was kept of."""
    said = ""
    for share, total, unknown, one, many, does in (
        ("pipelines_without_static_secrets", "pipelines", "pipelines_of_unknown_secrets", "pipeline", "pipelines",
         "read or hold no stored secret"),
        ("automation_with_short_lived_credentials", "automation_signing_in", "automation_of_unknown_credentials",
         "automation identity that signs in", "automation identities that sign in",
         "use only short-lived or federated credentials"),
    ):  # fmt: skip
        if share in figures:
            judged = figures[total] - figures[unknown]
            said += f" {round(figures[share] * judged):,} of {plural(round(judged), one, many)} {does}."
    return said


def _unjudged(figures: dict[str, float]) -> str:
    """Say of how many pipelines and identities this could not be told."""
    pipelines = round(figures.get("pipelines_of_unknown_secrets", 0))
    automation = round(figures.get("automation_of_unknown_credentials", 0))
    if not pipelines and not automation:
        return ""
    return (
        f" {plural(pipelines, 'more pipeline', 'more pipelines')} and "
        f"{plural(automation, 'more automation identity', 'more automation identities')} could not be judged."
    )


def read_owners(night: Night) -> Cut:
    """Return the work-lists: open findings by owner; those of nobody come first."""
    counts = ", ".join(f"count(*) FILTER (WHERE severity = '{name}') AS {name}" for name in SEVERITIES)
    query = f"""
        SELECT owner, count(*) AS total, {counts}, min(first_seen) AS oldest,
               count(*) FILTER (WHERE due_at::DATE < $as_of::DATE) AS overdue, count(*) FILTER (WHERE status <> 'open') AS new
        FROM findings WHERE {OPEN} GROUP BY owner
        ORDER BY owner IS NULL DESC, critical DESC, high DESC, medium DESC, low DESC, info DESC, owner
    """
    return cut(night, query, ROWS, {"as_of": utc(night.as_of)})


def read_inventory(night: Night) -> Inventory:
    """Return what was counted, by provider."""
    surfaces = ", ".join(
        f"count(*) FILTER (WHERE surface = '{name}') AS {name}"
        for name in ("human", "automation", "artifact", "workload")
    )
    identities = night.dicts(
        f"SELECT provider, {surfaces}, count(*) AS total FROM identities GROUP BY provider ORDER BY provider"
    )
    counted = " UNION ALL ".join(
        f"SELECT '{table}' AS name, provider FROM {table}"
        for table in (
            "accounts",
            "credentials",
            "secrets",
            "grants",
            "trusts",
            "controls",
            "weaknesses",
            "artifacts",
        )
    )
    tables = night.dicts(
        f"SELECT name, provider, count(*) AS total FROM ({counted}) GROUP BY ALL ORDER BY ALL"
    )
    credentials = cut(
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
