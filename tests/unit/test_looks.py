"""The admin's default site: whatever class the project has chosen, over Unfold's."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.contrib.admin import site as default_site
from unfold.sites import UnfoldAdminSite

from admin_ext.looks import dressed


class Own(AdminSite):
    site_header = "Widgets Ltd."


class OwnUnfold(UnfoldAdminSite):
    pass


def test_a_site_of_the_project_keeps_what_it_says_and_wears_unfold() -> None:
    site = dressed(Own)
    assert issubclass(site, Own) and issubclass(site, UnfoldAdminSite)
    assert site.site_header == "Widgets Ltd."
    assert site.each_context is UnfoldAdminSite.each_context


def test_what_wears_unfold_already_stays_itself() -> None:
    assert dressed(OwnUnfold) is OwnUnfold
    assert dressed(AdminSite) is UnfoldAdminSite


def test_the_default_site_is_one_object_for_all() -> None:
    assert isinstance(default_site, UnfoldAdminSite)
