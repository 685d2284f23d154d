"""The Jobs page, as those see it who may look and not run."""

from __future__ import annotations

import re
from html import unescape

from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse


def _page(client: Client, user: User) -> str:
    client.force_login(user)
    return client.get(reverse("admin:jobs_catalog")).content.decode()


def _columns_and_spans(page: str) -> tuple[int, set[int]]:
    table = page.split("oc-t--jobs", 1)[1].split("</table>", 1)[0]
    head, body = table.split("</thead>", 1)
    return head.count('<th scope="col"'), {int(n) for n in re.findall(r'colspan="(\d+)"', body)}


def test_a_group_spans_the_columns_that_are_there(client: Client, viewer: User, operator: User) -> None:
    assert _columns_and_spans(_page(client, viewer)) == (2, {2})
    assert _columns_and_spans(_page(client, operator)) == (3, {3})


def test_a_name_leads_to_the_form_or_to_the_runs(client: Client, viewer: User, operator: User) -> None:
    name = "jobs.library.reports.task_activity_report"
    start, runs = reverse("admin:jobs_start", args=[name]), f"{reverse('admin:jobs_run_changelist')}?job={name}"
    assert f'<a class="oc-name" href="{start}"' in _page(client, operator)
    page = _page(client, viewer)
    assert f'<a class="oc-name" href="{runs}"' in page and f'href="{start}"' not in page


def test_what_a_whole_group_needs_is_said_once_and_by_role(client: Client, operator: User) -> None:
    page = unescape(_page(client, operator))
    assert page.count('oc-group__note">Needs the role Developer.') == 1, "of seven diagnostics"
    assert 'oc-needs">Needs the role Developer' not in page
    assert not [name for name in Permission.objects.values_list("name", flat=True) if name in page]


def test_what_no_role_gives_is_an_administrators(client: Client, operator: User) -> None:
    Group.objects.get(name="Developer").delete()
    assert "Needs an administrator: no role gives the right to it" in _page(client, operator)
