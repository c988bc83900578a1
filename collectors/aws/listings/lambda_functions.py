"""Lambda functions: their roles, the secrets in their environment, and their resource policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.client import items
from collectors.aws.failures import DeniedError, PartlyReadError
from collectors.aws.resource_policies import incomplete_tables, resource_policies
from collectors.aws.scope import PROVIDER
from collectors.aws.workloads import workload
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.aws.scope import AwsScope
    from scanner.records import Record


def lambda_region(scope: AwsScope) -> Iterator[Record]:
    """Yield all Lambda records of the region."""
    found = yield from scope.listing(
        _lambda_functions(scope),
        "lambda:ListFunctions",
        "identities/lambda-function",
        "links/runs_as",
        loses=("secrets/lambda-env", *incomplete_tables(scope, "lambda")),
    )
    if found is None:
        return
    yield from scope.listing(_environments(scope, found), "lambda:ListFunctions", "secrets/lambda-env")
    yield from resource_policies(
        scope,
        "lambda",
        "lambda:GetPolicy",
        lambda _: found,
        lambda client, arn: client.get_policy(FunctionName=arn)["Policy"],
        ids={arn: record_id(PROVIDER, "lambda-function", arn) for arn in found},
    )


def _lambda_functions(scope: AwsScope) -> Generator[Record, None, dict[str, dict[str, Any]]]:
    """Yield functions and their roles. Returns ARN -> Lambda's answer about the environment."""
    environments: dict[str, dict[str, Any]] = {}
    for function in items(scope.client("lambda"), "list_functions", "Functions"):
        arn = function["FunctionArn"]
        environments[arn] = function.get("Environment") or {}
        yield from workload(
            scope,
            "lambda-function",
            arn,
            name=function["FunctionName"],
            role_arn=function.get("Role"),
            tags={},
            evidence="lambda:ListFunctions",
        )
    return environments


def _environments(scope: AwsScope, environments: dict[str, dict[str, Any]]) -> Iterator[Record]:
    """Yield the secrets in the environment of functions.

    Under a customer-managed key Lambda shows variables only to callers who may decrypt with it.
    """
    hidden: list[str] = []
    for arn, environment in environments.items():
        if environment.get("Error"):
            hidden.append(arn)
        holder = record_id(PROVIDER, "lambda-function", arn)
        variables = environment.get("Variables") or {}
        yield from scope.env_secrets("lambda-env", holder, arn, variables, scope.environment())
    if hidden:
        refused = DeniedError("Lambda could not decrypt the environment", needs="kms:Decrypt on its key")
        raise PartlyReadError(hidden, len(environments), refused)
