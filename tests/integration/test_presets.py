"""Presets: values of a form under a name."""

import pytest
from django.contrib.auth.models import User

from admin_ext.audit.sentences import sentences
from jobs.catalog.registry import Job, find_job
from jobs.errors import InvalidArguments, NotPermitted
from jobs.ledger.audit import Actor
from jobs.ledger.presets import PresetTaken, delete_preset, save_preset, version_of
from jobs.ledger.refill import refill
from jobs.models import AuditEvent, Preset
from tests import jobs_under_test as under_test

pytestmark = pytest.mark.django_db


@pytest.fixture
def echo() -> Job:
    return find_job(under_test.echo_types.name)


def test_a_preset_fills_the_form_and_keeps_no_secret(echo: Job, olga: Actor) -> None:
    preset = save_preset(echo, " Month end ", {"day": "2026-10-31", "whole": "7", "pin": "canary"}, actor=olga)

    assert (preset.name, preset.owner_label) == ("Month end", "Olga Berg")
    assert "canary" not in repr(preset.values) and "pin" not in preset.values
    assert echo.parameters is not None
    filled = refill(preset.values, echo.parameters)
    assert (filled.values["day"], filled.values["whole"], filled.problems) == ("2026-10-31", 7, {})
    assert AuditEvent.objects.get().verb == "save_preset"


def test_what_sounds_like_a_secret_is_asked_for_again(db: None) -> None:
    root = Actor.person(User.objects.create_superuser("root"), via="command")
    sign_in = find_job(under_test.sign_in.name)
    assert sign_in.parameters is not None
    echo = find_job(under_test.echo_types.name)
    nested = save_preset(echo, "Nested", {"anything": {"password": "canary"}, "whole": 3}, actor=root)
    assert "canary" not in repr(nested.values) and nested.values["whole"] == 3
    preset = save_preset(sign_in, "Mine", {"user": "ana", "password": "canary"}, actor=root)
    assert preset.values == {"user": "ana"}
    filled = refill(preset.values, sign_in.parameters)
    assert (filled.values, filled.secrets, filled.new) == ({"user": "ana"}, ("Password",), ())


def test_the_same_name_replaces(echo: Job, olga: Actor) -> None:
    for whole in (1, 2):
        save_preset(echo, "Same", {"whole": whole}, actor=olga)
    assert Preset.objects.get().values["whole"] == 2


def test_what_somebody_else_keeps_is_replaced_only_as_it_was_seen(echo: Job, olga: Actor) -> None:
    ana = Actor.person(User.objects.create_superuser("ana", first_name="Ana"), via="command")
    theirs = save_preset(echo, "Nightly", {"whole": 1}, actor=ana)
    with pytest.raises(PresetTaken) as told:
        save_preset(echo, "Nightly", {"whole": 2}, actor=olga)
    assert str(told.value) == "The preset Nightly of Ana exists. Save under another name, or replace it."
    seen = version_of(told.value.preset)
    save_preset(echo, "Nightly", {"whole": 3}, actor=ana)
    with pytest.raises(PresetTaken):
        save_preset(echo, "Nightly", {"whole": 2}, actor=olga, replace=seen)
    assert Preset.objects.get().values["whole"] == 3
    save_preset(echo, "Nightly", {"whole": 2}, actor=olga, replace=version_of(Preset.objects.get()))
    kept = Preset.objects.get()
    assert (kept.pk, kept.values["whole"], kept.owner_label) == (theirs.pk, 2, "Olga Berg")
    event = AuditEvent.objects.latest("pk")
    assert (event.actor_label, event.details) == ("Olga Berg", {"replaced": "Ana"})
    assert [line.note for line in sentences([event])] == ["replaced that of Ana, from the command line"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 101])
def test_a_name_is_needed(echo: Job, olga: Actor, name: str) -> None:
    with pytest.raises(InvalidArguments):
        save_preset(echo, name, {}, actor=olga)


def test_wrong_values_are_not_kept(echo: Job, olga: Actor) -> None:
    with pytest.raises(InvalidArguments):
        save_preset(echo, "Wrong", {"whole": "many"}, actor=olga)
    assert not Preset.objects.exists()


def test_who_may_not_run_may_not_keep_or_remove(echo: Job, olga: Actor, vito: Actor) -> None:
    preset = save_preset(echo, "Kept", {}, actor=olga)
    with pytest.raises(NotPermitted):
        save_preset(echo, "Mine", {}, actor=vito)
    with pytest.raises(NotPermitted):
        delete_preset(preset, echo, actor=vito)
    delete_preset(preset, echo, actor=olga)
    assert not Preset.objects.exists()
    assert AuditEvent.objects.filter(verb="delete_preset", outcome="done").count() == 1
