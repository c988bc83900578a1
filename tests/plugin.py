"""A collector that is installed as a third party's would be: by an entry point, found on the path."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MODULE = '''
"""A collector of made-up accounts.

Needs: nothing.

Cannot see: anything real.
"""
import pathlib, time
from scanner.collect.collector import Target, TargetError
from scanner.collect.listings import ListingRequest, with_coverage
from scanner.config import Section
from scanner.records import Account


KINDS = {"accounts": frozenset(("made-up",))}


class Config(Section):
    names: list[str] = []
    """Accounts to make up."""
    seconds: float = 0.0
    """How long each takes."""
    ledger: str = ""
    """File to which every collected name is appended."""
    refuse: str = ""
    """What to say instead of listing targets."""
    crash: str = ""
    """The name at which to raise."""


def targets(config, run):
    if config.refuse:
        raise TargetError(config.refuse)
    for name in config.names:
        yield Target(collector="made-up", name=name, account_id=f"made-up:account:{name}")


def collect(target, config, run):
    if config.ledger:
        with pathlib.Path(config.ledger).open("a") as ledger:
            ledger.write(target.name + chr(10))
    if target.name == config.crash:
        raise RuntimeError("a bug in the collector, password=hunter2hunter2")
    asked = ListingRequest(provider="made-up", account_id=target.account_id, collector="made-up", target=target.name,
                  table="accounts", kind="made-up", call="list")
    yield from with_coverage(listing(target, config, run), asked, lambda exc: None)


def listing(target, config, run):
    for part in range(3):
        time.sleep(config.seconds / 3)
        yield Account(id=f"made-up:account:{target.name}-{part}", provider="made-up", account_id=target.account_id,
                      kind="made-up", native_id=target.name, name=target.name)
'''


def install(folder: Path) -> Path:
    """Write the plugin and its metadata into a folder that the caller puts on the path."""
    folder.mkdir(exist_ok=True)
    (folder / "made_up_collector.py").write_text(MODULE)
    info = folder / "made_up-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sprawlscan.collectors]\nmade-up = made_up_collector\n")
    return folder
