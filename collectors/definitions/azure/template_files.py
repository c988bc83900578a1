"""Templates of Azure Pipelines in other files: which file a name means.

https://learn.microsoft.com/azure/devops/pipelines/process/templates : a path is relative to the file that names it; with
``@alias`` it is of the root of a repository in ``resources``, and ``@self`` is the pipeline's own repository.
"""

from __future__ import annotations

import posixpath

MOST_FILES = 100
MOST_LEVELS = 20
"""Azure's own limits: https://learn.microsoft.com/azure/devops/pipelines/process/template-expressions#template-expression-limits"""


def template_path(name: str, above: str) -> str:
    """Return the path of a template in its repository, without a slash before it. ``above`` is the file that names it."""
    joined = name if name.startswith("/") else posixpath.join(posixpath.dirname(above), name)
    return posixpath.normpath(f"/{joined}").lstrip("/")
