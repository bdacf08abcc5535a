"""Telling a person what is being done."""

from collections.abc import Callable

Say = Callable[[str], None]
