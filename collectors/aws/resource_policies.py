"""Policies attached to resources: read one by one, yielded as records, each distinct document once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.evaluator.policy import load
from collectors.aws.evaluator.policy_records import RESOURCE, by_document, document_text
from collectors.aws.failures import MalformedError
from collectors.aws.scope import PartialReads
from scanner.collect.failures import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from collectors.aws.config import PolicyService
    from collectors.aws.scope import AwsScope
    from scanner.records import Record

POLICIES = f"policies/{RESOURCE}"
DOUBTS = ("grants/resource-policy", "trusts/resource-policy")
"""Tables that are incomplete if resource policies could not be read."""
ABSENT = (
    "NoSuchBucket",
    "NoSuchBucketPolicy",
    "NotFoundException",
    "RegistryPolicyNotFoundException",
    "RepositoryNotFoundException",
    "RepositoryPolicyNotFoundException",
    "ResourceNotFoundException",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
)
"""Error codes that mean "no policy", or that the resource was deleted since it was listed."""


def resource_policies(
    scope: AwsScope,
    service: PolicyService,
    call: str,
    arns: Callable[[Any], Iterable[str]],
    read: Callable[[Any, str], Any],
    *,
    ids: Mapping[str, str] | None = None,
    needs: str | None = None,
) -> Iterator[Record]:
    """Yield the policies of a service's resources, unless the configuration excludes the service. ``arns(client)``
    yields the resources, ``read(client, arn)`` returns the policy of one, or None. ``ids`` maps ARNs to the ids of the
    resources' records.
    """
    if service in scope.config.resource_policies:
        yield from scope.listing(
            _policies(scope, service, arns, read, ids or {}), call, POLICIES, loses=DOUBTS, needs=needs
        )


def incomplete_tables(scope: AwsScope, service: PolicyService) -> tuple[str, ...]:
    """Return the tables that are incomplete if the resources of a service could not be listed."""
    return (POLICIES, *DOUBTS) if service in scope.config.resource_policies else ()


def _policies(
    scope: AwsScope,
    service: str,
    arns: Callable[[Any], Iterable[str]],
    read: Callable[[Any, str], Any],
    ids: Mapping[str, str],
) -> Iterator[Record]:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    client = scope.client(service)
    reads = PartialReads()
    held: dict[tuple[str, str], list[str]] = {}
    failure: Exception | None = None
    try:
        for arn in scope.limited(arns(client)):
            text = reads.read(arn, lambda: _text(read(client, arn)), absent=ABSENT)  # noqa: B023
            if text is not None:
                held.setdefault((f"{service} resource policy", text), []).append(ids.get(arn, arn))
    except (BotoCoreError, ClientError, ResponseParserError, OSError, SourceError) as exc:
        failure = exc
    # Policies that were read are yielded even if others could not be read.
    yield from by_document(RESOURCE, scope.ref, f"{scope.account}/{scope.region or 'global'}/{service}", held)
    if failure is not None:
        raise failure
    reads.end()


def _text(policy: Any) -> str | None:
    """Return a policy's document; None if there is none. Raises `MalformedError` if it is not a JSON object."""
    if not policy:
        return None
    try:
        return document_text(load(policy))
    except ValueError:
        raise MalformedError("the policy is truncated or not a JSON object") from None
