"""What the collectors say about the repositories of definition files, for tests of definitions."""

from __future__ import annotations

from collectors.definitions import Context, PipelineKind

GITHUB = Context(
    provider="github",
    pipelines={
        "github-workflow": PipelineKind(id_kind="workflow", kind="github-workflow"),
        "github-action": PipelineKind(id_kind="action", kind="github-action"),
    },
    account_id="github:repo:5001",
    repository="lanternpay/payments-api",
    repository_id="5001",
    owner_id="7001001",
    default_branch="main",
)
GITLAB = Context(
    provider="gitlab",
    pipelines={"gitlab-ci": PipelineKind(id_kind="pipeline", kind="gitlab-pipeline")},
    one_per_repository=True,
    account_id="gitlab:project:9001",
    repository="lantern/risk-engine",
    repository_id="9001",
    owner_id="8001",
    default_branch="trunk",
)
