"""GitHub: organizations on github.com, GitHub Enterprise Cloud and GitHub Enterprise Server.

Needs: a GitHub App, installed in each organization on all repositories, with the read permissions that ``sprawlscan
permissions github`` prints. A fine-grained or classic token of an organization owner works too: it can list single
sign-on authorizations, which an App cannot, but not fine-grained tokens, which only an App can. Only GET, GraphQL
queries and the exchange of the App's key for a token are sent.

Cannot see: the value, creator or last use of a secret; classic tokens, SSH keys and OAuth tokens of organizations
without SAML single sign-on; OAuth apps; which repositories another App is installed on, if it is not installed on all;
who may bypass a ruleset, and the organization's list of rulesets, without permission to change them; organization
Codespaces secrets, with an App; when a self-hosted runner last ran a job; workflows that exist only on other branches.
A refused request becomes a Gap: 403 and 404 both mean "could not read".
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from collectors.github.config import Config
from collectors.github.first_section import first_sections
from collectors.github.kinds import HIDES_NO_ACCESS, KINDS, PARTS
from scanner.collect.collector import Target
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.client import GitHubClient
    from scanner.collect.collector import Run
    from scanner.records import Record

__all__ = [
    "HIDES_NO_ACCESS",
    "KINDS",
    "PARTS",
    "Config",
    "collect",
    "first_sections",
    "permissions",
    "problems",
    "targets",
]
_HERE = Path(__file__).resolve().parent


def targets(config: Config, run: Run) -> Iterator[Target]:
    """Yield one target for each organization. An organization that cannot be found is a target too: collecting it
    reports why.
    """
    from collectors.github.client import GitHubClient
    from collectors.github.tokens import AppTokenAuth, UserAuth

    client = GitHubClient(config, run, auth=UserAuth(config) if config.app is None else AppTokenAuth(config))
    try:
        if config.app is None:
            for login in config.organizations:
                yield _named(client, login)
        else:
            yield from _installations(client, config)
    finally:
        client.close()


def problems(config: Config) -> Iterator[tuple[str, str]]:
    """Yield the key of the App if it cannot sign: it is no private key in PEM."""
    from jwt.algorithms import RSAAlgorithm
    from jwt.exceptions import InvalidKeyError

    if config.app is None:
        return
    try:
        RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(config.app.private_key.read())
    except (InvalidKeyError, ValueError, TypeError):
        what = (
            "is not an RSA private key in PEM; create one in the settings of the App, and use the whole file"
        )
        yield "app.private_key", what


def _target(login: str, number: object, **params: str) -> Target:
    return Target(
        collector="github",
        name=login,
        account_id=record_id("github", "org", str(number)),
        params={"login": login, **params},
    )


def _named(client: GitHubClient, login: str) -> Target:
    from scanner.collect.failures import SourceError

    try:
        return _target(login, client.one(f"/orgs/{login}")["id"])
    except (SourceError, OSError, KeyError, ValueError):
        return _target(login, login)


def _elsewhere(kind: str, login: str, number: object) -> Target:
    return Target(
        collector="github",
        name=f"{kind} {login}",
        account_id=record_id("github", kind, str(number)),
        params={
            "login": login,
            "problem": f"the App is installed on the {kind} {login}; only organizations are read",
            "reason": "unsupported",
        },
    )


def _installations(client: GitHubClient, config: Config) -> Iterator[Target]:
    """Yield the App's installations in organizations, and a target for each configured organization without one. An App can
    also be installed on a user or an enterprise (``target_type``), which is not read: without configured organizations,
    each is a target that says so. https://docs.github.com/en/rest/apps/apps#list-installations-for-the-authenticated-app
    """
    from scanner.collect.failures import SourceError, classify_error

    chosen = config.app.installation_id if config.app else None
    missing = {login.lower(): login for login in config.organizations}
    problem, reason = "the App is not installed in this organization", "denied"
    try:
        for item in client.items("/app/installations"):
            holder = item.get("account") or {}
            login = str(holder.get("login") or holder.get("slug"))
            if chosen is not None and item["id"] != chosen:
                continue
            if config.organizations and login.lower() not in missing:
                continue
            if item.get("target_type") != "Organization":
                if not config.organizations:
                    yield _elsewhere(str(item.get("target_type")).lower(), login, holder.get("id"))
                continue
            missing.pop(login.lower(), None)
            selection = str(item.get("repository_selection") or "selected")
            yield _target(login, holder["id"], installation=str(item["id"]), selection=selection)
    except (SourceError, OSError, ValueError) as exc:
        failure = classify_error(exc)
        problem = f"the App's installations could not be listed: {exc}"
        reason = failure.reason if failure else "malformed"
        if not missing:
            missing = {"": "installations"}
    for login in missing.values():
        yield _target(login, login, problem=problem, reason=reason)


def collect(target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield the records of one organization. Errors from GitHub become Gaps and are never raised."""
    from collectors.github.client import GitHubClient
    from collectors.github.plan import night
    from collectors.github.tokens import GitHubAuth, InstallationAuth, UserAuth
    from scanner.collect.memory import Memory, code_version

    installation = target.params.get("installation")
    auth: GitHubAuth = (
        UserAuth(config) if installation is None else InstallationAuth(config, run, int(installation))
    )
    memory = Memory(
        run.cache,
        "github",
        f"{config.base_url} {target.name}",
        as_of=run.as_of,
        version=f"{code_version(_HERE, _HERE.parent / 'definitions')} {run.fingerprint('sprawlscan')}",
        fingerprint=run.fingerprint,
    )
    client = GitHubClient(config, run, auth=auth, memory=memory if config.token is not None else None)
    try:
        yield from night(client, memory, target, config, run)
    finally:
        client.close()
        memory.close()


def permissions() -> str:
    """Return the smallest read-only permissions of a GitHub App for this collector."""
    return _PERMISSIONS


_PERMISSIONS = """\
GitHub App for sprawlscan: read-only. Create it under Settings > Developer settings > GitHub Apps, without a webhook,
and install it on all repositories of the organization.
https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps

Repository permissions (all "Read-only"):
  Actions               environments, OIDC subject templates
  Agent secrets, Agent variables   of Copilot's agents: names and dates; values are inspected and dropped
  Administration        deploy keys, branch protection, Actions settings, runners
  Attestations          whether builds are attested
  Codespaces secrets    names and dates
  Contents              workflow files, CODEOWNERS
  Dependabot secrets    names and dates
  Deployments           who deployed what
  Environments          names and dates of environment secrets; variables
  Metadata              repositories, rulesets, collaborators
  Secret scanning alerts  where GitHub found a secret (requested with hide_secret=true)
  Secrets               names and dates
  Variables             values are inspected and dropped
  Webhooks              receivers, signatures

Organization permissions (all "Read-only"):
  Administration        Actions settings, installed Apps, OIDC subject template, audit log
  Agent secrets, Agent variables
  Custom organization roles, Custom repository roles
  Dependabot secrets    names and dates
  Members               members, teams, outside collaborators
  Personal access tokens, Personal access token requests
  Secrets               names and dates
  Self-hosted runners
  Variables             values are inspected and dropped
  Webhooks

Not available with read-only permissions, and therefore a Gap: organization rulesets, ruleset bypass lists, organization
Codespaces secrets, and classic tokens of organizations without SAML single sign-on.
"""
