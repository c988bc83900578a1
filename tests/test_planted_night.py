"""A whole night on which every name and address that a provider tells holds a secret: no file and no log shows one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import collectors.github
import sandbox.github
from sandbox.estate import FIRST_NIGHT
from sandbox.kit.elsewhere import Elsewhere
from sandbox.kit.planted_secrets import CONFIGURED, SecretPlanter
from sandbox.kit.provider import environment
from sandbox.kit.trial import HASTE, Trial
from scanner.command.log import configure
from scanner.command.progress import LogProgress
from scanner.config import ReportSettings, Settings
from scanner.config_file import Loaded
from scanner.pipeline.stages import run_night
from scanner.secrets.configured import remember
from tests.test_canary import contents

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_no_file_and_no_log_of_a_night_shows_a_planted_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remember(CONFIGURED)
    planter = SecretPlanter()
    configure(terminal=False)
    with sandbox.github.open_sandbox("small") as company, Elsewhere() as elsewhere:
        company.show(1)
        company.canaries = planter
        trial = Trial(collectors.github, company, elsewhere)
        trial.night()
        groups = planter.groups()
        planter.plant(groups["name"] | groups["address"])
        with environment(company.environment()):
            settings = Settings(
                state=tmp_path / "state",
                collectors={"github": [trial.config(**HASTE)]},
                reports=ReportSettings(formats=["html", "csv", "json"]),
            )
            loaded = Loaded(settings=settings, path=tmp_path / "config.yaml", digest="")
            outcome = run_night(loaded, as_of=FIRST_NIGHT, progress=LogProgress())
    assert sum(outcome.findings.values()) > 10
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".parquet", ".html", ".csv", ".json", ".sqlite"}
    shown = "\n".join(part.decode(errors="replace") for path in files for part in contents(path))
    printed = capsys.readouterr()
    names = "\n".join(str(path) for path in files)
    assert len(planter.planted) > 300
    assert planter.found(f"{shown}\n{printed.out}\n{printed.err}\n{names}") == {}
