"""Checking one checkout in a pull request: what its pipeline definitions show, and what a change does to reach.

Nothing is kept: the checkout is collected and analyzed like a night, in a temporary folder, so that a finding has the
same id, rule and severity as in the nightly report.
"""
