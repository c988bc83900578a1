"""config.yaml: problems are reported with their position and the correction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from reports.prometheus import Config
from scanner.collect.http_config import authorities
from scanner.config import SecretMissingError, SecretRef, Settings, reports_section
from scanner.config_file import ConfigError, Loaded, json_schema, load
from scanner.pipeline.inputs import read_rules
from scanner.plugins import collector_names, load_collector, report_names

ROOT = Path(__file__).parents[1]


def given(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> list[str]:
    """Return what is wrong, each without the path of the file in front."""
    path = given(folder, text)
    with pytest.raises(ConfigError) as caught:
        read_rules(load(path))
    for problem in caught.value.problems:
        assert problem.startswith(f"{path}:")
    return [problem.removeprefix(f"{path}:") for problem in caught.value.problems]


AWS = "collectors: {aws: }\n"
GITHUB = "collectors:\n  github:\n    organizations: [acme]\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # Unknown keys, at every depth.
        (f"{AWS}collector: 1\n", "2:1: collector: unknown key; did you mean `collectors`?"),
        (f"{AWS}limits:\n  wokers: 3\n", "3:3: limits.wokers: unknown key; did you mean `workers`?"),
        (
            "collectors:\n  aws:\n    acounts: []\n",
            "3:5: collectors.aws.acounts: unknown key; did you mean `accounts`?",
        ),
        (
            "collectors:\n  aws:\n  - {}\n  - regons: []\n",
            "4:5: collectors.aws[1].regons: unknown key; did you mean `regions`?",
        ),
        (
            f"{GITHUB}    token: ${{env:T}}\n    repositories: {{inclde: []}}\n",
            "5:20: collectors.github.repositories.inclde: unknown key; did you mean `include`?",
        ),
        (
            f"{AWS}retention: {{hourly: 3}}\n",
            "2:13: retention.hourly: unknown key; known: daily, monthly, yearly",
        ),
        # Collectors.
        ("state: x\n", f"1:1: collectors: name at least one of: {', '.join(collector_names())}"),
        ("collectors:\n", f"1:1: collectors: name at least one of: {', '.join(collector_names())}"),
        ("collectors:\n  ams: {}\n", "2:3: collectors.ams: no such collector; did you mean `aws`?"),
        ("collectors:\n  aws: []\n", "2:3: collectors.aws: must not be an empty list"),
        ("collectors:\n  aws: all\n", "2:3: collectors.aws: must be a mapping of keys and values"),
        # Types, missing keys and bounds.
        ("collectors: {aws: {accounts: [100000000001]}}\n", '1:31: collectors.aws.accounts[0]: must be an account ID of 12 digits in quotes, such as "123456789012"'),
        ("collectors:\n  aws:\n    regions: eu\n", "3:5: collectors.aws.regions: must be a list, such as [a, b]"),
        (f"{GITHUB}    app:\n      app_id: 1\n", "4:5: collectors.github.app.private_key: is missing; add it"),
        (f"{GITHUB}", "2:3: collectors.github: give either token or app"),
        (f"{AWS}limits: {{workers: 0}}\n", "2:10: limits.workers: must be greater than or equal to 1"),
        (f"{AWS}limits: {{deadline_minutes: soon}}\n", "2:10: limits.deadline_minutes: must be a whole number"),
        (f"{AWS}limits: {{memory: lots}}\n", "2:10: limits.memory: must be a number with MB or GB, such as 512MB or 4GB"),
        (f"{AWS}min_coverage: 90\n", "2:1: min_coverage: must be less than or equal to 1"),
        (f"{AWS}fail_on: now:high\n", "2:1: fail_on: must be critical, high, medium, low or info, alone or after new: or open:, such as new:high"),
        (f"{AWS}retention: {{daily: 0}}\n", "2:13: retention.daily: must be greater than or equal to 1"),
        (f"{AWS}notify: {{webhook_threshold: hihg}}\n", "2:10: notify.webhook_threshold: must be 'critical', 'high', 'medium', 'low' or 'info'"),
        (f"{AWS}rules: {{due_days: {{critcal: 1}}}}\n", "2:20: rules.due_days.critcal: must be 'critical', 'high', 'medium', 'low' or 'info'"),
        # Reports and rules that do not exist.
        (f"{AWS}reports: {{formats: [html, pdf]}}\n", f"2:11: reports.formats: no report `pdf`; known: {', '.join(report_names())}"),
        (f"{AWS}reports: {{csv: {{delimiter: ab}}}}\n", '2:17: reports.csv.delimiter: must be a comma, semicolon, `|` or a tab, in quotes: ",", ";", "|" or "\\t"'),
        (f"{AWS}reports: {{csv: {{delimeter: ;}}}}\n", "2:17: reports.csv.delimeter: unknown key; did you mean `delimiter`?"),
        (f"{AWS}reports: {{cvs: {{delimiter: ;}}}}\n", "2:11: reports.cvs: unknown key; did you mean `csv`?"),
        (f"{AWS}reports: {{json: {{indent: 2}}}}\n", f"2:11: reports.json: unknown key; known: {', '.join(sorted(reports_section().model_fields))}"),
        (f"{AWS}reports: {{prometheus: {{textfile: x}}}}\n", "2:11: reports.prometheus: this report is not enabled; add prometheus to reports.formats, or remove this section"),
        (f"{AWS}reports: {{formats: [prometheus]}}\n", "2:1: reports.prometheus: is missing; the report needs textfile"),
        (f"{AWS}rules: {{disabled: [credential-old, credential-od]}}\n", "2:36: rules.disabled[1]: no rule `credential-od`; did you mean `credential-old`?"),
        (f"{AWS}rules: {{params: {{credential-unsed: {{days: 3}}}}}}\n", "2:18: rules.params.credential-unsed: no rule `credential-unsed`; did you mean `credential-unused`?"),
        (f"{AWS}rules: {{params: {{credential-unused: {{day: 3}}}}}}\n", "2:38: rules.params.credential-unused.day: no such parameter; did you mean `days`?"),
        (f"{AWS}rules: {{params: {{credential-unused: {{days: soon}}}}}}\n", "2:38: rules.params.credential-unused.days: must have the type of 45, not 'soon'"),
        (f"{AWS}notify: {{report_url: 'https://u:hunter2@h/'}}\n", "2:10: notify.report_url: must not contain a user name or password: it is sent in every message"),
        ("collectors:\n  aws: {endpoint_url: 'https://u:p@h/'}\n", "2:9: collectors.aws.endpoint_url: must not hold a user or password"),
        (f"{AWS}state: 7\n", "2:1: state: must be a path in quotes"),
        # Not YAML, or not a mapping.
        ("collectors:\n  aws:\n\tregions: [a]\n", "3:1: not valid YAML: a tab begins the line; indent with spaces only"),
        ("", "1:1: must be a mapping with the key `collectors`; see `sprawlscan example`"),
        ("- aws\n", "1:1: must be a mapping with the key `collectors`; see `sprawlscan example`"),
        ("collectors: {aws: \n", "2:1: not valid YAML: did not find expected node content"),
        (f"{AWS}limits: {{workers: 1, workers: 2}}\n", "2:22: limits.workers: duplicate key"),
        (f"{AWS}{AWS}", "2:1: collectors: duplicate key"),
        ("a: &a\n  b: *a\n", "2:3: nested too deeply"),
    ],
)  # fmt: skip
def test_a_problem_is_reported_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [problem]


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    text = "collectors:\n  aws: {regions: 1}\n  github: {}\nlimits: {threads: 0}\nstat: x\n"
    assert [problem.split(": ")[1] for problem in problems(tmp_path, text)] == [
        "collectors.aws.regions",
        "collectors.github",
        "limits.threads",
        "stat",
    ]


SECRET = "ghp_" + "x" * 36


@pytest.mark.parametrize(
    "text",
    [f"{GITHUB}    token: {SECRET}\n", f"{AWS}notify: {{webhook: 'https://hooks.example/{SECRET}'}}\n"],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert "must be ${env:NAME} or ${file:/path}: config.yaml must not contain secrets" in problem
    assert "x" * 5 not in problem


def test_a_file_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"nothing\.yaml: No such file.*`sprawlscan example > config\.yaml`"
    ):
        load(tmp_path / "nothing.yaml")


def test_bytes_that_are_no_text_are_reported(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"state: \xff\xfe\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "config.yaml")


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"\xef\xbb\xbf" + AWS.encode())
    assert list(load(tmp_path / "config.yaml").settings.collectors) == ["aws"]


def test_keys_without_a_value_are_the_default(tmp_path: Path) -> None:
    loaded = load(given(tmp_path, f"{AWS}rules:\nlimits:\nstate:\n"))
    assert loaded.settings == load(given(tmp_path, AWS)).settings


def test_a_custom_rule_that_is_wrong_is_reported_with_its_own_place(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "my-rule.yaml").write_text("titel: x\n")
    with pytest.raises(ConfigError) as caught:
        read_rules(load(given(tmp_path, f"{AWS}rules: {{custom: mine}}\n")))
    assert caught.value.problems[0].startswith(
        f"{tmp_path}/mine/my-rule.yaml:1:1: titel: unknown key; did you mean `title`?"
    )


def loaded_from(folder: Path, monkeypatch: pytest.MonkeyPatch, document: dict[str, Any]) -> Loaded:
    (folder / "etc").mkdir()
    (folder / "elsewhere").mkdir()
    given(folder / "etc", json.dumps(document))
    monkeypatch.chdir(folder / "elsewhere")
    return load(Path("../etc/config.yaml"))


def test_relative_paths_are_those_of_the_files_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules").mkdir()
    document = {
        "state": "state",
        "exceptions": "../exceptions.yaml",
        "owners": "/etc/owners.csv",
        "rules": {"custom": str(tmp_path / "rules")},
        "reports": {"formats": ["prometheus"], "prometheus": {"textfile": "out.prom"}},
        "notify": {"webhook": "${file:hook}", "ping_url": "${file:/run/ping}"},
        "collectors": {
            "aws": {"ca_bundle": "ca.pem"},
            "definitions": [{"paths": ["checkout", "/srv/other"]}],
            "github": {"organizations": ["a"], "token": "${env:TOKEN}"},
        },
    }  # fmt: skip
    settings = loaded_from(tmp_path, monkeypatch, document).settings
    here = tmp_path / "etc"
    assert settings.state == here / "state"
    assert settings.exceptions is not None
    assert settings.exceptions.resolve() == tmp_path / "exceptions.yaml"
    assert settings.owners == Path("/etc/owners.csv")
    assert settings.reports.of("prometheus") == Config(textfile=here / "out.prom")
    assert settings.notify.webhook == SecretRef(f"${{file:{here}/hook}}")
    assert settings.notify.ping_url == SecretRef("${file:/run/ping}")
    (aws,) = settings.collectors["aws"]
    assert aws.model_dump()["ca_bundle"] == here / "ca.pem"
    (checkouts,) = settings.collectors["definitions"]
    assert checkouts.model_dump()["paths"] == [here / "checkout", Path("/srv/other")]
    (github,) = settings.collectors["github"]
    assert github.model_dump(mode="json")["token"] == "${env:TOKEN}"


def test_a_section_may_be_a_list(tmp_path: Path) -> None:
    text = "collectors:\n  aws:\n  - accounts: ['100000000001']\n  - profile: other\n"
    first, second = load(given(tmp_path, text)).settings.collectors["aws"]
    assert first.model_dump()["accounts"] == ["100000000001"]
    assert second.model_dump()["profile"] == "other"


def test_the_digest_is_that_of_the_files_bytes(tmp_path: Path) -> None:
    first = load(given(tmp_path, AWS)).digest
    assert load(given(tmp_path, AWS)).digest == first
    assert load(given(tmp_path, AWS + "# a comment\n")).digest != first


def test_a_secret_is_read_at_use_and_shown_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "  the-value\n")
    reference = SecretRef("${env:A_TOKEN}")
    assert reference.read() == "the-value"
    assert "the-value" not in repr(reference)
    monkeypatch.setenv("A_TOKEN", "another")
    assert reference.read() == "another"
    (tmp_path / "token").write_text("from-a-file\n")
    assert SecretRef(f"${{file:{tmp_path}/token}}").read() == "from-a-file"


@pytest.mark.parametrize(
    "reference", ["${env:NOT_SET_ANYWHERE}", "${file:/no/such/file}", "${file:/dev/null}"]
)
def test_a_secret_that_is_not_there_is_named(reference: str) -> None:
    with pytest.raises(SecretMissingError) as caught:
        SecretRef(reference).read()
    assert reference in str(caught.value)


@pytest.mark.parametrize("text", ["", "token", "${env:}", "$TOKEN", "x${env:A}", "${env:A}\n", "${cmd:cat}"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must not contain secrets"):
        SecretRef(text)


# Editors use the JSON schema: it must accept and reject the same files as `load`.

VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_the_example_is_valid_by_the_schema_and_by_load() -> None:
    path = ROOT / "config.example.yaml"
    assert list(VALIDATOR.iter_errors(yaml.safe_load(path.read_text()))) == []
    assert {"aws", "github"} <= load(path).settings.collectors.keys()
    assert read_rules(load(path))


@pytest.mark.parametrize(
    "text",
    [
        f"{AWS}collector: 1\n",
        "collectors: {}\n",
        "collectors: {ams: {}}\n",
        "collectors: {aws: {acounts: []}}\n",
        "collectors: {aws: [{regons: []}]}\n",
        f"{GITHUB}    token: {SECRET}\n",
        f"{AWS}limits: {{workers: 0}}\n",
        f"{AWS}min_coverage: 90\n",
        f"{AWS}fail_on: now:high\n",
        f"{AWS}notify: {{webhook_threshold: hihg}}\n",
    ],
)
def test_the_schema_refuses_what_load_refuses(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text)))


def test_every_option_has_a_description() -> None:
    sections: list[Any] = [Settings, *(load_collector(name).Config for name in collector_names())]
    for section in sections:
        schema = section.model_json_schema()
        for part in (schema, *schema.get("$defs", {}).values()):
            for name, option in part.get("properties", {}).items():
                assert option.get("description") or "$ref" in option, f"{section.__module__}: {name}"


def test_aliases_that_stand_for_billions_of_values_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (problem,) = problems(tmp_path, "\n".join(lines) + "\n")
    assert "more than 100,000 values, counting what aliases repeat" in problem


def test_no_message_shows_a_regular_expression() -> None:
    """Types that a pattern describes say what is valid in words."""
    schema = json.dumps(json_schema())
    assert "(MB|GB)" in schema
    models: list[Any] = [Settings, *(load_collector(name).Config for name in collector_names())]
    for model in models:
        for name, field in model.model_fields.items():
            for constraint in field.metadata:
                assert getattr(constraint, "pattern", None) is None, f"{model.__name__}.{name}"


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_variables_that_name_certificates_are_heeded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(other, raising=False)
    assert authorities(None) is True
    monkeypatch.setenv(name, "/etc/ours.pem")
    assert authorities(None) == "/etc/ours.pem"
    assert authorities(Path("mine.pem")) == "mine.pem"
