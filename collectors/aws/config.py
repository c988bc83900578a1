"""The AWS section of config.yaml."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotations at run time
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from scanner.config import SecretRef, Section

AccountNumber = Annotated[str, Field(pattern=r"^\d{12}$")]
PolicyService = Literal["s3", "kms", "sqs", "sns", "lambda", "ecr", "secretsmanager"]


class Config(Section):
    """AWS accounts, read with the default credential chain; no key ever stands here."""

    accounts: list[AccountNumber] = Field(default=[])
    """Account numbers to read; write them in quotes. Empty: the account of the credentials."""
    organization: bool = False
    """Read every active account of the organization (adds to ``accounts``)."""
    skip_accounts: list[AccountNumber] = Field(default=[])
    """Accounts of the organization that are left out."""
    role_name: str = Field(default="NhiInventoryReadOnly", pattern=r"^[A-Za-z0-9+=,.@_/-]+$", max_length=512)
    """Role that is assumed in every account but the one of the credentials."""
    external_id: str | None = Field(default=None, min_length=2, max_length=1224)
    """External ID for that role: ``${env:NAME}``, ``${file:/path}``, or the text itself: AWS does not treat it as a
    secret."""
    profile: str | None = None
    """Named profile of ~/.aws/config; leave it out to use workload identity."""
    home_region: str | None = None
    """Region of the first calls; needed outside the partition ``aws``. Default: the environment's, or us-east-1."""
    regions: list[str] = Field(default=[])
    """Regions to read: name all that are in use. Empty: every region that is enabled in the account."""
    identity_center_region: str | None = None
    """Region of IAM Identity Center, where it is not the home region."""
    endpoint_url: str | None = None
    """Send every call here instead of to AWS, sign-in included: for tests and the sandbox."""
    endpoint_urls: dict[str, str] = Field(default={})
    """Addresses of single services by boto3's names (``sts``, ``sso``, ``sso-oidc``, ``iam``): VPC endpoints, isolated
    partitions. ``{region}`` in one stands for the region; they go before ``endpoint_url``. Hosts of services that are
    not named follow from the region; credentials of the machine or the container are asked for where the platform says."""
    ca_bundle: Path | None = None
    """Certificate authorities of every host, sign-in included: for a proxy that inspects TLS."""
    max_attempts: int = Field(default=10, ge=1, le=20)
    """Attempts a call, the first included, under botocore's adaptive rate limit."""
    timeout_seconds: int = Field(default=30, ge=1, le=300)
    """Longest wait for a connection or for an answer."""
    workers: int = Field(default=8, ge=1, le=64)
    """Regional listings read at once, in one account."""
    key_id_users: int = Field(default=25, ge=0)
    """Users whose access key ids are read, those with the oldest keys first: one call each. The report of
    credentials, which needs no call a user, knows no ids; a key beyond this is told by user and date."""
    ssh_keys: bool = False
    """Read the SSH public keys of CodeCommit users: one call a user."""
    unused_access: bool = True
    """Read when the riskiest principals last used each service, and findings of analyzers that exist already."""
    unused_access_principals: int = Field(default=100, ge=0, le=5000)
    """How many principals that is done for, riskiest first: two or more calls each, remembered for seven days."""
    resource_policies: list[PolicyService] = Field(
        default=["s3", "kms", "sqs", "sns", "lambda", "ecr", "secretsmanager"]
    )
    """Services whose resource policies are read: one call a resource."""
    resource_policy_limit: int = Field(default=5000, ge=1)
    """Resources a service and region whose policies are read; more are told as a gap."""
    images_per_repository: int = Field(default=10, ge=0)
    """Newest images kept of each ECR repository; 0 reads no images."""
    user_data: bool = False
    """Look for secrets in EC2 user data: one call an instance, and ec2:DescribeInstanceAttribute besides."""
    environment_tags: list[str] = Field(default=["environment", "env", "stage"])
    """Tag keys, first match wins, that name an environment. Case does not matter."""
    owner_tags: list[str] = Field(default=["owner", "team", "service-owner", "contact"])
    """Tag keys, first match wins, that name an owner. Case does not matter."""
    environments: dict[AccountNumber, str] = Field(default={})
    """Environment of whole accounts: ``"200000000002": production``. A resource's own tag goes before."""

    @field_validator("endpoint_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        """Refuse what is no address of a host."""
        return None if value is None else _checked_url(value)

    @field_validator("endpoint_urls")
    @classmethod
    def _addresses(cls, value: dict[str, str]) -> dict[str, str]:
        """Refuse what is no address of a host."""
        return {service: _checked_url(url) for service, url in value.items()}

    @field_validator("external_id")
    @classmethod
    def _reference_or_text(cls, value: str | None) -> str | None:
        """Refuse a reference that is misspelt rather than to send it as text."""
        if value is not None and value.startswith("$"):
            SecretRef(value)
        return value

    def endpoint_of(self, service: str, region: str) -> str | None:
        """Return the configured address of a service in a region; None where AWS's own is meant."""
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
