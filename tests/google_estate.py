"""A small organization of Google Cloud, as records and policies: what the evaluation works on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gcp import evaluate
from collectors.gcp.records import role_policy, stored_policy
from scanner.records import Account, Control, Grant, Identity, Link, Trust

if TYPE_CHECKING:
    from datetime import datetime

    from scanner.records import Policy, Record

ORGANIZATION = "gcp:organization:1"
PROJECT = "gcp:project:acme"
CONTAINERS = "//cloudresourcemanager.googleapis.com/"
GITHUB = "https://token.actions.githubusercontent.com"
POOL = "projects/100/locations/global/workloadIdentityPools/ci"


class GoogleEstate:
    """The organization 1 with the folder 2, the project acme (100) in it, and two service accounts."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.policies: list[Policy] = []
        self.ids: dict[str, str] = {}
        self.records += [
            Account(id=ORGANIZATION, provider="gcp", account_id=ORGANIZATION, kind="gcp-organization", native_id="1", name="acme"),
            Account(id="gcp:folder:2", provider="gcp", account_id="gcp:folder:2", kind="gcp-folder", native_id="2", name="prod", parent_id=ORGANIZATION),
        ]  # fmt: skip
        self.project("100", "acme")
        self.account("deployer")
        self.account("powerful")

    def project(self, number: str, name: str) -> None:
        """Add a project below the folder."""
        me = f"gcp:project:{name}"
        self.records.append(Account(id=me, provider="gcp", account_id=me, kind="gcp-project", native_id=number, name=name, parent_id="gcp:folder:2"))  # fmt: skip

    def account(self, name: str, *, project: str = "acme", enabled: bool = True) -> str:
        """Add a service account, and return its id."""
        number = f"gcp:service-account:{1000 + len(self.ids)}"
        self.ids[name] = number
        self.records.append(
            Identity(
                id=number, provider="gcp", account_id=f"gcp:project:{project}", surface="automation", kind="gcp-service-account",
                native_id=number.rpartition(":")[2], name=name, address=email(name, project), enabled=enabled,
            )
        )  # fmt: skip
        return number

    def role(self, name: str, *permissions: str) -> None:
        """Define a role."""
        row = {"name": name, "includedPermissions": list(permissions)}
        self.policies.append(role_policy(row, ORGANIZATION, "gcp-predefined-role"))

    def bind(self, container: str, role: str, *members: str, condition: str = "") -> None:
        """Grant a role on ``projects/100``, ``folders/2`` or ``organizations/1``."""
        account = {"projects/100": PROJECT, "folders/2": "gcp:folder:2", "organizations/1": ORGANIZATION}[
            container
        ]
        self.bind_resource(f"{CONTAINERS}{container}", role, *members, condition=condition, account=account)

    def bind_account(self, name: str, role: str, *members: str, condition: str = "") -> None:
        """Grant a role on a service account."""
        number = self.ids[name].rpartition(":")[2]
        resource = f"//iam.googleapis.com/projects/acme/serviceAccounts/{number}"
        self.bind_resource(resource, role, *members, condition=condition)

    def bind_resource(
        self, resource: str, role: str, *members: str, condition: str = "", account: str = PROJECT
    ) -> None:
        """Grant a role on any resource."""
        binding: dict[str, Any] = {"role": role, "members": list(members)}
        if condition:
            binding["condition"] = {"title": "t", "expression": condition}
        native = f"{resource}#{len(self.policies)}"
        self.policies.append(
            stored_policy(
                "iam-policy",
                account,
                native,
                document={"bindings": [binding]},
                to=[account],
                address=resource,
            )
        )

    def provider(self, condition: str = "", *, name: str = "github", state: str = "ACTIVE", pool_state: str = "ACTIVE", **fields: Any) -> None:  # fmt: skip
        """Add a provider of the pool ``ci``."""
        document = {
            "oidc": {"issuerUri": GITHUB},
            "attributeMapping": {
                "google.subject": "assertion.sub",
                "attribute.repository": "assertion.repository",
            },
            "attributeCondition": condition,
            "state": state,
            **fields,
        }
        document = {key: value for key, value in document.items() if value is not None}
        self.policies += [
            stored_policy(
                "workload-identity-pool", PROJECT, POOL, document={"state": pool_state}, to=[PROJECT]
            ),
            stored_policy(
                "workload-identity-provider",
                PROJECT,
                f"{POOL}/providers/{name}",
                document=document,
                to=[PROJECT],
            ),
        ]

    def organization_policy(self, name: str, *, enforced: bool, place: str = ORGANIZATION) -> None:
        """Set an organization policy."""
        self.records.append(
            Control(
                id=f"gcp:organization-policy:{place}/{name}", provider="gcp", account_id=place, stage="runtime",
                kind="gcp-organization-policy", name=name, enforcement="enforced" if enforced else "absent", target=place,
            )
        )  # fmt: skip

    def deny(self, *rules: dict[str, Any], place: str = ORGANIZATION) -> None:
        """Attach a deny policy."""
        document = {"rules": [{"denyRule": rule} for rule in rules]}
        self.policies.append(
            stored_policy(
                "gcp-deny-policy", place, f"deny/{len(self.policies)}", document=document, to=[place]
            )
        )

    def evaluated(self, as_of: datetime) -> list[Record]:
        """Return what the policies come to."""
        return list(evaluate(self.policies, self.records, as_of))

    def grants(self, as_of: datetime) -> list[Grant]:
        """Return the grants."""
        return [record for record in self.evaluated(as_of) if isinstance(record, Grant)]

    def trusts(self, as_of: datetime) -> list[Trust]:
        """Return the trusts."""
        return [record for record in self.evaluated(as_of) if isinstance(record, Trust)]

    def links(self, as_of: datetime) -> list[Link]:
        """Return whom principals can become."""
        return [record for record in self.evaluated(as_of) if isinstance(record, Link)]


def email(name: str, project: str = "acme") -> str:
    """Return the email address of a service account."""
    return f"{name}@{project}.iam.gserviceaccount.com"
