"""GitLab: top-level groups on gitlab.com, GitLab Self-Managed and GitLab Dedicated, and whole instances.

Needs: a token with the scope ``read_api`` whose user is Owner of each group; a Maintainer sees the projects but not
the group's own tokens, webhooks and variables. On a self-managed instance an administrator's token (also with
``read_api`` only) sees everybody's personal access tokens, impersonation tokens and the instance's own settings.
``sprawlscan permissions gitlab`` lists what each role opens. Only GET and GraphQL queries are sent. In a group of more
than ``rotate_above`` projects, those without a visible change are read in turn, a part each night.

Cannot see: when a variable was made or changed, or by whom; the value of a hidden variable, of a webhook's secret token
or of a token; before GitLab 19, whether a webhook has such a token; when a deploy token was made or last used; in older
GitLabs, when a deploy key was last used; when a trigger token was made where GraphQL lists it (it is asked without the
token itself, which REST cannot do);
without an administrator's token, a deploy key, and with any token, a deploy token, a webhook, another value of a
variable or another text of a file that other projects include, in a project that was carried forward, before its turn
comes: nothing that GitLab shows changes with them;
personal access tokens and SSH keys of people, and tokens of service accounts that belong to a project, without an
administrator's token; projects in people's own namespaces without one; a fine-grained token's permissions where they are
not shown; environments that a group protects for its projects; a definition at an address outside of GitLab, and what
files at such addresses include under conditions; pipelines of files that a job makes. What was asked for and refused is a
Gap: 403 and 404 both mean "could not read".

A pipeline is read with what it includes, as GitLab itself merges it; `collectors.gitlab.listings.includes` says how. What comes
out of a file of another project names it as GitLab does: ``deploy.yml@group/project:12``.

How many requests: GraphQL tells of a hundred projects at once what each has, and lists in full what it can; REST is
asked where there is something that only it tells, where GraphQL may not be believed (`structure`), and always for deploy
keys, deploy tokens, webhooks and environments: about five requests a project. For an administrator's token the instance
lists all deploy keys at once; its lists of deploy tokens and personal access tokens name no project, and ``/hooks`` are
its own.

Why variables are read by REST, with their values: GraphQL can leave the value out, but then nothing tells a secret
from a setting, and the id of an access key cannot be joined to the key at its cloud. A token that may list variables may
read them anyway. Each value is judged in memory by `scanner.secrets.detectors.inspect` and dropped: its detector's name, its
length and a keyed fingerprint are kept. Trigger tokens need no judging: GraphQL lists them without.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from collectors.gitlab.config import Config
from collectors.gitlab.kinds import KINDS, PARTS
from scanner.collect.collector import Target
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.gitlab.client import GitLabClient
    from scanner.collect.collector import Run
    from scanner.records import Record

__all__ = ["KINDS", "PARTS", "Config", "collect", "permissions", "targets"]

_HERE = Path(__file__).resolve().parent


def targets(config: Config, run: Run) -> Iterator[Target]:
    """Yield one target for each group, and one for the instance. A group that cannot be read is a target, too."""
    from collectors.gitlab.client import GitLabClient

    client = GitLabClient(config, run)
    try:
        if config.instance or (config.instance is None and _is_administrator(client)):
            host = urlsplit(config.issuer).netloc
            yield Target(
                collector="gitlab",
                name=f"instance {host}",
                account_id=record_id("gitlab", "instance", host),
                params={"instance": host},
            )
        if config.groups:
            for path in config.groups:
                yield _named(client, path)
        else:
            yield from _seen(client)
    finally:
        client.close()


def _is_administrator(client: GitLabClient) -> bool:
    """Return whether the token is an administrator's, or may be: then the instance's own target tells why it is not read."""
    from scanner.collect.failures import SourceError

    try:
        return bool(client.one("/user").get("is_admin"))
    except SourceError:
        return True


def _target(path: str, number: object, **params: str) -> Target:
    return Target(
        collector="gitlab",
        name=path,
        account_id=record_id("gitlab", "group", str(number)),
        params={"group": path, **params},
    )


def _named(client: GitLabClient, path: str) -> Target:
    from scanner.collect.failures import SourceError

    try:
        group = client.one(f"/groups/{quote(path, safe='')}", {"with_projects": "false"})
    except SourceError:
        return _target(path, path)
    return _target(path, group.get("id", path))


def _seen(client: GitLabClient) -> Iterator[Target]:
    """Yield the top-level groups that the token sees; one target that tells why when they cannot be listed."""
    from scanner.collect.failures import SourceError

    parameters = {"top_level_only": "true", "pagination": "keyset", "order_by": "name", "sort": "asc"}
    try:
        for group in client.items("/groups", parameters):
            yield _target(str(group["full_path"]), group["id"])
    except SourceError as exc:
        problem = f"the groups could not be listed: {exc.detail}"
        yield _target("groups", "groups", problem=problem, reason=exc.reason)


def collect(target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield what one group, or the instance, holds. Never raises for what GitLab answers: that is a Gap."""
    from collectors.gitlab.client import GitLabClient
    from collectors.gitlab.plan import group_night, instance_night
    from collectors.gitlab.scope import once
    from scanner.collect.memory import Memory, code_version

    memory = Memory(
        run.cache,
        "gitlab",
        f"{config.base_url} {target.name}",
        as_of=run.as_of,
        version=f"{code_version(_HERE, _HERE.parent / 'definitions')} {run.fingerprint('sprawlscan')}",
    )
    client = GitLabClient(config, run)
    night = instance_night if "instance" in target.params else group_night
    try:
        yield from once(night(client, memory, target, config, run))
    finally:
        client.close()
        memory.close()


def permissions() -> str:
    """Return the smallest read-only rights of this collector's token."""
    return _PERMISSIONS


_PERMISSIONS = """\
Token for sprawlscan: scope read_api, nothing else. It writes nothing: only GET and GraphQL queries are sent.
https://docs.gitlab.com/user/permissions/ https://docs.gitlab.com/api/personal_access_tokens/

GitLab.com, or a part of an instance: a service account (or a group access token) with the role Owner in each top-level
group. Roles are for the whole group: GitLab has no read-only role for what follows.
  Developer    members, projects, .gitlab-ci.yml and what it includes, protected branches, schedules, agents, deployments
  Maintainer   project variables and CI/CD settings (subjects of ID tokens), deploy tokens, deploy keys, project access
               tokens, triggers, webhooks, integrations, job token scope, protected environments, runners, schedule
               variables
  Owner        group variables, group access tokens, group webhooks, service accounts and their tokens, SSH certificates

Self-managed: a personal access token of an administrator, scope read_api (with Admin Mode: also admin_mode).
  It sees besides: everybody's personal access tokens, impersonation tokens, last activity and second factor, instance
  variables, system hooks, OAuth applications, projects in people's own namespaces.

A service account's token should end within a year and be kept where the scanner runs only: with the role Owner and the
scope read_api it reads the values of variables.
"""
