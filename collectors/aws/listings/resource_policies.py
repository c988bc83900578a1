"""Policies of resources that are listed only for their policies: buckets, keys, queues, topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.client import items
from collectors.aws.resource_policies import resource_policies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.scope import AwsScope
    from scanner.records import Record


def buckets(scope: AwsScope) -> Iterator[Record]:
    """Yield bucket policies of the whole account; botocore follows a bucket to its region."""
    start = f"arn:{scope.partition}:s3:::"
    return resource_policies(
        scope,
        "s3",
        "s3:GetBucketPolicy",
        lambda s3: (start + bucket["Name"] for bucket in items(s3, "list_buckets", "Buckets")),
        lambda s3, arn: s3.get_bucket_policy(Bucket=arn.removeprefix(start))["Policy"],
        needs="s3:ListAllMyBuckets, s3:GetBucketPolicy",
    )


def keys(scope: AwsScope) -> Iterator[Record]:
    """Yield the policies of customer-managed KMS keys; those of AWS managed keys cannot be changed."""
    return resource_policies(
        scope,
        "kms",
        "kms:GetKeyPolicy",
        _customer_keys,
        lambda kms, arn: kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"],
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


def queues(scope: AwsScope) -> Iterator[Record]:
    """Yield the policies of SQS queues."""
    urls: dict[str, str] = {}

    def arns(sqs: Any) -> Iterator[str]:
        for url in items(sqs, "list_queues", "QueueUrls"):
            arn = scope.arn("sqs", url.rsplit("/", 1)[-1])
            urls[arn] = url
            yield arn

    def policy(sqs: Any, arn: str) -> Any:
        # A queue without a policy lacks the attribute, so the response has no attributes at all.
        answer = sqs.get_queue_attributes(QueueUrl=urls[arn], AttributeNames=["Policy"])
        return (answer.get("Attributes") or {}).get("Policy")

    return resource_policies(
        scope,
        "sqs",
        "sqs:GetQueueAttributes",
        arns,
        policy,
        needs="sqs:ListQueues, sqs:GetQueueAttributes",
    )


def topics(scope: AwsScope) -> Iterator[Record]:
    """Yield the policies of SNS topics."""
    return resource_policies(
        scope,
        "sns",
        "sns:GetTopicAttributes",
        lambda sns: (topic["TopicArn"] for topic in items(sns, "list_topics", "Topics")),
        lambda sns, arn: sns.get_topic_attributes(TopicArn=arn)["Attributes"].get("Policy"),
        needs="sns:ListTopics, sns:GetTopicAttributes",
    )
