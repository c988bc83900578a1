"""How the REST API is asked: versions, pages, and the POSTs that read."""

from __future__ import annotations

from scanner.collect.paging import Paginator, TokenInHeader

WHOLE = Paginator(at="value", total="count")
"""A list in one response, with its own count."""
PAGED = TokenInHeader(
    at="value", page_count="count", header="x-ms-continuationtoken", parameter="continuationToken"
)
CHECKS = "/{project}/_apis/pipelines/checks/queryconfigurations"
"""https://learn.microsoft.com/rest/api/azure/devops/approvalsandchecks/check-configurations/query : a POST that reads"""
SETTINGS = "/_apis/Contribution/HierarchyQuery"
"""The page data of the organization's pipeline settings: a POST that reads. Undocumented."""
VERSION = {"api-version": "7.1"}
"""https://learn.microsoft.com/rest/api/azure/devops : 7.1 is served by Azure DevOps Services and Server 2022."""
PREVIEW = {"api-version": "7.1-preview"}
