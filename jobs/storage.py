"""Where files of runs and uploads are kept: the storage `console` of STORAGES, or the default one where there is none.

A site that serves its default storage to the world names one of its own here: an export is not for everybody.
"""

from __future__ import annotations

import threading
import uuid
from typing import cast

from jobs.compat import (
    ContentFile,
    LazyObject,
    Storage,
    SuspiciousFileOperation,
    has_django,
    settings,
    storages,
)


class _ConsoleStorage(LazyObject):
    def _setup(self) -> None:
        self._wrapped = storages["console" if "console" in settings.STORAGES else "default"]


console_storage = cast(Storage, _ConsoleStorage())

#: In the storage's top folder: by its text two processes know whether they keep files in the same place.
MARK = "console-storage.txt"


class StorageMark:
    """The mark of this process's storage. It is read in a thread: a storage that hangs must hold nobody up."""

    def __init__(self) -> None:
        self._text = ""
        self._thread: threading.Thread | None = None

    def text(self) -> str:
        """The mark, made if the storage has none yet; "" until it is known, and without Django."""
        if not self._text and has_django() and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._read, name="storage-mark", daemon=True)
            self._thread.start()
        return self._text

    def _read(self) -> None:
        try:
            if not console_storage.exists(MARK):
                name = console_storage.save(MARK, ContentFile(uuid.uuid4().hex.encode()))
                if name != MARK:
                    # Another process was quicker; its mark counts.
                    console_storage.delete(name)
            with console_storage.open(MARK) as file:
                self._text = file.read(64).decode("ascii", "replace")
        except (OSError, SuspiciousFileOperation):
            # Unknown for now: whoever needs a file is told why it cannot be had.
            self._text = ""


storage_mark = StorageMark()
