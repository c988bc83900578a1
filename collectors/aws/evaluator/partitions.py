"""Names that differ between partitions: commercial, China, GovCloud, isolated and European Sovereign Cloud; the names are in
``data/partitions.yaml``.

Service principals:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-services
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import msgspec

from scanner.yaml_data import read_yaml

COMMERCIAL = "aws"
COGNITO = "cognito-identity.amazonaws.com"
"""A service that issues role sessions but is trusted as an identity provider."""

_REGIONAL = re.compile(r"^(?P<service>.+)\.[a-z]{2,4}(-[a-z]+)+-[0-9]\.amazonaws\.com$")


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``data/partitions.yaml``."""

    suffix: str
    services: bool = False
    console: str | None = None
    cognito: str = COGNITO


@functools.cache
def partitions() -> dict[str, Partition]:
    """Read the partitions, by the name that ARNs have for them."""
    return msgspec.convert(
        read_yaml(Path(__file__).parent / "data" / "partitions.yaml"), dict[str, Partition]
    )


def _known(partition: str) -> Partition:
    return partitions().get(partition) or partitions()[COMMERCIAL]


@functools.cache
def service_principal(name: str) -> str:
    """Return a service principal as it is written in the commercial partition, without a region:
    ``ec2.amazonaws.com`` for ``ec2.amazonaws.com.cn`` and for ``ec2.cn-north-1.amazonaws.com.cn``.
    """
    plain, suffix = name.lower(), partitions()[COMMERCIAL].suffix
    for one in partitions().values():
        if plain == one.cognito:
            return COGNITO
        if one.suffix != suffix and plain.endswith(f".{one.suffix}"):
            plain = f"{plain.removesuffix(one.suffix)}{suffix}"
            break
    regional = _REGIONAL.match(plain)
    return plain if regional is None else f"{regional['service']}.{suffix}"


def spellings(service: str, partition: str) -> tuple[str, ...]:
    """Return the ways in which a policy of a partition may write a service principal."""
    known = _known(partition)
    if not known.services:
        return (service,)
    return service, service.replace(partitions()[COMMERCIAL].suffix, known.suffix)


def cognito(partition: str) -> str:
    """Return the principal of Amazon Cognito's identity pools, which is also the prefix of its condition keys."""
    return _known(partition).cognito


def saml_audience(partition: str) -> str | None:
    """Return the audience of SAML assertions for sign-in to a partition; None where AWS publishes none.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_saml_assertions.html
    """
    console = _known(partition).console
    return None if console is None else f"https://signin.{console}/saml"
