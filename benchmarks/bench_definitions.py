"""CPU time and peak memory of reading 20,000 CI definition files into records, including hard-coded values."""

from __future__ import annotations

import resource
import time

from collectors.definitions import Context, definition_records, parse
from scanner.secrets.detectors import Fingerprint

BUDGETS = {"cpu_seconds": 30.0, "peak_mb": 400.0}
FILES = 20_000

_WORKFLOW = """\
name: Build {n}
on:
  push:
    branches: [main]
  pull_request:
permissions:
  contents: read
jobs:
  test:
    runs-on: ubuntu-24.04
    strategy:
      matrix: {{python: ['3.11', '3.12']}}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {{python-version: '${{{{ matrix.python }}}}', cache: pip}}
      - run: |
          python -m pip install -r requirements.txt
          python -m pytest -q
  deploy:
    needs: test
    runs-on: ubuntu-24.04
    environment: production
    permissions: {{id-token: write, contents: read}}
    steps:
      - uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683
        with: {{persist-credentials: false}}
      - uses: aws-actions/configure-aws-credentials@v4
        with:
          role-to-assume: arn:aws:iam::200000000002:role/deploy-{n}
          aws-region: eu-west-1
      - name: Deploy
        env: {{API_TOKEN: '${{{{ secrets.API_TOKEN }}}}', LEVEL: info}}
        run: |
          docker build -t service-{n} .
          aws ecs update-service --cluster core --service service-{n} --force-new-deployment
"""
_GITLAB = """\
stages: [test, deploy]
variables: {{AWS_REGION: eu-west-1}}
test:
  stage: test
  image: python:3.12
  script: [pip install -r requirements.txt, pytest -q]
deploy:
  stage: deploy
  environment: production
  id_tokens: {{AWS_TOKEN: {{aud: sts.amazonaws.com}}}}
  rules: [{{if: '$CI_COMMIT_BRANCH == "main"'}}]
  script:
    - aws sts assume-role-with-web-identity --role-arn arn:aws:iam::200000000002:role/deploy-{n} --web-identity-token $AWS_TOKEN
    - aws lambda update-function-code --function-name function-{n} --zip-file fileb://f.zip
"""


def run() -> dict[str, float]:
    """Return CPU seconds, files a second, records and peak memory in MB."""
    fingerprint = Fingerprint(b"bench")
    begun = time.process_time()
    records = 0
    for number in range(FILES):
        gitlab = number % 5 == 0
        path = ".gitlab-ci.yml" if gitlab else ".github/workflows/deploy.yml"
        definition = parse(path, (_GITLAB if gitlab else _WORKFLOW).format(n=number), fingerprint)
        context = Context(
            provider="gitlab" if gitlab else "github",
            account_id=f"x:{number}",
            repository=f"acme/r{number}",
            repository_id=str(number),
        )
        records += sum(1 for _ in definition_records(definition, context=context))
    cpu = time.process_time() - begun
    return {
        "cpu_seconds": round(cpu, 2),
        "files_per_cpu_second": round(FILES / cpu),
        "records": records,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
