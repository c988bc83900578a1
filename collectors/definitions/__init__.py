"""Pipeline definition files: of local checkouts here, and of GitHub and GitLab through `parse` and `definition_records`.

Needs: read access to the folders in ``paths``. Nothing is run, fetched or evaluated; git is not called; symbolic links
that leave the folder are not followed.

A GitLab pipeline is read with the files that it includes from its own checkout, including conditional includes, and
with the child pipelines that it starts; these files are then not separate pipelines.

A GitHub workflow is read with the reusable workflows and composite actions of its own repository, and an Azure pipeline
with its templates, inputs and secrets carried along. They stay pipelines of their own as well: what they show by
themselves is reported there, what only a call brings about is reported for the caller, with both places.

Cannot see: reusable workflows, templates and other includes outside the checkout, and computed expressions (each is named
in a weakness with code ``unresolved-reference``); values of stored secrets; the role of a CodeBuild project or a service
connection; in a Jenkinsfile, which is a program, anything but literal calls (confidence low). A GitLab job gets every
CI variable of its project that is in scope; only those that the file reads are listed.

For other collectors: `definition_records` yields the records of a definition that `parse` returned. They describe its
  repository and the kinds of its pipelines in a `Context`; nothing here refers to another collector by name::

    if format_of(path) is not None:  # by file name; format_by_content(text) works for any name
        try:
            definition = parse(path, text, run.fingerprint, owner="lanternpay")
        except DefinitionError as exc:            # one file's `Gap`: Failure(reason=exc.reason, detail=str(exc))
            ...
        context = Context(provider="github", account_id="github:repo:5001", repository="lanternpay/payments-api",
                          pipelines={"github-workflow": PipelineKind(id_kind="workflow", kind="github-workflow")},
                          repository_id="5001", owner_id="7001001", default_branch="main", ...)
        yield from definition_records(definition, context=context)

For a GitLab pipeline with its includes, use `gitlab_pipeline` instead of `parse`, with an `IncludeReader` that returns
included files; for one of Azure Pipelines with its templates `azure_pipeline`, with a `FileReader`; for a GitHub workflow
with the workflows and actions that it calls `parse` with `CalledDefinitions`. Other collectors import nothing else from this package.

Records of a definition: one `Identity` (``github:workflow:<repo id>:<path>``, ``github:action:...`` for composite
actions, ``gitlab:pipeline:<project id>``, ``definitions:ci-pipeline:<repository>:<path>``) with issuer, subjects and
tokens, triggers, token permissions, names of secrets and variables, environments, runners and logins (``aws:oidc``,
``aws:static``); a `Secret` of store ``ci-file`` for each hard-coded value; a `Link` ``uses`` for each role it signs in
to by OIDC; a `Link` ``deploys`` for each workload that it deploys with a literal name (an ARN,
``aws:ecs-service-name:CLUSTER/NAME``, ``aws:lambda-function-name:NAME``,
``kubernetes:workload:CLUSTER/NAMESPACE/NAME``, ``kubernetes:helm-release:...``, ``gcp:cloud-run-service-name:NAME``,
``azure:webapp-name:NAME``); a `Weakness` of the identity for each `Problem`, and one with code ``unresolved-reference``
for each reference that could not be resolved.

In GitHub workflows, outputs and variables are followed through steps and jobs as far as the file shows them
(`github.taint`, `github.script_outputs`), and a condition counts as a guard if every alternative in it excludes untrusted users
(`github.conditions`).
"""

from __future__ import annotations

from collectors.definitions.azure.pipelines import parse as azure_pipeline
from collectors.definitions.called_files import CalledDefinitions, CalledRepository, FileReader
from collectors.definitions.checkout import Config, collect, targets
from collectors.definitions.context import Context, PipelineKind
from collectors.definitions.definition import Definition, DefinitionError, Job, Problem, Unresolved
from collectors.definitions.first_section import first_sections
from collectors.definitions.formats import format_by_content, format_of, parse
from collectors.definitions.gitlab.ci import MergedPipeline, gitlab_pipeline, has_includes, read_merged
from collectors.definitions.gitlab.include import Include, matches, pin_of, without_secrets
from collectors.definitions.gitlab.tree import (
    IncludeBranch,
    IncludedText,
    IncludeRead,
    IncludeReader,
    IncludeSource,
)
from collectors.definitions.kinds import KINDS
from collectors.definitions.records import definition_records, identity_id
from collectors.definitions.shell.variables import fill
from collectors.definitions.unread_systems import unread_system

__all__ = [
    "KINDS",
    "CalledDefinitions",
    "CalledRepository",
    "Config",
    "Context",
    "Definition",
    "DefinitionError",
    "FileReader",
    "Include",
    "IncludeBranch",
    "IncludeRead",
    "IncludeReader",
    "IncludeSource",
    "IncludedText",
    "Job",
    "MergedPipeline",
    "PipelineKind",
    "Problem",
    "Unresolved",
    "azure_pipeline",
    "collect",
    "definition_records",
    "fill",
    "first_sections",
    "format_by_content",
    "format_of",
    "gitlab_pipeline",
    "has_includes",
    "identity_id",
    "matches",
    "parse",
    "pin_of",
    "read_merged",
    "targets",
    "unread_system",
    "without_secrets",
]
