"""The GraphQL queries that are sent to GitHub.

A page of repositories costs four points of the hourly five thousand: nested connections are kept to one level.
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collectors.github.facts import DefinitionFile

_PROTECTION_FIELDS = """
            id databaseId pattern isAdminEnforced requiresApprovingReviews requiredApprovingReviewCount
            requiresCodeOwnerReviews requiresStatusChecks restrictsPushes allowsForcePushes allowsDeletions
            dismissesStaleReviews requireLastPushApproval lockBranch"""
DEFINITIONS = {
    "action": "action.yml",
    "actionYaml": "action.yaml",
    "gitlab": ".gitlab-ci.yml",
    "azure": "azure-pipelines.yml",
    "azureDot": ".azure-pipelines.yml",
    "bitbucket": "bitbucket-pipelines.yml",
    "cloudbuild": "cloudbuild.yaml",
    "cloudbuildYml": "cloudbuild.yml",
    "buildspec": "buildspec.yml",
    "buildspecYaml": "buildspec.yaml",
    "jenkins": "Jenkinsfile",
    "buildkite": ".buildkite/pipeline.yml",
    "circleci": ".circleci/config.yml",
    "drone": ".drone.yml",
    "travis": ".travis.yml",
    "woodpecker": ".woodpecker.yml",
}
"""CI definitions outside the folders ``.github/workflows`` and ``.github/actions``, by alias."""
UNREAD = {
    "appveyor": "appveyor.yml",
    "cirrus": ".cirrus.yml",
    "semaphore": ".semaphore/semaphore.yml",
}
"""Definitions of systems that are not read, by alias: a repository with one gets a Gap that names it."""
OWNERS = {"owners": ".github/CODEOWNERS", "rootOwners": "CODEOWNERS", "docsOwners": "docs/CODEOWNERS"}
"""CODEOWNERS files by alias, in GitHub's order of precedence."""
_RULE_PARAMETERS = """parameters {
          ... on PullRequestParameters {
            requiredApprovingReviewCount dismissStaleReviewsOnPush requireLastPushApproval
          }
        }"""
_RULESETS = """rulesets(first: 5) {{
          totalCount
          nodes {{ databaseId name target enforcement {source} }}
        }}"""
_SOURCES = "... on Organization { login } ... on Repository { nameWithOwner }"
PARTS: dict[str, list[str]] = {
    "defaultBranchRef": [
        f"""defaultBranchRef {{
          name
          rules(first: 30) {{ totalCount nodes {{ type repositoryRuleset {{ databaseId }} {_RULE_PARAMETERS} }} }}
        }}""",
        "defaultBranchRef { name }",
    ],
    "deployKeys": ["deployKeys(first: 1) { totalCount }"],
    "environments": ["environments(first: 10) { totalCount nodes { name } }"],
    "branchProtectionRules": [
        f"branchProtectionRules(first: 5) {{ totalCount nodes {{ {_PROTECTION_FIELDS} }} }}"
    ],
    "rulesets": [
        _RULESETS.format(source=f"source {{ {_SOURCES} ... on Enterprise {{ slug }} }}"),
        _RULESETS.format(source=f"source {{ {_SOURCES} }}"),
        _RULESETS.format(source=""),
    ],
    "collaborators": [
        f"""collaborators(affiliation: DIRECT, first: 20) {{
          totalCount
          edges {{ permission node {{ databaseId login }} {sources} }}
        }}"""
        for sources in ("permissionSources { roleName source { __typename } }", "")
    ],
    "deployments": [
        """deployments(first: 3, orderBy: {field: CREATED_AT, direction: DESC}) {
          nodes { id databaseId environment createdAt commitOid ref { name } creator { login } state }
        }"""
    ],
    "workflows": ['workflows: object(expression: "HEAD:.github/workflows") { ...Files }'],
    "composites": [
        """composites: object(expression: "HEAD:.github/actions") {
          ... on Tree { entries { name oid size type object { ...Files } } }
        }"""
    ],
    **{
        alias: [f'{alias}: object(expression: "HEAD:{path}") {{ ...File }}']
        for alias, path in (DEFINITIONS | UNREAD | OWNERS).items()
    },
}
"""What is requested of each repository in addition to its names, by the key of the answer. Each part can be refused
separately. If a server lacks a field of a part's first selection, the next selection is used.
"""


def repositories(parts: str) -> str:
    """Return the query for a page of the organization's repositories, with the selections of some `PARTS`."""
    files = (
        "fragment Files on GitObject { ... on Tree { entries { name oid size type } } }"
        if "...Files" in parts
        else ""
    )
    file = "fragment File on GitObject { ... on Blob { oid byteSize } }" if "...File }" in parts else ""
    return f"""
query Repositories($org: String!, $cursor: String, $size: Int!) {{
  organization(login: $org) {{
    repositories(first: $size, after: $cursor, orderBy: {{field: CREATED_AT, direction: ASC}}) {{
      totalCount
      pageInfo {{ hasNextPage endCursor }}
      nodes {{
        id databaseId name nameWithOwner isArchived isFork visibility viewerCanAdminister
        createdAt pushedAt url
        {parts}
      }}
    }}
  }}
}}
{files} {file}
"""


PROTECTIONS = f"""
query Protections($org: String!, $name: String!, $cursor: String) {{
  repository(owner: $org, name: $name) {{
    branchProtectionRules(first: 100, after: $cursor) {{
      totalCount
      pageInfo {{ hasNextPage endCursor }}
      nodes {{ {_PROTECTION_FIELDS} }}
    }}
  }}
}}
"""
"""All branch protection rules of one repository.

https://docs.github.com/en/graphql/reference/objects#branchprotectionrule
"""
_ACTORS = "... on User { login } ... on Team { combinedSlug }"
BYPASS_PARTS = {
    "allowances": [
        f"bypassPullRequestAllowances(first: 10) {{ totalCount nodes {{ actor {{ {actors} }} }} }}"
        for actors in (f"{_ACTORS} ... on App {{ slug }}", _ACTORS)
    ]
}


def bypass(parts: str) -> str:
    """Return the query for who may bypass branch protection rules, with the selection of `BYPASS_PARTS`.

    https://docs.github.com/en/graphql/reference/objects#bypasspullrequestallowance
    """
    return f"""
query Bypass($ids: [ID!]!) {{
  nodes(ids: $ids) {{ ... on BranchProtectionRule {{ id {parts} }} }}
}}
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
