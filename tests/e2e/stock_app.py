"""The application of `stock_results`, apart because making it makes it the current one of the process."""

from tests.e2e.stock_results import make_app

app = make_app()
