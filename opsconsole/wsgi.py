"""The web process: `gunicorn opsconsole.wsgi`."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsconsole.settings")

application = get_wsgi_application()

# What a process loads stays. Python's collector would look through all of it again every few pages, which takes longer
# than a page does, so it is told to leave it alone. The addresses and their views are loaded first.
_ = get_resolver().url_patterns
gc.collect()
gc.freeze()
