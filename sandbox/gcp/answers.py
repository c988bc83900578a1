"""What each call of the make-believe Google Cloud returns: an object, or a list to be cut into pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from sandbox.gcp.organization import MANAGER, ago, etag
from sandbox.gcp.routes import ASSET_TYPES
from sandbox.kit.http import RefusedError

if TYPE_CHECKING:
    from sandbox.gcp.organization import GoogleOrganization, GoogleProject
    from sandbox.gcp.routes import GoogleRoute
    from sandbox.kit.api import ApiCall
    from sandbox.kit.http import Json

_CONTENT = {"": "", "0": "", "1": "RESOURCE", "2": "IAM_POLICY", "4": "ORG_POLICY"}
"""Kinds of content by the numbers that generated clients send instead of names."""
_FULL = {"FULL", "1", 1}


class GoogleAnswers:
    """Answers from one organization. ``in_organization`` is whether the credential may see the organization itself."""

    def __init__(self, company: GoogleOrganization, *, in_organization: bool) -> None:
        self.company = company
        self._in_organization = in_organization

    def of(self, call: ApiCall, route: GoogleRoute) -> Json | list[Any]:
        """Return what a call asks for. Raises `RefusedError`."""
        if "/" in route.answer:
            return self._resources(call, route.answer)
        answer: Json | list[Any] = getattr(self, f"_{route.answer}")(call)
        return answer

    # Places

    def _project(self, call: ApiCall, *, deleted: bool = False) -> GoogleProject:
        """Return the project of a call, by ID or number. One that is being deleted answers to no list."""
        asked = call.values["project"]
        found = self._named(asked)
        if found is None or (found.state != "ACTIVE" and not deleted):
            raise RefusedError(
                403, f"The caller does not have permission on project {asked} (or it may not exist)."
            )
        return found

    def _named(self, asked: str) -> GoogleProject | None:
        every = self.company.projects
        return every.get(asked) or next((one for one in every.values() if one.number == asked), None)

    def _below(self, call: ApiCall) -> str:
        """Return the place whose assets a call asks for, as ancestors name it."""
        if "project" in call.values:
            return f"projects/{self._project(call, deleted=True).number}"
        if "folder" in call.values:
            return f"folders/{call.values['folder']}"
        self._organization_itself(call)
        return f"organizations/{self.company.number}"

    def _organization_itself(self, call: ApiCall) -> Json:
        if call.values["organization"] != self.company.number or not self._in_organization:
            raise RefusedError(
                403, "The caller does not have permission on the organization (or it may not exist)."
            )
        return {
            "name": f"organizations/{self.company.number}",
            "displayName": self.company.domain,
            "directoryCustomerId": "C0lantern",
            "state": "ACTIVE",
            "createTime": ago(1300),
            "updateTime": ago(1300),
            "etag": etag(self.company.domain),
        }

    def _project_itself(self, call: ApiCall) -> Json:
        return self._shown(self._project(call, deleted=True))

    def _folder_itself(self, call: ApiCall) -> Json:
        found = self.company.folders.get(call.values["folder"])
        if found is None:
            raise RefusedError(
                403, "The caller does not have permission on the folder (or it may not exist)."
            )
        return found

    def _projects(self, call: ApiCall) -> list[Json]:
        return [self._shown(one) for one in self.company.projects.values()]

    def _shown(self, project: GoogleProject) -> Json:
        """Return a project as Resource Manager v3 shows it."""
        data = self._data_of(
            "cloudresourcemanager.googleapis.com/Project", f"{MANAGER}/projects/{project.number}"
        )
        return {
            "name": f"projects/{project.number}",
            "parent": project.above[0],
            "projectId": project.id,
            "displayName": data["name"],
            "state": project.state,
            "createTime": data["createTime"],
            "updateTime": data["createTime"],
            "etag": etag(project.id),
            **({"labels": data["labels"]} if "labels" in data else {}),
        }

    def _data_of(self, kind: str, name: str) -> Json:
        for asset in self.company.assets:
            if asset["assetType"] == kind and asset["name"] == name:
                data: Json = asset["resource"]["data"]
                return data
        raise RefusedError(404, f"{name} was not found")

    def _project_policy(self, call: ApiCall) -> Json:
        return self.company.policy(self._project(call))

    # Cloud Asset Inventory

    def _assets(self, call: ApiCall) -> list[Json]:
        asked = parse_qs(urlsplit(call.request.target).query)
        types = set(asked.get("assetTypes", []))
        unknown = types - set(ASSET_TYPES)
        if unknown:
            raise RefusedError(400, f"Request contains an invalid argument: asset type {min(unknown)}")
        content = call.request.query.get("contentType", "")
        content = _CONTENT.get(content, content)
        place = self._below(call)
        found = [
            asset
            for asset in self.company.assets
            if place in asset["ancestors"] and (not types or asset["assetType"] in types)
        ]
        return [shown for asset in found if (shown := self._with_content(asset, content)) is not None]

    def _with_content(self, asset: Json, content: str) -> Json | None:
        """Return an asset with what was asked for: its resource, its policy, its organization policies, or its name alone."""
        shown = {key: value for key, value in asset.items() if key != "resource"}
        match content:
            case "":
                return shown
            case "RESOURCE":
                return asset
            case "IAM_POLICY":
                name = str(asset["name"])
                if asset["assetType"] == "cloudresourcemanager.googleapis.com/Project":
                    name = f"{MANAGER}/projects/{asset['resource']['data']['projectId']}"
                policy = self.company.grants.get(name)
                return None if policy is None else {**shown, "iamPolicy": policy["policy"]}
            case _:
                raise RefusedError(400, f"Request contains an invalid argument: content type {content}")

    def _policies(self, call: ApiCall) -> list[Json]:
        place = self._below(call)
        rows = [
            row
            for row in self.company.grants.values()
            if place in (row["organization"], row.get("project"), *row.get("folders", []))
        ]
        wanted = parse_qs(urlsplit(call.request.target).query).get("assetTypes")
        rows = [row for row in rows if not wanted or row["assetType"] in wanted]
        if call.request.query.get("orderBy"):
            rows.sort(key=lambda row: (row["assetType"], row["resource"]))
        return rows

    def _search(self, call: ApiCall) -> list[Json]:
        found = []
        for asset in self._assets(call):
            folders = [one for one in asset["ancestors"] if one.startswith("folders/")]
            project = [one for one in asset["ancestors"] if one.startswith("projects/")]
            row = {
                "name": asset["name"],
                "assetType": asset["assetType"],
                "displayName": str(asset["name"]).rpartition("/")[2],
                "organization": f"organizations/{self.company.number}",
                "updateTime": asset["updateTime"],
            }
            row |= {"folders": folders} if folders else {}
            found.append(row | ({"project": project[0]} if project else {}))
        return sorted(found, key=lambda row: str(row["name"]))

    def _resources(self, call: ApiCall, kind: str) -> list[Json]:
        """Return resources of a project or of the organization as the API of their service lists them."""
        if "organization" in call.values:
            self._organization_itself(call)
            place = f"organizations/{self.company.number}"
        else:
            place = f"projects/{self._project(call).number}"
        where = call.values.get("location", "-")
        return [
            asset["resource"]["data"]
            for asset in self.company.assets
            if asset["assetType"] == kind
            and asset["ancestors"][0] == place
            and (where == "-" or f"/locations/{where}/" in asset["name"])
        ]

    # IAM

    def _body(self, call: ApiCall) -> Json:
        body: Json = msgspec.json.decode(call.request.body or b"{}")
        return body

    def _accounts(self, call: ApiCall) -> list[Json]:
        if "project" not in call.values:
            call.values["project"] = str(self._body(call).get("name", "")).removeprefix("projects/")
        home = self._project(call)
        return [row for row in self.company.accounts.values() if row["projectId"] == home.id]

    def _account(self, call: ApiCall, name: str) -> Json:
        """Return the account of a name: by its address or number, in a project or in ``projects/-``."""
        asked = call.values.get("account") or name.rpartition("/serviceAccounts/")[2]
        project = call.values.get("project") or name.split("/")[1]
        for email, row in self.company.accounts.items():
            if asked in {email, row["uniqueId"]} and project in {"-", row["projectId"]}:
                return row
        raise RefusedError(404, f"Unknown service account: {asked}")

    def _keys(self, call: ApiCall) -> Json:
        if call.method == "POST":
            body = self._body(call)
            account, kinds = self._account(call, str(body.get("name", ""))), body.get("keyTypes", [])
        else:
            account = self._account(call, "")
            kinds = parse_qs(urlsplit(call.request.target).query).get("keyTypes", [])
        rows = list(self.company.keys.get(str(account["email"]), []))
        system = {
            "name": f"{account['name']}/keys/{etag(account['uniqueId'])}",
            "validAfterTime": ago(10),
            "validBeforeTime": ago(-7),
            "keyAlgorithm": "KEY_ALG_RSA_2048",
            "keyOrigin": "GOOGLE_PROVIDED",
            "keyType": "SYSTEM_MANAGED",
        }
        found = [row for row in (*rows, system) if not kinds or row["keyType"] in kinds]
        return {"keys": found} if found else {}

    def _account_policy(self, call: ApiCall) -> Json:
        name = str(self._body(call).get("resource", "")) if not call.values else ""
        return self.company.policy(str(self._account(call, name)["email"]))

    def _roles(self, call: ApiCall) -> list[Json]:
        asked = self._body(call) if call.method == "POST" else dict(call.request.query)
        parent = str(asked.get("parent", ""))
        for kind, name in (("projects", "project"), ("organizations", "organization")):
            if name in call.values:
                parent = f"{kind}/{call.values[name]}"
        if parent.startswith("projects/"):
            call.values["project"] = parent.removeprefix("projects/")
            parent = f"projects/{self._project(call).id}"
        rows = self.company.custom_roles.get(parent, []) if parent else self.company.roles
        if asked.get("view") in _FULL:
            return rows
        return [{key: value for key, value in row.items() if key != "includedPermissions"} for row in rows]

    def _pools(self, call: ApiCall) -> list[Json]:
        return self.company.pools.get(self._project(call).id, [])

    def _providers(self, call: ApiCall) -> list[Json]:
        home = self._project(call)
        pool = f"projects/{home.number}/locations/global/workloadIdentityPools/{call.values['pool']}"
        return self.company.providers.get(pool, [])

    def _denies(self, call: ApiCall) -> list[Json]:
        rows = self.company.denies.get(self._attachment(call), [])
        return [{key: value for key, value in row.items() if key != "rules"} for row in rows]

    def _deny(self, call: ApiCall) -> Json:
        for row in self.company.denies.get(self._attachment(call), []):
            if str(row["name"]).endswith(f"/{call.values['policy']}"):
                return row
        raise RefusedError(404, "Requested entity was not found.")

    def _attachment(self, call: ApiCall) -> str:
        """Return where deny policies are attached; projects are known by ID and by number."""
        at = unquote(call.values["attachmentPoint"])
        kind, _, name = at.removeprefix("cloudresourcemanager.googleapis.com/").partition("/")
        if kind == "projects":
            home = self._named(name)
            if home is None or home.state != "ACTIVE":
                raise RefusedError(403, "Permission denied on the attachment point (or it may not exist).")
            return f"cloudresourcemanager.googleapis.com/projects/{home.id}"
        if not self._in_organization:
            raise RefusedError(403, "Permission denied on the attachment point (or it may not exist).")
        return at

    # What the inventory lacks

    def _sign_ins(self, call: ApiCall) -> list[Json]:
        kind = call.path.split("/activityTypes/")[1].partition("/")[0]
        return self.company.sign_ins.get((self._project(call).id, kind), [])

    def _listed(self, call: ApiCall, name: str) -> list[Json]:
        return self.company.listed.get((self._project(call).id, name), [])

    def _hmacKeys(self, call: ApiCall) -> list[Json]:
        return self._listed(call, "hmacKeys")

    def _workflows(self, call: ApiCall) -> list[Json]:
        return self._listed(call, "workflows")

    def _recommendations(self, call: ApiCall) -> list[Json]:
        return self._listed(call, "recommendations")
