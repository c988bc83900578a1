"""What a collector may look at on this machine to propose its section of config.yaml, and the proposal.

Configuration files of other tools may contain secrets. A proposal takes addresses, names and ids from them, never a value that
proves an identity: config.yaml gets a reference instead, or a comment that says how to make one.
"""

from __future__ import annotations

import configparser
import json
import re
from functools import cached_property
from pathlib import Path  # noqa: TC003  msgspec reads the annotations at run time
from typing import Any

import msgspec
import yaml

LARGEST = 2**20
"""Larger files are not read, in bytes."""


class ProposedSection(msgspec.Struct, frozen=True, kw_only=True):
    """A section of config.yaml that could work here."""

    found: str
    """What was found, in words: "the profile `acme` in ~/.aws/config"."""
    section: dict[str, Any] = {}
    """Keys and values, secrets as references."""
    notes: dict[str, str] = {}
    """A comment above a key; above the section's end for a key that it lacks."""
    first: str | None = None
    """What to do before it can work; the section is then written as a comment."""
    asks: str | None = None
    """A key whose value the user must name: a list of organizations. Asked for, if somebody can answer."""


class Machine(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Home folder, environment and current folder of the user."""

    home: Path
    environment: dict[str, str]
    folder: Path

    def variable(self, *names: str) -> str | None:
        """Return the first of these environment variables that is set and not empty."""
        return next((name for name in names if self.environment.get(name, "").strip()), None)

    def value(self, *names: str) -> str | None:
        """Return the value of the first that is set. For addresses and names only."""
        name = self.variable(*names)
        return self.environment[name].strip() if name else None

    def shown(self, path: Path) -> str:
        """Return a path as people write it: ``~/.aws/config``."""
        return f"~/{path.relative_to(self.home)}" if path.is_relative_to(self.home) else str(path)

    @property
    def settings(self) -> Path:
        """Where programs keep their configuration."""
        return self.path("XDG_CONFIG_HOME", ".config")

    def path(self, variable: str, default: str) -> Path:
        """Return the path in an environment variable, else one below the home folder."""
        given = self.value(variable)
        return self.home / (given or default)

    def text(self, path: Path) -> str:
        """Return the text of a file; nothing if there is none that can be read."""
        try:
            if not path.is_file() or path.stat().st_size > LARGEST:
                return ""
            return path.read_text(encoding="utf-8-sig", errors="replace")
        except OSError:
            return ""

    def ini(self, path: Path) -> dict[str, dict[str, str]]:
        """Return the sections of an INI file."""
        parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
        try:
            parser.read_string(self.text(path))
        except configparser.Error:
            return {}
        return {name: {key: value or "" for key, value in parser.items(name)} for name in parser.sections()}

    def mapping(self, path: Path) -> dict[str, Any]:
        """Return a YAML or JSON file that contains a mapping."""
        text = self.text(path)
        try:
            value = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        except (ValueError, yaml.YAMLError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @cached_property
    def checkout(self) -> Path | None:
        """The checkout that the current folder is in."""
        return next((at for at in (self.folder, *self.folder.parents) if (at / ".git").exists()), None)

    @cached_property
    def remotes(self) -> list[tuple[str, str]]:
        """Host and path of the remotes of that checkout: ``("github.com", "acme/app")``."""
        sections = self.ini(self.checkout / ".git" / "config") if self.checkout else {}
        addresses = [
            section.get("url", "") for name, section in sections.items() if name.startswith("remote ")
        ]
        found = (_REMOTE.fullmatch(address.strip()) for address in addresses)
        return list(dict.fromkeys((one["host"].lower(), one["path"]) for one in found if one))


_REMOTE = re.compile(
    r"(?:(?:https?|ssh|git)://)?(?:[^@/\s]{1,200}@)?(?P<host>[\w.-]{1,200})(?::\d{1,5})?[:/](?P<path>[\w./~-]{1,300}?)(?:\.git)?/?"
)
"""https://git-scm.com/docs/git-fetch#_git_urls"""
