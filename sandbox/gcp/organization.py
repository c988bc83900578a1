"""A Google Cloud organization as its APIs show it, and how to fill it.

Assets have the shape of Cloud Asset Inventory: https://docs.cloud.google.com/asset-inventory/docs/reference/rest/v1/TopLevel/listAssets.
The ``data`` of each is the resource as the REST API of its service shows it:
https://docs.cloud.google.com/asset-inventory/docs/asset-types
"""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.estate import FIRST_NIGHT

if TYPE_CHECKING:
    from sandbox.kit.http import Json

MANAGER = "//cloudresourcemanager.googleapis.com"
NEVER = "9999-12-31T23:59:59Z"
"""When a key ends that never expires."""
GITHUB = "https://token.actions.githubusercontent.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def ago(days: float) -> str:
    """Return a time by the days before the first night, as Google writes it; negative for a time to come."""
    return f"{FIRST_NIGHT - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"


def day(days: int) -> str:
    """Return a day as Policy Analyzer writes it: its rows are exact to the day, and begin at 07:00 UTC."""
    return f"{FIRST_NIGHT - timedelta(days=days):%Y-%m-%d}T07:00:00Z"


def number(seed: str, digits: int = 21) -> str:
    """Return a number that depends on the seed alone, as unique IDs of service accounts are."""
    whole = int(hashlib.sha256(f"gcp/{seed}".encode()).hexdigest(), 16)
    return f"1{whole % 10 ** (digits - 1):0{digits - 1}d}"


def hexadecimal(seed: str, digits: int = 40) -> str:
    """Return hexadecimal digits that depend on the seed alone, as IDs of keys are."""
    return hashlib.sha256(f"gcp/{seed}".encode()).hexdigest()[:digits]


def etag(seed: str) -> str:
    """Return an etag that depends on the seed alone."""
    return base64.b64encode(hashlib.sha256(seed.encode()).digest()[:6]).decode()


class GoogleProject(msgspec.Struct, frozen=True, kw_only=True):
    """One project."""

    id: str
    number: str
    above: tuple[str, ...]
    """Its ancestors, the nearest first: ``folders/1``, ``organizations/1``."""
    state: str = "ACTIVE"

    @property
    def ancestors(self) -> list[str]:
        """The project and what it is in, as assets name them."""
        return [f"projects/{self.number}", *self.above]

    @property
    def compute(self) -> str:
        """The email address of the default account of Compute Engine."""
        return f"{self.number}-compute@developer.gserviceaccount.com"

    def email(self, name: str) -> str:
        """Return the email address of a service account by its name."""
        return f"{name}@{self.id}.iam.gserviceaccount.com"


class GoogleOrganization(msgspec.Struct, kw_only=True):
    """Everything in one organization."""

    number: str
    domain: str
    projects: dict[str, GoogleProject] = {}
    """By project ID."""
    folders: dict[str, Json] = {}
    """By number, as Resource Manager v3 shows them."""
    assets: list[Json] = []
    grants: dict[str, Json] = {}
    """Policies by the full name of the resource, as `searchAllIamPolicies` shows them."""
    accounts: dict[str, Json] = {}
    """Service accounts by email address, as IAM shows them."""
    keys: dict[str, list[Json]] = {}
    """Keys by the email address of the account."""
    roles: list[Json] = []
    """Predefined roles."""
    custom_roles: dict[str, list[Json]] = {}
    """By ``projects/ID`` or ``organizations/1``."""
    pools: dict[str, list[Json]] = {}
    """By project ID."""
    providers: dict[str, list[Json]] = {}
    """By the name of the pool."""
    denies: dict[str, list[Json]] = {}
    """Deny policies by attachment point: ``cloudresourcemanager.googleapis.com/projects/ID``."""
    sign_ins: dict[tuple[str, str], list[Json]] = {}
    """By project ID and type of activity."""
    listed: dict[tuple[str, str], list[Json]] = {}
    """Lists that the inventory lacks, by project ID and name: ``hmacKeys``, ``workflows``, ``recommendations``."""

    def folder(self, folder: str, name: str) -> str:
        """Add a folder right below the organization, and return its name."""
        above = f"organizations/{self.number}"
        self.folders[folder] = {
            "name": f"folders/{folder}",
            "parent": above,
            "displayName": name,
            "state": "ACTIVE",
            "createTime": ago(1200),
            "updateTime": ago(1200),
            "etag": etag(name),
        }
        data = {
            "name": f"folders/{folder}",
            "parent": above,
            "displayName": name,
            "lifecycleState": "ACTIVE",
            "createTime": ago(1200),
        }
        kind = "cloudresourcemanager.googleapis.com/Folder"
        self._asset(kind, f"{MANAGER}/folders/{folder}", data, [f"folders/{folder}", above], version="v2")
        return f"folders/{folder}"

    def project(
        self,
        project: str,
        number: str,
        *above: str,
        state: str = "ACTIVE",
        labels: dict[str, str] | None = None,
    ) -> GoogleProject:
        """Add a project below a folder or right below the organization."""
        made = GoogleProject(
            id=project, number=number, above=(*above, f"organizations/{self.number}"), state=state
        )
        self.projects[project] = made
        kind, _, parent = made.above[0].partition("/")
        data: Json = {
            "projectNumber": number,
            "projectId": project,
            "lifecycleState": state,
            "name": project.replace("-", " ").title(),
            "createTime": ago(1100),
            "parent": {"type": kind.removesuffix("s"), "id": parent},
        }
        if labels:
            data["labels"] = labels
        kind = "cloudresourcemanager.googleapis.com/Project"
        self._asset(kind, f"{MANAGER}/projects/{number}", data, made.ancestors)
        return made

    def asset(self, home: GoogleProject, kind: str, name: str, data: Json, version: str = "v1") -> None:
        """Add a resource of a project: its type, its full name (after ``//service/``) and its data."""
        service = kind.partition("/")[0]
        self._asset(kind, f"//{service}/{name}", data, home.ancestors, version=version)

    def below_organization(self, kind: str, name: str, data: Json, version: str = "v1") -> None:
        """Add a resource of the organization."""
        service = kind.partition("/")[0]
        self._asset(kind, f"//{service}/{name}", data, [f"organizations/{self.number}"], version=version)

    def _asset(self, kind: str, name: str, data: Json, ancestors: list[str], version: str = "v1") -> None:
        service, _, discovered = kind.partition("/")
        resource: Json = {
            "version": version,
            "discoveryDocumentUri": f"https://{service}/$discovery/rest?version={version}",
            "discoveryName": discovered,
            "data": data,
        }
        resource["parent"] = f"{MANAGER}/{ancestors[1 if name.startswith(MANAGER) else 0]}"
        self.assets.append(
            {
                "name": name,
                "assetType": kind,
                "resource": resource,
                "ancestors": ancestors,
                "updateTime": ago(3),
            }
        )

    # Service accounts

    def account(
        self, home: GoogleProject, name: str, *, shown: str = "", disabled: bool = False, email: str = ""
    ) -> str:
        """Add a service account, and return its email address."""
        email = email or home.email(name)
        row: Json = {
            "name": f"projects/{home.id}/serviceAccounts/{email}",
            "projectId": home.id,
            "uniqueId": number(email),
            "email": email,
            "displayName": shown or name,
            "description": f"Runs {name}",
            "etag": etag(email),
            "oauth2ClientId": number(email),
        }
        if disabled:
            row["disabled"] = True
        self.accounts[email] = row
        self.asset(home, "iam.googleapis.com/ServiceAccount", self._account_name(email), row)
        return email

    def compute_default(self, home: GoogleProject) -> str:
        """Add the default account of Compute Engine, and return its email address."""
        return self.account(
            home, "compute", shown="Compute Engine default service account", email=home.compute
        )

    def _account_name(self, email: str) -> str:
        row = self.accounts[email]
        return f"projects/{row['projectId']}/serviceAccounts/{row['uniqueId']}"

    def key(self, email: str, label: str, *, made: float, ends: float | None = None, **more: Any) -> str:
        """Add a key that a user made, and return its ID. ``made`` and ``ends`` are days ago; without ``ends`` it never expires."""
        key = hexadecimal(f"{email}/{label}")
        account = self.accounts[email]
        row: Json = {
            "name": f"{account['name']}/keys/{key}",
            "validAfterTime": ago(made),
            "validBeforeTime": NEVER if ends is None else ago(ends),
            "keyAlgorithm": "KEY_ALG_RSA_2048",
            "keyOrigin": "GOOGLE_PROVIDED",
            "keyType": "USER_MANAGED",
            **more,
        }
        self.keys.setdefault(email, []).append(row)
        home = self.projects[str(account["projectId"])]
        name = f"{self._account_name(email)}/keys/{key}"
        self.asset(home, "iam.googleapis.com/ServiceAccountKey", name, row)
        return key

    def signed_in(self, email: str, days: int | None, *, key: str = "", observed: int = 400) -> None:
        """Say when an account or one of its keys last signed in; None for a row without a time.

        The observation period ends yesterday and is ``observed`` days long.
        """
        home = str(self.accounts[email]["projectId"])
        kind = "serviceAccountKeyLastAuthentication" if key else "serviceAccountLastAuthentication"
        name = f"//iam.googleapis.com/{self._account_name(email)}{f'/keys/{key}' if key else ''}"
        # The number alone, unlike the asset's name, which has the ID.
        name = name.replace(f"projects/{home}/", f"projects/{self.projects[home].number}/")
        activity: Json = {"serviceAccountKey" if key else "serviceAccount": {"fullResourceName": name}}
        if days is not None:
            activity["lastAuthenticatedTime"] = day(days)
        self.sign_ins.setdefault((home, kind), []).append(
            {
                "fullResourceName": name,
                "activityType": kind,
                "observationPeriod": {"startTime": day(observed + 1), "endTime": day(1)},
                "activity": activity,
            }
        )

    # What is granted

    def grant(
        self, place: GoogleProject | str, role: str, *members: str, condition: tuple[str, str] | None = None
    ) -> None:
        """Grant a role on a project, ``folders/1``, ``organizations/1`` or, by its email address, a service account."""
        row = self._grants_on(*self._place(place))
        binding: Json = {"role": role, "members": list(members)}
        if condition is not None:
            binding["condition"] = {"title": condition[0], "expression": condition[1]}
        row["policy"]["bindings"].append(binding)

    def grant_on(self, home: GoogleProject, kind: str, name: str, role: str, *members: str) -> None:
        """Grant a role on another resource, by its full name after ``//service/``."""
        row = self._grants_on(f"//{kind.partition('/')[0]}/{name}", kind, home)
        row["policy"]["bindings"].append({"role": role, "members": list(members)})

    def _place(self, place: GoogleProject | str) -> tuple[str, str, GoogleProject | None]:
        if isinstance(place, GoogleProject):
            name = f"{MANAGER}/projects/{place.id}"
            return name, "cloudresourcemanager.googleapis.com/Project", place
        if place in self.accounts:
            home = self.projects[str(self.accounts[place]["projectId"])]
            return (
                f"//iam.googleapis.com/{self._account_name(place)}",
                "iam.googleapis.com/ServiceAccount",
                home,
            )
        kind = "Folder" if place.startswith("folders/") else "Organization"
        return f"{MANAGER}/{place}", f"cloudresourcemanager.googleapis.com/{kind}", None

    def _grants_on(self, name: str, kind: str, home: GoogleProject | None) -> Json:
        """Return the policy of a resource by its full name, type and project, to be filled."""
        row = self.grants.get(name)
        if row is None:
            row = {"resource": name, "assetType": kind, "organization": f"organizations/{self.number}"}
            folders = [one for one in home.above if one.startswith("folders/")] if home else []
            if name.startswith(f"{MANAGER}/folders/"):
                folders = [name.removeprefix(f"{MANAGER}/")]
            row |= {"project": f"projects/{home.number}"} if home else {}
            row |= {"folders": folders} if folders else {}
            self.grants[name] = row = row | {"policy": {"bindings": []}}
        return row

    def policy(self, place: GoogleProject | str) -> Json:
        """Return the policy of a place as its own API shows it."""
        name, _, _ = self._place(place)
        bindings = self.grants.get(name, {}).get("policy", {}).get("bindings", [])
        conditional = any("condition" in binding for binding in bindings)
        return {"version": 3 if conditional else 1, "etag": etag(name), "bindings": bindings}

    # Federation

    def pool(self, home: GoogleProject, name: str, *, shown: str = "", **more: Any) -> str:
        """Add a workload identity pool, and return its name."""
        row: Json = {
            "name": f"projects/{home.number}/locations/global/workloadIdentityPools/{name}",
            "displayName": shown or name,
            "description": f"Sign-ins of {name}",
            "state": "ACTIVE",
            **more,
        }
        self.pools.setdefault(home.id, []).append(row)
        self.asset(home, "iam.googleapis.com/WorkloadIdentityPool", row["name"], row)
        return str(row["name"])

    def provider(
        self,
        home: GoogleProject,
        pool: str,
        name: str,
        *,
        mapping: dict[str, str] | None = None,
        condition: str | None = None,
        **source: Any,
    ) -> str:
        """Add a provider of a pool, and return its name. ``source`` is ``oidc``, ``aws``, ``saml`` or ``x509``."""
        row: Json = {
            "name": f"{pool}/providers/{name}",
            "displayName": name,
            "state": "ACTIVE",
            "attributeMapping": mapping or {"google.subject": "assertion.sub"},
            **source,
        }
        if condition is not None:
            row["attributeCondition"] = condition
        self.providers.setdefault(pool, []).append(row)
        self.asset(home, "iam.googleapis.com/WorkloadIdentityPoolProvider", row["name"], row)
        return str(row["name"])

    # Roles and limits

    def custom_role(self, place: GoogleProject | str, name: str, *permissions: str, **more: Any) -> str:
        """Add a custom role of a project or of the organization, and return its name."""
        above = f"projects/{place.id}" if isinstance(place, GoogleProject) else place
        row: Json = {
            "name": f"{above}/roles/{name}",
            "title": name,
            "description": f"Made for {name}",
            "includedPermissions": list(permissions),
            "stage": "GA",
            "etag": etag(name),
            **more,
        }
        self.custom_roles.setdefault(above, []).append(row)
        if isinstance(place, GoogleProject):
            self.asset(place, "iam.googleapis.com/Role", row["name"], row)
        else:
            self.below_organization("iam.googleapis.com/Role", row["name"], row)
        return str(row["name"])

    def deny(self, place: str, name: str, *rules: Json) -> None:
        """Attach a deny policy to ``projects/ID``, ``folders/1`` or ``organizations/1``."""
        at = f"cloudresourcemanager.googleapis.com/{place}"
        self.denies.setdefault(at, []).append(
            {
                "name": f"policies/{at.replace('/', '%2F')}/denypolicies/{name}",
                "uid": hexadecimal(name, 32),
                "kind": "DenyPolicy",
                "displayName": name,
                "etag": etag(name),
                "createTime": ago(200),
                "updateTime": ago(100),
                "rules": [{"description": name, "denyRule": rule} for rule in rules],
            }
        )

    def constraint(
        self, place: GoogleProject | str, name: str, *, enforce: bool, dry_run: bool = False
    ) -> None:
        """Set an organization policy; with ``dry_run`` it only audits."""
        kind = "orgpolicy.googleapis.com/Policy"
        above = f"projects/{place.number}" if isinstance(place, GoogleProject) else place
        spec = {"rules": [{"enforce": enforce}], "updateTime": ago(300), "etag": etag(name)}
        row: Json = {"name": f"{above}/policies/{name}", ("dryRunSpec" if dry_run else "spec"): spec}
        if isinstance(place, GoogleProject):
            self.asset(place, kind, row["name"], row, version="v2")
        else:
            self.below_organization(kind, row["name"], row, version="v2")
