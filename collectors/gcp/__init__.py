"""Google Cloud: who may do what in organizations, folders and projects, service accounts and their keys, workload identity
federation, and what runs, builds and deploys as which account.

Needs: a service account with the custom role that ``sprawlscan permissions gcp`` prints, granted at the organization, or on each
project that has none. The APIs Cloud Asset, IAM, Cloud Resource Manager and Policy Analyzer must be on in the scanner's own project.
Only GET is sent, POSTs that read one project's IAM policy, and gRPC calls that list.

Cannot see: members of groups and domains; domain-wide delegation, which only Google Workspace lists; which of two accounts is
the default of Cloud Build; entitlements of Privileged Access Manager; tags, on which some conditions and deny policies depend;
access policies; values of secrets and keys; HMAC keys of users; the last use of API keys and HMAC keys; a sign-in outside the
observation period of Policy Analyzer, about 90 days: no row does not mean never. Which permissions a principal access boundary
blocks depends on its version: where one may apply, confidence is low. Cloud Asset Inventory follows changes by minutes. What was
asked for and refused is a Gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.gcp.config import Config
from collectors.gcp.first_section import first_sections
from collectors.gcp.kinds import HIDES_NO_ACCESS, KINDS, PARTS
from collectors.gcp.names import organization_id, project_id
from scanner.collect.collector import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from scanner.collect.collector import Run
    from scanner.records import Policy, Record

__all__ = [
    "HIDES_NO_ACCESS", "KINDS", "PARTS", "Config", "collect", "evaluate", "first_sections", "permissions", "targets",
]  # fmt: skip


def targets(config: Config, run: Run) -> Iterator[Target]:
    """Yield the organizations, then the projects that are read on their own."""
    for number in config.organizations:
        yield Target(collector="gcp", name=f"organizations/{number}", account_id=organization_id(number))
    for project in config.projects:
        yield Target(collector="gcp", name=f"projects/{project}", account_id=project_id(project))


def collect(target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield what one organization or project holds. Never raises for what Google Cloud answers: that is a Gap."""
    from collectors.gcp.client import GoogleClient
    from collectors.gcp.plan import target_night

    client = GoogleClient(config, run)
    try:
        yield from target_night(client, target, config, run)
    finally:
        client.close()


def evaluate(policies: Iterable[Policy], records: Iterable[Record], as_of: datetime) -> Iterator[Record]:
    """Yield the grants of role bindings, whom their holders can become, and the trusts of workload identity federation, from
    policies, roles and the records of a snapshot alone.
    """
    from collectors.gcp.evaluator import evaluate as evaluated

    yield from evaluated((policy for policy in policies if policy.provider == "gcp"), records, as_of)


def permissions() -> str:
    """Return the smallest read-only custom role of this collector."""
    from collectors.gcp.custom_role import role_text

    return role_text()
