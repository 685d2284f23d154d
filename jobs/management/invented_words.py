"""What an invented history is made of: tasks of a shop, its people, schedules, errors and log lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

#: In about a fifth of all runs, in one of 50,000, and in none: what a search is tried with.
COMMON_WORD, RARE_WORD, ABSENT_WORD = "example", "zanzibar", "xyzzyplugh"
#: Every run with such a number names RARE_WORD.
RARE_EVERY = 50_000


@dataclass(frozen=True, slots=True)
class Kind:
    """A task whose runs are invented.

    Attributes:
        weight: how often it runs, against the others.
        seconds: its median duration.
        fields: its keyword arguments: names, each with a maker of `MAKERS`, as `name:maker`.
        schedule: the name of the schedule that asks for most of its runs; "" for one that code publishes.
        declared: a job of the catalogue: people start it, and the console guards it.
    """

    name: str
    weight: float
    seconds: float
    fields: str = ""
    schedule: str = ""
    declared: bool = False


OBSERVED = (
    Kind("shop.orders.confirm_order", 90, 0.3, "order:number customer:customer region:region"),
    Kind("shop.orders.send_receipt", 85, 0.8, "order:number email:email"),
    Kind("shop.orders.capture_payment", 80, 1.4, "order:number amount:amount currency:currency"),
    Kind("shop.orders.release_stock", 12, 0.2, "order:number sku:sku"),
    Kind("shop.orders.refund", 5, 1.1, "order:number amount:amount reason:word"),
    Kind("shop.orders.close_day", 1, 45.0, "day:day region:region", "Close the day"),
    Kind("shop.invoices.render_invoice", 60, 2.5, "invoice:number language:language"),
    Kind("shop.invoices.send_invoice", 58, 0.9, "invoice:number email:email"),
    Kind("shop.invoices.send_reminder", 9, 0.7, "invoice:number step:small", "Payment reminders"),
    Kind("shop.invoices.export_ledger", 1, 80.0, "month:month region:region"),
    Kind("shop.stock.sync_supplier", 30, 6.0, "supplier:word page:small"),
    Kind("shop.stock.recount", 14, 3.2, "sku:sku warehouse:region"),
    Kind("shop.stock.reorder", 6, 0.6, "sku:sku quantity:small"),
    Kind("shop.stock.low_stock_report", 1, 22.0, "warehouse:region", "Low stock"),
    Kind("shop.catalog.index_product", 70, 0.15, "sku:sku"),
    Kind("shop.catalog.resize_picture", 55, 1.9, "picture:number width:small"),
    Kind("shop.catalog.import_prices", 2, 64.0, "supplier:word rows:number", "Supplier prices"),
    Kind("shop.catalog.translate_text", 16, 2.2, "sku:sku language:language"),
    Kind("shop.search.rebuild_index", 1, 210.0, "shard:small", "Search index"),
    Kind("shop.customers.welcome", 18, 0.5, "customer:customer email:email"),
    Kind("shop.customers.score", 24, 0.4, "customer:customer model:word"),
    Kind("shop.customers.export_data", 2, 18.0, "customer:customer"),
    Kind("shop.customers.forget", 1, 4.0, "customer:customer"),
    Kind("shop.mail.deliver", 95, 0.6, "email:email template:word"),
    Kind("shop.mail.bounce", 8, 0.1, "email:email code:small"),
    Kind("shop.mail.newsletter", 1, 320.0, "edition:month segment:region", "Newsletter"),
    Kind("shop.shipping.buy_label", 40, 1.6, "order:number carrier:word"),
    Kind("shop.shipping.track", 75, 0.5, "parcel:number carrier:word"),
    Kind("shop.shipping.book_pickup", 3, 2.0, "warehouse:region day:day"),
    Kind("shop.webhooks.deliver", 65, 0.4, "endpoint:word event:number"),
    Kind("shop.webhooks.retry_failed", 4, 3.0, "endpoint:word", "Webhooks again"),
    Kind("shop.fraud.check_order", 45, 0.7, "order:number customer:customer"),
    Kind("shop.fraud.train", 1, 540.0, "month:month", "Fraud model"),
    Kind("shop.reports.daily_sales", 1, 28.0, "day:day region:region", "Daily sales"),
    Kind("shop.reports.monthly_sales", 1, 130.0, "month:month"),
    Kind("shop.reports.refresh_dashboard", 20, 1.2, "region:region", "Dashboards"),
    Kind("shop.media.transcode", 7, 38.0, "picture:number format:word"),
    Kind("shop.media.thumbnail", 34, 0.8, "picture:number"),
    Kind("shop.sessions.sweep", 3, 2.4, "", "Sweep sessions"),
    Kind("shop.audit.ship_log", 10, 0.9, "part:number region:region"),
)
#: What the jobs that ship are asked for; a declared job that is not here runs without arguments.
DECLARED_FIELDS = {
    "jobs.library.reports.task_activity_report": "start:iso_day end:iso_today group_by:grouping",
    "jobs.library.users.sign_out_everywhere": "user:small",
}
#: Kinds that publish a group of others, and how many.
FAMILIES = {
    "shop.orders.close_day": ("shop.orders.release_stock", 8),
    "shop.catalog.import_prices": ("shop.catalog.index_product", 12),
    "shop.mail.newsletter": ("shop.mail.deliver", 30),
    "shop.orders.confirm_order": ("shop.orders.send_receipt", 1),
    "shop.invoices.render_invoice": ("shop.invoices.send_invoice", 1),
    "jobs.library.reports.task_activity_report": ("shop.mail.deliver", 2),
}

PEOPLE = (
    ("ana", "Ana Reyes"),
    ("bruno", "Bruno Falk"),
    ("chika", "Chika Obi"),
    ("dmitri", "Dmitri Volkov"),
    ("elif", "Elif Kaya"),
    ("farid", "Farid Haddad"),
    ("greta", "Greta Lund"),
    ("hugo", "Hugo Martin"),
    ("ines", "Inês Duarte"),
    ("jonas", "Jonas Weber"),
    ("kavya", "Kavya Nair"),
    ("liam", "Liam Byrne"),
)
REASONS = ("customer called", "OPS-311", "after the outage", "month end", "asked by finance", "")
WORKERS = tuple(f"worker-{number}@{host}" for host in ("shop-a", "shop-b") for number in range(1, 5))
PUBLISHERS = tuple(f"{1200 + 7 * number}@web-{number % 3}" for number in range(9))
RELEASES = ("2026.7", "2026.8", "2026.9", "2026.10")

#: Type, message with a place for a number, and the place in the code where it was raised.
ERRORS = (
    ("ConnectionError", "payment gateway did not answer within 10 s (try {})", "shop/gateway.py", 88),
    ("TimeoutError", "supplier feed stopped after {} rows", "shop/feeds.py", 141),
    ("ValueError", "invoice {} has no lines", "shop/invoices.py", 57),
    ("KeyError", "'sku-{}'", "shop/stock.py", 203),
    ("IntegrityError", "duplicate key value violates unique constraint: order {}", "shop/orders.py", 312),
    ("SMTPRecipientsRefused", "mailbox {} is full", "shop/mail.py", 74),
    ("SoftTimeLimitExceeded", "stopped after {} s", "shop/search.py", 19),
)

Made = tuple[str, str]


def _text(value: str) -> Made:
    return f'"{value}"', value


def _tagged(kind: str, value: str) -> Made:
    """A value that plain JSON does not know, as kombu writes it."""
    return f'{{"__type__": "{kind}", "__value__": "{value}"}}', value


def _one_of(*values: str) -> Callable[[Random], Made]:
    made = [_text(value) for value in values]
    return lambda random: made[int(random.random() * len(made))]


def _number(below: int) -> Callable[[Random], Made]:
    def make(random: Random) -> Made:
        value = str(int(random.random() * below) + 1)
        return value, value

    return make


_WORDS = (  # noqa: SIM905 - a hundred quotes would not read better
    "amber anchor apricot arrow aster bamboo beacon birch bramble bridge candle canyon cedar cinder clover cobalt "
    "coral crane dahlia delta ember falcon fern fjord flint garnet ginger glacier granite harbor hazel heron "
    "indigo iris ivory jasper juniper kestrel lagoon lantern larch lilac linden lotus magnet maple marble meadow "
    "mistral nectar nutmeg oak olive onyx orchid osprey otter pebble pepper pine plume poplar quartz quill raven "
    "reed ridge robin saffron sage sienna silver sorrel sparrow spruce summit sycamore teal thistle thyme topaz "
    "tulip umber velvet violet walnut willow"
).split()

#: Each gives a value as its JSON text and as it reads in a summary.
MAKERS: dict[str, Callable[[Random], Made]] = {
    "number": _number(900_000),
    "small": _number(40),
    "word": _one_of(*_WORDS),
    "region": _one_of("north", "south", "east", "west"),
    "language": _one_of("de", "en", "es", "fr", "pt"),
    "currency": _one_of("EUR", "USD", "GBP"),
    "grouping": _one_of("job", "queue", "worker"),
    "customer": lambda random: _text(f"cust-{int(random.random() * 80_000)}"),
    "sku": lambda random: _text(f"sku-{int(random.random() * 30_000):05}"),
    "email": lambda random: _text(
        f"{_WORDS[int(random.random() * len(_WORDS))]}{int(random.random() * 9_000)}@{COMMON_WORD}.org"
    ),
    "amount": lambda random: _tagged("decimal", f"{random.random() * 900:.2f}"),
    "day": lambda random: _tagged("date", f"2026-{int(random.random() * 9) + 1:02}-{int(random.random() * 28) + 1:02}"),
    "month": _one_of(*(f"2026-{month:02}" for month in range(1, 11))),
    "iso_day": _one_of(*(f"2026-08-{day:02}" for day in range(1, 29))),
    "iso_today": _one_of(*(f"2026-09-{day:02}" for day in range(1, 29))),
}
