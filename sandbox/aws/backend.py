"""Direct access to moto's objects, for what moto's API does not support."""

from __future__ import annotations

import json
import os
from typing import Any

from sandbox.aws.keys import unique_id

_MANAGED = "arn:aws:iam::aws:policy/"


def reset(seed: int) -> None:
    """Reset moto, and make its ids deterministic."""
    from moto.core.base_backend import BackendDict
    from moto.moto_api._internal.models import moto_api_backend

    # 1,300 images in each account and region, none of which is used.
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    # moto would make the default network of each account and region once more, and then drop it.
    for service in BackendDict._instances:  # noqa: SLF001  there is no other list
        if service.service_name == "ec2":
            for by_region in service.values():
                by_region.clear()
    moto_api_backend.reset()
    reseed(seed)


def reseed(seed: int | str) -> None:
    """Seed moto's random numbers."""
    from moto.moto_api._internal import mock_random

    mock_random.seed(seed)


def iam(account: str) -> Any:
    """Return moto's IAM of an account."""
    from moto.iam.models import iam_backends

    return iam_backends[account]["aws"]


def account_of_key(key_id: str) -> tuple[str, str] | None:
    """Return account and user of a static access key; None for an unknown key."""
    from moto.iam.models import iam_backends

    for account, partitions in list(iam_backends.items()):
        found = partitions["aws"].access_keys.get(key_id)
        if found is not None:
            return account, str(found.user_name)
    return None


def name_key(account: str, user: str, number: int, key_id: str, secret: str) -> None:
    """Give a user's n-th access key the id and secret that the company's other systems store."""
    backend = iam(account)
    key = backend.users[user].access_keys[number - 1]
    backend.access_keys.pop(key.access_key_id, None)
    key.access_key_id, key.secret_access_key = key_id, secret
    backend.access_keys[key_id] = key


def name_principals(account: str) -> None:
    """Give users and groups ids with AWS's prefixes (``AIDA``, ``AGPA``), which moto's lack."""
    for user in iam(account).users.values():
        user.id = unique_id("AIDA", account, user.name)
    for group in iam(account).groups.values():
        group.id = unique_id("AGPA", account, group.name)


def ensure_managed(account: str, arn: str) -> None:
    """Add an AWS managed policy to the account, as AWS shows attached ones."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data
    from moto.iam.models import AWSManagedPolicy

    backend = iam(account)
    if not arn.startswith(_MANAGED) or arn in backend.managed_policies:
        return
    if not _DATA:
        _DATA.update(json.loads(aws_managed_policies_data))
    name = arn.rsplit("/", 1)[1]
    if name in _DATA:
        policy = AWSManagedPolicy.from_data(name, account, "us-east-1", _DATA[name])
        backend.managed_policies[policy.arn] = policy


_DATA: dict[str, Any] = {}


def document(policy: Any) -> str:
    """Return the default version of a managed policy's document."""
    return next(str(version.document) for version in policy.versions if version.is_default)


def policy_id(account: str, arn: str) -> str:
    """Return the unique id of a managed policy."""
    return str(iam(account).managed_policies[arn].id)


def number_account(management: str, name: str, number: str) -> None:
    """Give a member account of the organization its number."""
    from moto.organizations.models import organizations_backends

    for account in organizations_backends[management]["aws"].accounts:
        if account.name == name:
            account.id = number
