"""Users, Apps and the API itself: https://docs.github.com/en/rest/users and /apps."""

# ruff: noqa: D103  an answer is documented by GitHub under the template that names it in ROUTES

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.github.access import Requirement
from sandbox.github.route import Answer, Ask, GitHubRoute, Items, need
from sandbox.github.shapes import Json, maybe, when
from sandbox.kit.http import RefusedError

if TYPE_CHECKING:
    from sandbox.github.organization import GpgKey, Installation, SshKey, User


def myself(ask: Ask) -> Answer:
    if ask.token.login is None:
        raise RefusedError(403, "Resource not accessible by integration")
    return ask.site.person(ask.site.users[ask.token.login], ask.token)


def _user(ask: Ask) -> User:
    user = ask.site.users.get(ask.path["username"])
    if user is None:
        raise RefusedError(404, "Not Found")
    return user


def user(ask: Ask) -> Answer:
    return ask.site.person(_user(ask), ask.token)


def ssh_keys(ask: Ask) -> Answer:
    def write(key: SshKey) -> Json:
        return {
            "id": key.id,
            "key": key.key,
            "created_at": when(key.created_at),
            "last_used": maybe(key.last_used),
        }

    return Items(rows=_user(ask).keys, write=write)


def signing_keys(ask: Ask) -> Answer:
    def write(key: SshKey) -> Json:
        return {"id": key.id, "key": key.key, "title": key.title, "created_at": when(key.created_at)}

    return Items(rows=_user(ask).signing_keys, write=write)


def gpg_keys(ask: Ask) -> Answer:
    def write(key: GpgKey) -> Json:
        return {
            "id": key.id,
            "primary_key_id": None,
            "key_id": key.key_id,
            "public_key": "",
            "raw_key": None,
            "emails": [],
            "subkeys": [],
            "can_sign": True,
            "can_encrypt_comms": False,
            "can_encrypt_storage": False,
            "can_certify": True,
            "created_at": when(key.created_at),
            "expires_at": maybe(key.expires_at),
            "revoked": key.revoked,
        }

    return Items(rows=_user(ask).gpg_keys, write=write)


def _own(ask: Ask) -> Installation:
    return ask.organization.installations[0]


def app(ask: Ask) -> Answer:
    return {**ask.site.app(_own(ask).slug), "installations_count": 1}


def app_installations(ask: Ask) -> Answer:
    return Items(rows=[*ask.organization.personal_installations, _own(ask)], write=ask.site.installation)


def app_installation(ask: Ask) -> Answer:
    if ask.path.get("installation_id", str(_own(ask).id)) != str(_own(ask).id):
        raise RefusedError(404, "Not Found")
    return ask.site.installation(_own(ask))


def installation_repositories(ask: Ask) -> Answer:
    if ask.token.kind != "installation":
        raise RefusedError(
            403,
            "You must authenticate with an installation access token in order to list repositories for an installation.",
        )
    rows = [one for one in ask.organization.repositories if ask.token.sees(one.name)]
    selection = "all" if ask.token.repositories is None else "selected"
    return Items(
        rows=rows,
        write=ask.site.repository,
        wrap="repositories",
        extra={"repository_selection": selection},
    )


def meta(ask: Ask) -> Answer:
    answer: Json = {"verifiable_password_authentication": False}
    if ask.edition == "ghes":
        answer["installed_version"] = "3.19.1"
    return answer


APP = Requirement(app_itself=True)
ROUTES = (
    GitHubRoute(template="/user", answer=myself),
    GitHubRoute(template="/users/{username}", answer=user, need=Requirement(public=True)),
    GitHubRoute(template="/users/{username}/keys", answer=ssh_keys, need=Requirement(public=True)),
    GitHubRoute(
        template="/users/{username}/ssh_signing_keys", answer=signing_keys, need=Requirement(public=True)
    ),
    GitHubRoute(template="/users/{username}/gpg_keys", answer=gpg_keys, need=Requirement(public=True)),
    GitHubRoute(template="/app", answer=app, need=APP),
    GitHubRoute(template="/app/installations", answer=app_installations, need=APP),
    GitHubRoute(template="/app/installations/{installation_id}", answer=app_installation, need=APP),
    GitHubRoute(template="/orgs/{org}/installation", answer=app_installation, need=APP),
    GitHubRoute(template="/repos/{owner}/{repo}/installation", answer=app_installation, need=APP),
    GitHubRoute(
        template="/installation/repositories", answer=installation_repositories, need=need("metadata")
    ),
    GitHubRoute(template="/meta", answer=meta, need=Requirement(public=True)),
)
