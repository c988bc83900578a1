"""Names of Google Cloud's resources and principals, and the ids of their records.

https://docs.cloud.google.com/asset-inventory/docs/asset-names, https://docs.cloud.google.com/iam/docs/principal-identifiers
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from scanner.records import record_id

if TYPE_CHECKING:
    from scanner.records import Breadth

CONTAINERS = "//cloudresourcemanager.googleapis.com/"
_EMAIL = re.compile(r"(?P<name>[^@]+)@(?P<host>[^@]+)")


def own(account_id: str) -> dict[str, Any]:
    """Return the fields that all records of an account share."""
    return {"provider": "gcp", "account_id": account_id}


def organization_id(number: str) -> str:
    """Return the id of an organization as an account."""
    return record_id("gcp", "organization", number)


def folder_id(number: str) -> str:
    """Return the id of a folder as an account."""
    return record_id("gcp", "folder", number)


def project_id(project: str) -> str:
    """Return the id of a project as an account, by its project ID, which is never changed or used again.

    https://docs.cloud.google.com/resource-manager/docs/creating-managing-projects
    """
    return record_id("gcp", "project", project)


def service_account_id(unique: str) -> str:
    """Return the id of a service account, by its unique ID: an email address may be used again."""
    return record_id("gcp", "service-account", unique)


def resource_id(name: str) -> str:
    """Return the id of a resource as an identity, by its full name: ``//run.googleapis.com/projects/...``."""
    return record_id("gcp", "resource", name.removeprefix("//"))


def member_id(member: str) -> str:
    """Return the id of a principal that is not a service account, by its normal form (`normal_member`)."""
    return record_id("gcp", "principal", member)


def last(name: str) -> str:
    """Return the last part of a name."""
    return name.rstrip("/").rpartition("/")[2]


def part(name: str, after: str) -> str | None:
    """Return the part of a name that follows a collection: ``part(name, "projects")``."""
    parts = name.split("/")
    for at, one in enumerate(parts[:-1]):
        if one == after:
            return parts[at + 1]
    return None


def normal_member(member: str) -> str:
    """Return a principal so that the grammars of allow policies, deny policies and bindings give the same text.

    ``principal://goog/subject/a@b`` is ``user:a@b``, and ``principal://iam.googleapis.com/projects/-/serviceAccounts/E`` is
    ``serviceAccount:E``. Email addresses have no case.
    """
    text = member.strip()
    head, _, rest = text.partition("://")
    if head == "principal":
        if rest.startswith("goog/subject/"):
            return f"user:{unquote(rest.removeprefix('goog/subject/')).lower()}"
        if "/serviceAccounts/" in rest:
            return f"serviceAccount:{last(rest).lower()}"
    if head == "principalSet":
        if rest.startswith("goog/group/"):
            return f"group:{unquote(rest.removeprefix('goog/group/')).lower()}"
        if rest == "goog/public:all":
            return "allUsers"
    kind, colon, value = text.partition(":")
    if colon and kind in {"user", "group", "serviceAccount", "domain"}:
        pool = _workload_of_cluster(value) if kind == "serviceAccount" else None
        return pool or f"{kind}:{value.lower()}"
    return text


def _workload_of_cluster(value: str) -> str | None:
    """Return ``P.svc.id.goog[NAMESPACE/NAME]`` as it stands: names in a cluster are in lower case already.

    https://docs.cloud.google.com/kubernetes-engine/docs/concepts/workload-identity
    """
    return f"serviceAccount:{value}" if ".svc.id.goog[" in value else None


def email_project(email: str) -> str | None:
    """Return the project of a service account that a user created, by its email address; None for other accounts.

    https://docs.cloud.google.com/iam/docs/service-account-overview#identify
    """
    match = _EMAIL.fullmatch(email)
    host = match["host"] if match else ""
    if host.endswith(".iam.gserviceaccount.com") and not host.startswith("gcp-sa-"):
        parts = host.removesuffix(".iam.gserviceaccount.com").split(".")
        return parts[0] if len(parts) == 1 else f"{'.'.join(parts[1:])}:{parts[0]}"
    if host == "appspot.gserviceaccount.com" and match:
        return match["name"]
    return None


_DEFAULTS = (
    (re.compile(r"[0-9]{1,20}-compute@developer\.gserviceaccount\.com"), "compute"),
    (re.compile(r"[a-z0-9.:-]{1,100}@appspot\.gserviceaccount\.com"), "app-engine"),
    (re.compile(r"[0-9]{1,20}@cloudbuild\.gserviceaccount\.com"), "cloud-build"),
    (re.compile(r"[0-9]{1,20}@cloudservices\.gserviceaccount\.com"), "google-apis"),
)
"""https://docs.cloud.google.com/iam/docs/service-account-types#default"""


def default_of(email: str) -> str | None:
    """Return of which service an account is the default: ``compute``, ``app-engine``, ``cloud-build``, ``google-apis``."""
    return next((name for pattern, name in _DEFAULTS if pattern.fullmatch(email)), None)


def is_service_agent(email: str) -> bool:
    """Return whether an account belongs to a Google service, in a project of Google's.

    https://docs.cloud.google.com/iam/docs/service-agents
    """
    host = email.rpartition("@")[2]
    return host.endswith("gserviceaccount.com") and (
        host.startswith(
            ("gcp-sa-", "cloudservices.", "cloudbuild.", "serverless-robot", "container-engine-robot")
        )
        or host.endswith(".gcp-sa.iam.gserviceaccount.com")
        or "-robot" in host
        or host in {"gcf-admin-robot.iam.gserviceaccount.com", "compute-system.iam.gserviceaccount.com"}
    )


def breadth(resource: str) -> Breadth:
    """Return how much lies below a resource."""
    below = resource.removeprefix(CONTAINERS)
    if below == resource:
        return "resource"
    return "account" if below.startswith("projects/") else "organization"


def record_of_cluster(project: str, location: str, cluster: str) -> str:
    """Return the id of a cluster as an account."""
    return record_id("gcp", "cluster", f"{project}/{location}/{cluster}")
