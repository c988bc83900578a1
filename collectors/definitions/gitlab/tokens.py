"""The id tokens of GitLab jobs: https://docs.gitlab.com/ci/secrets/id_token_authentication/."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.context import Context
    from collectors.definitions.definition import Definition


def gitlab_tokens(definition: Definition, context: Context) -> Iterator[dict[str, str]]:
    """Yield the claims of every kind of token that the jobs of a pipeline can present."""
    namespace, _, _ = context.repository.rpartition("/")
    for job in definition.jobs:
        if not job.identity_token:
            continue
        for ref in job.refs or ["refs/heads/*", "refs/tags/*"]:
            name = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
            if name == "$CI_DEFAULT_BRANCH":
                name = context.default_branch or "*"
            claims = {
                "project_path": context.repository,
                "namespace_path": namespace,
                "ref": name,
                "ref_type": "tag" if ref.startswith("refs/tags/") else "branch",
                "environment": job.environment or "",
                "aud": definition.audience(job),
            }
            if context.repository_id:
                claims["project_id"] = context.repository_id
            if context.owner_id:
                claims["namespace_id"] = context.owner_id
            keys = context.claim_keys or ["project_path", "ref_type", "ref"]
            # An unknown or empty component matches any text.
            yield {"sub": ":".join(f"{key}:{claims.get(key) or '*'}" for key in keys), **claims}
