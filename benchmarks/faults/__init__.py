"""Every endpoint of every collector against every fault: what a night says when one thing goes wrong.

Night 1 is healthy. Night 2 is the same estate, one fault at one endpoint: every finding that is resolved or new is wrong.

    python -m benchmarks.faults                   every collector that has a sandbox
    python -m benchmarks.faults github --sample 80
    python -m benchmarks.faults github --missed   only the pairs that were wrong the last time

An interrupted run goes on where it ended. Results are in ``benchmarks/results/faults-<collector>.json``.
"""
