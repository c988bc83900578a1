"""What single actions give: every one that may give more than its access level says is classified."""

from __future__ import annotations

import re

import pytest

from collectors.aws.evaluator.actions import catalog
from collectors.aws.evaluator.escalation_paths import paths
from collectors.aws.evaluator.powers import classified
from scanner.records import POWERS
from tests.aws_iam import allow, facts, grants, user

CREDENTIAL = re.compile(
    r":(?!List|Delete|Describe|Update|Put|Revoke|Tag|Untag|Register|Cancel|Disable|Enable|Deregister|Reject|Batch(Delete|Describe)"
    r"|Set|Add|Modify|Remove|Associate|Invalidate|Verify|Confirm|Import|Is|Search)"
    r"\w{0,60}?(Token|Credential|Password|Presigned|AccessKey|KeyPair|ApiKey|SecretValue|SSHPublicKey|Login|SigninUrl|EmbedUrl"
    r"|AssumeR|ForIdentity)"
)
"""Names of actions that return or make a credential, a token, or an address that signs in."""


def test_every_action_that_manages_permissions_or_returns_credentials_is_classified() -> None:
    known = catalog()
    stated = known.of([name for line in classified() for name in line.actions])
    wanted = known.level("P") | known.of([name for name in known.names if CREDENTIAL.search(name)])
    assert known.list(wanted & ~stated) == []
    assert wanted.bit_count() > 500


def test_the_lines_are_of_actions_that_exist() -> None:
    bits = catalog().bits
    seen: set[str] = set()
    for line in classified():
        assert line.power in {*POWERS, "level"}
        assert line.when in {"always", "named", "target"}
        if line.power == "level":
            continue
        for name in line.actions:
            assert name.lower() in bits, name
            assert name not in seen, name
            seen.add(name)


@pytest.mark.parametrize(
    ("action", "power"),
    [
        ("sts:AssumeRoot", "become-other"),
        ("sts:GetWebIdentityToken", "become-other"),
        ("s3:GetDataAccess", "read-data"),
        ("iam:DeactivateMFADevice", "become-other"),
        ("ssm:GetAccessToken", "become-other"),
        ("redshift:GetIdentityCenterAuthToken", "read-secrets"),
        ("iam:AcceptDelegationRequest", "grant-access"),
        ("iam:SendDelegationToken", "grant-access"),
        ("iam:CreateServiceSpecificCredential", "become-other"),
        ("organizations:RegisterDelegatedAdministrator", "grant-access"),
        ("organizations:PutResourcePolicy", "grant-access"),
        ("s3:PutBucketPolicy", "grant-access"),
        ("s3:PutBucket*", "grant-access"),
        ("kms:CreateGrant", "grant-access"),
        ("secretsmanager:PutResourcePolicy", "grant-access"),
        # Look-alikes: they take access away, read, or are the whole service.
        ("s3:DeleteBucketPolicy", "change-data"),
        ("kms:RetireGrant", "change-data"),
        ("s3:*", "change-data"),
        ("sts:GetSessionToken", "read"),
        ("sts:GetCallerIdentity", "read"),
        ("iam:GetAccessKeyLastUsed", "read"),
    ],
)
def test_the_strongest_power_of_an_action(action: str, power: str) -> None:
    (grant,) = grants(facts(users=[user("u", allow(action))]), "u")
    assert grant.powers[0] == power


COMMAND = re.compile(
    r":(Send|Start|Run|Execute|Invoke|Create|Put)\w{0,40}?(Command|Shell|CommandExecution|Sandbox|SSHPublicKey|Calculation\w*)$"
)
"""Names of actions that run a command or open a shell in something that runs with an identity."""
RUNS_NO_IDENTITY = {
    "elemental-support-cases:CreateS3CLIUploadCommand": "a command line to copy",
    "gameliftstreams:CreateStreamSessionAdminShell": "a streamed application, without a role",
    "iot:CreateCommand": "a device's own",
    "iotmanagedintegrations:SendManagedThingCommand": "a device's own",
    "iot:StartCommandExecution": "a device's own",
    "qldb:SendCommand": "a statement in a ledger",
}


def test_every_action_that_runs_a_command_is_a_step_of_a_path_or_runs_with_no_identity() -> None:
    known = catalog()
    found = {name for name in known.names if COMMAND.search(name)}
    steps = {action for path in paths() for step in path.steps for action in step.actions}
    assert sorted(found - steps - set(RUNS_NO_IDENTITY)) == []
    assert len(found & steps) >= 5
    assert set(RUNS_NO_IDENTITY) <= found
