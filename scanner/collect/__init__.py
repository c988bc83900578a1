"""The kit that every collector uses.

Authors of a collector should read, in this order:

1. `scanner.collect.collector`: the interface of a collector, with targets and runs;
2. `scanner.collect.listings`: how records are yielded, failures become a Gap and complete listings a Coverage;
3. `scanner.collect.failures`: the exception for all errors of a source, and what each error means;
4. for an HTTP API, `scanner.collect.rest`: the client, with `auth` (signing in), `dialect` (what is particular to the
   source), `paging` (pagination) and `http_config` (the options of config.yaml); and `scanner.collect.graphql` for GraphQL;
5. for large organizations, `scanner.collect.memory`: pages by ETag, and records carried forward from earlier nights.

The rest is internal: `transport` sends one bounded request, `answers` reads the response, `limiter` waits for rate
limits, and `run` collects a whole night.
"""
