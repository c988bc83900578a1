"""The CI definition files of repositories: their texts by GraphQL, fifty a request, and what the parser says of them.

A text is fetched once for each object id: what it says is remembered, the text is not.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.definitions.definition import Job  # noqa: TC001  msgspec reads the annotations at run time
from collectors.github import powers
from collectors.github.failures import GitHubError
from collectors.github.listings.oidc import Template
from scanner.records import Coverage, Grant, Identity, Link, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collectors.definitions import Context
    from collectors.github.listings.settings import Facts, Organization
    from collectors.github.listings.structure import File, Repository
    from collectors.github.scope import Scope
    from scanner.collect.memory import Memory
    from scanner.records import Record

_BATCH = 50
_BATCH_BYTES = 4_000_000
_INLINE = 400_000
"""GraphQL cuts longer texts: they are read by REST."""
_LARGEST = 10_000_000
_MINTS = re.compile(r"""id-token["']?\s*:\s*["']?write|write-all""")
_BLOB = "{ ... on Blob { oid byteSize isTruncated isBinary text } }"


class BlobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a file's content."""

    mints: bool = False
    """Whether a workflow asks for ``id-token: write``."""
    owner: str | None = None
    """The owner of everything, of a CODEOWNERS file."""
    jobs: list[Job] | None = None
    """The jobs of a reusable workflow: their environments are in the tokens of whoever calls it."""


_FACTS = msgspec.json.Decoder(BlobFacts)
"""Made at import: msgspec crashes when two threads are the first to decode a type at the same time."""
_FILLS = ("grants/github-workflow", "links/github-workflow", "secrets/ci-file", "weaknesses")
"""What a definition gives beside its identity."""


class Definitions:
    """The definition files of one page of repositories. Thread-safe once `prefetch` is done."""

    def __init__(self, scope: Scope, memory: Memory) -> None:
        self._scope = scope
        self._memory = memory
        self._texts: dict[str, str] = {}
        self._facts: dict[str, BlobFacts] = {}

    def prefetch(self, repositories: Iterable[Repository]) -> Iterator[Record]:
        """Fetch the texts that no earlier night has seen. Yields a Gap when a batch fails."""
        unseen: dict[str, tuple[Repository, File]] = {}
        for repository in repositories:
            for file in (*(repository.files or ()), *((repository.owners,) if repository.owners else ())):
                known = self._memory.blob(file.oid)
                if known is not None:
                    self._facts[file.oid] = _FACTS.decode(known)
                elif file.oid not in unseen:
                    unseen[file.oid] = (repository, file)
        for batch in _batches(unseen):
            told = self._scope.told(
                self._fetch(batch),
                self._scope.asked(
                    "identities",
                    f"POST /graphql repository.object ({batch[0][1].oid[:12]})",
                    kind="github-workflow",
                    needs="contents: read",
                ),
            )
            # A batch is of tonight only: its Coverage would be a listing that is lost tomorrow.
            yield from (record for record in told if not isinstance(record, Coverage))

    def _fetch(self, batch: list[tuple[Repository, File]]) -> Iterator[Record]:
        by_repository: dict[str, list[File]] = {}
        for repository, file in batch:
            by_repository.setdefault(repository.name, []).append(file)
        parts = []
        for index, (name, files) in enumerate(by_repository.items()):
            blobs = " ".join(
                f"b{number}: object(oid: {json.dumps(file.oid)}) {_BLOB}" for number, file in enumerate(files)
            )
            parts.append(f"r{index}: repository(owner: $org, name: {json.dumps(name)}) {{ {blobs} }}")
        answer = self._scope.client.query(
            f"query Blobs($org: String!) {{ {' '.join(parts)} }}", {"org": self._scope.login}
        )
        for index, files in enumerate(by_repository.values()):
            shown: dict[str, Any] = answer.data.get(f"r{index}") or {}
            for number, file in enumerate(files):
                blob = shown.get(f"b{number}") or {}
                if blob.get("text") is not None and not blob.get("isTruncated") and not blob.get("isBinary"):
                    self._learn(file, str(blob["text"]))
        yield from ()

    def _learn(self, file: File, text: str) -> None:
        if file.path.endswith("CODEOWNERS"):
            facts = BlobFacts(owner=_owner(text))
        else:
            self._texts[file.oid] = text
            facts = BlobFacts(mints=bool(_MINTS.search(text)), jobs=self._reusable(file, text))
        self._facts[file.oid] = facts
        self._memory.keep_blob(file.oid, msgspec.json.encode(facts))

    def _reusable(self, file: File, text: str) -> list[Job] | None:
        """Return the jobs of a reusable workflow; None for other files, and for one that cannot be understood."""
        from collectors.definitions import DefinitionError, parse

        if "workflow_call" not in text:
            return None
        try:
            return parse(file.path, text, self._scope.run.fingerprint).jobs
        except DefinitionError:
            return None

    def called(self, repository: Repository) -> dict[str, list[Job]]:
        """Return the jobs of the repository's reusable workflows, by path."""
        known = {file.path: self._facts.get(file.oid, BlobFacts()).jobs for file in repository.files or ()}
        return {path: jobs for path, jobs in known.items() if jobs is not None}

    def owner(self, repository: Repository) -> str | None:
        """Return who CODEOWNERS says answers for the whole repository."""
        facts = self._facts.get(repository.owners.oid) if repository.owners else None
        return facts.owner if facts else None

    def mints(self, repository: Repository) -> bool:
        """Tell whether a workflow of the repository may ask for an OIDC token; True where that is not known."""
        if repository.files is None:
            return True
        return any(
            self._facts.get(file.oid, BlobFacts(mints=True)).mints
            for file in repository.files
            if file.path.startswith(".github/")
        )

    def _text(self, repository: Repository, file: File) -> str:
        """Return a file's text: fetched before, or now, by REST.

        https://docs.github.com/en/rest/git/blobs#get-a-blob
        """
        held = self._texts.get(file.oid)
        if held is not None:
            return held
        if file.size > _LARGEST:
            raise GitHubError("truncated", f"{file.path} is larger than {_LARGEST} bytes")
        body = self._scope.client.one(f"/repos/{self._scope.login}/{repository.name}/git/blobs/{file.oid}")
        try:
            raw = base64.b64decode(body.get("content") or "")
            text = raw.decode("utf-8")
        except (binascii.Error, UnicodeDecodeError, TypeError):
            raise GitHubError("malformed", f"{file.path} is not text") from None
        self._learn(file, text)
        return text

    def records(
        self, repository: Repository, facts: Facts, organization: Organization, pipelines: dict[str, set[str]]
    ) -> Iterator[Record]:
        """Yield what the parser says of a repository's definition files; notes in ``pipelines`` which of them name
        which environment.
        """
        yield from self._scope.told(
            self._of_repository(repository, facts, organization, pipelines),
            self._scope.asked(
                "identities",
                "POST /graphql repository.object",
                kind="github-workflow",
                needs="contents: read",
                account_id=repository.account_id,
            ),
            fills=_FILLS,
        )

    def _of_repository(
        self, repository: Repository, facts: Facts, organization: Organization, pipelines: dict[str, set[str]]
    ) -> Iterator[Record]:
        """Yield the records of every file, and a Gap for one that cannot be read.

        What is complete is told of the repository, not of each file: a file that is deleted is no listing lost.
        """
        if repository.files is None:
            raise GitHubError("denied", f"{repository.full_name}: its files are not shown")
        for file in repository.files:
            for record in self._scope.told(
                self._known(repository, file, facts, organization),
                self._scope.asked(
                    "identities",
                    f"POST /graphql repository.object ({file.path})",
                    kind="github-workflow",
                    account_id=repository.account_id,
                ),
                fills=_FILLS,
            ):
                if isinstance(record, Coverage):
                    continue
                if isinstance(record, Identity):
                    for environment in record.environments:
                        pipelines.setdefault(environment, set()).add(record.id)
                yield record

    def _known(
        self, repository: Repository, file: File, facts: Facts, organization: Organization
    ) -> Iterator[Record]:
        """Yield a file's records: remembered when neither its content nor its surroundings changed."""
        context = _context(self._scope, repository, file, facts, organization, called=self.called(repository))
        token = facts.token or organization.token
        own = {environment.name: environment.identifiers for environment in facts.environments}
        surroundings = msgspec.json.encode((file.path, file.oid, token, context, own), order="deterministic")
        key = hashlib.sha256(surroundings).hexdigest()
        known = self._memory.definition(key)
        if known is None:
            known = list(self._parsed(repository, file, context, own, token))
            self._memory.keep_definition(key, known)
        yield from known

    def _parsed(
        self,
        repository: Repository,
        file: File,
        context: Context,
        own: dict[str, dict[str, str]],
        token: str | None,
    ) -> Iterator[Record]:
        from collectors.definitions import DefinitionError, definition_records, parse

        text = self._text(repository, file)
        try:
            definition = parse(file.path, text, self._scope.run.fingerprint, owner=self._scope.login)
        except DefinitionError as exc:
            raise GitHubError(exc.reason, f"{file.path}: {exc}") from None
        # A job sees its environment's variables before the repository's: its logins are resolved with those.
        apart = {name for name, identifiers in own.items() if identifiers}
        main = msgspec.structs.replace(
            definition,
            logins=[login for login in definition.logins if login.environment not in apart],
            deploys=[deploy for deploy in definition.deploys if deploy.environment not in apart],
        )
        linked = set()
        for record in definition_records(main if apart else definition, context=context):
            if isinstance(record, Identity):
                logins = sorted({f"{login.service}:{login.how}" for login in definition.logins})
                identity = msgspec.structs.replace(record, logins=logins)
                yield identity
                if identity.kind == "github-workflow":
                    yield _token_grant(repository, identity, token)
                continue
            if isinstance(record, Link):
                linked.add(record.id)
            yield record
        for name in sorted(apart):
            part = msgspec.structs.replace(
                definition,
                logins=[login for login in definition.logins if login.environment == name],
                deploys=[deploy for deploy in definition.deploys if deploy.environment == name],
            )
            within = msgspec.structs.replace(context, variables=context.variables | own[name])
            for record in definition_records(part, context=within):
                if isinstance(record, Link) and record.id not in linked:
                    linked.add(record.id)
                    yield record


def _context(
    scope: Scope,
    repository: Repository,
    file: File,
    facts: Facts,
    organization: Organization,
    *,
    called: dict[str, list[Job]],
) -> Context:
    from collectors.definitions import Context

    template = facts.template or Template()
    default = Template().claims
    maybe = organization.template.claims if facts.template is None and organization.template else default
    return Context(
        provider="github",
        account_id=repository.account_id,
        repository=repository.full_name,
        repository_id=str(repository.number),
        owner_id=str(scope.number),
        default_branch=repository.branch,
        visibility=repository.visibility,
        issuer=scope.settings.token_issuer,
        # Servers have no ids in subjects.
        immutable_subject=False if scope.settings.server else template.immutable,
        claim_keys=None if template.claims == default else list(template.claims),
        maybe_keys=None if maybe == default else list(maybe),
        called=called,
        variables=organization.identifiers(repository) | facts.identifiers,
        archived=repository.archived,
        url=f"{repository.url}/blob/{repository.branch}/{file.path}" if repository.url else None,
    )


_DEFAULTS = {
    "read": {"contents": "read", "packages": "read"},
    "write": dict.fromkeys(
        (
            "actions",
            "attestations",
            "checks",
            "contents",
            "deployments",
            "discussions",
            "issues",
            "packages",
            "pages",
            "pull_requests",
            "repository_projects",
            "security_events",
            "statuses",
        ),
        "write",
    ),
}
"""What GITHUB_TOKEN may do where the workflow does not say.

https://docs.github.com/en/actions/tutorials/authenticate-with-github_token#permissions-for-the-github_token
"""


def _token_grant(repository: Repository, workflow: Identity, default: str | None) -> Grant:
    """Return what the workflow's GITHUB_TOKEN may do in its repository.

    ``id-token`` is left out of the powers: what an OIDC token opens is up to the trusts that accept it.
    """
    given = dict(entry.rpartition(":")[::2] for entry in workflow.permissions if ":" in entry)
    scopes = {name: level for name, level in given.items() if name not in {"*", "id-token"}}
    whole = given.get("*")
    if whole in _DEFAULTS:
        scopes = _DEFAULTS[whole] | scopes
    falls_back = "default" in workflow.permissions
    if falls_back:
        for name, level in _DEFAULTS.get(default or "", {}).items():
            scopes[name] = "write" if "write" in {level, scopes.get(name)} else level
    judged = not falls_back or default is not None
    can = powers.of_permissions(scopes) if judged else []
    ranked = sorted(scopes.items(), key=lambda item: (item[1] != "write", item[0]))
    return Grant(
        id=record_id("github", "grant", f"token/{workflow.native_id}"),
        provider="github",
        account_id=repository.account_id,
        identity_id=workflow.id,
        role="GITHUB_TOKEN",
        resource=repository.full_name,
        breadth="resource",
        powers=can,
        level=level_of(can) if can or not judged else "read",
        confidence="high" if judged else "low",
        via=f"default permissions ({default or 'unknown'})" if falls_back else "permissions of the workflow",
        actions=[f"{name}:{level}" for name, level in ranked[:10]],
    )


def _batches(unseen: dict[str, tuple[Repository, File]]) -> Iterator[list[tuple[Repository, File]]]:
    """Yield files fifty at a time, and not too many bytes at once; long ones are left for REST."""
    batch: list[tuple[Repository, File]] = []
    size = 0
    for repository, file in unseen.values():
        if file.size > _INLINE:
            continue
        if batch and (len(batch) == _BATCH or size + file.size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((repository, file))
        size += file.size
    if batch:
        yield batch


def _owner(text: str) -> str | None:
    """Return the first owner that a CODEOWNERS file names for everything.

    https://docs.github.com/en/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners
    """
    owner = None
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if len(words) > 1 and words[0] == "*":
            owner = words[1].removeprefix("@")
    return owner
