"""Whatever Azure DevOps answers, a night ends with Gaps: never an exception, never an empty success."""

from __future__ import annotations

import collectors.azure_devops
from sandbox import azure_devops as azure_devops_sandbox
from sandbox.kit.contract import standard_collector_tests

TestContract = standard_collector_tests(collectors.azure_devops, azure_devops_sandbox)
TestContractOfAReader = standard_collector_tests(
    collectors.azure_devops, azure_devops_sandbox, variant="reader", turns=1
)
