"""Cuts GitHub's GraphQL schema down to the types and fields that the sandbox answers.

The full schema is MIT-licensed, published on npm as @octokit/graphql-schema, and too big to keep here:

    npm pack @octokit/graphql-schema@15.26.1 && tar xzf octokit-graphql-schema-*.tgz
    python tests/data/reduce_github_graphql.py package/schema.graphql

writes ``sandbox/github/schema.graphql``. What is kept is kept as GitHub wrote it: arguments, nullability,
enumerations, unions; a field that is not listed here does not exist in the sandbox, and a query for it fails.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

from graphql import (
    DefinitionNode,
    DocumentNode,
    EnumTypeDefinitionNode,
    FieldDefinitionNode,
    InputObjectTypeDefinitionNode,
    InputValueDefinitionNode,
    InterfaceTypeDefinitionNode,
    ListTypeNode,
    NamedTypeNode,
    NonNullTypeNode,
    ObjectTypeDefinitionNode,
    ScalarTypeDefinitionNode,
    TypeNode,
    UnionTypeDefinitionNode,
    build_ast_schema,
    parse,
    print_schema,
)

TARGET = Path(__file__).parents[2] / "sandbox/github/schema.graphql"
CONNECTION = "edges nodes pageInfo totalCount"
EDGE = "cursor node"
KEPT: dict[str, str] = {
    "Query": "id organization repository rateLimit viewer node nodes",
    "RateLimit": "cost limit nodeCount remaining resetAt used",
    "PageInfo": "endCursor hasNextPage hasPreviousPage startCursor",
    "Node": "id",
    "Actor": "login url resourcePath",
    "RepositoryOwner": "id login url resourcePath",
    "GitObject": "abbreviatedOid id oid",
    "Organization": "createdAt databaseId id login membersWithRole name repositories repository resourcePath"
    " rulesets teams url viewerCanAdminister viewerIsAMember",
    "Enterprise": "databaseId id name slug",
    "OrganizationMemberConnection": CONNECTION,
    "OrganizationMemberEdge": "cursor hasTwoFactorEnabled node role",
    "TeamConnection": CONNECTION,
    "TeamEdge": EDGE,
    "Team": "combinedSlug databaseId id name slug",
    "User": "createdAt databaseId id login name resourcePath url",
    "Bot": "createdAt databaseId id login resourcePath url",
    "RepositoryConnection": CONNECTION,
    "RepositoryEdge": EDGE,
    "Repository": "archivedAt branchProtectionRules collaborators createdAt databaseId defaultBranchRef deployKeys"
    " deployments description diskUsage environment environments forkCount id isArchived isDisabled isEmpty isFork"
    " isLocked isPrivate isTemplate name nameWithOwner object owner primaryLanguage pushedAt ref resourcePath ruleset"
    " rulesets updatedAt url viewerCanAdminister viewerPermission visibility",
    "Language": "id name",
    "DeployKeyConnection": CONNECTION,
    "DeployKeyEdge": EDGE,
    "DeployKey": "createdAt enabled id key readOnly title verified",
    "EnvironmentConnection": CONNECTION,
    "EnvironmentEdge": EDGE,
    "Environment": "databaseId id name protectionRules",
    "DeploymentProtectionRuleConnection": CONNECTION,
    "DeploymentProtectionRuleEdge": EDGE,
    "DeploymentProtectionRule": "databaseId preventSelfReview reviewers timeout type",
    "DeploymentReviewerConnection": CONNECTION,
    "DeploymentReviewerEdge": EDGE,
    "BranchProtectionRuleConnection": CONNECTION,
    "BranchProtectionRuleEdge": EDGE,
    "BypassPullRequestAllowanceConnection": CONNECTION,
    "BypassPullRequestAllowanceEdge": EDGE,
    "BypassPullRequestAllowance": "actor id",
    "BranchProtectionRule": "allowsDeletions allowsForcePushes blocksCreations bypassPullRequestAllowances databaseId dismissesStaleReviews id"
    " isAdminEnforced lockBranch pattern requireLastPushApproval requiredApprovingReviewCount"
    " requiredStatusCheckContexts requiresApprovingReviews requiresCodeOwnerReviews requiresCommitSignatures"
    " requiresConversationResolution requiresLinearHistory requiresStatusChecks requiresStrictStatusChecks"
    " restrictsPushes restrictsReviewDismissals",
    "RepositoryRulesetConnection": CONNECTION,
    "RepositoryRulesetEdge": EDGE,
    "RepositoryRuleset": "bypassActors conditions createdAt databaseId enforcement id name rules source target"
    " updatedAt",
    "RepositoryRuleConditions": "refName repositoryName",
    "RefNameConditionTarget": "exclude include",
    "RepositoryNameConditionTarget": "exclude include protected",
    "RepositoryRuleConnection": CONNECTION,
    "RepositoryRuleEdge": EDGE,
    "RepositoryRule": "id parameters repositoryRuleset type",
    "PullRequestParameters": "allowedMergeMethods dismissStaleReviewsOnPush requireCodeOwnerReview requireLastPushApproval"
    " requiredApprovingReviewCount requiredReviewThreadResolution",
    "RequiredStatusChecksParameters": "doNotEnforceOnCreate requiredStatusChecks strictRequiredStatusChecksPolicy",
    "StatusCheckConfiguration": "context integrationId",
    "RepositoryRulesetBypassActorConnection": CONNECTION,
    "RepositoryRulesetBypassActorEdge": EDGE,
    "RepositoryRulesetBypassActor": "actor bypassMode deployKey enterpriseOwner id organizationAdmin"
    " repositoryRoleDatabaseId repositoryRoleName",
    "App": "databaseId id name slug",
    "RepositoryCollaboratorConnection": CONNECTION,
    "RepositoryCollaboratorEdge": "cursor node permission permissionSources",
    "PermissionSource": "permission roleName source",
    "DeploymentConnection": CONNECTION,
    "DeploymentEdge": EDGE,
    "Deployment": "commitOid createdAt creator databaseId description environment id latestEnvironment latestStatus"
    " originalEnvironment ref state task updatedAt",
    "DeploymentStatus": "createdAt description environment id state updatedAt",
    "Ref": "id name prefix rules target",
    "Commit": "abbreviatedOid committedDate id message oid tree",
    "Tree": "abbreviatedOid entries id oid",
    "TreeEntry": "extension mode name object oid path size type",
    "Blob": "abbreviatedOid byteSize id isBinary isTruncated oid text",
}
"""Type to the fields that stay."""


def named(node: TypeNode) -> str:
    """Return the name of the type that a reference leads to, lists and ``!`` taken off."""
    match node:
        case NonNullTypeNode() | ListTypeNode():
            return named(node.type)
        case NamedTypeNode():
            return node.name.value
    raise TypeError(node)


def reduce(source: str) -> str:
    """Return the reduced schema, in GitHub's order of definitions."""
    document = parse(source, no_location=True)
    everything = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(
            definition,
            (
                ObjectTypeDefinitionNode,
                InterfaceTypeDefinitionNode,
                UnionTypeDefinitionNode,
                EnumTypeDefinitionNode,
                ScalarTypeDefinitionNode,
                InputObjectTypeDefinitionNode,
            ),
        )
    }
    wanted = {name: set(fields.split()) for name, fields in KEPT.items()}
    pending = list(wanted)
    done: dict[str, DefinitionNode] = {}
    while pending:
        name = pending.pop()
        definition = everything.get(name)
        if name in done or definition is None:
            continue
        match definition:
            case ObjectTypeDefinitionNode() | InterfaceTypeDefinitionNode():
                missing = wanted.get(name, set()) - {one.name.value for one in definition.fields or ()}
                if missing or name not in wanted:
                    raise SystemExit(f"{name}: {sorted(missing) or 'not listed, and referred to'}")
                fields = tuple(
                    _bare(one) for one in definition.fields or () if one.name.value in wanted[name]
                )
                above = tuple(one for one in definition.interfaces or () if one.name.value in wanted)
                done[name] = replace(
                    definition, description=None, directives=(), fields=fields, interfaces=above
                )
                for one in fields:
                    pending.append(named(one.type))
                    pending += [named(argument.type) for argument in one.arguments or ()]
            case UnionTypeDefinitionNode():
                members = tuple(one for one in definition.types or () if one.name.value in wanted)
                done[name] = replace(definition, description=None, directives=(), types=members)
            case InputObjectTypeDefinitionNode():
                values = tuple(_bare_input(one) for one in definition.fields or ())
                done[name] = replace(definition, description=None, directives=(), fields=values)
                pending += [named(one.type) for one in values]
            case EnumTypeDefinitionNode():
                words = tuple(
                    replace(one, description=None, directives=()) for one in definition.values or ()
                )
                done[name] = replace(definition, description=None, directives=(), values=words)
            case ScalarTypeDefinitionNode():
                done[name] = replace(definition, description=None, directives=())
    kept = tuple(done[name] for name in sorted(done))
    schema = build_ast_schema(DocumentNode(definitions=kept))
    digest = hashlib.sha256(source.encode()).hexdigest()
    return (
        "# A part of GitHub's public GraphQL schema: @octokit/graphql-schema 15.26.1, MIT license,\n"
        f"# Copyright (c) GitHub 2025; schema.graphql has sha256 {digest}.\n"
        "# Written by tests/data/reduce_github_graphql.py.\n\n" + print_schema(schema) + "\n"
    )


def _bare(field: FieldDefinitionNode) -> FieldDefinitionNode:
    arguments = tuple(_bare_input(argument) for argument in field.arguments or ())
    return replace(field, description=None, directives=(), arguments=arguments)


def _bare_input(value: InputValueDefinitionNode) -> InputValueDefinitionNode:
    return replace(value, description=None, directives=())


if __name__ == "__main__":
    TARGET.write_text(reduce(Path(sys.argv[1]).read_text()))
