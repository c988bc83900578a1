"""The AWS section of config.yaml."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotations at run time
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from scanner.config import InWords, SecretRef, Section, named_once

AccountNumber = Annotated[
    str, InWords(r"\d{12}", 'an account ID of 12 digits in quotes, such as "123456789012"')
]
RoleName = Annotated[
    str,
    InWords(
        r"[A-Za-z0-9+=,.@_/-]{1,512}",
        "the name of a role, with its path: at most 512 letters, digits and +=,.@_/-",
    ),
]
PolicyService = Literal["s3", "kms", "sqs", "sns", "lambda", "ecr", "secretsmanager"]


class Config(Section):
    """AWS accounts, read with the default credential chain. Contains no keys."""

    accounts: list[AccountNumber] = Field(default=[])
    """Account IDs to read, in quotes. Empty: the account of the credentials."""
    organization: bool = False
    """Read every active account of the organization (adds to ``accounts``)."""
    skip_accounts: list[AccountNumber] = Field(default=[])
    """Account IDs of the organization to exclude."""
    role_name: RoleName = "NhiInventoryReadOnly"
    """The role to assume in every account except that of the credentials."""
    external_id: str | None = Field(default=None, min_length=2, max_length=1224)
    """The External ID for that role: ``${env:NAME}``, ``${file:/path}``, or literal text, because AWS does not treat it
    as a secret."""
    profile: str | None = None
    """A profile of ~/.aws/config. Omit it to use workload identity."""
    home_region: str | None = None
    """The region of the first calls; required outside the ``aws`` partition. Default: from the environment, or us-east-1."""
    regions: list[str] = Field(default=[])
    """Regions to read. Include all that are in use. Empty: every region enabled in the account."""
    identity_center_region: str | None = None
    """The region of IAM Identity Center, if different from the home region."""
    endpoint_url: str | None = None
    """Send every call, including sign-in, here instead of to AWS: for tests and the sandbox."""
    endpoint_urls: dict[str, str] = Field(default={})
    """URLs of single services by boto3 name (``sts``, ``sso``, ``sso-oidc``, ``iam``), for VPC endpoints and isolated
    partitions. ``{region}`` is replaced by the region. They take precedence over ``endpoint_url``. The hosts of other
    services follow from the region; credentials of the machine or container come from the platform's own endpoint."""
    ca_bundle: Path | None = None
    """Certificate authorities for every host, including sign-in: for a proxy that inspects TLS."""
    max_attempts: int = Field(default=10, ge=1, le=20)
    """Attempts for each call, including the first, in botocore's adaptive retry mode."""
    timeout_seconds: int = Field(default=30, ge=1, le=300)
    """Connect and read timeout in seconds."""
    answer_seconds: float = Field(default=120, gt=0)
    """The longest time for one complete response."""
    largest_answer_mb: float = Field(default=64, gt=0)
    """The largest response. Larger ones fail."""
    workers: int = Field(default=8, ge=1, le=64)
    """Regional listings read in parallel, for each account."""
    key_id_users: int = Field(default=25, ge=0)
    """Maximum number of users whose access key ids are read, oldest keys first, with one call each. The credential report
    contains no key ids; keys beyond this limit are identified by user and date."""
    ssh_keys: bool = False
    """Read the SSH public keys of CodeCommit users, with one call for each user."""
    unused_access: bool = True
    """Read when the riskiest principals last used each service, and the findings of existing access analyzers."""
    unused_access_principals: int = Field(default=100, ge=0, le=5000)
    """The number of principals for this, riskiest first, with two or more calls each, cached for seven days."""
    resource_policies: list[PolicyService] = Field(
        default=["s3", "kms", "sqs", "sns", "lambda", "ecr", "secretsmanager"]
    )
    """Services whose resource policies are read, with one call for each resource."""
    resource_policy_limit: int = Field(default=5000, ge=1)
    """Maximum number of resource policies read for each service and region. More are reported as a gap."""
    images_per_repository: int = Field(default=10, ge=0)
    """Newest images to record of each ECR repository; 0 reads no images."""
    user_data: bool = False
    """Search EC2 user data for secrets, with one call for each instance. Also needs ec2:DescribeInstanceAttribute."""
    environment_tags: list[str] = Field(default=["environment", "env", "stage"])
    """Tag keys that name an environment; the first match wins. Not case-sensitive."""
    owner_tags: list[str] = Field(default=["owner", "team", "service-owner", "contact"])
    """Tag keys that name an owner; the first match wins. Not case-sensitive."""
    environments: dict[AccountNumber, str] = Field(default={})
    """Environments of whole accounts: ``"200000000002": production``. A resource's own tag takes precedence."""

    @field_validator("accounts", "skip_accounts", "regions")
    @classmethod
    def _once(cls, value: list[str], info: ValidationInfo) -> list[str]:
        return list(named_once(f"collectors.aws.{info.field_name}", value, str.lower))

    @field_validator("endpoint_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        """Reject a value that is not the URL of a host."""
        return None if value is None else _checked_url(value)

    @field_validator("endpoint_urls")
    @classmethod
    def _addresses(cls, value: dict[str, str]) -> dict[str, str]:
        """Reject a value that is not the URL of a host."""
        return {service: _checked_url(url) for service, url in value.items()}

    @field_validator("external_id")
    @classmethod
    def _reference_or_text(cls, value: str | None) -> str | None:
        """Reject a misspelled reference instead of sending it as text."""
        if value is not None and value.startswith("$"):
            SecretRef(value)
        return value

    def endpoint_of(self, service: str, region: str) -> str | None:
        """Return the configured URL of a service in a region; None for AWS's own."""
        url = self.endpoint_urls.get(service, self.endpoint_url)
        return url.replace("{region}", region) if url else None

    def read_external_id(self) -> str | None:
        """Return the External ID. Raises `scanner.config.SecretMissingError`."""
        if self.external_id is not None and self.external_id.startswith("$"):
            return SecretRef(self.external_id).read()
        return self.external_id


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an address that begins with https:// (or http://)")
    if parts.username or parts.password:
        raise ValueError("must not hold a user or password")
    return url
