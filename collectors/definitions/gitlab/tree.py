"""A GitLab pipeline's file with the files that it includes, as far as a reader hands them out.

An included file is read before the one that includes it and gives way to it; ``include: local`` looks where the file
stands that says it (https://docs.gitlab.com/ci/yaml/#includelocal). Statements with conditions are not evaluated: what
the pipeline is without them, and what each of them adds, are configurations of their own (`roots`), so that no fact
hides behind another condition's.
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
"""Files of one pipeline; GitLab allows as many by default."""
_MOST_CONDITIONS = 20
"""That are looked at one by one; the others are looked at together."""
_MOST_KEYS = 20_000
"""Of all configurations that are looked at for conditions; fewer conditions one by one where each is large."""


class IncludeSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where ``include: local`` looks: a project at a ref; empty for the pipeline's own."""

    project: str = ""
    ref: str = ""


class IncludedText(msgspec.Struct, frozen=True, kw_only=True):
    """One file's text."""

    repository: IncludeSource
    path: str
    shown: str
    """As records name it."""
    text: str


class IncludeRead(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader says of one file that a statement names."""

    shown: str
    file: IncludedText | None = None
    why: str | None = None
    """Why it was not read, where that is not plain."""
    reason: Reason | None = None
    """What failed; None when it lies out of reach by its nature."""
    merged: bool = False
    """Whether the platform itself merged it, so that it is part of the merged configuration."""


class IncludeReader(Protocol):
    """Finds included files."""

    def files(
        self, includes: Sequence[Include], repository: IncludeSource, *, merged: bool
    ) -> list[list[IncludeRead]]:
        """Return, for each statement of one file, the files that it names.

        ``merged`` is False where the platform did not look at the statements, if it was asked at all: in a file that it
        left out, or in a pipeline that a job starts.
        """
        ...

    def beneath(self) -> list[Include]:
        """Return what the platform says was included, by files that were not read."""
        ...


class NoReader:
    """Reads nothing: one file stands for itself."""

    def files(
        self,
        includes: Sequence[Include],
        repository: IncludeSource,  # noqa: ARG002  the protocol's
        *,
        merged: bool,  # noqa: ARG002
    ) -> list[list[IncludeRead]]:
        """Return every file as not read."""
        return [[IncludeRead(shown=include.shown)] for include in includes]

    def beneath(self) -> list[Include]:
        """Return nothing."""
        return []


class IncludeBranch(msgspec.Struct, frozen=True, kw_only=True):
    """One file that a statement brings in."""

    include: Include
    read: IncludeRead
    tree: IncludeTree | None = None
    """None when it was not read."""


class IncludeTree(msgspec.Struct, frozen=True, kw_only=True):
    """One file's configuration, and what it includes."""

    root: Mapping
    branches: list[IncludeBranch] = []


class Grower:
    """Reads included files, and keeps what is to be told of them."""

    def __init__(
        self,
        reader: IncludeReader,
        top: tuple[IncludeSource, str],
        documents: list[YamlDocument],
        included: list[Included],
    ) -> None:
        """``top`` is where the pipeline's own file stands, whose documents are given; ``included`` grows."""
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
        """Return a configuration with what its statements bring in.

        ``above`` are the files that lead to it, itself among them; ``merged`` is as for `Reader.files`.
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
    """Return the configurations that a pipeline can have: without conditions, and with each of them.

    ``merged`` is what the platform made of it: then the first, and only what it left out is added.
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
    """Yield each branch that was read, with the branches that lead to it and who includes each."""
    for branch in tree.branches:
        chain = (*above, (tree, branch))
        if branch.tree is not None:
            yield chain
            yield from _chains(branch.tree, chain)


def _left_out(chain: Sequence[tuple[IncludeTree, IncludeBranch]]) -> bool:
    """Return whether a branch makes another configuration than the one that the platform merged."""
    *above, branch = (branch for _, branch in chain)
    return not branch.read.merged and (branch.include.conditional or all(one.read.merged for one in above))


def _flat(tree: IncludeTree, on: Sequence[IncludeBranch]) -> Mapping:
    """Merge a file with what it includes without conditions, or under those that hold."""
    result = mapping(None)
    for branch in tree.branches:
        holds = not branch.include.conditional or any(branch is one for one in on)
        if branch.tree is not None and holds:
            result = merge(result, _flat(branch.tree, on))
    return merge(result, tree.root)


def in_precedence(top: IncludeTree) -> list[Mapping]:
    """Return the configurations of all files, those first that win over others; last, what may not have been merged."""
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
