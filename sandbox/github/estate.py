"""lanternpay."""

from __future__ import annotations

from datetime import UTC, datetime

from sandbox.estate import GITHUB_ORG, GITHUB_ORG_ID, REPOSITORIES
from sandbox.github.access import READ_ONLY_APP
from sandbox.github.organisation import Installation, Organisation, Repositories, Repository, User


def build(night: int = 1, access_keys: dict[str, str] | None = None) -> Organisation:
    """Return the organisation."""
    made = datetime(2024, 1, 1, tzinfo=UTC)
    return Organisation(
        id=GITHUB_ORG_ID,
        login=GITHUB_ORG,
        name="Lantern Pay",
        created_at=made,
        updated_at=made,
        repositories=Repositories.of(
            [
                Repository(id=one.id, name=one.name, created_at=made, pushed_at=made, archived=one.archived)
                for one in REPOSITORIES
            ]
        ),
        users=(User(id=4101, login="amara-okafor", created_at=made, role="admin"),),
        installations=(
            Installation(
                id=60001,
                app_id=90001,
                slug="sprawlscan-inventory",
                client_id="Iv23liSprawlscan",
                permissions=dict(READ_ONLY_APP),
                created_at=made,
                updated_at=made,
            ),
        ),
    )
