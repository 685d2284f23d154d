"""Unfold's settings: title, colours, sidebar. Callbacks are dotted paths, so that nothing is imported here."""

from functools import partial
from typing import Any

from django.utils.functional import lazy
from django.utils.module_loading import import_string

#: Indigo, apart from the tones of the states: it means "you can act here". Unfold draws links in dark with 500.
PRIMARY = {
    "50": "oklch(96.2% .018 272.314)",
    "100": "oklch(93% .034 272.788)",
    "200": "oklch(87% .065 274.039)",
    "300": "oklch(78.5% .115 274.713)",
    "400": "oklch(72% .14 275.5)",
    "500": "oklch(67.3% .17 276.5)",
    "600": "oklch(51.1% .262 276.966)",
    "700": "oklch(45.7% .24 277.023)",
    "800": "oklch(39.8% .195 277.366)",
    "900": "oklch(35.9% .144 278.697)",
    "950": "oklch(25.7% .09 281.288)",
}


def _place(function: str, *arguments: str) -> str:
    # Imported when a page is drawn: settings import this module.
    return str(import_string(f"admin_ext.parts.places.{function}")(*arguments))


#: Looked up when a page is drawn, then kept.
_at = partial(lazy(_place, str), "place")
_list = lazy(_place, str)

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Operations",
    "SITE_HEADER": "Operations",
    "SITE_SYMBOL": "bolt",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "admin_ext.frame.sidebar.favicon"}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "admin_ext.frame.sidebar.environment",
    "DASHBOARD_CALLBACK": "admin_ext.overview.page.overview",
    "STYLES": ["admin_ext.frame.sidebar.stylesheet"],
    "SCRIPTS": ["admin_ext.frame.sidebar.script"],
    "COLORS": {"primary": PRIMARY},
    # No search of models: it has no bound. No history: it would keep what was typed in the browser.
    "COMMAND": {"search_models": False, "show_history": False, "search_callback": "admin_ext.palette.find"},
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "navigation": [
            {
                "items": [
                    {
                        "title": "Overview",
                        "icon": "dashboard",
                        "link": _at("admin:index"),
                        "badge": "admin_ext.frame.sidebar.overview_badge",
                        "badge_variant": "warning",
                    },
                    {
                        "title": "Jobs",
                        "icon": "play_circle",
                        "link": _at("admin:jobs_catalog"),
                        "permission": "admin_ext.frame.sidebar.may_see_jobs",
                        "active": "admin_ext.frame.sidebar.jobs_is_current",
                    },
                    {
                        "title": "Runs",
                        "icon": "list_alt",
                        "link": _at("admin:jobs_run_changelist"),
                        "permission": "admin_ext.frame.sidebar.may_see_runs",
                        "active": "admin_ext.frame.sidebar.runs_is_current",
                        "badge": "admin_ext.frame.sidebar.running_badge",
                        "badge_variant": "info",
                    },
                    {
                        "title": "Failures",
                        "icon": "error",
                        "link": _at("admin:jobs_failuregroup_changelist"),
                        "permission": "admin_ext.frame.sidebar.may_see_runs",
                        "badge": "admin_ext.frame.sidebar.failures_badge",
                        "badge_variant": "danger",
                    },
                    {
                        "title": "Schedules",
                        "icon": "calendar_clock",
                        "link": _at("admin:django_celery_beat_periodictask_changelist"),
                        "permission": "admin_ext.frame.sidebar.may_see_schedules",
                        "badge": "admin_ext.frame.sidebar.schedules_badge",
                        "badge_variant": "warning",
                    },
                    {
                        "title": "Queues",
                        "icon": "inbox",
                        "link": _at("admin:jobs_queues"),
                        "permission": "admin_ext.frame.sidebar.may_see_runs",
                        "active": "admin_ext.frame.sidebar.queues_is_current",
                        "badge": "admin_ext.frame.sidebar.queues_badge",
                        "badge_variant": "warning",
                    },
                    {
                        "title": "Workers",
                        "icon": "memory",
                        "link": _at("admin:jobs_workers"),
                        "permission": "admin_ext.frame.sidebar.may_see_runs",
                        "active": "admin_ext.frame.sidebar.workers_is_current",
                        "badge": "admin_ext.frame.sidebar.workers_badge",
                        "badge_variant": "warning",
                    },
                    {
                        "title": "Audit",
                        "icon": "receipt_long",
                        "link": _at("admin:jobs_auditevent_changelist"),
                        "permission": "admin_ext.frame.sidebar.may_see_audit",
                    },
                ],
            },
            {
                "title": "Administration",
                "separator": True,
                "items": [
                    {
                        "title": "Stored results",
                        "icon": "data_object",
                        "link": _at("admin:django_celery_results_taskresult_changelist"),
                        "permission": "admin_ext.frame.sidebar.may_see_results",
                        "active": "admin_ext.frame.sidebar.results_is_current",
                    },
                    {
                        "title": "Facts set aside",
                        "icon": "sync_problem",
                        "link": _at("admin:jobs_facts_set_aside"),
                        "permission": "admin_ext.frame.sidebar.may_see_set_aside",
                        "active": "admin_ext.frame.sidebar.set_aside_is_current",
                        "badge": "admin_ext.frame.sidebar.set_aside_badge",
                        "badge_variant": "warning",
                    },
                    {
                        "title": "Users",
                        "icon": "group",
                        "link": _list("users_page"),
                        "permission": "admin_ext.frame.sidebar.may_see_users",
                    },
                    {
                        "title": "Roles",
                        "icon": "badge",
                        "link": _list("roles_page"),
                        "permission": "admin_ext.frame.sidebar.may_see_roles",
                    },
                ],
            },
        ],
    },
}
