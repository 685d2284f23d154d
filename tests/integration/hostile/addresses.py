"""All addresses: as the URL resolver has them, and as the pages behind them lead further."""

from __future__ import annotations

import html
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit

from django.contrib.admin.utils import quote as admin_quote
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.urls import Resolver404, get_resolver, resolve
from django_celery_beat.models import PeriodicTask
from django_celery_results.models import GroupResult, TaskResult

from jobs.catalog.registry import declared_jobs, derived_jobs
from jobs.models import FailureGroup, Preset, Run, RunFile

from .values import TEXTS

Values = Iterable[Mapping[str, object]]
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_LINK = re.compile(r'\s(?:href|hx-get|action|data-[\w-]+)="([/?][^"]*)"')
_FIELD = re.compile(r'<(?:input|select|textarea)[^>]*\sname="([^"]+)"')
#: It would end the visit.
_NOT_OPENED = {"admin/logout/"}
_OURS = ("admin/jobs/", "admin/django_celery_")


def routes() -> Iterator[str]:
    """Every route of the project, `admin/jobs/run/<path:object_id>/change/`."""

    def within(patterns: Iterable[object], before: str) -> Iterator[str]:
        for pattern in patterns:
            route = before + str(pattern.pattern)  # type: ignore[attr-defined]
            inner = getattr(pattern, "url_patterns", None)
            yield from within(inner, route) if inner is not None else [route]

    yield from within(get_resolver().url_patterns, "")


def seeds(routes: Iterable[str], step: int = 1, others: int = 1) -> Iterator[str]:
    """The addresses of these routes: the page of each row, or of one of `step` rows, and the other addresses of one of
    `others` of these.

    Raises:
        LookupError: nobody has said yet what the parameters of a route stand for.
    """
    for number, route in enumerate(routes):
        if route in _NOT_OPENED:
            continue
        if route in _REGULAR:
            yield from [*_REGULAR[route]][::step]
        elif not _PARAMETER.search(route):
            yield f"/{route}"
        else:
            every = step if route.startswith(_OURS) and route.endswith("/change/") else step * others
            for values in [*_values_of(route)][number % every :: every]:
                yield "/" + _PARAMETER.sub(lambda part, given=values: quote(str(given[part[1]]), safe=""), route)  # type: ignore[misc]


def _values_of(route: str) -> Values:
    names = tuple(_PARAMETER.findall(route))
    found = max((begin for begin, _ in _ROWS if route.startswith(begin)), key=len, default="")
    values = _ROWS.get((found, names))
    if values is None:
        raise LookupError(f"{route}: say in _ROWS what {', '.join(names)} stand for")
    return values()


def _named(name: str, found: Callable[[], Iterable[object]]) -> Callable[[], Values]:
    return lambda: [{name: one} for one in found()]


def _pks(model: type) -> Callable[[], Iterable[object]]:
    return lambda: [*model._base_manager.values_list("pk", flat=True), 0]  # type: ignore[attr-defined]


def _texts() -> list[str]:
    return [text[:200] for text in TEXTS if text]


def _jobs() -> list[str]:
    return [*(job.name for job in (*declared_jobs(), *derived_jobs())), *_texts()]


def _run_ids() -> list[str]:
    return [*(admin_quote(task_id) for task_id in Run.objects.values_list("task_id", flat=True)), "none"]


#: What the parameters of routes stand for, by how the routes begin.
_ROWS: dict[tuple[str, tuple[str, ...]], Callable[[], Values]] = {
    ("admin/jobs/run/", ("object_id",)): _named("object_id", _run_ids),
    ("admin/jobs/run/", ("object_id", "pk")): lambda: [
        {"object_id": admin_quote(task_id), "pk": pk}
        for task_id, pk in RunFile.objects.values_list("run__task_id", "pk")
    ],
    ("admin/jobs/run/catalog/", ("name",)): _named("name", _jobs),
    ("admin/jobs/run/catalog/", ("name", "field")): lambda: [
        {"name": name, "field": field} for name in _jobs() for field in ("users", "x")
    ],
    ("admin/jobs/run/catalog/", ("name", "pk")): lambda: [
        {"name": job or "x", "pk": pk} for job, pk in Preset.objects.values_list("job", "pk")
    ],
    ("admin/jobs/run/queues/", ("name",)): _named("name", lambda: ["default", *_texts()]),
    ("admin/jobs/run/workers/", ("name",)): _named("name", lambda: ["w@one", *_texts()]),
    ("queues/", ("name",)): _named("name", lambda: ["default", *_texts()]),
    ("workers/", ("name",)): _named("name", lambda: ["w@one", *_texts()]),
    ("admin/jobs/failuregroup/", ("pk",)): _named("pk", _pks(FailureGroup)),
    ("admin/django_celery_results/taskresult/", ("pk",)): _named("pk", _pks(TaskResult)),
    ("admin/django_celery_results/groupresult/", ("pk",)): _named("pk", _pks(GroupResult)),
    ("admin/django_celery_beat/periodictask/", ("pk",)): _named("pk", _pks(PeriodicTask)),
    ("admin/auth/user/", ("id",)): _named("id", _pks(User)),
    ("admin/auth/user/", ("object_id",)): _named("object_id", _pks(User)),
    ("admin/auth/group/", ("object_id",)): _named("object_id", _pks(Group)),
    ("admin/r/", ("content_type_id", "object_id")): lambda: [
        {"content_type_id": pk, "object_id": one} for pk in _pks(ContentType)() for one in ("1", "%00", "x")
    ],
}
#: Routes that are regular expressions.
_REGULAR = {
    "admin/(?P<url>.*)$": ["/admin/nowhere", *(f"/admin/{quote(text[:200])}" for text in TEXTS)],
}


def _applications(route: str) -> Iterable[str]:
    return [f"/admin/{label}/" for label in route.partition("<app_label>")[2].partition(")")[0].split("|")]


for _route in routes():
    if "(?P<app_label>" in _route:
        _REGULAR[_route] = [*_applications(_route)]


class Further:
    """What pages lead to: each kind of link, a route with the same names in its query, `most` times, and `most_kinds`
    kinds of a route."""

    def __init__(self, most: int, most_kinds: int) -> None:
        self._most, self._most_kinds = most, most_kinds
        self._seen: set[str] = set()
        self._kinds: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
        #: By route, the names that its addresses ask with.
        self.asked: dict[str, tuple[str, set[str]]] = {}

    def of(self, address: str, page: str) -> Iterator[str]:
        """The addresses on this page that are to be opened, too."""
        fields = {html.unescape(name) for name in _FIELD.findall(page)} - {"csrfmiddlewaretoken"}
        self._note(address, fields)
        for link in _LINK.findall(page):
            try:
                found = urljoin(address, html.unescape(link)).partition("#")[0]
            except ValueError:  # the markup of a page that shows odd addresses
                continue
            if found not in self._seen and self._is_new(found):
                yield found
            self._seen.add(found)

    def hostile(self, texts: Iterable[str], *, each: bool) -> Iterator[str]:
        """What pages ask with, given each of these texts: every name alone, or all names of a route at once."""
        given = list(texts)
        for path, names in list(self.asked.values()):
            for asked in [[name] for name in sorted(names)] if each else [sorted(names)]:
                yield from (f"{path}?{urlencode(dict.fromkeys(asked, text))}" for text in given)

    def _is_new(self, address: str) -> bool:
        route = _route_of(address)
        if route is None or route in _NOT_OPENED:
            return False
        names = {name for name, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True)}
        self._note(address, names)
        kinds = self._kinds[route]
        kind = tuple(sorted(names))
        if kind not in kinds and len(kinds) >= self._most_kinds:
            return False
        kinds[kind] += 1
        return kinds[kind] <= self._most

    def _note(self, address: str, names: set[str]) -> None:
        path = urlsplit(address).path
        if names and (route := _route_of(address)) is not None:
            self.asked.setdefault(route, (path, set()))[1].update(names)


def _route_of(address: str) -> str | None:
    try:
        return resolve(urlsplit(address).path).route
    except (Resolver404, ValueError):
        return None
