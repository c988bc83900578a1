"""What all provider sandboxes share: a loopback server, routes, tokens, limits, paging and faults.

A provider's sandbox derives its server from `sandbox.kit.api.HttpSandbox` and offers the functions of
`sandbox.kit.provider.SandboxPackage`, so that the standard tests, ``python -m sandbox serve`` and ``make faults`` can
use it.
"""
