"""Trust in AWS services: compute, Pod Identity, IAM Roles Anywhere.

https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.aws.evaluator.partitions import service_principal
from collectors.aws.evaluator.policy import glob
from collectors.aws.evaluator.trust_tests import claims_of, describe_tests
from collectors.aws.evaluator.trust_verdict import REMOVED, TrustChange, TrustVerdict

if TYPE_CHECKING:
    from collectors.aws.evaluator.facts import AwsFacts
    from collectors.aws.evaluator.principals import Principal
    from scanner.records import Test

COMPUTE_SERVICES = frozenset(
    {
        "ec2.amazonaws.com", "lambda.amazonaws.com", "edgelambda.amazonaws.com", "ecs-tasks.amazonaws.com",
        "ecs.amazonaws.com", "codebuild.amazonaws.com", "pods.eks.amazonaws.com", "eks.amazonaws.com",
        "eks-fargate-pods.amazonaws.com", "sagemaker.amazonaws.com", "glue.amazonaws.com", "states.amazonaws.com",
        "batch.amazonaws.com", "cloudformation.amazonaws.com", "codepipeline.amazonaws.com",
        "codedeploy.amazonaws.com", "elasticmapreduce.amazonaws.com", "tasks.apprunner.amazonaws.com",
        "build.apprunner.amazonaws.com", "elasticbeanstalk.amazonaws.com", "ssm.amazonaws.com",
        "bedrock-agentcore.amazonaws.com", "autoscaling.amazonaws.com", "spotfleet.amazonaws.com",
        "rds.amazonaws.com", "monitoring.rds.amazonaws.com", "datapipeline.amazonaws.com",
    }
)  # fmt: skip
"""Services that only run resources that the account itself created with the role."""


def service_verdict(facts: AwsFacts, principal: Principal, value: str, tests: list[Test]) -> TrustVerdict:
    """Evaluate a statement for the service ``value``: ``lambda.amazonaws.com``."""
    service = service_principal(value)
    pins = claims_of(tests)
    if service == "rolesanywhere.amazonaws.com":
        return _roles_anywhere(facts, pins, tests)
    if service == "pods.eks.amazonaws.com":
        known = facts.pod_identity_roles
        unused = known is not None and principal.arn not in known
        return TrustVerdict(
            kind="pod-identity",
            issuer=service,
            exposure="nobody" if unused else "exact",
            problem="DANGLING-3" if unused else None,
            severity="low" if unused else None,
            why="trusts EKS Pod Identity, but no association names the role"
            if unused
            else "trusts EKS Pod Identity",
            fix="Delete the role, or create an association for the service account that needs it."
            if unused
            else None,
        )
    sourced = any(claim.startswith(("aws:sourcearn", "aws:sourceaccount", "aws:sourceorg")) for claim in pins)
    family = service.split(".")[0]
    compute = service in COMPUTE_SERVICES or any(service.endswith(f".{one}") for one in COMPUTE_SERVICES)
    if sourced or compute or principal.service_linked or family in {"ssm", "vmie"}:
        return TrustVerdict(kind="service", issuer=service, exposure="exact", why=f"trusts {service}")
    change = TrustChange(key="aws:SourceAccount", values=(facts.account_id,))
    return TrustVerdict(
        kind="service",
        issuer=service,
        exposure="exact",
        problem="SVC-1",
        severity="info",
        why=f"trusts {service} without aws:SourceArn or aws:SourceAccount",
        fix=str(change),
        change=change,
    )


def _roles_anywhere(facts: AwsFacts, pins: dict[str, Test], tests: list[Test]) -> TrustVerdict:
    anchor = pins.get("aws:sourcearn")
    subject = any(claim.startswith("aws:principaltag/x509") for claim in pins)
    issuer = "rolesanywhere.amazonaws.com"
    anchors = facts.roles_anywhere_anchors
    if (
        anchor is not None
        and anchors is not None
        and not any(glob(value, arn) for value in anchor.values for arn in anchors)
    ):
        return TrustVerdict(
            kind="certificate",
            issuer=issuer,
            exposure="nobody",
            problem="DANGLING-4",
            severity="medium",
            why=f"trusts certificates of the trust anchor {', '.join(anchor.values)}, which no longer exists",
            fix="Remove the statement, or the role.",
            change=REMOVED,
        )
    if anchor is not None and subject:
        return TrustVerdict(
            kind="certificate",
            issuer=issuer,
            exposure="exact",
            why=f"trusts certificates {describe_tests(tests)}",
        )
    missing = (
        "aws:SourceArn and a certificate attribute"
        if anchor is None and not subject
        else ("aws:SourceArn" if anchor is None else "a certificate attribute")
    )
    return TrustVerdict(
        kind="certificate",
        issuer=issuer,
        exposure="organization",
        problem="RA-1" if anchor is None and not subject else "RA-2",
        severity="high" if anchor is None and not subject else "medium",
        why=f"trusts IAM Roles Anywhere without a condition on {missing}",
        fix="Add conditions on aws:SourceArn (the trust anchor's ARN) and aws:PrincipalTag/x509Subject/CN (the certificate's common name).",
    )
