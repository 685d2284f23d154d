"""The family of a run: the tree, groups, retries, what is missing, loops, and many."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.ledger.family import DEEPEST, MEMBERS_SHOWN, family
from jobs.ledger.run_page import run_page
from jobs.models import Run
from jobs.states import Source, State
from tests.integration.test_run_page import address, make

START = timezone.now() - timedelta(minutes=10)


def member(name: str, parent: str = "", *, root: str | None = "root", at: float = 0, **values: Any) -> Run:
    return make(
        State.SUCCEEDED,
        task_id=name,
        root_id=None if name == root else root,
        parent_id=parent,
        accepted_at=START + timedelta(seconds=at),
        **values,
    )


def lines(run: Run) -> list[tuple[int, str]]:
    return [(line.depth, line.run.task_id) for line in family(run).members]


@pytest.mark.django_db
def test_children_stand_under_their_parents_in_the_order_of_asking() -> None:
    member("root")
    grandchild = member("aa", "b", at=3)
    for name, at in (("b", 2), ("a", 1)):
        member(name, "root", at=at)
    member("stranger", root=None)
    tree = [(0, "root"), (1, "a"), (1, "b"), (2, "aa")]
    assert lines(grandchild) == tree, "whoever of them is looked at"
    assert lines(Run.objects.get(task_id="root")) == tree
    assert [line.run.task_id for line in family(grandchild).members if line.is_this] == ["aa"]


@pytest.mark.django_db
def test_members_of_a_group_stand_together_under_one_heading() -> None:
    root = member("root")
    for name, group, at in (("g1", "G", 1), ("x", "", 2), ("g2", "G", 3), ("h1", "H", 4), ("g3", "G", 5)):
        member(name, "root", at=at, group_id=group)
    shown = [(line.run.task_id, line.group) for line in family(root).members]
    assert shown == [("root", ""), ("g1", "G"), ("g2", ""), ("g3", ""), ("x", ""), ("h1", "H")]


@pytest.mark.django_db
def test_a_parent_that_is_not_kept_is_told() -> None:
    child = member("child", "pruned", root="pruned")
    sibling = member("sibling", "pruned", root="pruned", at=1)
    assert lines(child) == lines(sibling) == [(0, "child"), (0, "sibling")]
    assert all(line.orphan for line in family(child).members)


@pytest.mark.django_db
def test_loops_and_other_lies_end() -> None:
    one = member("one", "two", at=1)
    member("two", "three", at=2)
    member("three", "one", at=3)
    member("self", "self", at=4)
    member("root", "three", root="root")
    names = [name for _, name in lines(one)]
    assert sorted(names) == ["one", "root", "self", "three", "two"], "each of them once"
    Run.objects.filter(task_id="one").update(root_id="one", parent_id="one", retry_of=one, based_on="one")
    found = family(Run.objects.get(task_id="one"))
    assert [line.run.task_id for line in found.members] == ["one"]
    page = run_page("one")
    assert page is not None and page.based_on is not None and page.based_on.run is not None


@pytest.mark.django_db
def test_a_long_chain_is_walked_to_its_end() -> None:
    parent = ""
    for number in range(150):
        parent = member("root" if number == 0 else f"c{number}", parent, at=number).task_id
    found = family(Run.objects.get(task_id="c149")).members
    assert len(found) == 150 and max(line.depth for line in found) == DEEPEST


@pytest.mark.django_db
def test_a_large_family_is_cut_and_keeps_this_run_its_parent_and_the_root() -> None:
    member("root")
    Run.objects.bulk_create(
        Run(task_id=f"k{number}", task_name="t", root_id="root", parent_id="root", accepted_at=START)
        for number in range(MEMBERS_SHOWN + 50)
    )
    parent = member("parent", "root", at=1)
    this = member("this", "parent", at=2)
    with CaptureQueriesContext(connection) as queries:
        found = family(this)
    assert len(queries) == 1
    names = {line.run.task_id for line in found.members}
    assert len(names) == MEMBERS_SHOWN and found.more and {"root", "this", parent.task_id} <= names
    page = run_page("this")
    assert page is not None and page.counts.family > MEMBERS_SHOWN


@pytest.mark.django_db
def test_retries_and_the_form_are_linked_both_ways() -> None:
    first = make(State.FAILED, task_id="first")
    again = [make(task_id=f"again-{n}", retry_of=first, source=Source.RETRY) for n in range(2)]
    like = make(task_id="like", based_on="first")
    assert [run.task_id for run in family(first).retries] == ["again-0", "again-1"]
    assert family(again[0]).retry_of == first and family(like).based_on == first
    assert not family(first).is_alone and not family(like).is_alone
    like.based_on = "pruned"
    assert family(like).is_alone


def test_the_tab_shows_the_tree_and_its_neighbours(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    hostile = "<script>alert(1)</script>"
    member("root", task_name=hostile)
    this = member("this", "root", at=1, group_id='"><b>')
    make(task_id="again-0", retry_of=this, source=Source.RETRY)
    text = client.get(address(this, "change/?tab=family")).content.decode()
    assert "<script>alert" not in text and "<b>" not in text.partition("oc-tree")[2].partition("this run")[0].replace(
        '<b aria-current="true">', ""
    )
    tree = re.findall(r'<li class="oc-tree__line oc-tree--(\d)( oc-tree__line--this)?">', text)
    assert [(depth, bool(mine)) for depth, mine in tree] == [("0", False), ("1", True)]
    assert "this run" in text and "Retried by" in text and f'href="{address(Run(task_id="again-0"))}"' in text


def test_a_run_that_is_alone_says_so(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    text = client.get(address(make(), "change/?tab=family")).content.decode()
    assert "This run is alone" in text and "oc-tree" not in text
