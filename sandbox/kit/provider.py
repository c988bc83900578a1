"""The sandbox of a provider: the package ``sandbox.<provider>``, found by its name.

It has one function, `open_sandbox`, which returns a sandbox that runs once it is entered.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox.kit.api import HttpSandbox
    from sandbox.kit.authority import CertificateAuthority

Size: TypeAlias = Literal["small", "company"]
"""``company`` is all of Lantern Pay; ``small`` has items for every listing, and is read in a second."""


class SandboxPackage(Protocol):
    """The interface of a package ``sandbox.<provider>``."""

    @property
    def VARIANTS(self) -> Sequence[str]:
        """Kinds of credentials, or editions of the product; the first is the default."""

    def open_sandbox(
        self, size: Size = ..., variant: str = ..., *, authority: CertificateAuthority | None = ...
    ) -> HttpSandbox:
        """Return a sandbox of the first night; with an authority it uses TLS. Faults and limits are disabled."""


def provider_names() -> list[str]:
    """Return the providers that have a sandbox (``azure-devops`` is the package ``azure_devops``)."""
    import sandbox

    found = [module.name for module in pkgutil.iter_modules(sandbox.__path__) if module.ispkg]
    return sorted(name.replace("_", "-") for name in found if name != "kit")


def load_package(name: str) -> SandboxPackage:
    """Import the sandbox of a provider. Raises LookupError when there is none."""
    if name not in provider_names():
        raise LookupError(name)
    module: Any = importlib.import_module(f"sandbox.{name.replace('-', '_')}")
    package: SandboxPackage = module
    return package


@contextlib.contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables, and restore them on exit."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
