"""Questions to a stored night, answered without a report: which findings, who can do what, what a leaked secret reaches."""
