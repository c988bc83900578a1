"""Names that differ between partitions: commercial, China, GovCloud, isolated and European Sovereign Cloud.

DNS suffixes: https://github.com/boto/botocore/blob/develop/botocore/data/endpoints.json. Service principals:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-services
"""

from __future__ import annotations

import re

SUFFIX = "amazonaws.com"
SUFFIXES = (
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
)
"""The DNS suffixes of the other partitions."""

_REGIONAL = re.compile(r"^(?P<service>.+)\.[a-z]{2}(-[a-z]+)+-[0-9]\.amazonaws\.com$")


def service_principal(name: str) -> str:
    """Return a service principal as it is written in the commercial partition, without a region:
    ``ec2.amazonaws.com`` for ``ec2.amazonaws.com.cn`` and for ``ec2.cn-north-1.amazonaws.com.cn``.
    """
    plain = name.lower()
    for suffix in SUFFIXES:
        if plain.endswith(f".{suffix}"):
            plain = f"{plain.removesuffix(suffix)}{SUFFIX}"
            break
    regional = _REGIONAL.match(plain)
    return plain if regional is None else f"{regional['service']}.{SUFFIX}"


def spellings(service: str, partition: str) -> tuple[str, ...]:
    """Return the ways in which a policy of a partition may write a service principal."""
    if partition == "aws-cn":
        return service, service.replace(SUFFIX, "amazonaws.com.cn")
    return (service,)


CONSOLES = {"aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}
"""The domain of the console and of its sign-in, where it is not aws.amazon.com."""


def saml_audience(partition: str) -> str:
    """Return the audience of SAML assertions for sign-in to a partition.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_saml_assertions.html
    """
    return f"https://signin.{CONSOLES.get(partition, 'aws.amazon.com')}/saml"
