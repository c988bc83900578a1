"""Builds one account: boto3 calls for what moto supports, and the dates and resources that the sandbox adds."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sandbox.aws import backend
from sandbox.aws.documents import trust
from sandbox.aws.keys import digest, key_id, key_secret, serial
from sandbox.aws.state import Recent
from sandbox.estate import REGION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import TypeAlias

    from sandbox.aws.server import AwsSandbox

    Document: TypeAlias = Mapping[str, Any]
    Used: TypeAlias = float | None
    """Days since the last use, counted from the first night; 0 is a few hours before any night; None is never."""

GITHUB = "token.actions.githubusercontent.com"
GITLAB = "gitlab.com"
AWS_POLICY = "arn:aws:iam::aws:policy/"


class AccountBuilder:
    """One account under construction. Ages are days before the sandbox's first night."""

    def __init__(self, sandbox: AwsSandbox, number: str) -> None:
        self.sandbox = sandbox
        self.number = number

    def client(self, service: str, region: str = REGION) -> Any:
        """Return a client for building."""
        return self.sandbox.client(self.number, service, region)

    def ago(self, days: float) -> datetime:
        """Return the time this many days before the first night."""
        return self.sandbox.state.first_night - timedelta(days=days)

    def when(self, used: Used) -> datetime | Recent | None:
        """Return a time of last use."""
        return None if used is None else Recent() if used == 0 else self.ago(used)

    def about(self, service: str, member: str, value: str, **facts: Any) -> None:
        """Set what the service shows for the structure whose ``member`` is ``value``."""
        self.sandbox.state.about(self.number, service, member, value, **facts)

    def put(self, shelf: str, region: str = REGION, **item: Any) -> None:
        """Add a resource of a service that moto lacks."""
        self.sandbox.state.put(self.number, region, shelf, item)

    def arn(self, service: str, resource: str, region: str = REGION) -> str:
        """Return an ARN in this account."""
        return f"arn:aws:{service}:{'' if service == 'iam' else region}:{self.number}:{resource}"

    def role_arn(self, name: str) -> str:
        """Return the ARN of a role."""
        return self.arn("iam", f"role/{name}")

    def role(
        self,
        name: str,
        trusted: str,
        *,
        managed: Sequence[str] = (),
        inline: Mapping[str, str] | None = None,
        created: float = 320,
        used: Used = 0,
        owner: str | None = None,
        path: str = "/",
        boundary: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create a role; returns its ARN. ``managed`` are names of AWS's policies, or ARNs."""
        iam = self.client("iam")
        labels = dict(tags or {}) | ({"owner": owner} if owner else {})
        made = iam.create_role(
            RoleName=name,
            Path=path,
            AssumeRolePolicyDocument=trusted,
            Tags=[{"Key": key, "Value": value} for key, value in sorted(labels.items())],
            **({"PermissionsBoundary": boundary} if boundary else {}),
        )
        for attached in managed:
            iam.attach_role_policy(RoleName=name, PolicyArn=_policy_arn(attached))
        for title, document in (inline or {}).items():
            iam.put_role_policy(RoleName=name, PolicyName=title, PolicyDocument=document)
        date = self.when(used)
        self.about(
            "iam",
            "RoleName",
            name,
            CreateDate=self.ago(created),
            RoleLastUsed={"LastUsedDate": date, "Region": REGION} if date else {},
        )
        return str(made["Role"]["Arn"])

    def user(
        self,
        name: str,
        *,
        managed: Sequence[str] = (),
        inline: Mapping[str, str] | None = None,
        groups: Sequence[str] = (),
        created: float = 500,
        owner: str | None = None,
        password: Used | str = "none",
        mfa: bool = False,
        boundary: str | None = None,
    ) -> str:
        """Create a user; returns its ARN. ``password`` is the last sign-in, or ``none`` for no password."""
        iam = self.client("iam")
        iam.create_user(UserName=name, Tags=[{"Key": "owner", "Value": owner}] if owner else [])
        for attached in managed:
            iam.attach_user_policy(UserName=name, PolicyArn=_policy_arn(attached))
        for title, document in (inline or {}).items():
            iam.put_user_policy(UserName=name, PolicyName=title, PolicyDocument=document)
        for group in groups:
            iam.add_user_to_group(UserName=name, GroupName=group)
        if boundary:
            iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=boundary)
        facts: dict[str, Any] = {"CreateDate": self.ago(created)}
        if not isinstance(password, str):
            iam.create_login_profile(
                UserName=name, Password=key_secret(self.number, f"password/{name}") + "!aA1"
            )
            facts["PasswordLastUsed"] = self.when(password)
            facts["PasswordChanged"] = self.ago(min(created, 80))
        if mfa:
            device = iam.create_virtual_mfa_device(VirtualMFADeviceName=name)["VirtualMFADevice"]
            iam.enable_mfa_device(
                UserName=name,
                SerialNumber=device["SerialNumber"],
                AuthenticationCode1="123456",
                AuthenticationCode2="654321",
            )
        self.about("iam", "UserName", name, **facts)
        return self.arn("iam", f"user/{name}")

    def key(
        self,
        user: str,
        *,
        created: float,
        used: Used = 0,
        service: str = "s3",
        active: bool = True,
        number: int = 1,
    ) -> str:
        """Create a user's n-th access key; returns its id."""
        iam = self.client("iam")
        slot = len(iam.list_access_keys(UserName=user)["AccessKeyMetadata"]) + 1
        iam.create_access_key(UserName=user)
        name = key_id(self.number, user, number)
        backend.name_key(self.number, user, slot, name, key_secret(self.number, user, number))
        if not active:
            iam.update_access_key(UserName=user, AccessKeyId=name, Status="Inactive")
        facts: dict[str, Any] = {"CreateDate": self.ago(created)}
        date = self.when(used)
        if date:
            facts["LastUsed"] = {"LastUsedDate": date, "ServiceName": service, "Region": REGION}
        self.about("iam", "AccessKeyId", name, **facts)
        return name

    def root(
        self,
        *,
        mfa: bool = True,
        used: Used = None,
        key: tuple[float, Used] | None = None,
        created: float = 1500,
    ) -> None:
        """Set the state of the root user; ``key`` is (age, last use) of its access key."""
        keys = []
        if key:
            keys = [
                {
                    "active": True,
                    "created": self.ago(key[0]),
                    "LastUsedDate": self.when(key[1]),
                    "Region": "us-east-1",
                    "ServiceName": "s3",
                }
            ]
        self.about(
            "iam",
            "root",
            "<root_account>",
            mfa=mfa,
            used=self.when(used),
            keys=keys,
            created=self.ago(created),
        )

    def github_role(
        self, name: str, subject: str | list[str], operator: str = "StringEquals", **more: Any
    ) -> str:
        """Create a role that GitHub Actions may assume, for ``sub`` values and the usual audience."""
        conditions: dict[str, dict[str, Any]] = {"StringEquals": {f"{GITHUB}:aud": "sts.amazonaws.com"}}
        conditions.setdefault(operator, {})[f"{GITHUB}:sub"] = subject
        return self.role(name, self.federated(GITHUB, **conditions), **more)

    def gitlab_role(self, name: str, subject: str, operator: str = "StringEquals", **more: Any) -> str:
        """Create a role that GitLab's pipelines may assume, for a ``sub`` and the usual audience."""
        conditions: dict[str, dict[str, Any]] = {"StringEquals": {f"{GITLAB}:aud": "https://gitlab.com"}}
        conditions.setdefault(operator, {})[f"{GITLAB}:sub"] = subject
        return self.role(name, self.federated(GITLAB, **conditions), **more)

    def federated(self, issuer: str, **conditions: Any) -> str:
        """Return the trust policy for an OIDC provider of this account; the issuer without ``https://``."""
        provider = self.arn("iam", f"oidc-provider/{issuer}")
        return trust({"Federated": provider}, "sts:AssumeRoleWithWebIdentity", **conditions)

    def oidc_provider(
        self,
        issuer: str,
        audience: str = "sts.amazonaws.com",
        *,
        created: float = 700,
        owner: str = "platform",
    ) -> None:
        """Create an OIDC provider; the issuer without ``https://``."""
        arn = self.client("iam").create_open_id_connect_provider(
            Url=f"https://{issuer}",
            ClientIDList=[audience],
            ThumbprintList=[digest(issuer)[7:47]],
            Tags=[{"Key": "owner", "Value": owner}],
        )["OpenIDConnectProviderArn"]
        self.about("iam", "Arn", arn, CreateDate=self.ago(created))
        self.about("iam", "Url", issuer, CreateDate=self.ago(created))

    def function(
        self,
        name: str,
        role: str,
        *,
        environment: Mapping[str, str] | None = None,
        changed: float = 12,
        region: str = REGION,
        owner: str | None = None,
    ) -> str:
        """Create a Lambda function; returns its ARN."""
        made = self.client("lambda", region).create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=role,
            Handler="app.handler",
            Code={"ZipFile": _ZIP},
            Environment={"Variables": dict(environment or {})},
            Tags={"owner": owner} if owner else {},
        )
        stamp = self.ago(changed).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        self.about("lambda", "FunctionName", name, LastModified=stamp)
        return str(made["FunctionArn"])

    def service(
        self,
        cluster: str,
        name: str,
        *,
        task_role: str | None,
        execution_role: str,
        image: str,
        environment: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        owner: str | None = None,
    ) -> None:
        """Create an ECS service and its task definition; the cluster is created if missing."""
        ecs = self.client("ecs")
        ecs.create_cluster(clusterName=cluster)
        labels = [{"key": "owner", "value": owner}] if owner else []
        made = ecs.register_task_definition(
            family=name,
            executionRoleArn=execution_role,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            tags=labels,
            containerDefinitions=[
                {
                    "name": name,
                    "image": image,
                    "environment": [
                        {"name": key, "value": value} for key, value in (environment or {}).items()
                    ],
                    "secrets": [{"name": key, "valueFrom": value} for key, value in (secrets or {}).items()],
                }
            ],
            **({"taskRoleArn": task_role} if task_role else {}),
        )["taskDefinition"]["taskDefinitionArn"]
        ecs.create_service(
            cluster=cluster,
            serviceName=name,
            taskDefinition=made,
            desiredCount=2,
            launchType="FARGATE",
            tags=labels,
        )
        self.about(
            "ecs", "taskDefinitionArn", made, registeredAt=self.ago(9), registeredBy=self.role_arn("deploy")
        )
        self.about("ecs", "serviceName", name, createdAt=self.ago(400))

    def repository(self, name: str, *, immutable: bool, region: str = REGION, pulled: Used = 0) -> None:
        """Create an image repository with one image, tagged ``release`` (or ``latest`` if tags are mutable)."""
        ecr = self.client("ecr", region)
        ecr.create_repository(
            repositoryName=name,
            imageTagMutability="IMMUTABLE" if immutable else "MUTABLE",
            imageScanningConfiguration={"scanOnPush": True},
        )
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"digest": digest(name), "size": 7023},
            "layers": [],
        }
        made = ecr.put_image(
            repositoryName=name,
            imageManifest=json.dumps(manifest),
            imageTag="release-41" if immutable else "latest",
        )["image"]["imageId"]["imageDigest"]
        self.about("ecr", "repositoryName", name, createdAt=self.ago(600))
        self.about(
            "ecr", "imageDigest", made, imagePushedAt=self.ago(9), lastRecordedPullTime=self.when(pulled)
        )

    def secret(
        self,
        name: str,
        *,
        created: float,
        changed: float,
        read: Used,
        rotated: float | None = None,
        owner: str | None = None,
        region: str = REGION,
        **more: Any,
    ) -> None:
        """Create a secret in Secrets Manager; ``rotated`` enables rotation."""
        made = self.client("secretsmanager", region).create_secret(
            Name=name,
            SecretString=key_secret(self.number, f"secret/{name}"),
            Tags=[{"Key": "owner", "Value": owner}] if owner else [],
        )["ARN"]
        facts: dict[str, Any] = {
            "CreatedDate": self.ago(created),
            "LastChangedDate": self.ago(changed),
            "LastAccessedDate": self.when(read),
        }
        if rotated is not None:
            facts |= {
                "RotationEnabled": True,
                "RotationRules": {"AutomaticallyAfterDays": 30},
                "RotationLambdaARN": self.arn("lambda", "function:rotate-secret", region),
                "LastRotatedDate": self.ago(rotated),
            }
        self.about("secretsmanager", "ARN", made, **(facts | more))

    def parameter(
        self, name: str, value: str, *, secure: bool, changed: float = 250, region: str = REGION
    ) -> None:
        """Create an SSM parameter."""
        self.client("ssm", region).put_parameter(
            Name=name, Value=value, Type="SecureString" if secure else "String"
        )
        self.about(
            "ssm",
            "Name",
            name,
            LastModifiedDate=self.ago(changed),
            LastModifiedUser=self.role_arn("deploy"),
            ARN=self.arn("ssm", f"parameter{name}", region),
        )

    def build_project(
        self,
        name: str,
        role: str,
        *,
        environment: Sequence[tuple[str, str, str]] = (),
        owner: str,
        public: bool = False,
        source: str = "GITHUB",
        location: str = "https://github.com/lanternpay/data-jobs.git",
    ) -> None:
        """Create a CodeBuild project; environment as (name, value, PLAINTEXT | PARAMETER_STORE | SECRETS_MANAGER)."""
        self.client("codebuild").create_project(
            name=name,
            source={"type": source, "location": location},
            artifacts={"type": "NO_ARTIFACTS"},
            environment={
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/standard:8.0",
                "computeType": "BUILD_GENERAL1_SMALL",
                "environmentVariables": [
                    {"name": key, "value": value, "type": kind} for key, value, kind in environment
                ],
            },
            serviceRole=role,
        )
        self.about(
            "codebuild",
            "name",
            name,
            created=self.ago(410),
            lastModified=self.ago(33),
            tags=[{"key": "owner", "value": owner}],
            projectVisibility="PUBLIC_READ" if public else "PRIVATE",
            webhook={
                "url": f"https://api.github.com/repos/lanternpay/data-jobs/hooks/{len(name)}",
                "payloadUrl": f"https://codebuild.{REGION}.amazonaws.com/webhooks?t={serial(name)}",
                "lastModifiedSecret": self.ago(410),
                "buildType": "BUILD",
            },
        )


def _policy_arn(name: str) -> str:
    return name if name.startswith("arn:") else AWS_POLICY + name


def _zipped() -> bytes:
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("app.py"), "def handler(event, context):\n    return None\n")
    return out.getvalue()


_ZIP = _zipped()
