"""Policies that are attached to resources: keys, buckets, queues, topics. They yield nothing: the evaluator reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.client import items
from collectors.aws.place import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from collectors.aws.place import Place
    from scanner.records import Record

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
"""Answers that mean "there is no policy", or that the resource is gone since it was listed."""


def policies_of(
    place: Place, service: str, listed: Callable[[Any], Iterable[str]], read: Callable[[Any, str], Any]
) -> Iterator[Record]:
    """Yield nothing; collect the policies of resources for the evaluator.

    ``listed(client)`` gives the resources' ARNs, ``read(client, arn)`` the policy of one, or None.
    """
    yield from ()
    client = place.client(service)
    tally = Tally()
    for arn in place.limited(listed(client)):
        policy = tally.read(arn, lambda: read(client, arn), absent=ABSENT)  # noqa: B023
        if policy:
            tally.read(arn, lambda: place.add_policy(service, arn, policy))  # noqa: B023
    tally.end()


def buckets(place: Place) -> Iterator[Record]:
    """Collect bucket policies of the whole account; botocore follows a bucket to its region."""
    start = f"arn:{place.partition}:s3:::"
    yield from place.ask(
        policies_of(
            place,
            "s3",
            lambda s3: (start + bucket["Name"] for bucket in items(s3, "list_buckets", "Buckets")),
            lambda s3, arn: s3.get_bucket_policy(Bucket=arn.removeprefix(start)).get("Policy"),
        ),
        "s3:GetBucketPolicy",
        ("grants", "resource-policy"),
        ("trusts", "resource-policy"),
        needs="s3:ListAllMyBuckets, s3:GetBucketPolicy",
    )


def keys(place: Place) -> Iterator[Record]:
    """Collect the policies of customer-managed KMS keys; those of AWS's own keys cannot be changed."""
    yield from place.ask(
        policies_of(
            place,
            "kms",
            _customer_keys,
            lambda kms, arn: kms.get_key_policy(KeyId=arn, PolicyName="default").get("Policy"),
        ),
        "kms:GetKeyPolicy",
        ("grants", "resource-policy"),
        ("trusts", "resource-policy"),
        needs="kms:ListKeys, kms:ListAliases, kms:GetKeyPolicy",
    )


def _customer_keys(kms: Any) -> Iterator[str]:
    provided = {
        alias.get("TargetKeyId")
        for alias in items(kms, "list_aliases", "Aliases")
        if str(alias.get("AliasName", "")).startswith("alias/aws/")
    }
    for key in items(kms, "list_keys", "Keys"):
        if key["KeyId"] not in provided:
            yield key["KeyArn"]


def queues(place: Place) -> Iterator[Record]:
    """Collect the policies of SQS queues."""
    urls: dict[str, str] = {}

    def listed(sqs: Any) -> Iterator[str]:
        for url in items(sqs, "list_queues", "QueueUrls"):
            arn = place.arn("sqs", url.rsplit("/", 1)[-1])
            urls[arn] = url
            yield arn

    def policy(sqs: Any, arn: str) -> Any:
        answer = sqs.get_queue_attributes(QueueUrl=urls[arn], AttributeNames=["Policy"])
        return (answer.get("Attributes") or {}).get("Policy")

    yield from place.ask(
        policies_of(place, "sqs", listed, policy),
        "sqs:GetQueueAttributes",
        ("grants", "resource-policy"),
        ("trusts", "resource-policy"),
        needs="sqs:ListQueues, sqs:GetQueueAttributes",
    )


def topics(place: Place) -> Iterator[Record]:
    """Collect the policies of SNS topics."""
    yield from place.ask(
        policies_of(
            place,
            "sns",
            lambda sns: (topic["TopicArn"] for topic in items(sns, "list_topics", "Topics")),
            lambda sns, arn: (sns.get_topic_attributes(TopicArn=arn).get("Attributes") or {}).get("Policy"),
        ),
        "sns:GetTopicAttributes",
        ("grants", "resource-policy"),
        ("trusts", "resource-policy"),
        needs="sns:ListTopics, sns:GetTopicAttributes",
    )
