"""The wheel that every project has on its path, built once."""

from tests.foreign.conftest import packages

__all__ = ("packages",)
