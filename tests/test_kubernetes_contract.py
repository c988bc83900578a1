"""Whatever a cluster answers, a night ends with Gaps: never an exception, never an empty success."""

from __future__ import annotations

import collectors.kubernetes
from sandbox import kubernetes as kubernetes_sandbox
from sandbox.kit.contract import standard_collector_tests

TestContract = standard_collector_tests(collectors.kubernetes, kubernetes_sandbox)
