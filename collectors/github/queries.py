"""The GraphQL queries that are sent to GitHub.

A page of repositories costs four points of the hourly five thousand: nested connections are kept to one level.
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from collectors.github.facts import DefinitionFile

_PROTECTION_FIELDS = """
            id databaseId pattern isAdminEnforced requiresApprovingReviews requiredApprovingReviewCount
            requiresCodeOwnerReviews requiresStatusChecks restrictsPushes allowsForcePushes allowsDeletions"""
DEFINITIONS = {
    "action": "action.yml",
    "gitlab": ".gitlab-ci.yml",
    "azure": "azure-pipelines.yml",
    "bitbucket": "bitbucket-pipelines.yml",
    "cloudbuild": "cloudbuild.yaml",
    "buildspec": "buildspec.yml",
    "jenkins": "Jenkinsfile",
}
"""CI definitions beside the folders ``.github/workflows`` and ``.github/actions``, by alias."""
OWNERS = {"owners": ".github/CODEOWNERS", "rootOwners": "CODEOWNERS"}
"""By alias, the surer one first."""
PARTS = {
    "deployKeys": "deployKeys(first: 1) { totalCount }",
    "environments": "environments(first: 10) { totalCount nodes { name } }",
    "branchProtectionRules": """branchProtectionRules(first: 5) {
          totalCount
          nodes { """
    + _PROTECTION_FIELDS
    + """ }
        }""",
    "rulesets": """rulesets(first: 5) {
          totalCount
          nodes {
            databaseId name target enforcement
            source { ... on Organization { login } ... on Repository { nameWithOwner } ... on Enterprise { slug } }
          }
        }""",
    "collaborators": """collaborators(affiliation: DIRECT, first: 20) {
          totalCount
          edges { permission node { databaseId login } }
        }""",
    "deployments": """deployments(first: 3, orderBy: {field: CREATED_AT, direction: DESC}) {
          nodes { databaseId environment createdAt commitOid ref { name } creator { login } state }
        }""",
    "workflows": 'workflows: object(expression: "HEAD:.github/workflows") { ...Files }',
    "composites": """composites: object(expression: "HEAD:.github/actions") {
          ... on Tree { entries { name oid size type object { ...Files } } }
        }""",
    **{
        alias: f'{alias}: object(expression: "HEAD:{path}") {{ ...File }}'
        for alias, path in (DEFINITIONS | OWNERS).items()
    },
}
"""What is asked of each repository beside its names: each part can be refused by itself, and is then left out."""


def repositories(without: Collection[str]) -> str:
    """Return the query for a page of the organization's repositories, without these of `PARTS`."""
    parts = {name: part for name, part in PARTS.items() if name not in without}
    text = " ".join(parts.values())
    fragments = [
        "fragment Files on GitObject { ... on Tree { entries { name oid size type } } }"
        if "...Files" in text
        else "",
        "fragment File on GitObject { ... on Blob { oid byteSize } }" if "...File }" in text else "",
    ]
    return f"""
query Repositories($org: String!, $cursor: String, $size: Int!) {{
  organization(login: $org) {{
    repositories(first: $size, after: $cursor, orderBy: {{field: CREATED_AT, direction: ASC}}) {{
      totalCount
      pageInfo {{ hasNextPage endCursor }}
      nodes {{
        databaseId name nameWithOwner isArchived isFork visibility viewerCanAdminister
        createdAt pushedAt url
        defaultBranchRef {{ name rules(first: 30) {{ totalCount nodes {{ type repositoryRuleset {{ databaseId }} }} }} }}
        {text}
      }}
    }}
  }}
}}
{" ".join(fragments)}
"""


PROTECTIONS = f"""
query Protections($org: String!, $name: String!, $cursor: String) {{
  repository(owner: $org, name: $name) {{
    branchProtectionRules(first: 100, after: $cursor) {{
      pageInfo {{ hasNextPage endCursor }}
      nodes {{ {_PROTECTION_FIELDS} }}
    }}
  }}
}}
"""
"""All branch protection rules of one repository.

https://docs.github.com/en/graphql/reference/objects#branchprotectionrule
"""
BYPASS = """
query Bypass($ids: [ID!]!) {
  nodes(ids: $ids) {
    ... on BranchProtectionRule {
      id
      bypassPullRequestAllowances(first: 10) {
        totalCount
        nodes { actor { ... on User { login } ... on Team { combinedSlug } ... on App { slug } } }
      }
    }
  }
}
"""
"""Who may bypass up to a hundred branch protection rules.

https://docs.github.com/en/graphql/reference/objects#bypasspullrequestallowance
"""
_BLOB = "{ ... on Blob { oid byteSize isTruncated isBinary text } }"


def blobs(files: Mapping[str, Sequence[DefinitionFile]]) -> str:
    """Return the query for the texts of files, by repository name: file ``j`` of repository ``i`` is ``ri { bj }``."""
    parts = []
    for index, (name, chosen) in enumerate(files.items()):
        texts = " ".join(
            f"b{number}: object(oid: {json.dumps(file.oid)}) {_BLOB}" for number, file in enumerate(chosen)
        )
        parts.append(f"r{index}: repository(owner: $org, name: {json.dumps(name)}) {{ {texts} }}")
    return f"query Blobs($org: String!) {{ {' '.join(parts)} }}"
