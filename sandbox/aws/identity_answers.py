"""IAM and STS operations where moto returns less than AWS: paging, boundaries, last use, the credential report,
AssumeRole.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sandbox.aws import backend, credential_report
from sandbox.aws.keys import serial
from sandbox.aws.operation import position
from sandbox.aws.wire import AwsError
from sandbox.estate import MANAGEMENT

if TYPE_CHECKING:
    from sandbox.aws.operation import Forward, Handler
    from sandbox.aws.state import State
    from sandbox.aws.wire import AwsCall

LISTS = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
ALL_SERVICES = (
    "codebuild",
    "dynamodb",
    "ec2",
    "ecr",
    "ecs",
    "eks",
    "iam",
    "kms",
    "lambda",
    "logs",
    "rds",
    "s3",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "sts",
)
"""The services of a grant of everything, in reports of last access."""


def authorization_details(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Page through the identity graph; moto returns it whole, without policy names and users' boundaries."""
    wanted = tuple(sorted(call.params.get("Filter") or []))
    items: list[tuple[str, Any]] = state.kept(
        ("authorization-details", call.account, wanted), lambda: _details(call.account, forward())
    )
    start = position(call.params.get("Marker"))
    end = start + int(call.params.get("MaxItems") or 100)
    page: dict[str, Any] = {member: [] for member in LISTS}
    for member, item in items[start:end]:
        page[member].append(item)
    page["IsTruncated"] = end < len(items)
    if end < len(items):
        page["Marker"] = f"page-{end}"
    return page


def _details(account: str, whole: dict[str, Any]) -> list[tuple[str, Any]]:
    items = []
    for member in LISTS:
        for item in whole.get(member, []):
            if member != "Policies":
                items.append((member, item))
            elif item.get("AttachmentCount") or ":iam::aws:" not in item["Arn"]:
                named = {
                    "PolicyName": item["Arn"].rsplit("/", 1)[1],
                    "PolicyId": backend.policy_id(account, item["Arn"]),
                }
                items.append((member, {**item, **named}))
    return items


def key_last_used(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Answer GetAccessKeyLastUsed; a key that was never used shows ``N/A``."""
    key = call.params["AccessKeyId"]
    owner = backend.account_of_key(key)
    if owner is None or owner[0] != call.account:
        raise AwsError("AccessDenied", f"The Access Key with id {key} cannot be found.", 403)
    used = state.facts(call.account, "iam", "AccessKeyId", key).get("LastUsed")
    return {"UserName": owner[1], "AccessKeyLastUsed": used or {"ServiceName": "N/A", "Region": "N/A"}}


def account_summary(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Add the values for root that moto omits."""
    facts = state.facts(call.account, "iam", "root", "<root_account>")
    root = {
        "AccountAccessKeysPresent": int(bool(facts.get("keys"))),
        "AccountMFAEnabled": int(facts.get("mfa", True)),
        "AccountPasswordPresent": int(facts.get("password", True)),
    }
    return {"SummaryMap": forward()["SummaryMap"] | root}


def organizations_features(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Return which central root features the organization has."""
    found = state.known.get((call.account, "organizations-features", ""))
    if found is None:
        raise AwsError(
            "AccountNotManagementOrDelegatedAdministratorException",
            "The calling account is not the management account or delegated administrator.",
            403,
        )
    return dict(found)


def user_boundary(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Set or remove a user's permissions boundary."""
    arn = call.params.get("PermissionsBoundary")
    boundary = {"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": arn}
    name = call.params["UserName"]
    state.about(call.account, "iam", "UserName", name, PermissionsBoundary=boundary if arn else None)
    return {}


def start_last_accessed(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Start a report about which services a principal used."""
    arn = call.params["Arn"]
    job = serial(f"{call.key_id}/{arn}/{call.params.get('Granularity')}")
    state.known[call.account, "last-accessed", job] = (arn, state.sessions[call.key_id].arn)
    return {"JobId": job}


def last_accessed(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Return its result; only the session that started a job can read it."""
    arn, owner = state.known.get((call.account, "last-accessed", call.params["JobId"]), ("", ""))
    if not arn or owner != state.sessions[call.key_id].arn:
        raise AwsError("NoSuchEntity", f"Job with id {call.params['JobId']} cannot be found.", 404)
    facts: dict[str, datetime | None] | None = state.known.get((call.account, "services", arn))
    services = facts if facts is not None else _granted(state, call.account, arn)
    done = state.as_of - timedelta(minutes=5)
    start = position(call.params.get("Marker"))
    end = start + int(call.params.get("MaxItems") or 100)
    items = [_service(namespace, used, arn) for namespace, used in sorted(services.items())]
    return {
        "JobStatus": "COMPLETED",
        "JobType": "SERVICE_LEVEL",
        "JobCreationDate": done,
        "JobCompletionDate": done,
        "ServicesLastAccessed": items[start:end],
        "IsTruncated": end < len(items),
    } | ({"Marker": f"page-{end}"} if end < len(items) else {})


def _service(namespace: str, used: datetime | None, arn: str) -> dict[str, Any]:
    seen = {"LastAuthenticated": used, "LastAuthenticatedEntity": arn, "LastAuthenticatedRegion": "eu-west-1"}
    return {
        "ServiceName": namespace.upper(),
        "ServiceNamespace": namespace,
        "TotalAuthenticatedEntities": int(used is not None),
    } | (seen if used else {})


def _granted(state: State, account: str, arn: str) -> dict[str, datetime | None]:
    """Treat every granted service as used when its principal was."""
    kind, name = arn.split(":")[5].split("/", 1)
    name = name.rsplit("/", 1)[-1]
    iam = backend.iam(account)
    if kind == "role":
        found = next((role for role in iam.roles.values() if role.name == name), None)
        used = state.facts(account, "iam", "RoleName", name).get("RoleLastUsed", {}).get("LastUsedDate")
    else:
        found = iam.users.get(name)
        keys = found.access_keys if found else []
        dates = [
            state.facts(account, "iam", "AccessKeyId", key.access_key_id)
            .get("LastUsed", {})
            .get("LastUsedDate")
            for key in keys
        ]
        used = max((date for date in dates if date), default=None)
    if found is None:
        raise AwsError("NoSuchEntity", f"ARN {arn} is not valid.", 404)
    documents = [backend.document(policy) for policy in found.managed_policies.values()]
    documents += list(found.policies.values()) if isinstance(found.policies, dict) else []
    services: dict[str, datetime | None] = {}
    for document in documents:
        for action in _actions(document):
            namespaces = ALL_SERVICES if action == "*" else (action.split(":")[0].lower(),)
            services.update(dict.fromkeys(namespaces, used))
    return services


def _actions(document: Any) -> list[str]:
    parsed = json.loads(unquote(document)) if isinstance(document, str) else document
    statements = parsed["Statement"] if isinstance(parsed["Statement"], list) else [parsed["Statement"]]
    actions: list[str] = []
    for statement in statements:
        if statement["Effect"] == "Allow":
            named = statement.get("Action", "*")
            actions += [named] if isinstance(named, str) else named
    return actions


def assume_role(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Open a session if the role exists, the account does not refuse, and the External ID matches."""
    arn = call.params["RoleArn"]
    account, name = arn.split(":")[4], arn.rsplit("/", 1)[1]
    caller = state.sessions[call.key_id].arn if call.key_id in state.sessions else call.account
    denied = AwsError(
        "AccessDenied", f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}", 403
    )
    role = next((role for role in backend.iam(account).roles.values() if role.name == name), None)
    if role is None or account in state.refusing:
        raise denied
    wanted = _external_ids(role.assume_role_policy_document)
    if wanted and call.params.get("ExternalId") not in wanted:
        raise denied
    session = call.params.get("RoleSessionName", "session")
    credentials = state.sign_in(account, name, role.id, session)
    seconds = int(call.params.get("DurationSeconds") or 3600)
    return {
        "Credentials": {**credentials, "Expiration": datetime.now(UTC) + timedelta(seconds=seconds)},
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role.id}:{session}",
            "Arn": state.sessions[credentials["AccessKeyId"]].arn,
        },
    }


def _external_ids(document: str) -> set[str]:
    """Return the External IDs that a trust policy accepts; empty if it requires none."""
    found: set[str] = set()
    statements = json.loads(document)["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        for test in statement.get("Condition", {}).values():
            value = test.get("sts:ExternalId")
            found.update([value] if isinstance(value, str) else value or [])
    return found


def caller_identity(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Return the caller's identity."""
    session = state.sessions.get(call.key_id)
    if session is None:
        return forward()
    return {"UserId": session.user_id, "Account": session.account, "Arn": session.arn}


def virtual_mfa(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Add root's device, if root has one."""
    devices = forward().get("VirtualMFADevices", [])
    facts = state.facts(call.account, "iam", "root", "<root_account>")
    if facts.get("mfa", True) and call.params.get("AssignmentStatus") != "Unassigned":
        root = {"UserName": "root", "UserId": call.account, "Arn": f"arn:aws:iam::{call.account}:root"}
        stamp = state.first_night - timedelta(days=1400)
        devices.insert(
            0,
            {
                "SerialNumber": f"arn:aws:iam::{call.account}:mfa/root-account-mfa-device",
                "User": {**root, "Path": "/", "CreateDate": stamp},
                "EnableDate": stamp,
            },
        )
    return {"VirtualMFADevices": devices, "IsTruncated": False}


def roles_without_last_use(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Omit the last use of roles: https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html."""
    answer = forward()
    for role in answer.get("Roles", []):
        role.pop("RoleLastUsed", None)
    return answer


def regions(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Return only the company's regions as enabled."""
    kept = [region for region in forward()["Regions"] if region["RegionName"] in state.regions]
    wanted = call.params.get("RegionNames")
    return {"Regions": [region for region in kept if not wanted or region["RegionName"] in wanted]}


def identity_center(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Return the instance in the management account only; moto returns one in every account."""
    return forward() if call.account == MANAGEMENT else {"Instances": []}


def function_policy(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Write the auth type of a function URL as a condition, as AWS does; moto writes it as an element."""
    answer = forward()
    document = json.loads(answer["Policy"])
    for statement in document["Statement"]:
        guard = statement.pop("FunctionUrlAuthType", None)
        if guard:
            statement["Condition"] = {"StringEquals": {"lambda:FunctionUrlAuthType": guard}}
    return {**answer, "Policy": json.dumps(document)}


ANSWERS: dict[tuple[str, str], Handler] = {
    ("ec2", "DescribeRegions"): regions,
    ("iam", "DeleteUserPermissionsBoundary"): user_boundary,
    ("iam", "GenerateCredentialReport"): credential_report.generate,
    ("iam", "GenerateServiceLastAccessedDetails"): start_last_accessed,
    ("iam", "GetAccessKeyLastUsed"): key_last_used,
    ("iam", "GetAccountAuthorizationDetails"): authorization_details,
    ("iam", "GetAccountSummary"): account_summary,
    ("iam", "GetCredentialReport"): credential_report.get,
    ("iam", "GetServiceLastAccessedDetails"): last_accessed,
    ("iam", "ListOrganizationsFeatures"): organizations_features,
    ("iam", "ListRoles"): roles_without_last_use,
    ("iam", "ListVirtualMFADevices"): virtual_mfa,
    ("iam", "PutUserPermissionsBoundary"): user_boundary,
    ("lambda", "GetPolicy"): function_policy,
    ("sso-admin", "ListInstances"): identity_center,
    ("sts", "AssumeRole"): assume_role,
    ("sts", "GetCallerIdentity"): caller_identity,
}
"""(service, operation) -> how it is answered."""
