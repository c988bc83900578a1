"""The contract tests that every collector has, for AWS.

In a module of their own: moto's state is one a process, so that the sandbox of these tests and that of a module's other
tests cannot be open at once.
"""

from __future__ import annotations

import collectors.aws
from sandbox import aws as aws_sandbox
from sandbox.kit.contract import standard_collector_tests

MAY_APPEAR = {
    "grants": "Without service control policies, a grant is evaluated as if none cut it.",
    "links": "So is the way to another principal that such a grant opens.",
    "credentials": "A key or password is known by user and date, or by ARN, where its id or its user's is not.",
    "policies": "A policy is known by its hash: another answer is another policy.",
}
TestContract = standard_collector_tests(
    collectors.aws,
    aws_sandbox,
    turns=1,
    may_appear=MAY_APPEAR,
    steering=["iam:GenerateCredentialReport"],
)
