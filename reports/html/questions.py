"""The section of the five zero-trust questions about each delivery stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reports.html.queries import first, plural
from scanner.figures import figure_text, share_text

if TYPE_CHECKING:
    from scanner.figures import Figures
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
    who = first(
        night,
        """
        SELECT count(*) AS identities, count(*) FILTER (WHERE surface = 'automation') AS automation,
               count(*) FILTER (WHERE surface = 'workload') AS workloads, count(*) FILTER (WHERE surface = 'human') AS humans,
               count(*) FILTER (WHERE surface IS NULL) AS neither,
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
    loose = first(
        night,
        """
        SELECT (SELECT count(*) FROM artifacts WHERE mutable_tag) AS mutable,
               (SELECT count(*) FROM controls WHERE enforcement = 'absent') AS absent,
               (SELECT count(*) FROM credentials WHERE last_used_at IS NULL AND never_used IS NOT true) AS unused
        """,
    )
    figures = night.figures
    return [
        Question(
            "Which identity acted?",
            f"{plural(who['identities'], 'identity', 'identities')} listed: {who['automation']:,} automation, "
            f"{who['workloads']:,} workload, {who['humans']:,} human. {who['never']:,} never used.",
            f"Last use unknown for {who['unknown']:,}."
            + (f" Person or automation unknown for {who['neither']:,}." if who["neither"] else ""),
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
            f"{plural(figures.count('artifacts'), 'artifact')} found. "
            f"Signed: {share_text(figures.of('signed_artifacts'), 'artifact')}. "
            f"With provenance: {share_text(figures.of('artifacts_with_provenance'), 'artifact')}. "
            f"With an SBOM: {share_text(figures.of('artifacts_with_sbom'), 'artifact')}.",
            "",
            "inventory",
            "Inventory",
        ),
        Question(
            "Should the next stage rely on it?",
            f"Enforced: {share_text(figures.of('gates_enforced'), 'gate')}; {loose['absent']:,} absent. "
            f"With a pinned digest: {share_text(figures.of('pinned_workloads'), 'workload')}. "
            f"{plural(loose['mutable'], 'artifact')} with a mutable tag.",
            "",
            "findings",
            "Integrity findings",
            "integrity",
        ),
        Question(
            "When should that access end?",
            _ends(figures),
            f"Last use unknown for {loose['unused']:,}.",
            "exceptions",
            "Exceptions",
        ),
    ]


def _ends(figures: Figures) -> str:
    """Return how much access has no end, and how many pipelines and identities do without it."""
    static, age = figures.of("static_credentials"), figures.of("median_age_of_static_credentials")
    pipelines = share_text(figures.of("pipelines_without_static_secrets"), "pipeline")
    automation = share_text(
        figures.of("automation_with_short_lived_credentials"), "automation identity", "automation identities"
    )
    old = f" Their median age is {figure_text(age.value, age.unit)}." if age.value is not None else ""
    return (
        f"{static.value:,.0f} of {plural(figures.count('credentials'), 'credential')} are static.{old} "
        f"{figures.count('credentials_expiring_soon'):,} expire within 30 days. "
        f"Without a stored secret: {pipelines}. With only short-lived or federated credentials: {automation}."
    )
