"""The organization: management account, members, service control policies, and the principals of the management
account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.aws import backend
from sandbox.aws.account import AccountBuilder
from sandbox.aws.documents import allow, policy, service_trust, trust
from sandbox.aws.keys import unique_id
from sandbox.aws.server import EXTERNAL_ID, ROLE_NAME, SCANNER_ROLE
from sandbox.estate import ACCOUNT_NAMES, DEV, MANAGEMENT, PROD, REGION, SECOND_REGION

if TYPE_CHECKING:
    from sandbox.aws.server import AwsSandbox

LEGACY = "400000000004"
"""A member account in which no role can be assumed."""
MEMBERS = {PROD: ACCOUNT_NAMES[PROD], DEV: ACCOUNT_NAMES[DEV], LEGACY: "lantern-legacy"}
NO_KEYS = {
    "Sid": "NoNewKeysInDevelopment",
    "Effect": "Deny",
    "Action": ["iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile"],
    "Resource": "*",
}


def build_organization(sandbox: AwsSandbox) -> str:
    """Create the organization; returns its id."""
    home = AccountBuilder(sandbox, MANAGEMENT)
    client = home.client("organizations")
    organization = str(client.create_organization(FeatureSet="ALL")["Organization"]["Id"])
    root = client.list_roots()["Roots"][0]["Id"]
    units = {
        name: client.create_organizational_unit(ParentId=root, Name=name)["OrganizationalUnit"]["Id"]
        for name in ("Workloads", "Suspended")
    }
    for number, name in MEMBERS.items():
        client.create_account(
            AccountName=name,
            Email=f"aws+{name}@lanternpay.example",
            Tags=[{"Key": "owner", "Value": "platform"}],
        )
        backend.number_account(MANAGEMENT, name, number)
        unit = units["Suspended" if number == LEGACY else "Workloads"]
        client.move_account(AccountId=number, SourceParentId=root, DestinationParentId=unit)
        home.about("organizations", "Id", number, JoinedTimestamp=home.ago(1480), JoinedMethod="CREATED")
    for title, document, target in (
        ("NoKeysInDevelopment", policy(NO_KEYS), DEV),
        (
            "OnlyOurRegions",
            policy(
                {
                    "Sid": "OnlyOurRegions",
                    "Effect": "Deny",
                    "NotAction": [
                        "iam:*",
                        "organizations:*",
                        "sts:*",
                        "route53:*",
                        "cloudfront:*",
                        "support:*",
                    ],
                    "Resource": "*",
                    "Condition": {"StringNotEquals": {"aws:RequestedRegion": [REGION, SECOND_REGION]}},
                }
            ),
            units["Workloads"],
        ),
    ):
        made = client.create_policy(
            Name=title, Description=title, Type="SERVICE_CONTROL_POLICY", Content=document
        )["Policy"]["PolicySummary"]["Id"]
        client.attach_policy(PolicyId=made, TargetId=target)
    sandbox.state.known[MANAGEMENT, "organizations-features", ""] = {
        "OrganizationId": organization,
        "EnabledFeatures": ["RootCredentialsManagement"],
    }
    for number in MEMBERS:
        _member(sandbox, number)
    return organization


def _member(sandbox: AwsSandbox, number: str) -> None:
    """Create the roles that every member account has: the organization's and the scanner's."""
    account = AccountBuilder(sandbox, number)
    account.client("iam").create_account_alias(AccountAlias=MEMBERS[number])
    account.role(
        "OrganizationAccountAccessRole",
        trust({"AWS": f"arn:aws:iam::{MANAGEMENT}:root"}),
        managed=["AdministratorAccess"],
        created=1480,
        used=14,
        owner="platform",
    )
    account.role(
        ROLE_NAME,
        trust(
            {"AWS": f"arn:aws:iam::{MANAGEMENT}:role/{SCANNER_ROLE}"},
            StringEquals={"sts:ExternalId": EXTERNAL_ID},
        ),
        managed=["SecurityAudit"],
        created=60,
        owner="security",
    )
    account.role(
        "AWSServiceRoleForOrganizations",
        service_trust("organizations"),
        managed=["arn:aws:iam::aws:policy/aws-service-role/AWSOrganizationsServiceTrustPolicy"],
        path="/aws-service-role/organizations.amazonaws.com/",
        created=1480,
        used=None,
    )


def build_management(sandbox: AwsSandbox) -> None:
    """Create the people and roles of the management account."""
    account = AccountBuilder(sandbox, MANAGEMENT)
    iam = account.client("iam")
    iam.create_account_alias(AccountAlias=ACCOUNT_NAMES[MANAGEMENT])
    account.root(key=(1310, 420), used=200, created=1600)
    account.role(
        SCANNER_ROLE,
        service_trust("ecs-tasks"),
        managed=["SecurityAudit"],
        inline={
            "assume": policy(allow("sts:AssumeRole", f"arn:aws:iam::*:role/{ROLE_NAME}")),
        },
        created=60,
        owner="security",
    )
    _people(account)
    account.user(
        "finance-export",
        inline={
            "reports": policy(
                allow(["s3:GetObject", "s3:ListBucket"], "arn:aws:s3:::lantern-billing-reports*")
            )
        },
        created=830,
    )
    account.key("finance-export", created=800, service="s3")
    account.role(
        "datadog-integration",
        trust(
            {"AWS": "arn:aws:iam::464622532012:root"},
            StringEquals={"sts:ExternalId": "4f0c9e6b1d2a4c7e8b3f5a6d7c8e9f01"},
        ),
        managed=["SecurityAudit"],
        owner="platform",
        created=500,
    )
    account.role(
        "cloudhealth-legacy",
        trust({"AWS": "arn:aws:iam::454464851268:root"}),
        managed=["ReadOnlyAccess"],
        owner="finance",
        created=1100,
        used=1,
    )
    account.role(
        "pagerduty-events",
        trust(
            {"AWS": "arn:aws:iam::987650000123:role/pagerduty-ingest"},
            StringEquals={"sts:ExternalId": "lantern"},
        ),
        inline={"events": policy(allow("sns:Publish", account.arn("sns", "incidents")))},
        owner="platform",
        created=640,
        used=2,
    )
    account.secret("mgmt/slack-bot", created=70, changed=70, read=0, owner="platform")
    _identity_center(account)


def _people(account: AccountBuilder) -> None:
    iam = account.client("iam")
    iam.create_group(GroupName="auditors")
    iam.attach_group_policy(GroupName="auditors", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.create_group(GroupName="admins-with-mfa")
    iam.put_group_policy(
        GroupName="admins-with-mfa",
        PolicyName="admin-with-mfa",
        PolicyDocument=policy(allow("*", "*", Bool={"aws:MultiFactorAuthPresent": "true"})),
    )
    account.user(
        "break-glass", managed=["AdministratorAccess"], password=20, mfa=True, owner="security", created=1400
    )
    account.user("priya.raman", groups=["auditors"], password=2, mfa=True, owner="priya.raman", created=610)
    account.user("tom.becker", groups=["auditors"], password=1, mfa=False, owner="tom.becker", created=240)
    account.user(
        "diego.cruz", groups=["admins-with-mfa"], password=0, mfa=True, owner="diego.cruz", created=700
    )
    account.user(
        "jan.kowalski", groups=["auditors"], password=210, mfa=True, owner="jan.kowalski", created=900
    )


def _identity_center(account: AccountBuilder) -> None:
    saml = account.arn("iam", "saml-provider/AWSSSO_6f2d1b7c9e_DO_NOT_DELETE")
    account.role(
        "AWSReservedSSO_AuditorAccess_3c1f9a7be2d45608",
        trust(
            {"Federated": saml},
            ["sts:AssumeRoleWithSAML", "sts:TagSession"],
            StringEquals={"SAML:aud": "https://signin.aws.amazon.com/saml"},
        ),
        managed=["ReadOnlyAccess"],
        path="/aws-reserved/sso.amazonaws.com/eu-west-1/",
        created=500,
    )
    key = unique_id("AROA", account.number, "AWSReservedSSO")
    account.about("iam", "RoleId", key, CreateDate=account.ago(500))
