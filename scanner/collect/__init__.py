"""What every collector stands on.

A collector's author reads, in this order:

1. `scanner.collect.collector`: what a collector is, its three names, a target and a run;
2. `scanner.collect.listings`: how records go out, and how a failure becomes a Gap and an answer a Coverage;
3. `scanner.collect.failures`: the one exception for what a source answers, and what each means;
4. for an HTTP API, `scanner.collect.rest`: the client, with `auth` (signing in), `paging` (how lists are cut) and
   `http_config` (the options of config.yaml); and `scanner.collect.graphql` for GraphQL;
5. for large estates, `scanner.collect.memory`: pages by ETag, and what is carried forward from an earlier night.

The rest is below these: `transport` sends one request within bounds, `answers` reads what came, `limiter` waits,
and `run` drives a whole night.
"""
