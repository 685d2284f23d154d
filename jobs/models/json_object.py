"""The column of all tables here that holds JSON: always an object, whoever wrote it."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.fields.json import KeyTransform

from jobs.text import read_json, safe_text, safe_value

_LONGEST_UNREADABLE = 200


class JSONObjectField(models.JSONField):
    """A JSON object: written safe (`jobs.text.safe_value`), and read as a dict whatever lies in the column.

    To the database and to migrations it is Django's own field.
    """

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        return super().get_db_prep_save(safe_value(value), connection)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        if value is None or isinstance(expression, KeyTransform):
            return super().from_db_value(value, expression, connection)
        return self.read(value)

    def read(self, value: Any) -> dict[str, Any] | None:
        """The object of a column's JSON, as text or read already; what is none stands under a name in one."""
        try:
            found = read_json(value) if isinstance(value, str) else safe_value(value)
        except ValueError:
            return {"unreadable": safe_text(value[:_LONGEST_UNREADABLE])}
        if found is None:
            return None if self.null else {}
        return found if isinstance(found, dict) else {"value": found}
