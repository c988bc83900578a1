"""The settings of config.yaml, and what sections are made of; `scanner.config_file` reads the file.

Each collector defines its own `Section`. Secrets are only referenced, as ``${env:NAME}`` or ``${file:/path}``.
"""

from __future__ import annotations

import logging
import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    create_model,
    field_validator,
)
from pydantic_core import CoreSchema, core_schema

from scanner.document import nearest
from scanner.framework_names import CITED_BY_DEFAULT, EVERY_FRAMEWORK, framework_names
from scanner.plugins import report_config, report_names
from scanner.records import Severity  # noqa: TC001  pydantic reads the annotations at run time
from scanner.regular_file import read_settings
from scanner.secrets.configured import remember

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic.json_schema import JsonSchemaValue


log = logging.getLogger(__name__)

_REFERENCE = re.compile(r"\A\$\{(env|file):([^}]+)\}\Z")


class Section(BaseModel):
    """A section of config.yaml: unknown keys are rejected, values are immutable, each field has a description."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def named_once(where: str, names: Iterable[str], same: Callable[[str], str]) -> tuple[str, ...]:
    """Return names without those that name the same thing again, which are logged as a warning.

    ``same`` returns what is equal for names of one thing. For use in a ``field_validator``.
    """
    first: dict[str, str] = {}
    again = []
    for name in names:
        if same(name) in first:
            again.append(name)
        else:
            first[same(name)] = name
    if again:
        log.warning("named more than once, and read once", extra={"key": where, "names": sorted(set(again))})
    return tuple(first.values())


class InWords:
    """Text that a pattern must match whole; what is invalid is answered in words. For use in ``Annotated[str, ...]``."""

    def __init__(self, pattern: str, words: str) -> None:
        self._pattern, self._words = pattern, words

    def _matched(self, value: Any) -> Any:
        if type(value) is int or (isinstance(value, str) and not re.fullmatch(self._pattern, value)):
            raise ValueError(f"must be {self._words}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._matched, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^(?:{self._pattern})$"}


FAIL_ON = r"(new:|open:)?(critical|high|medium|low|info)"
FAIL_ON_WORDS = "critical, high, medium, low or info, alone or after new: or open:, such as new:high"
FailOn: TypeAlias = Annotated[str, InWords(FAIL_ON, FAIL_ON_WORDS)]
MemorySize: TypeAlias = Annotated[str, InWords(r"\d+(MB|GB)", "a number with MB or GB, such as 512MB or 4GB")]


class SecretMissingError(ValueError):
    """A secret that config.yaml references is missing. The message names the reference, never a value."""


class SecretRef:
    """Where a secret is: ``${env:NAME}`` or ``${file:/path}``. The value is read when used and never stored."""

    def __init__(self, reference: str) -> None:
        match = _REFERENCE.match(reference)
        if match is None:
            raise ValueError("must be ${env:NAME} or ${file:/path}: config.yaml must not contain secrets")
        self.reference = reference
        self._kind, self._where = match.groups()

    def read(self) -> str:
        """Return the value, stripped. Raises `SecretMissingError`."""
        if self._kind == "env":
            value = os.environ.get(self._where, "")
        else:
            try:
                value = read_settings(Path(self._where))
            except OSError as exc:
                raise SecretMissingError(f"{self.reference}: {exc.strerror}") from None
        if not value.strip():
            raise SecretMissingError(f"{self.reference} is not set or empty")
        remember(value)
        return value.strip()

    def under(self, folder: Path) -> SecretRef:
        """Return the reference with a relative path resolved from a folder."""
        return SecretRef(f"${{file:{folder / self._where}}}") if self._kind == "file" else self

    def __repr__(self) -> str:
        return f"SecretRef({self.reference!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretRef) and other.reference == self.reference

    def __hash__(self) -> int:
        return hash(self.reference)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda ref: ref.reference),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": r"^\$\{(env|file):[^}]+\}$"}


class RuleSettings(Section):
    """Rule parameters and custom rules."""

    params: dict[str, dict[str, float | int | str | list[str]]] = {}
    """Parameters by rule id: ``credential-unused: {days: 30}``."""
    disabled: list[str] = []
    """Ids of rules to disable."""
    custom: Path | None = None
    """A folder of custom rules, in the same format as the built-in ones."""
    frameworks: list[str] = list(CITED_BY_DEFAULT)
    """Frameworks whose controls findings and results cite; ``all`` stands for every one."""
    due_days: dict[Severity, int] = {"critical": 7, "high": 30, "medium": 60, "low": 90}
    """Days from first detection until a finding is overdue, by severity."""

    @field_validator("frameworks")
    @classmethod
    def _known(cls, frameworks: list[str]) -> list[str]:
        names = [*framework_names(), EVERY_FRAMEWORK]
        for name in frameworks:
            if name not in names:
                raise ValueError(f"no framework `{name}`; {nearest(name, names)}")
        return frameworks


class ReportSettings(Section):
    """Which reports are written. Each report with options has a section next to it: ``csv: {delimiter: ";"}``."""

    formats: list[str] = ["html", "csv", "json"]
    """Reports to write after every run: the module names under ``reports/``."""

    def of(self, name: str) -> Section | None:
        """Return the options of a report, or None if config.yaml sets none."""
        found: Section | None = getattr(self, name, None)
        return found

    @field_validator("formats")
    @classmethod
    def _known(cls, formats: list[str]) -> list[str]:

        for name in formats:
            if name not in report_names():
                raise ValueError(f"no report `{name}`; {nearest(name, report_names())}")
        return formats


class NotifySettings(Section):
    """Notifications about runs."""

    webhook: SecretRef | None = None
    """The URL to POST the summary to, as a reference, because webhook URLs contain secrets."""
    webhook_threshold: Severity = "high"
    """Notify about findings of this severity or higher that count as new: new and reopened ones, those whose
    exception has ended, and those whose severity has risen. Coverage loss and failures are always notified."""
    report_url: str | None = None
    """The URL of the report, included in the message."""
    ping_url: SecretRef | None = None
    """Heartbeat URL of ``run``: ``/start`` and ``/fail`` are appended as in healthchecks.io."""
    ca_bundle: Path | None = None
    """PEM file of the certificate authorities to trust for both. Default: the file in REQUESTS_CA_BUNDLE or SSL_CERT_FILE,
    or the authorities that come with the program."""

    @field_validator("report_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "https://unset")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an address that begins with https:// (or http://)")
        if parts.username or parts.password:
            raise ValueError("must not contain a user name or password: it is sent in every message")
        return value


class Limits(Section):
    """Time and resource limits."""

    workers: int = Field(default=8, ge=1, le=64)
    """Targets collected in parallel."""
    deadline_minutes: int = Field(default=300, ge=1)
    """After this time no new target is started, and the snapshot is sealed as partial."""
    memory: MemorySize = "1GB"
    """Memory limit of the analysis; it spills to disk above this."""
    threads: int = Field(default=2, ge=1, le=64)
    """Threads for analysis."""
    rule_minutes: float = Field(default=30, gt=0)
    """A rule whose query takes longer has failed; the others still run."""


class SuddenDrop(Section):
    """A complete listing that has far fewer rows than before resolves nothing until a second run confirms it."""

    share: float = Field(default=0.5, ge=0, le=1)
    """It must fall by more than this share of its rows, 0 to 1; 1 turns this off, but not the comparison with other
    answers."""
    rows: int = Field(default=5, ge=1)
    """And by at least so many rows."""


class Retention(Section):
    """What `sprawlscan prune` keeps."""

    daily: int = Field(default=35, ge=1)
    """The newest snapshot of each of this many days."""
    monthly: int = Field(default=14, ge=0)
    """The newest snapshot of each of this many months."""
    yearly: int = Field(default=7, ge=0)
    """The newest snapshot of each of this many years."""


class Settings(Section):
    """The whole config.yaml."""

    state: Path = Path("state")
    """The folder for snapshots, history and reports, created with mode 0700."""
    collectors: dict[str, list[Section]]
    """A section for each system, or a list of sections for several systems of one kind."""
    rules: RuleSettings = RuleSettings()
    """Rule parameters, disabled and custom rules."""
    exceptions: Path | None = None
    """exceptions.yaml: accepted risks, each with owner, approver, reason and expiry."""
    owners: Path | None = None
    """CSV file of owners: columns ``match`` (id, address or glob), ``owner``, and optionally ``environment``."""
    reports: ReportSettings = ReportSettings()
    """Reports and their options."""
    notify: NotifySettings = NotifySettings()
    """Notifications about runs."""
    limits: Limits = Limits()
    """Time and resource limits."""
    retention: Retention = Retention()
    """What `sprawlscan prune` keeps."""
    signing_key: SecretRef | None = None
    """A private Ed25519 key in PEM, as a reference: signs each line of the ledger, see ``sprawlscan verify``."""
    fail_on: FailOn | None = None
    """Exit with code 3 if there are findings of this severity or higher: ``new:high`` or ``high``. Without ``new``,
    findings that could not be checked again count too."""
    min_coverage: float = Field(default=0.8, ge=0, le=1)
    """Exit with 4 when less of the listings was answered than this, of those expected: 0 to 1."""
    sudden_drop: SuddenDrop = SuddenDrop()
    """When a listing fell so much that a second run must confirm it."""
    retired: list[str] = Field(default_factory=list)
    """Targets that are out of scope for good, as the finding `account-not-read` names them: ``github/acme``, or by a name
    that they had before. Their findings are not followed any more. A target that the configuration merely stops naming counts as not read."""
    max_unobserved: float = Field(default=0.2, ge=0, le=1)
    """Exit with 4 when a larger share of the findings that are not accepted could not be checked again: 0 to 1."""


@cache
def reports_section() -> type[ReportSettings]:
    """Return the model of the section ``reports``: a key for each installed report that has options."""
    models = {name: report_config(name) for name in report_names()}
    fields: dict[str, Any] = {
        name: (model | None, Field(default=None, description=model.__doc__))
        for name, model in models.items()
        if model is not None
    }
    return create_model("Reports", __base__=ReportSettings, **fields)
