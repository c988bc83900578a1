"""Whatever Google Cloud answers, a night ends with Gaps: never an exception, never an empty success."""

from __future__ import annotations

import collectors.gcp
from sandbox import gcp as gcp_sandbox
from sandbox.kit.contract import standard_collector_tests

TestContract = standard_collector_tests(collectors.gcp, gcp_sandbox)
TestContractOfProjects = standard_collector_tests(collectors.gcp, gcp_sandbox, variant="projects", turns=1)
