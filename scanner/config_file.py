"""config.yaml -> validated `Settings`.

Unknown keys are rejected with the nearest known key, and every error names file, line and column.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from scanner.config import ReportSettings, SecretRef, Section, Settings, reports_section
from scanner.config_problems import invalid_places
from scanner.document import Document, DocumentError, nearest
from scanner.plugins import collector_names, load_collector, report_config
from scanner.regular_file import LARGEST, read_regular

SectionT = TypeVar("SectionT", bound=Section)


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A validated config.yaml."""

    settings: Settings
    path: Path
    """The absolute path of the file. Relative paths in it are resolved from its folder."""
    digest: str
    """sha256 of the file, which contains no secrets."""
    document: Document | None = None
    """The file as it was written, to say where something stands; None when there is none."""
    selected: bool = False
    """True when the command line names what is read, in place of the file."""


class ConfigError(DocumentError):
    """config.yaml is invalid. One line for each problem: ``file:line:column: key: what; what to do``."""


def example() -> str:
    """Return config.example.yaml: every option with its default and its meaning."""
    top = Path(__file__).parents[1]
    installed = top / "sprawlscan" / "config.example.yaml"
    return (installed if installed.is_file() else top / "config.example.yaml").read_text(encoding="utf-8")


def load(path: Path) -> Loaded:
    """Read and validate config.yaml. Raises `ConfigError` with every problem found.

    What it says of rules is checked with the rules, in `scanner.pipeline.inputs`.
    """
    try:
        raw = read_regular(path, LARGEST, follow=True)
        document = Document(path, raw.decode("utf-8-sig"))
    except OSError as exc:
        advice = "Run `sprawlscan example > config.yaml` to create one, or use --config to name another file."
        raise ConfigError([f"{path}: {exc.strerror}. {advice}"]) from None
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path}: not UTF-8: {exc.reason}"]) from None
    except DocumentError as exc:
        raise ConfigError(exc.problems) from None
    settings = _from_folder(_validated(document), path.resolve().parent)
    digest = hashlib.sha256(raw).hexdigest()
    return Loaded(settings=settings, path=path.resolve(), digest=digest, document=document)


def _validated(document: Document) -> Settings:
    if not isinstance(document.value, dict):
        what = "must be a mapping with the key `collectors`; see `sprawlscan example`"
        raise ConfigError([document.problem((), what)])
    chosen = document.value.get("collectors")
    if not isinstance(chosen, dict) or not chosen:
        unknown = document.unknown_keys(document.value, Settings.model_fields, ())
        if unknown:
            raise ConfigError(unknown)
        what = f"name at least one of: {', '.join(collector_names())}"
        raise ConfigError([document.problem(("collectors",), what)])
    # null means the default: a key whose lines are all commented out.
    rest = {str(key): value for key, value in document.value.items() if value is not None}
    problems: list[str] = []
    sections: dict[str, list[Section]] = {}
    for key, given in chosen.items():
        name = str(key)
        try:
            model = load_collector(name).Config
        except LookupError:
            what = f"no such collector; {nearest(name, collector_names())}"
            problems.append(document.problem(("collectors", name), what))
            continue
        several = isinstance(given, list)
        if several and not given:
            problems.append(document.problem(("collectors", name), "must not be an empty list"))
        for index, part in enumerate(given if several else [given]):
            try:
                section = model.model_validate({} if part is None else part)
                sections.setdefault(name, []).append(section)
            except ValidationError as exc:
                prefix = ("collectors", name, *((index,) if several else ()))
                problems += invalid_places(document, model, prefix, exc)
    try:
        settings = Settings.model_validate({**rest, "collectors": {}, "reports": {}})
    except ValidationError as exc:
        problems += invalid_places(document, Settings, (), exc)
    model = reports_section()
    try:
        reports = model.model_validate(rest.get("reports", {}))
        problems += _mismatched(document, reports)
    except ValidationError as exc:
        problems += invalid_places(document, model, ("reports",), exc)
    if problems:
        raise ConfigError(problems)
    return settings.model_copy(update={"collectors": sections, "reports": reports})


def _mismatched(document: Document, reports: ReportSettings) -> list[str]:
    """Return a problem for each report that has options but is not enabled, or is enabled but lacks an option."""
    problems = []
    for name in reports.formats:
        model: type[BaseModel] | None = report_config(name)
        needed = [key for key, field in model.model_fields.items() if field.is_required()] if model else []
        if needed and reports.of(name) is None:
            what = f"is missing; the report needs {', '.join(needed)}"
            problems.append(document.problem(("reports", name), what))
    return problems + [
        document.problem(
            ("reports", name),
            f"this report is not enabled; add {name} to reports.formats, or remove this section",
        )
        for name in type(reports).model_fields
        if reports.of(name) is not None and name != "formats" and name not in reports.formats
    ]


def _from_folder(section: SectionT, folder: Path) -> SectionT:
    """Resolve relative paths from the folder of config.yaml, not from the working directory."""

    def resolved(value: Any) -> Any:
        if isinstance(value, Path):
            return folder / value.expanduser()
        if isinstance(value, SecretRef):
            return value.under(folder)
        if isinstance(value, Section):
            return _from_folder(value, folder)
        if isinstance(value, list | tuple):
            return type(value)(resolved(item) for item in value)
        if isinstance(value, dict):
            return {key: resolved(item) for key, item in value.items()}
        return value

    return section.model_copy(
        update={name: resolved(getattr(section, name)) for name in type(section).model_fields}
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of config.yaml, for editors, with the sections of every installed collector and report."""
    schema = Settings.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    collectors: dict[str, Any] = {}
    for name in collector_names():
        part = load_collector(name).Config.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        for key, value in part.pop("$defs", {}).items():
            definitions[f"{name}.{key}"] = value
        definitions[name] = part
        reference = {"$ref": f"#/$defs/{name}"}
        collectors[name] = {"anyOf": [reference, {"type": "array", "items": reference}, {"type": "null"}]}
    reports = reports_section().model_json_schema(ref_template="#/$defs/reports.{model}")
    for key, value in reports.pop("$defs", {}).items():
        definitions[f"reports.{key}"] = value
    definitions[ReportSettings.__name__] = reports
    schema["properties"]["collectors"] = {
        "type": "object",
        "description": "A section for each system, or a list of sections for several systems of one kind.",
        "properties": collectors,
        "additionalProperties": False,
        "minProperties": 1,
    }
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema
