"""The context of one target's listings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gcp.calls import ASSETS
from collectors.gcp.facts import Hierarchy, LastSignIns  # noqa: TC001  msgspec reads the annotations at run time
from collectors.gcp.names import part, project_id
from scanner.collect.by_account import by_account
from scanner.collect.scope import SourceScope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from collectors.gcp.client import GoogleClient
    from collectors.gcp.config import Config
    from scanner.collect.by_account import Instead
    from scanner.records import Record

LARGEST_PAGE = 1000
"""https://docs.cloud.google.com/asset-inventory/docs/reference/rest/v1/assets/list"""
NEEDS = "Cloud Asset Viewer (roles/cloudasset.viewer)"


class GcpScope(SourceScope, frozen=True, kw_only=True):
    """What every listing of one organization or project needs."""

    client: GoogleClient
    config: Config
    kind: str
    """``organizations`` or ``projects``."""
    number: str
    """The number of the organization, or the ID of the project."""
    held: Hierarchy
    account_use: LastSignIns
    """When service accounts last signed in, once that was read."""
    key_use: LastSignIns
    emails: dict[str, str]
    """Unique IDs of the service accounts, by email address, once they were read."""

    @property
    def asks_each_project(self) -> bool:
        """Whether lists that the inventory lacks are read for each project."""
        return len(self.held.projects) <= self.config.projects_up_to

    def path(self, call: str, **names: str) -> str:
        """Return the URL of a call that names its API first."""
        return self.client.at(super().path(call, **names))

    def documented(self, call: str) -> str:
        """Return a call of Cloud Asset Inventory as it is documented for this target."""
        placeholder = "{organization}" if self.kind == "organizations" else "{project}"
        return call.replace("{kind}", self.kind).replace("{number}", placeholder)

    def account_of(self, asset: dict[str, Any]) -> str:
        """Return the account of an asset: its project, its folder, or the target."""
        ancestors: list[Any] = asset.get("ancestors") or []
        if ancestors:
            found = self.held.account_of(str(ancestors[0]))
            if found is not None:
                return found
        project = part(str(asset["name"]), "projects")
        return project_id(self.held.names.get(project, project)) if project else self.account_id

    def asset_rows(self, asset_type: str) -> Iterator[dict[str, Any]]:
        """Yield the assets of a type, each with its resource. Raises `SourceError`."""
        yield from self.client.items(
            self.client.at(ASSETS.replace("{kind}", self.kind).replace("{number}", self.number)),
            {"assetTypes": asset_type, "contentType": "RESOURCE", "pageSize": LARGEST_PAGE},
            at="assets",
        )

    def assets(
        self,
        asset_type: str,
        convert: Callable[[dict[str, Any], dict[str, Any], str], Iterable[Record]],
        *,
        table: str,
        kind: str | None,
        fills: Sequence[str] = (),
        loses: Sequence[str] = (),
        rows: Iterable[dict[str, Any]] | None = None,
        instead: Instead | None = None,
    ) -> Iterator[Record]:
        """Yield what ``convert`` makes of each asset of a type, its resource's data, and its account.

        ``rows`` are the assets if they were read already.
        """

        def read() -> Iterator[Record]:
            for asset in self.asset_rows(asset_type) if rows is None else rows:
                yield from convert(asset, asset["resource"]["data"], self.account_of(asset))

        yield from by_account(
            self,
            self.held.accounts,
            read(),
            call=f"GET {self.documented(ASSETS)} ({asset_type})",
            table=table,
            kind=kind,
            needs=NEEDS,
            fills=fills,
            loses=loses,
            instead=instead,
        )
