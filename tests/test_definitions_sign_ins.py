"""What shell commands show of sign-ins and secrets, each beside a look-alike that shows nothing."""

from __future__ import annotations

import pytest

from collectors.definitions import Definition, parse
from collectors.definitions.shell.commands import deploy_targets, hard_coded
from collectors.definitions.shell.sign_ins import sign_ins
from collectors.definitions.shell.stored_secrets import stored_secrets
from collectors.definitions.shell.words import assigned
from scanner.secrets.detectors import Fingerprint, inspect

FP = Fingerprint(b"test-key")
PASSWORD = "Wq3v" + "Xz8LmN"
HEX = "5c1b0e9a7d" * 4


def read(script: str) -> Definition:
    lines = "".join(f"      {line}\n" for line in script.split("\n"))
    return parse(".gitlab-ci.yml", f"job:\n  script:\n    - |\n{lines}", FP)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("docker login -u bot -p $REG_PASS registry.example.org", ("registry", "$REG_PASS")),
        ("docker login --username bot --password=$REG_PASS", ("registry", "$REG_PASS")),
        ('echo "$REG_PASS" | docker login -u bot --password-stdin', ("registry", "$REG_PASS")),
        ("printf '%s' \"$REG_PASS\" | podman login -u bot --password-stdin x", ("registry", "$REG_PASS")),
        ("docker login -u bot --password-stdin <<< $REG_PASS", ("registry", "$REG_PASS")),
        ("docker login -u bot --password-stdin < key.json", ("registry", "")),
        ("cat key.json | docker login -u _json_key --password-stdin https://gcr.io", ("registry", "")),
        ("helm registry login x -u bot -p $REG_PASS", ("registry", "$REG_PASS")),
        ("az acr login -n x -u bot -p $ACR", ("registry", "$ACR")),
        ("az login --service-principal \\\n  -u $ID \\\n  -p $SECRET --tenant $T", ("azure", "$SECRET")),
        ("sudo -E gcloud auth activate-service-account --key-file=$KEY", ("gcp", "$KEY")),
        ("aws configure set aws_secret_access_key $S --profile x", ("aws", "$S")),
        ("if true; then twine upload -u bot -p $P dist/*; fi", ("pypi", "$P")),
        ("poetry config pypi-token.pypi $P", ("pypi", "$P")),
        ("npm config set //registry.npmjs.org/:_authToken $N", ("npm", "$N")),
        ("vault login $V", ("vault", "$V")),
        ("vault write auth/approle/login role_id=$R secret_id=$V", ("vault", "$V")),
        ("kubectl config set-credentials ci --token=$K", ("kubernetes", "$K")),
        ("echo $G | gh auth login --with-token", ("github", "$G")),
        ('bash -c "docker login -u bot -p $REG_PASS"', ("registry", "$REG_PASS")),
    ],
)
def test_sign_ins_with_a_stored_credential(script: str, expected: tuple[str, str]) -> None:
    assert [(found.service, found.secret) for found in sign_ins(script)] == [expected]


@pytest.mark.parametrize(
    "script",
    [
        "aws ecr get-login-password | docker login --username AWS --password-stdin 1.dkr.ecr.eu-west-1.amazonaws.com",
        "gcloud auth print-access-token | docker login -u oauth2accesstoken --password-stdin https://eu-docker.pkg.dev",
        "docker login -u AWS -p $(aws ecr get-login-password) x",
        "az login --service-principal -u $ID --federated-token $T",
        "az login --identity",
        "az acr login -n x",
        "gcloud auth login --cred-file=wif.json",
        "# docker login -u bot -p $REG_PASS",
        "echo docker login -u bot -p $REG_PASS",
        "make # docker login -u bot -p $REG_PASS",
        "docker run -p 8080:80 x; mkdir -p login",
        "vault write -field=token auth/jwt/login role=ci jwt=$T",
        "aws configure set region eu-west-1",
    ],
)
def test_short_lived_passwords_and_comments_are_no_stored_credential(script: str) -> None:
    assert list(sign_ins(script)) == []


def test_a_login_names_the_variable_that_comes_from_outside() -> None:
    outside = read("docker login -u bot -p $REG_PASS x")
    asked = read("PW=$(vault kv get -field=pw kv/registry)\ndocker login -u bot -p $PW x")
    platform = read("docker login -u gitlab-ci-token -p $CI_JOB_TOKEN $CI_REGISTRY")
    assert [(login.service, login.how, login.secrets, login.line) for login in outside.logins] == [
        ("registry", "static", ["REG_PASS"], 4)
    ]
    assert asked.logins == []
    assert [ref.name for ref in asked.secrets] == ["kv/registry"]
    assert platform.logins == []


def test_what_a_script_sets_itself_is_no_reference() -> None:
    found = read(
        'KEY=$(openssl rand -hex 8)\nexport AWS_SECRET_ACCESS_KEY="$(jq -r .k creds.json)"\n'
        "for TOKEN in a b; do use $TOKEN; done\nread -r PASSWORD < f\n"
        "use $KEY $AWS_SECRET_ACCESS_KEY $PASSWORD $DEPLOY_TOKEN\n# $OLD_TOKEN"
    )
    assert [ref.name for ref in found.secrets] == ["DEPLOY_TOKEN"]
    assert found.logins == []
    itself = read("export AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY")
    assert [login.secrets for login in itself.logins] == [["AWS_SECRET_ACCESS_KEY"]]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("X=$(aws secretsmanager get-secret-value --secret-id prod/db --query SecretString)", [("prod/db", "secrets-manager")]),
        ("aws ssm get-parameter --name /prod/$STAGE-pw --with-decryption", [("/prod/eu-pw", "parameter-store")]),
        ("gcloud secrets versions access latest --secret=db", [("db", "secret-manager")]),
        ("az keyvault secret show --vault-name v --name db -o tsv", [("db", "key-vault:v")]),
        ("vault kv get -field=pw -mount=kv prod/db", [("kv/prod/db", "vault")]),
        ("aws ssm get-parameter --name /prod/region", []),
        ("# vault kv get secret/db", []),
        ("aws secretsmanager list-secrets", []),
    ],
)  # fmt: skip
def test_secrets_that_a_script_reads_from_a_store(script: str, expected: list[tuple[str, str]]) -> None:
    found = stored_secrets(script, lambda text: text.replace("$STAGE", "eu"))
    assert [(read.name, read.store) for read in found] == expected


def test_assignments_have_a_value_where_it_stands_in_full() -> None:
    script = "A=b\nexport C='d e'; F=$A G=x\nif [ $H = 1 ]; then I=j; fi\n$K = 'l'"
    assert [(name, value) for name, value, _ in assigned(script)] == [
        ("A", "b"), ("C", "d e"), ("F", ""), ("I", "j"), ("K", "")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "script",
    [
        f"docker login -u bot -p {PASSWORD}",
        f"sshpass -p '{PASSWORD}' ssh root@10.0.0.1",
        f"mysql -uroot -p{PASSWORD} -h db shop",
        f"curl -u bot:{PASSWORD} https://es:9200",
        f"curl \\\n  -X POST https://x \\\n  --user 'bot:{PASSWORD}'",
        f'curl -u ":{PASSWORD}" https://es:9200',
        f"curl -H 'Authorization: Bearer {HEX}' https://x",
        f'curl --header "X-Api-Key: {PASSWORD}" https://x',
        f"redis-cli -a {PASSWORD} ping",
        f"mvn sonar:sonar -Dsonar.login={HEX}",
        f"kubectl create secret generic db --from-literal=password={PASSWORD}",
        f"ansible-playbook -e db_password={PASSWORD} x.yml",
        f'terraform apply -var="db_password={PASSWORD}"',
        f"helm upgrade x . --set db.password={PASSWORD}",
        f"az keyvault secret set --vault-name v --name n --value {PASSWORD}",
        f"aws ssm put-parameter --name /x --value {PASSWORD} --type SecureString",
        f"ConvertTo-SecureString '{PASSWORD}' -AsPlainText -Force",
        f"$env:DB_PASSWORD = '{PASSWORD}'",
        f"echo 'DB_PASSWORD={PASSWORD}' >> .env",
        f"psql postgres://app:{PASSWORD}@db.internal/app",
        f"gpg --batch --passphrase {PASSWORD} -d x",
    ],
)
def test_literal_passwords_of_commands_are_hard_coded(script: str) -> None:
    assert len(list(hard_coded(script, inspect, FP))) == 1


@pytest.mark.parametrize(
    "script",
    [
        "aws ecr get-login-password --region eu-west-1 | docker login --username AWS --password-stdin x",
        "docker login -u $U -p $P",
        "curl -u user:password https://x",
        'curl -u "$U:$P" https://x',
        "curl -u <user:password> https://x",
        "curl -H 'Authorization: Bearer <token>' https://x",
        'curl -H "Authorization: Bearer $(gcloud auth print-access-token)" https://x',
        "docker build --secret id=token,env=TOKEN .",
        "docker run -u 1000:1000 -p 8080:80 x",
        "mysql -u root -p$PW shop",
        "kubectl get secret db -o jsonpath={.data.password}",
        "helm upgrade x . --set image.tag=1.2.3 --set db.password=$PW",
        "echo '##vso[task.setvariable variable=t;issecret=true]abc'",
        f"# DB_PASSWORD={PASSWORD}",
        "psql postgres://postgres:postgres@db/test",
        "ConvertTo-SecureString $env:PW -AsPlainText -Force",
        "aws ssm put-parameter --name /x --value v1.2.3-beta --type String",
    ],
)
def test_look_alikes_in_commands_are_left_alone(script: str) -> None:
    assert list(hard_coded(script, inspect, FP)) == []


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("(cd x && aws ecs update-service --cluster a --service b)", ["aws:ecs-service-name:a/b"]),
        ('bash -c "aws ecs update-service --cluster a --service b"', ["aws:ecs-service-name:a/b"]),
        ("R=$(aws lambda update-function-code --function-name f)", ["aws:lambda-function-name:f"]),
        ("aws eks update-kubeconfig --name c\nkubectl rollout restart deployment/w -n s", ["kubernetes:workload:c/s/w"]),
        ("kubectl config use-context c\nkubectl -n s patch sts w -p x", ["kubernetes:workload:c/s/w"]),
        ("gcloud run services update web", ["gcp:cloud-run-service-name:web"]),
        ("func azure functionapp publish fn", ["azure:functionapp-name:fn"]),
        ("ecs-deploy -c a -n b -i x", ["aws:ecs-service-name:a/b"]),
        ("kubectl rollout status deployment/w", []),
        ("gcloud run jobs deploy nightly", []),
        ("helm plugin install https://x", []),
        ("echo aws ecs update-service --cluster a --service b", []),
        ('ssh host "cd x && kubectl -n s scale deployment/w --replicas=2"', ["kubernetes:workload:?/s/w"]),
        ("make # aws ecs update-service --cluster a --service b", []),
        ("aws ecs update-service --cluster a --service $(cat name)", []),
    ],
)  # fmt: skip
def test_deployments_in_shell(script: str, expected: list[str]) -> None:
    assert [target for target, _ in deploy_targets(script, lambda text: text)] == expected
