"""What RBAC rules give, as data."""
