"""Predefined roles of IAM, each with those of its permissions that matter here: the real ones have up to 12,000.

https://docs.cloud.google.com/iam/docs/roles-permissions
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.gcp.organization import etag

if TYPE_CHECKING:
    from sandbox.kit.http import Json

_READ = (
    "artifactregistry.repositories.get",
    "cloudbuild.builds.get",
    "cloudbuild.builds.list",
    "cloudfunctions.functions.get",
    "cloudfunctions.functions.list",
    "compute.instances.get",
    "compute.instances.list",
    "container.clusters.get",
    "container.clusters.list",
    "iam.serviceAccounts.get",
    "iam.serviceAccounts.list",
    "resourcemanager.projects.get",
    "run.services.get",
    "run.services.list",
    "secretmanager.secrets.get",
    "secretmanager.secrets.list",
    "storage.buckets.get",
    "storage.buckets.list",
)
_RUN = (
    "run.jobs.create",
    "run.jobs.delete",
    "run.jobs.get",
    "run.jobs.list",
    "run.jobs.run",
    "run.jobs.runWithOverrides",
    "run.jobs.update",
    "run.routes.invoke",
    "run.services.create",
    "run.services.delete",
    "run.services.get",
    "run.services.list",
    "run.services.update",
)
_EDIT = (
    *_READ,
    *_RUN,
    "apikeys.keys.create",
    "apikeys.keys.getKeyString",
    "artifactregistry.repositories.uploadArtifacts",
    "artifactregistry.tags.update",
    "bigquery.tables.getData",
    "bigquery.tables.updateData",
    "cloudbuild.builds.create",
    "cloudbuild.builds.update",
    "cloudfunctions.functions.create",
    "cloudfunctions.functions.sourceCodeSet",
    "cloudfunctions.functions.update",
    "clouddeploy.releases.create",
    "clouddeploy.targets.update",
    "composer.environments.create",
    "composer.environments.update",
    "compute.disks.create",
    "compute.instances.create",
    "compute.instances.setMetadata",
    "compute.instances.setServiceAccount",
    "compute.projects.setCommonInstanceMetadata",
    "compute.subnetworks.use",
    "container.clusters.create",
    "container.clusters.update",
    "container.pods.create",
    "container.secrets.get",
    "iam.serviceAccountKeys.create",
    "iam.serviceAccounts.actAs",
    "iam.serviceAccounts.create",
    "pubsub.topics.publish",
    "storage.buckets.create",
    "storage.hmacKeys.create",
    "workflows.executions.create",
    "workflows.workflows.create",
)
_TOKENS = (
    "iam.serviceAccounts.get",
    "iam.serviceAccounts.getAccessToken",
    "iam.serviceAccounts.getOpenIdToken",
    "iam.serviceAccounts.implicitDelegation",
    "iam.serviceAccounts.list",
    "iam.serviceAccounts.signBlob",
    "iam.serviceAccounts.signJwt",
)
_OBJECTS = ("storage.objects.create", "storage.objects.delete", "storage.objects.get", "storage.objects.list")
PERMISSIONS: dict[str, tuple[str, ...]] = {
    "roles/owner": (
        *_EDIT,
        "cloudfunctions.functions.setIamPolicy",
        "iam.roles.update",
        "iam.serviceAccounts.setIamPolicy",
        "resourcemanager.projects.setIamPolicy",
        "run.services.setIamPolicy",
        "secretmanager.versions.access",
        "storage.buckets.setIamPolicy",
        "iam.googleapis.com/workloadIdentityPoolProviders.create",
        "iam.googleapis.com/workloadIdentityPoolProviders.update",
    ),
    "roles/editor": _EDIT,
    "roles/viewer": _READ,
    "roles/browser": ("resourcemanager.folders.get", "resourcemanager.projects.get"),
    "roles/resourcemanager.organizationAdmin": (
        "resourcemanager.folders.setIamPolicy",
        "resourcemanager.organizations.get",
        "resourcemanager.organizations.setIamPolicy",
        "resourcemanager.projects.setIamPolicy",
    ),
    "roles/resourcemanager.projectIamAdmin": (
        "resourcemanager.projects.get",
        "resourcemanager.projects.getIamPolicy",
        "resourcemanager.projects.setIamPolicy",
    ),
    "roles/iam.securityReviewer": (
        "iam.roles.list",
        "iam.serviceAccounts.list",
        "logging.logEntries.list",
        "resourcemanager.projects.getIamPolicy",
    ),
    "roles/iam.serviceAccountUser": (
        "iam.serviceAccounts.actAs",
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.list",
    ),
    "roles/iam.serviceAccountTokenCreator": _TOKENS,
    "roles/iam.serviceAccountOpenIdTokenCreator": ("iam.serviceAccounts.getOpenIdToken",),
    "roles/iam.serviceAccountKeyAdmin": (
        "iam.serviceAccountKeys.create",
        "iam.serviceAccountKeys.delete",
        "iam.serviceAccountKeys.list",
        "iam.serviceAccounts.list",
    ),
    "roles/iam.workloadIdentityUser": (
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.getAccessToken",
        "iam.serviceAccounts.getOpenIdToken",
        "iam.serviceAccounts.list",
    ),
    "roles/run.admin": (*_RUN, "run.jobs.setIamPolicy", "run.services.setIamPolicy"),
    "roles/run.developer": _RUN,
    "roles/run.invoker": ("run.jobs.run", "run.routes.invoke"),
    "roles/run.viewer": ("run.services.get", "run.services.list"),
    "roles/secretmanager.secretAccessor": ("secretmanager.versions.access",),
    "roles/secretmanager.viewer": ("secretmanager.secrets.get", "secretmanager.secrets.list"),
    "roles/storage.objectViewer": ("storage.objects.get", "storage.objects.list"),
    "roles/storage.objectUser": _OBJECTS,
    "roles/storage.admin": (*_OBJECTS, "storage.buckets.create", "storage.buckets.setIamPolicy"),
    "roles/bigquery.dataViewer": ("bigquery.tables.get", "bigquery.tables.getData", "bigquery.tables.list"),
    "roles/bigquery.dataEditor": ("bigquery.tables.getData", "bigquery.tables.updateData"),
    "roles/bigquery.jobUser": ("bigquery.jobs.create",),
    "roles/artifactregistry.reader": (
        "artifactregistry.repositories.downloadArtifacts",
        "artifactregistry.repositories.get",
    ),
    "roles/artifactregistry.writer": (
        "artifactregistry.repositories.downloadArtifacts",
        "artifactregistry.repositories.uploadArtifacts",
        "artifactregistry.tags.update",
    ),
    "roles/cloudbuild.builds.builder": (
        "artifactregistry.repositories.uploadArtifacts",
        "cloudbuild.builds.create",
        "cloudbuild.builds.update",
        "logging.logEntries.create",
        "storage.objects.create",
    ),
    "roles/clouddeploy.jobRunner": (
        "logging.logEntries.create",
        "storage.objects.get",
        "storage.objects.create",
    ),
    "roles/container.developer": (
        "container.deployments.create",
        "container.pods.create",
        "container.secrets.get",
    ),
    "roles/container.defaultNodeServiceAccount": (
        "logging.logEntries.create",
        "monitoring.timeSeries.create",
    ),
    "roles/composer.worker": (
        "composer.environments.get",
        "logging.logEntries.create",
        "storage.objects.create",
    ),
    "roles/workflows.invoker": ("workflows.executions.create",),
    "roles/logging.logWriter": ("logging.logEntries.create",),
    "roles/monitoring.metricWriter": ("monitoring.timeSeries.create",),
    "roles/cloudasset.viewer": (
        "cloudasset.assets.exportIamServiceAccountKeys",
        "cloudasset.assets.listResource",
        "cloudasset.assets.searchAllIamPolicies",
        "cloudasset.assets.searchAllResources",
    ),
    "roles/iam.denyReviewer": ("iam.denypolicies.get", "iam.denypolicies.list"),
    "roles/policyanalyzer.activityAnalysisViewer": (
        "policyanalyzer.serviceAccountKeyLastAuthenticationActivities.query",
        "policyanalyzer.serviceAccountLastAuthenticationActivities.query",
    ),
}
"""Role -> permissions."""


def predefined() -> list[Json]:
    """Return the roles as ``roles.list`` shows them with ``view=FULL``."""
    return [
        {
            "name": name,
            "title": name.removeprefix("roles/").replace(".", " "),
            "description": f"Predefined role {name.removeprefix('roles/')} of Google Cloud",
            "includedPermissions": sorted(set(permissions)),
            "stage": "GA",
            "etag": etag(name),
        }
        for name, permissions in sorted(PERMISSIONS.items())
    ]
