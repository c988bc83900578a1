"""The section of the five zero-trust questions about each delivery stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reports.html.queries import first, plural, utc

if TYPE_CHECKING:
    from scanner.night import Night


class Question(NamedTuple):
    """One of the five questions: tonight's answer, what is unknown, and a link to the details."""

    question: str
    answer: str
    unknown: str
    link: str
    label: str
    category: str = ""
    """The category of findings that the link shows."""


def read_questions(night: Night) -> list[Question]:
    """Return tonight's answers to the five questions."""
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
            f"{plural(reach['admin'], 'automation identity reaches', 'automation identities reach')} administrator access, {reach['escalation']:,} can escalate privileges. "
            f"{plural(reach['wide'], 'trust')} can be used by a whole organization or more.",
            f"{plural(reach['unknown'], 'grant')} could not be assessed.",
            "delivery",
            "Excess pipeline access",
        ),
        Question(
            "What did it produce?",
            f"{plural(made['artifacts'], 'artifact')} found: {made['signed']:,} signed, {made['provenance']:,} with provenance, "
            f"{made['sbom']:,} with an SBOM.",
            f"Signature unknown for {made['unknown']:,}.",
            "inventory",
            "Inventory",
        ),
        Question(
            "Should the next stage rely on it?",
            f"{gates['enforced']:,} of {plural(gates['controls'], 'gate')} enforced, {gates['absent']:,} absent. "
            f"{gates['pinned']:,} of {plural(gates['rollouts'], 'workload')} run a pinned digest. {plural(made['mutable'], 'artifact')} with a mutable tag.",
            f"Pinning unknown for {gates['unknown']:,}.",
            "findings",
            "Integrity findings",
            "integrity",
        ),
        Question(
            "When should that access end?",
            f"{ends['static']:,} of {plural(ends['credentials'], 'credential')} are static.{age} "
            f"{ends['soon']:,} expire within 30 days.{_shares(figures)}",
            f"Last use unknown for {ends['unknown']:,}.{_unjudged(figures)}",
            "exceptions",
            "Exceptions",
        ),
    ]


def _shares(figures: dict[str, float]) -> str:
    """Return how many pipelines and identities use no static secrets; empty if there is no metric."""
    said = ""
    for share, total, unknown, one, many, does in (
        ("pipelines_without_static_secrets", "pipelines", "pipelines_of_unknown_secrets", "pipeline", "pipelines",
         "use no stored secret"),
        ("automation_with_short_lived_credentials", "automation_signing_in", "automation_of_unknown_credentials",
         "automation identity that signs in", "automation identities that sign in",
         "use only short-lived or federated credentials"),
    ):  # fmt: skip
        if share in figures:
            judged = figures[total] - figures[unknown]
            said += f" {round(figures[share] * judged):,} of {plural(round(judged), one, many)} {does}."
    return said


def _unjudged(figures: dict[str, float]) -> str:
    """Return for how many pipelines and identities this is unknown."""
    pipelines = round(figures.get("pipelines_of_unknown_secrets", 0))
    automation = round(figures.get("automation_of_unknown_credentials", 0))
    if not pipelines and not automation:
        return ""
    return (
        f" {plural(pipelines, 'more pipeline', 'more pipelines')} and "
        f"{plural(automation, 'more automation identity', 'more automation identities')} could not be assessed."
    )
