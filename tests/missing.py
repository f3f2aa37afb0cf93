"""What tests need from elsewhere: where it cannot be had, the test is skipped, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kohya_presets.errors import UserError
from wrapper.checkouts.acquire import Unreachable

SD_SCRIPTS, KOHYA_GUI = "sd-scripts", "the Kohya GUI"
_unreachable: dict[str, str] = {}  # asked once: an answer that does not come takes its time


@contextmanager
def skipped_without(source: str) -> Iterator[None]:
    """Skip the test where `source`, or this part of it, cannot be had."""
    if reason := _unreachable.get(source):
        pytest.skip(reason)
    try:
        yield
    except UserError as error:
        reason = f"{source} cannot be had: {error}"
        if isinstance(error, Unreachable):
            _unreachable[source] = reason
        pytest.skip(reason)
