"""The jobs that ship: importing this module registers them all."""

from . import (
    diagnostics,
    dormant_users,
    mail,
    maintenance,
    reports,
    sessions,
    staff_activity,
    user_export,
    user_import,
    users,
    web_check,
)

__all__ = [
    "diagnostics",
    "dormant_users",
    "mail",
    "maintenance",
    "reports",
    "sessions",
    "staff_activity",
    "user_export",
    "user_import",
    "users",
    "web_check",
]
