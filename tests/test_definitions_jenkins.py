"""Jenkinsfiles: credentials of every kind, and code that only looks like them."""

from __future__ import annotations

import time

import pytest

from collectors.definitions import Definition, parse
from collectors.definitions.jenkins.groovy import strings, without_comments
from scanner.secrets.detectors import Fingerprint

FP = Fingerprint(b"test-key")
PASSWORD = "Wq3v" + "Xz8LmN"


def read(source: str) -> Definition:
    return parse("Jenkinsfile", source, FP)


def test_strings_and_comments_are_distinguished() -> None:
    source = "a 'x/*.jar' // one\nb \"**/y\" /* 'two' */ c '''t\"h''' d \"https://z\""
    text = without_comments(source)
    assert [found.value for found in strings(text)] == ["x/*.jar", "**/y", 't"h', "https://z"]
    assert len(text) == len(source)
    assert [(found.value, found.filled) for found in strings(r'sh "a \$B ${C}" + ' + r"'it\'s'")] == [
        (r"a \$B ${C}", True),
        ("it's", False),
    ]


@pytest.mark.parametrize(
    ("source", "secrets", "logins"),
    [
        ("withCredentials([aws(credentialsId: 'a')]) {}", ["a"], ["aws:a"]),
        ("withCredentials([[$class: 'AmazonWebServicesCredentialsBinding', credentialsId: 'a']]) {}", ["a"], ["aws:a"]),
        ("withCredentials([azureServicePrincipal('a')]) {}", ["a"], ["azure:a"]),
        ("withCredentials([azureServicePrincipal(credentialsId: ID)]) {}", [], ["azure:"]),
        ("environment { ID = 'a' }\nwithCredentials([azureServicePrincipal(credentialsId: env.ID)]) {}", ["a"], ["azure:a"]),
        ("withCredentials([string(credentialsId: 'a', variable: 'P')]) { sh \"docker login -u b -p ${P}\" }", ["a"], ["registry:a"]),
        ("environment { D = credentials('a') }\nsh 'echo $D_PSW | docker login -u $D_USR --password-stdin'", ["a"], ["registry:a"]),
        ("withCredentials([string(credentialsId: 'a', variable: 'AWS_SECRET_ACCESS_KEY')]) {}", ["a"], ["aws:a"]),
        ("docker.withRegistry('https://r', 'a') {}", ["a"], ["registry:a"]),
        ("withAWS(region: 'x', credentials: 'a') {}", ["a"], ["aws:a"]),
        ("withVault(configuration: [vaultCredentialId: 'a'], vaultSecrets: [[path: 'kv/b', secretValues: [[envVar: 'C', vaultKey: 'c']]]]) { sh 'use $C' }", ["a", "kv/b"], ["vault:a"]),
        ("sshagent(credentials: ['a', \"b\"]) {}", ["a", "b"], []),
        ("httpRequest url: 'https://x', authentication: 'a'", ["a"], []),
        ("slackSend(channel: '#c', tokenCredentialId: 'a')", ["a"], []),
        ("// withCredentials([aws(credentialsId: 'a')])\n/* credentials('b') */", [], []),
        ("echo \"credentialsId: 'a'\"", [], []),
        ("archiveArtifacts 'x/*.jar'\nwithAWS(credentials: 'a') {}\njunit '**/*.xml'", ["a"], ["aws:a"]),
    ],
)  # fmt: skip
def test_credentials(source: str, secrets: list[str], logins: list[str]) -> None:
    found = read(source)
    assert [ref.name for ref in found.secrets if ref.store] == secrets
    assert [ref.name for ref in found.secrets if not ref.store] == []
    assert [f"{login.service}:{','.join(login.secrets)}" for login in found.logins] == logins


@pytest.mark.parametrize(
    "source",
    [
        'sh "deploy ${params.X}"',
        'sh "deploy $BRANCH_NAME"',
        'sh(returnStdout: true, script: """\n a\n b ${env.CHANGE_TITLE}\n""")',
        "sh 'deploy ' + params.X",
        "bat label: 'x', script: \"deploy ${CHANGE_BRANCH}\"",
        'sh "git checkout ${ghprbSourceBranch}"',
    ],
)
def test_what_groovy_fills_into_a_script_is_an_injection(source: str) -> None:
    assert [problem.code for problem in read(source).problems] == ["template-injection"]


@pytest.mark.parametrize(
    "source",
    [
        "sh 'deploy \"$CHANGE_TITLE\"'",
        'sh "deploy \\${CHANGE_TITLE} \\$BRANCH_NAME"',
        "parameters { choice(name: 'X', choices: ['a']) }\nsh \"deploy ${params.X}\"",
        'echo "deploying ${params.X}"',
        'sh "build ${env.BUILD_ID}"',
    ],
)
def test_what_the_shell_reads_itself_is_none(source: str) -> None:
    assert read(source).problems == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        (f"\ndef password = '{PASSWORD}'", [2]),
        (f"withEnv(['API_TOKEN={PASSWORD}']) {{}}", [1]),
        (f"parameters {{ password(name: 'P', defaultValue: '{PASSWORD}') }}", [1]),
        (f"httpRequest customHeaders: [[name: 'X-Api-Key', value: '{PASSWORD}']]", [1]),
        (f"sh '''\n  docker login -u b -p {PASSWORD}\n'''", [2]),
        ("def password = params.P", []),
        ('def password = "${P}"', []),
        ("string(credentialsId: 'deploy-token', variable: 'PASSWORD')", []),
        ("withKubeConfig(credentials: 'kube-prod') {}", []),
        ("environment { HUB_CREDENTIALS = 'docker-hub' }", []),
    ],
)
def test_hard_coded_values(source: str, lines: list[int]) -> None:
    assert [hard.line for hard in read(source).hard_coded] == lines


def test_images_of_pods_and_libraries() -> None:
    found = read(
        "@Library(['a@v1', 'b']) _\nlibrary identifier: 'c@main', retriever: modernSCM([$class: 'X', remote: 'https://y'])\n"
        "agent { kubernetes { yaml '''\nspec:\n  containers:\n  - name: k\n    image: acme/k:1\n''' } }\n"
        "containerTemplate(name: 'n', image: 'acme/n@sha256:" + "0a" * 32 + "')"
    )
    assert [(use.kind, use.name, use.pin, use.line) for use in found.uses] == [
        ("library", "a", "tag", 1),
        ("library", "b", "none", 1),
        ("library", "c", "branch", 2),
        ("image", "acme/n", "digest", 9),
        ("image", "acme/k:1", "tag", 7),
    ]


@pytest.mark.parametrize(
    "piece", ["aws(credentialsId: 'a', ", "withVault([path: 'a', ", "sh 'a' ", "'\\", "name: 'a', value: ", "image 'a' "]
)  # fmt: skip
def test_a_hostile_jenkinsfile_costs_no_more_than_its_length(piece: str) -> None:
    """Four times the text takes four times as long, or a little more; with a quadratic step it would take sixteen times."""

    def seconds(length: int) -> float:
        begun = time.process_time()
        read(piece * (length // len(piece)))
        return time.process_time() - begun

    assert seconds(120_000) < 9 * max(seconds(30_000), 0.05)
