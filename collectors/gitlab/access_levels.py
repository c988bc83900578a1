"""Who is named by the access levels of protected branches and environments, and which of GitLab's lists need a license.

https://docs.gitlab.com/api/protected_branches/ https://docs.gitlab.com/api/protected_environments/
"""

from __future__ import annotations

from typing import Any

from collectors.gitlab import powers

PREMIUM = "Available in GitLab Premium and Ultimate."
"""Why a list is not there, for `scanner.collect.failures.unsupported_on`."""


def allowed(levels: list[dict[str, Any]]) -> list[str]:
    """Return the roles, users, groups and keys in a list of access levels."""
    names = []
    for level in levels:
        if level.get("user_id"):
            names.append(f"user {level['user_id']}")
        elif level.get("group_id"):
            names.append(f"group {level['group_id']}")
        elif level.get("deploy_key_id"):
            names.append(f"deploy key {level['deploy_key_id']}")
        elif level.get("member_role_id"):
            names.append(f"custom role {level.get('member_role_name') or level['member_role_id']}")
        elif level.get("access_level") is not None:
            number = int(level["access_level"])
            names.append("no one" if number == 0 else powers.ROLES.get(number, str(number)))
    return names
