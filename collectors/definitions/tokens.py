"""The OIDC tokens that a pipeline's jobs can present, by format: issuer and claims. A format whose jobs get tokens has
an entry here and a module ``tokens`` in its folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from collectors.definitions.github.tokens import github_tokens
from collectors.definitions.gitlab.tokens import gitlab_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collectors.definitions.context import Context
    from collectors.definitions.definition import Definition, Format


class TokenIssuer(NamedTuple):
    """The issuer of a format's job tokens."""

    public: str
    """The issuer of the public service."""
    host: str
    """The host of the public service."""
    server: str
    """The issuer of a self-hosted server, with ``{host}`` in it."""
    tokens: Callable[[Definition, Context], Iterator[dict[str, str]]]
    """The claims of every kind of token, ``sub`` included."""


ISSUERS: dict[Format, TokenIssuer] = {
    "github-workflow": TokenIssuer(
        public="https://token.actions.githubusercontent.com",
        host="github.com",
        # https://docs.github.com/en/enterprise-server@latest/actions/reference/security/oidc
        server="https://{host}/_services/token",
        tokens=github_tokens,
    ),
    "gitlab-ci": TokenIssuer(
        public="https://gitlab.com", host="gitlab.com", server="https://{host}", tokens=gitlab_tokens
    ),
}


def tokens(definition: Definition, context: Context) -> tuple[str | None, list[dict[str, str]]]:
    """Return the issuer, and the claims of every kind of token that the jobs can present, ``sub`` included."""
    issuer = ISSUERS.get(definition.format)
    if issuer is None or "/" not in context.repository:
        return None, []
    return context.issuer or issuer.public, list(issuer.tokens(definition, context))


def server_issuer(kind: Format, host: str) -> str | None:
    """Return the issuer of a repository on a self-hosted server; None on the public service, or without tokens."""
    issuer = ISSUERS.get(kind)
    return None if issuer is None or host == issuer.host else issuer.server.format(host=host)
