"""Whatever Microsoft Graph and the token service answer, a night ends with Gaps: never an exception, never an empty success."""

from __future__ import annotations

import collectors.entra
from sandbox import entra as entra_sandbox
from sandbox.kit.contract import standard_collector_tests

TestContract = standard_collector_tests(collectors.entra, entra_sandbox)
TestContractWithoutLicense = standard_collector_tests(
    collectors.entra, entra_sandbox, variant="free", turns=1
)
