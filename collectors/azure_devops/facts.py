"""What one listing of a project finds and later ones need."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import Any

import msgspec

from collectors.azure_devops.scope import DevOpsProjectFacts  # noqa: TC001  msgspec reads the annotations at run time


class Library(msgspec.Struct, kw_only=True):
    """The variable groups of a project."""

    names: dict[str, list[str]] = {}
    """Name of a group (lower case) -> names of its secret variables."""
    by_id: dict[str, str] = {}
    """Number of a group -> its name (lower case)."""
    vaults: dict[str, str] = {}
    """Name of a group that a key vault fills (lower case) -> GUID of the connection that reads the vault."""


class Connections(msgspec.Struct, kw_only=True):
    """The service connections of a project."""

    by_name: dict[str, str] = {}
    """Name (lower case) -> GUID."""
    names: dict[str, str] = {}
    """GUID -> name."""
    without_secret: set[str] = set()
    """GUIDs of those that certainly store no secret."""


class TaskGroups(msgspec.Struct, kw_only=True):
    """The task groups of a project."""

    steps: dict[str, list[dict[str, Any]]] = {}
    """ID -> its steps, of all versions."""
    asked: bool = False
    """Whether they were listed: only classic pipelines and releases use them."""


CHECK_KINDS = (
    "resource-approval",
    "branch-control",
    "required-template",
    "resource-check",
    "environment-approval",
)
"""Kinds of controls that checks become."""
GUARDS = (
    *(f"controls/{kind}" for kind in ("pipeline-authorization", "authorized-pipelines", *CHECK_KINDS)),
    "links/authorized",
)
"""What is lost with a list of resources that checks can guard."""


class Guarded(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that checks can guard."""

    type: str
    """As the checks API writes it: ``endpoint``, ``variablegroup``, ``environment``, ``queue``, ``securefile``."""
    id: str
    name: str
    target: str
    """What the controls name: the id of the connection's identity, or the resource's name."""


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What the lists of a project found that an earlier night may have read."""

    files: dict[str, str] = {}
    """ID of a secure file -> its name."""
    environments: list[Guarded] = []
    queues: list[Guarded] = []
    """The project's agent pools."""
    restricted: list[Guarded] = []
    """The resources that not every pipeline of the project may use."""
    repositories: dict[str, dict[str, Any]] = {}
    """GUID -> ``name`` and ``branch`` (the default one, or None)."""


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """What the list of pipelines says of runs."""

    newest: datetime | None = None
    """When the newest run of any pipeline was asked for, began or ended; None if there was none."""
    known: bool = False
    """Whether that is all that ran: the list was read, and there are no classic releases."""

    def quiet_since(self, when: datetime) -> bool:
        """Return whether nothing ran since."""
        return self.known and (self.newest is None or self.newest < when)


class KnownResources(msgspec.Struct, frozen=True, kw_only=True):
    """What the project's other listings found."""

    project: DevOpsProjectFacts
    connections: Connections
    library: Library
    task_groups: TaskGroups


class Jobs(msgspec.Struct, kw_only=True):
    """The pipelines and releases of a project, by what their jobs run as."""

    builds: dict[str, str] = {}
    """Id of a pipeline -> ``project``, ``projectCollection`` or ``unknown``: the scope that its definition asks for."""
    releases: list[str] = []
    """Ids of classic releases."""
    names: dict[tuple[str, str], str] = {}
    """Kind and number of a pipeline or release -> its name."""
    uses: set[tuple[str, str]] = set()
    """Ids of pipelines, each with that of a connection that it uses."""
    unlisted: dict[str, str] = {}
    """Names of connections that a definition uses and the project's list lacks, each with the pipeline."""
