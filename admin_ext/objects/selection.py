"""What is selected in a list, as far as the person may see it, and what became of it since a page showed it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from admin_ext.parts.words import plural


@dataclass(frozen=True, slots=True)
class Selection:
    """Objects of one model.

    Attributes:
        across: all that the list's filters and search match, not only what was ticked.
        left_out: how many were selected and are gone, or are not for this person.
        one, many: what the model's objects are called.
    """

    objects: list[Model]
    across: bool
    left_out: int
    one: str
    many: str

    @property
    def count(self) -> int:
        return len(self.objects)

    @property
    def words(self) -> str:
        """`2,500 users`."""
        return plural(self.count, self.one, self.many)

    @property
    def keys(self) -> list[Any]:
        return [obj.pk for obj in self.objects]

    @property
    def carried(self) -> list[str]:
        """What a page must send back so that the list selects the same: the keys, or that it was everything."""
        return ["all"] if self.across else [str(key) for key in self.keys]

    @property
    def mark(self) -> str:
        """Tells two selections apart: the count, and a digest of the keys."""
        digest = hashlib.sha256("\n".join(sorted(str(key) for key in self.keys)).encode()).hexdigest()[:16]
        return f"{self.count}:{digest}"

    @property
    def left_out_words(self) -> str:
        """What was selected and is not here, as a sentence; "" when nothing."""
        if self.left_out == 1:
            return f"1 {self.one} of your selection is left out: it no longer exists, or you may not see it."
        number = f"{self.left_out:,} {self.many} of your selection are left out"
        return f"{number}: they no longer exist, or you may not see them." if self.left_out else ""

    def changed_words(self, mark: str) -> str:
        """How it differs from the selection that had another `mark`; completes "Nothing was started: …"."""
        before = mark.partition(":")[0]
        now = f"{self.count:,} {'is' if self.count == 1 else 'are'}"
        if before == str(self.count):
            return f"other {self.many} are selected now than when this page was shown"
        if before.isascii() and before.isdigit() and len(before) < 10:
            were = "was" if before == "1" else "were"
            then = plural(int(before), self.one, self.many)
            return f"{then} {were} selected when this page was shown, now {now}"
        return f"now {now} selected"


def read_selection(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any], *, most: int
) -> Selection:
    """The first `most` objects that the person may see; each is asked for: a ModelAdmin may allow some and not others.

    Args:
        queryset: what is selected, out of the ModelAdmin's own list.
    """
    across = request.POST.get("select_across", "0") not in ("", "0")
    found = list(queryset[:most])
    objects = [obj for obj in found if model_admin.has_view_permission(request, obj)]
    asked = len(found) if across else len(set(request.POST.getlist(ACTION_CHECKBOX_NAME)))
    names = model_admin.opts
    return Selection(
        objects, across, max(asked - len(objects), 0), str(names.verbose_name), str(names.verbose_name_plural)
    )
