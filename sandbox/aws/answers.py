"""The list and describe operations that moto lacks: each is a shelf of resources, filtered and paged. A resource on a
shelf is a dict with the members of the operation's output shape; a listing returns the members of its summary shape.
Paging follows botocore's paginators, if there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.aws import identity_answers
from sandbox.aws.operation import paged
from sandbox.aws.wire import AwsError

if TYPE_CHECKING:
    from sandbox.aws.operation import Forward, Handler
    from sandbox.aws.state import State
    from sandbox.aws.wire import AwsCall


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A listing: the shelf and the output member that it fills."""

    shelf: str
    member: str
    by: tuple[str, ...] = ()
    """Parameters that filter, each compared with the resource's member of that name."""
    only: str | None = None
    """The resource's member that is listed, for a listing of names."""
    page: int = 100
    """Default number of items per page."""


class One(msgspec.Struct, frozen=True, kw_only=True):
    """A description of one resource."""

    shelf: str
    member: str | None
    """The output member; None if the resource is the output."""
    by: tuple[str, ...]


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Descriptions of several resources, by name."""

    shelf: str
    member: str
    parameter: str
    name: str
    by: tuple[str, ...] = ()


SHELVES: dict[tuple[str, str], Listing | One | Batch] = {
    ("accessanalyzer", "ListAnalyzers"): Listing(shelf="analyzers", member="analyzers", by=("type",)),
    ("accessanalyzer", "ListFindingsV2"): Listing(shelf="findings", member="findings", by=("analyzerArn",)),
    ("accessanalyzer", "GetFindingV2"): One(shelf="findings", member=None, by=("analyzerArn", "id")),
    ("codebuild", "ListSourceCredentials"): Listing(
        shelf="source-credentials", member="sourceCredentialsInfos"
    ),
    ("codeconnections", "ListConnections"): Listing(
        shelf="connections", member="Connections", by=("ProviderType",)
    ),
    ("codestar-connections", "ListConnections"): Listing(
        shelf="codestar-connections", member="Connections", by=("ProviderType",)
    ),
    ("codedeploy", "ListApplications"): Listing(
        shelf="applications", member="applications", only="applicationName"
    ),
    ("codedeploy", "ListDeploymentGroups"): Listing(
        shelf="deployment-groups",
        member="deploymentGroups",
        by=("applicationName",),
        only="deploymentGroupName",
    ),
    ("codedeploy", "BatchGetDeploymentGroups"): Batch(
        shelf="deployment-groups",
        member="deploymentGroupsInfo",
        parameter="deploymentGroupNames",
        name="deploymentGroupName",
        by=("applicationName",),
    ),
    ("codedeploy", "ListOnPremisesInstances"): Listing(
        shelf="on-premises", member="instanceNames", only="instanceName"
    ),
    ("codedeploy", "BatchGetOnPremisesInstances"): Batch(
        shelf="on-premises", member="instanceInfos", parameter="instanceNames", name="instanceName"
    ),
    ("codedeploy", "ListGitHubAccountTokenNames"): Listing(
        shelf="github-tokens", member="tokenNameList", only="name"
    ),
    ("codepipeline", "ListWebhooks"): Listing(shelf="webhooks", member="webhooks"),
    ("eks", "ListPodIdentityAssociations"): Listing(
        shelf="pod-identity", member="associations", by=("clusterName", "namespace", "serviceAccount")
    ),
    ("eks", "DescribePodIdentityAssociation"): One(
        shelf="pod-identity", member="association", by=("clusterName", "associationId")
    ),
    ("eks", "ListAccessEntries"): Listing(
        shelf="access-entries", member="accessEntries", by=("clusterName",), only="principalArn"
    ),
    ("eks", "DescribeAccessEntry"): One(
        shelf="access-entries", member="accessEntry", by=("clusterName", "principalArn")
    ),
    ("eks", "ListAssociatedAccessPolicies"): Listing(
        shelf="access-policies", member="associatedAccessPolicies", by=("clusterName", "principalArn")
    ),
    ("iam", "ListServiceSpecificCredentials"): Listing(
        shelf="service-credentials", member="ServiceSpecificCredentials", by=("UserName", "ServiceName")
    ),
    ("lambda", "ListFunctionUrlConfigs"): Listing(
        shelf="function-urls", member="FunctionUrlConfigs", by=("FunctionName",)
    ),
    ("rolesanywhere", "ListTrustAnchors"): Listing(shelf="trust-anchors", member="trustAnchors"),
    ("rolesanywhere", "ListProfiles"): Listing(shelf="profiles", member="profiles"),
    ("rolesanywhere", "ListSubjects"): Listing(shelf="subjects", member="subjects"),
    ("rolesanywhere", "ListCrls"): Listing(shelf="crls", member="crls"),
    ("ssm", "DescribeActivations"): Listing(shelf="activations", member="ActivationList"),
}
"""(service, operation) -> its answer."""


def handler(service: str, operation: str) -> Handler | None:
    """Return the handler of an operation; None if moto answers it."""
    own = identity_answers.ANSWERS.get((service, operation))
    if own is not None:
        return own
    return _from_shelf if (service, operation) in SHELVES else None


def _from_shelf(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    how = SHELVES[call.service, call.operation]
    if isinstance(how, Listing):
        return _list(state, call, how)
    wanted = [item for item in state.shelf(call, how.shelf) if _fits(item, how.by, call.params)]
    if isinstance(how, One):
        if not wanted:
            raise AwsError("ResourceNotFoundException", f"No {how.shelf} matches", 404)
        return {how.member: wanted[0]} if how.member else wanted[0]
    names = call.params.get(how.parameter, [])
    return {how.member: [item for item in wanted if item[how.name] in names]}


def _list(state: State, call: AwsCall, how: Listing) -> dict[str, Any]:
    items: list[Any] = [item for item in state.shelf(call, how.shelf) if _fits(item, how.by, call.params)]
    if how.only:
        items = [item[how.only] for item in items]
    if call.service == "eks" and "clusterName" in call.params:
        _cluster_exists(state, call)
    return paged(call, how.member, items, how.page)


def _cluster_exists(state: State, call: AwsCall) -> None:
    name = call.params["clusterName"]
    if not any(item["name"] == name for item in state.shelf(call, "clusters")):
        raise AwsError("ResourceNotFoundException", f"No cluster found for name: {name}.", 404)


def _fits(item: dict[str, Any], by: tuple[str, ...], params: dict[str, Any]) -> bool:
    return all(params.get(name) in (None, item.get(name)) for name in by)
