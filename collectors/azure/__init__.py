"""Azure: who may do what over a tenant's management groups and subscriptions, resources that run as identities, and what holds
credentials.

Needs: an application or managed identity of Entra ID with the role Reader at the root management group; a narrower custom role
is printed by ``sprawlscan permissions azure``. Only GET is sent, and POSTs that read: queries of Azure Resource Graph, and
batches of GETs in large tenants. Configure ``entra`` too: role assignments name principals by their object ID, and only Entra ID
knows who they are.

Cannot see: subscriptions and resources that the scanner may not read, which queries leave out without a sign; values of secrets,
keys, settings and connections; issuers and renewal of certificates in key vaults, which are known by the secrets behind them;
the age of registry administrator passwords, function keys and cluster certificates; shared access signatures, which nothing
lists; when a key was last used;
members of groups that a deny assignment leaves out; conditions on attributes. For one role assignment, whom its holder can
become is told for the first 200 resources at its scope. What was asked for and refused is a Gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.azure.config import Config
from collectors.azure.first_section import first_sections
from collectors.azure.kinds import KINDS, PARTS
from scanner.collect.collector import Target
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from scanner.collect.collector import Run
    from scanner.records import Policy, Record

__all__ = ["KINDS", "PARTS", "Config", "collect", "evaluate", "first_sections", "permissions", "targets"]


def targets(config: Config, run: Run) -> Iterator[Target]:
    """Yield the tenant."""
    tenant = str(config.tenant)
    yield Target(collector="azure", name=tenant, account_id=record_id("azure", "tenant", tenant))


def collect(target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield what one tenant holds. Never raises for what Azure answers: that is a Gap."""
    from collectors.azure.client import ArmClient
    from collectors.azure.plan import tenant_night

    client = ArmClient(config, run)
    try:
        yield from tenant_night(client, target, config, run)
    finally:
        client.close()


def evaluate(policies: Iterable[Policy], records: Iterable[Record], as_of: datetime) -> Iterator[Record]:
    """Yield the grants of role assignments and whom their holders can become, from role definitions, conditions, deny
    assignments and the resources of a snapshot alone.
    """
    from collectors.azure.evaluator import evaluate as evaluated

    yield from evaluated((policy for policy in policies if policy.provider == "azure"), records, as_of)


def permissions() -> str:
    """Return the smallest read-only custom role of this collector."""
    from collectors.azure.custom_role import role_text

    return role_text()
