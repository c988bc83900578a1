"""A GitLab pipeline's file with its includes, as far as a reader returns them. The including file takes precedence over
an included file; ``include: local`` refers to the repository of the file that contains it
(https://docs.gitlab.com/ci/yaml/#includelocal). Conditional statements are not evaluated: the pipeline without them and
the addition of each are separate configurations (`roots`), so that one condition cannot hide the facts of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from collectors.definitions.definition import FILE, DefinitionError, Included
from collectors.definitions.gitlab.include import includes_of
from collectors.definitions.gitlab.inputs import content_of
from collectors.definitions.gitlab.templates import merge, without
from collectors.definitions.yaml_nodes import MAX_NODES, Mapping, mapping, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collectors.definitions.gitlab.include import Include
    from collectors.definitions.yaml_nodes import YamlDocument
    from scanner.records import Reason

MOST_FILES = 150
"""Maximum files of one pipeline, GitLab's default limit."""
_MOST_CONDITIONS = 20
"""Maximum conditions that are evaluated one by one; the others are evaluated together."""
_MOST_KEYS = 20_000
"""Maximum keys of all configurations evaluated for conditions; large configurations leave fewer conditions."""


class IncludeSource(msgspec.Struct, frozen=True, kw_only=True):
    """The repository of ``include: local``: a project at a ref; empty for the pipeline's own."""

    project: str = ""
    ref: str = ""


class IncludedText(msgspec.Struct, frozen=True, kw_only=True):
    """One file's text."""

    repository: IncludeSource
    path: str
    shown: str
    """Its name in records."""
    text: str


class IncludeRead(msgspec.Struct, frozen=True, kw_only=True):
    """A reader's result for one file of a statement."""

    shown: str
    file: IncludedText | None = None
    why: str | None = None
    """Why it was not read, if that is not obvious."""
    reason: Reason | None = None
    """What failed; None if the file can never be read."""
    merged: bool = False
    """Whether the platform merged it, so that it is part of the merged configuration."""


class IncludeReader(Protocol):
    """Finds included files."""

    def files(
        self, includes: Sequence[Include], repository: IncludeSource, *, merged: bool
    ) -> list[list[IncludeRead]]:
        """Return, for each statement of one file, the files that it names.

        ``merged`` is False if the platform did not process the statements: in a file that it left out, or in a child
        pipeline.
        """
        ...

    def reported(self) -> list[Include]:
        """Return the includes that the platform reports for files that were not read."""
        ...


class NoReader:
    """Reads no included files."""

    def files(
        self,
        includes: Sequence[Include],
        repository: IncludeSource,  # noqa: ARG002  the protocol's
        *,
        merged: bool,  # noqa: ARG002
    ) -> list[list[IncludeRead]]:
        """Return every file as not read."""
        return [[IncludeRead(shown=include.shown)] for include in includes]

    def reported(self) -> list[Include]:
        """Return nothing."""
        return []


class IncludeBranch(msgspec.Struct, frozen=True, kw_only=True):
    """One file included by a statement."""

    include: Include
    read: IncludeRead
    tree: IncludeTree | None = None
    """None if it was not read."""


class IncludeTree(msgspec.Struct, frozen=True, kw_only=True):
    """One file's configuration and its includes."""

    root: Mapping
    branches: list[IncludeBranch] = []


class IncludeTreeBuilder:
    """Reads included files and records their problems."""

    def __init__(
        self,
        reader: IncludeReader,
        top: tuple[IncludeSource, str],
        documents: list[YamlDocument],
        included: list[Included],
    ) -> None:
        """``top`` is the location of the pipeline's own file, whose documents are given; included files are added to
        ``included``.
        """
        self.statements: list[Include] = []
        """Of all files."""
        self.branches: list[IncludeBranch] = []
        """Of all files."""
        self._documents = documents
        self._included = included
        self._numbers: dict[tuple[IncludeSource, str], int] = {top: 0}
        self._reader = reader
        self._count = 0
        self._nodes = sum(document.size for document in documents)

    def tree(
        self,
        root: Mapping,
        includes: list[Include],
        repository: IncludeSource,
        *,
        above: tuple[object, ...] = (),
        merged: bool = False,
    ) -> IncludeTree:
        """Return a configuration with its includes. ``above`` is the chain of files that include it, ending with
        itself; ``merged`` is as in `IncludeReader.files`.
        """
        branches: list[IncludeBranch] = []
        self.statements += includes
        live = [include for include in includes if not include.never]
        for include, reads in zip(live, self._reader.files(live, repository, merged=merged), strict=True):
            for one in reads:
                branch = self._branch(include, one, above, merged and one.merged)
                branches.append(branch)
                self.branches.append(branch)
        return IncludeTree(root=without(root, "include"), branches=branches)

    def _branch(
        self, include: Include, one: IncludeRead, above: tuple[object, ...], merged: bool
    ) -> IncludeBranch:
        file = one.file
        if file is None:
            return IncludeBranch(include=include, read=one)
        here = (file.repository, file.path)
        if here in above:
            return _unread(include, one, "it includes itself", "malformed")
        self._count += 1
        if self._count > MOST_FILES:
            return _unread(include, one, f"the pipeline has more than {MOST_FILES} files", "truncated")
        if here not in self._numbers:
            self._included.append(Included(path=file.shown))
            self._numbers[here] = len(self._included)
        try:
            content = self._content(file, include.inputs, FILE * self._numbers[here])
        except DefinitionError as exc:
            return _unread(include, one, str(exc), exc.reason)
        statements = includes_of(content.get("include"))
        tree = self.tree(content, statements, file.repository, above=(*above, here), merged=merged)
        return IncludeBranch(include=include, read=one, tree=tree)

    def _content(self, file: IncludedText, inputs: Mapping, above: int) -> Mapping:
        documents = read(file.text, above=above)
        self._nodes += sum(document.size for document in documents)
        if self._nodes > MAX_NODES:
            raise DefinitionError("truncated", f"the pipeline's files expand to more than {MAX_NODES} nodes")
        content = content_of(documents, inputs) if documents else mapping(None)
        if not isinstance(content, Mapping):
            raise DefinitionError("malformed", "the file is not a mapping")
        self._documents += documents
        return content


def _unread(include: Include, one: IncludeRead, why: str, reason: Reason) -> IncludeBranch:
    return IncludeBranch(
        include=include, read=msgspec.structs.replace(one, file=None, why=why, reason=reason)
    )


def roots(top: IncludeTree, merged: Mapping | None = None) -> list[Mapping]:
    """Return the possible configurations of a pipeline: without conditional includes, and with each. If ``merged``, the
    configuration merged by the platform, is given, it is the first, and only parts that it left out are added.
    """
    chains = [
        chain
        for chain in _chains(top, ())
        if (_left_out(chain) if merged else chain[-1][1].include.conditional)
    ]
    found = [_flat(top, ()) if merged is None else merged]
    most = min(_MOST_CONDITIONS, _MOST_KEYS // (len(found[0].pairs) + 1))
    groups = [[chain] for chain in chains[:most]]
    if len(chains) > most:
        groups.append(chains)
    for group in groups:
        on = tuple(branch for chain in group for _, branch in chain)
        if merged is None:
            found.append(_flat(top, on))
            continue
        with_them = merged
        includers: dict[int, tuple[int, IncludeTree]] = {}
        for chain in group:
            at = next(at for at, (_, branch) in enumerate(chain) if not branch.read.merged)
            added = chain[at][1].tree
            if added is not None:
                with_them = merge(with_them, _flat(added, on))
            includers |= {id(tree): (depth, tree) for depth, (tree, _) in enumerate(chain[: at + 1])}
        for _, includer in sorted(includers.values(), key=lambda found: -found[0]):
            with_them = merge(with_them, includer.root)
        found.append(with_them)
    return found


def _chains(
    tree: IncludeTree, above: tuple[tuple[IncludeTree, IncludeBranch], ...]
) -> Iterator[tuple[tuple[IncludeTree, IncludeBranch], ...]]:
    """Yield each branch that was read, with the chain of branches to it and the including file of each."""
    for branch in tree.branches:
        chain = (*above, (tree, branch))
        if branch.tree is not None:
            yield chain
            yield from _chains(branch.tree, chain)


def _left_out(chain: Sequence[tuple[IncludeTree, IncludeBranch]]) -> bool:
    """Return whether a branch is not part of the configuration that the platform merged."""
    *above, branch = (branch for _, branch in chain)
    return not branch.read.merged and (branch.include.conditional or all(one.read.merged for one in above))


def _flat(tree: IncludeTree, on: Sequence[IncludeBranch]) -> Mapping:
    """Merge a file with its includes that have no condition or whose condition is assumed to be true."""
    result = mapping(None)
    for branch in tree.branches:
        holds = not branch.include.conditional or any(branch is one for one in on)
        if branch.tree is not None and holds:
            result = merge(result, _flat(branch.tree, on))
    return merge(result, tree.root)


def in_precedence(top: IncludeTree) -> list[Mapping]:
    """Return the configurations of all files in order of precedence; last, those that may not have been merged."""
    left_out: list[Mapping] = []

    def walk(tree: IncludeTree, merged: bool) -> Iterator[Mapping]:
        if merged:
            yield tree.root
        else:
            left_out.append(tree.root)
        for branch in reversed(tree.branches):
            if branch.tree is not None:
                yield from walk(branch.tree, merged and branch.read.merged)

    return [*walk(top, True), *left_out]
