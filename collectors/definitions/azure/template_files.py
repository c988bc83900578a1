"""Templates of Azure Pipelines in other files: which file a name means, and who reads it.

https://learn.microsoft.com/azure/devops/pipelines/process/templates : a path is relative to the file that names it; with
``@alias`` it is of the root of a repository in ``resources``, and ``@self`` is the pipeline's own repository.
"""

from __future__ import annotations

import posixpath
from typing import Protocol

import msgspec

MOST_FILES = 100
MOST_LEVELS = 20
"""Azure's own limits: https://learn.microsoft.com/azure/devops/pipelines/process/template-expressions#template-expression-limits"""


class TemplateRepository(msgspec.Struct, frozen=True, kw_only=True):
    """A repository of templates, as ``resources`` names it."""

    name: str = ""
    """``NAME``, or ``PROJECT/NAME``; empty for the pipeline's own."""
    kind: str = "git"
    """``git`` for the same organization, ``github``, ``githubenterprise``, ``bitbucket``."""
    ref: str | None = None
    """None for the default branch."""

    def shown(self, path: str) -> str:
        """Return a file's name in records."""
        return f"{path}@{self.name}" if self.name else path


OWN = TemplateRepository()
"""The pipeline's own repository, at the pipeline's own commit."""


class TemplateReader(Protocol):
    """Reads files of templates."""

    def read(self, repository: TemplateRepository, path: str) -> str:
        """Return a file's text. Raises `DefinitionError` if it cannot be read."""
        ...


def template_path(name: str, above: str) -> str:
    """Return the path of a template in its repository, without a slash before it. ``above`` is the file that names it."""
    joined = name if name.startswith("/") else posixpath.join(posixpath.dirname(above), name)
    return posixpath.normpath(f"/{joined}").lstrip("/")
