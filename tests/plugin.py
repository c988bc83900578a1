"""Two collectors that are installed as a third party's would be: by entry points, found on the path."""

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
from scanner.collect.listings import Failure, ListingRequest, with_coverage
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
    hold: str = ""
    """The name at which to wait until the run is told to stop, or until there is a file ``<ledger>.go``."""
    refuse: str = ""
    """What to say instead of listing targets."""
    break_off: bool = False
    """Whether to raise after the targets."""
    odd: bool = False
    """Whether names have what is no Unicode in them."""
    crash: str = ""
    """The name at which to raise."""
    denied: str = ""
    """The name whose list is refused."""
    stuck: str = ""
    """The name that waits for ever, and does not notice that the run stops."""


def targets(config, run):
    if config.refuse:
        raise TargetError(config.refuse)
    for name in config.names:
        yield Target(collector="made-up", name=name, account_id=f"made-up:account:{name}")
    if config.break_off:
        raise RuntimeError("a bug among the targets")


def collect(target, config, run):
    if config.ledger:
        with pathlib.Path(config.ledger).open("a") as ledger:
            ledger.write(target.name + chr(10))
    while target.name == config.hold and not (run.stopping.is_set() or pathlib.Path(config.ledger + ".go").exists()):
        time.sleep(0.02)
    if target.name == config.stuck:
        time.sleep(3600)
    if target.name == config.crash:
        raise RuntimeError("a bug in the collector, password=hunter2hunter2")
    asked = ListingRequest(provider="made-up", account_id=target.account_id, collector="made-up", target=target.name,
                  table="accounts", kind="made-up", call="list")
    yield from with_coverage(listing(target, config, run), asked, refused)


def refused(exc):
    return Failure(reason="denied", detail=str(exc)) if isinstance(exc, PermissionError) else None


def listing(target, config, run):
    if target.name == config.denied:
        raise PermissionError("not for you")
    for part in range(3):
        time.sleep(config.seconds / 3)
        yield Account(id=f"made-up:account:{target.name}-{part}", provider="made-up", account_id=target.account_id,
                      kind="made-up", native_id=target.name, name=target.name + chr(0xDCFF) * config.odd,
                      tags={"spelled": chr(0xD800)} if config.odd else {})
'''


SECOND = '''
"""A collector of what runs in the made-up accounts of tonight.

Needs: nothing.

Cannot see: anything real.
"""
import pathlib, time
from scanner.collect.collector import Target, TargetError
from scanner.collect.listings import ListingRequest, with_coverage
from scanner.config import Section
from scanner.records import Account, Identity

KINDS = {"identities": frozenset(("made-up-workload",))}
after = ("accounts/made-up",)


class Config(Section):
    ledger: str = ""
    """File to which every collected name is appended."""
    hold: str = ""
    """The name at which to wait until the run is told to stop, or until there is a file ``<ledger>.go``."""
    refuse: str = ""
    """What to say instead of listing targets."""
    peek: bool = False
    """Whether to read a table that `after` does not name."""


def targets(config, run):
    if config.refuse:
        raise TargetError(config.refuse)
    for name in sorted({account.name for account in run.tonight.records(Account)}):
        yield Target(collector="second-look", name=name, account_id=f"made-up:account:{name}")


def collect(target, config, run):
    if config.ledger:
        with pathlib.Path(config.ledger).open("a") as ledger:
            ledger.write("second-" + target.name + chr(10))
    while target.name == config.hold and not (run.stopping.is_set() or pathlib.Path(config.ledger + ".go").exists()):
        time.sleep(0.02)
    asked = ListingRequest(provider="made-up", account_id=target.account_id, collector="second-look", target=target.name,
                  table="identities", kind="made-up-workload", call="workloads")
    yield from with_coverage(listing(target, config, run), asked, lambda exc: None)


def listing(target, config, run):
    if config.peek:
        list(run.tonight.records(Identity))
    for account in run.tonight.records(Account):
        if account.name == target.name:
            assert account.created_at is None or account.created_at.tzinfo is not None
            yield Identity(id=f"made-up:workload:{account.id}", provider="made-up", account_id=target.account_id,
                           surface="workload", kind="made-up-workload", native_id=account.id, name=account.name)
'''


def install(folder: Path) -> Path:
    """Write the plugins and their metadata into a folder that the caller puts on the path."""
    folder.mkdir(exist_ok=True)
    (folder / "made_up_collector.py").write_text(MODULE)
    info = folder / "made_up-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n")
    (folder / "second_look_collector.py").write_text(SECOND)
    (info / "entry_points.txt").write_text(
        "[sprawlscan.collectors]\nmade-up = made_up_collector\nsecond-look = second_look_collector\n"
    )
    return folder
