"""Failed runs by what they failed with."""

from __future__ import annotations

from django.db.models import F, Q, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Concat

from jobs.models import Run
from jobs.states import State

from .readable import NOTHING, Withheld
from .redaction import hide_in_text
from .run_query import WINDOW, Pool
from .run_slices import among
from .slices import only

#: So many of the newest that match are found.
MOST_FOUND = 1_000


def failed_with(words: str, withheld: Withheld = NOTHING) -> tuple[int, ...]:
    """The rows of failed runs whose error holds `words`, in any case; of the newest WINDOW failures. One statement.

    What a page does not show of an error does not find it either: neither a secret, nor what is withheld.

    Args:
        withheld: the tasks whose runs the viewer may not read.
    """
    pool = Pool("state", Run.objects.filter(only("state", State.FAILED)), Q(), WINDOW, order="state")
    said = Concat(F("error_type"), Value(": "), F("error_message"))
    matching = Run.objects.order_by(*pool.ordering(backwards=False)).annotate(said=said)
    ids = matching.filter(said__icontains=words).values("pk")[:MOST_FOUND]
    sql, values = among(ids, pool, None, "error_type", "error_message")
    found = Run.objects.filter(pk__in=RawSQL(sql, values)).exclude(task_name__in=withheld)  # noqa: S611 - from the ORM
    errors = found.order_by().values_list("pk", "error_type", "error_message")
    return tuple(sorted(pk for pk, kind, text in errors if words.lower() in hide_in_text(f"{kind}: {text}").lower()))
