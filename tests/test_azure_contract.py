"""Whatever Azure answers, a night ends with Gaps: never an exception, never an empty success."""

from __future__ import annotations

import collectors.azure
from sandbox import azure as azure_sandbox
from sandbox.kit.contract import standard_collector_tests

TestContract = standard_collector_tests(collectors.azure, azure_sandbox)
TestContractWithoutLicense = standard_collector_tests(
    collectors.azure, azure_sandbox, variant="free", turns=1
)
