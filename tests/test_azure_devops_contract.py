"""Whatever Azure DevOps answers, a night ends with Gaps: never an exception, never an empty success."""

from __future__ import annotations

import collectors.azure_devops
from sandbox import azure_devops as azure_devops_sandbox
from sandbox.kit.contract import standard_collector_tests

UNREAD = {
    "links azure-devops:unknown-use:*": "A pipeline of which a definition or a list was not read uses an identity that nobody "
    "knows, so that no comparison with it looks complete.",
    "links azure-devops:uses-connection:*/azure-devops:connection-by-name:*": "A connection that the list does not show is used "
    "by its name.",
}
TestContract = standard_collector_tests(collectors.azure_devops, azure_devops_sandbox, may_appear=UNREAD)
TestContractOfAReader = standard_collector_tests(
    collectors.azure_devops, azure_devops_sandbox, variant="reader", turns=1, may_appear=UNREAD
)
