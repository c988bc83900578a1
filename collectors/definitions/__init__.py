"""Pipeline definition files: of local checkouts here, and of GitHub and GitLab through `parse` and `definition_records`.

Needs: read access to the folders in ``paths``. Nothing is run, fetched or evaluated, git is not called, symbolic
links that leave the folder are not followed.

A GitLab pipeline is read with the files that it includes from its own checkout, also under conditions, and with the
child pipelines that it starts; these files are no pipelines of their own then.

Cannot see: what reusable workflows, templates, other includes and computed expressions hide (each is named in a weakness of
code ``unresolved-reference``), stored secrets' values, the role of a CodeBuild project or a service connection, and in a
Jenkinsfile, which is a program, anything but what stands in it literally (confidence low). A GitLab job gets every CI
variable of its project that is in scope; only those that the file reads are listed.

For other collectors: `definition_records` gives the records of a definition that `parse` read. What they know of its
repository, and what they call its pipelines, they say in a `Context`; nothing here knows them by name::

    if format_of(path) is not None:  # by its name; format_by_content(text) tells of files of any name
        try:
            definition = parse(path, text, run.fingerprint, owner="lanternpay")
        except DefinitionError as exc:            # one file's `Gap`: Failure(reason=exc.reason, detail=str(exc))
            ...
        context = Context(provider="github", account_id="github:repo:5001", repository="lanternpay/payments-api",
                          pipelines={"github-workflow": PipelineKind(id_kind="workflow", kind="github-workflow")},
                          repository_id="5001", owner_id="7001001", default_branch="main", ...)
        yield from definition_records(definition, context=context)

For a GitLab pipeline with what it includes, `gitlab_pipeline` takes the place of `parse`: it is given an `IncludeReader`,
which hands out included files. Nothing else of this package is imported by another collector.

Records of a definition: one `Identity` (``github:workflow:<repo id>:<path>``, ``github:action:...`` for composite actions,
``gitlab:pipeline:<project id>``, ``definitions:ci-pipeline:<repository>:<path>``) with issuer, subjects and tokens, triggers, token
permissions, names of secrets and variables, environments, runners and logins (``aws:oidc``, ``aws:static``); a `Secret` of store
``ci-file`` for each hard-coded value; a `Link` ``uses`` for each role it signs in to by OIDC; a `Link` ``deploys`` for each
workload that it visibly deploys (an ARN, ``aws:ecs-service-name:CLUSTER/NAME``, ``aws:lambda-function-name:NAME``,
``kubernetes:workload:CLUSTER/NAMESPACE/NAME``, ``kubernetes:helm-release:...``, ``gcp:cloud-run-service-name:NAME``,
``azure:webapp-name:NAME``); a `Weakness` of the identity for each `Problem`, and one of code
``unresolved-reference`` for each reference that hides something.

Of GitHub workflows: outputs and variables are followed through steps and jobs as far as the file shows them
(`github_taint`, `shell_flow`), and conditions that keep strangers out are believed where every alternative of them does
(`github_conditions`).
"""

from __future__ import annotations

from collectors.definitions.checkout import Config, collect, targets
from collectors.definitions.context import Context, PipelineKind
from collectors.definitions.definition import Definition, DefinitionError, Job, Problem, Unresolved
from collectors.definitions.formats import format_by_content, format_of, parse
from collectors.definitions.gitlab.ci import MergedPipeline, gitlab_pipeline, read_merged, takes_in
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

__all__ = [
    "KINDS",
    "Config",
    "Context",
    "Definition",
    "DefinitionError",
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
    "collect",
    "definition_records",
    "fill",
    "format_by_content",
    "format_of",
    "gitlab_pipeline",
    "identity_id",
    "matches",
    "parse",
    "pin_of",
    "read_merged",
    "takes_in",
    "targets",
    "without_secrets",
]
