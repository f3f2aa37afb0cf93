"""Cases that `make test` runs, among those that `make upstream` does."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def usually(cases: Iterable[Any], usual: Collection[Any]) -> list[Any]:
    """Return every case as a parameter; those not among the usual are for `--every-release`."""
    return [_param(case, () if case in usual else pytest.mark.every_release) for case in cases]


def _param(case: Any, marks: Any) -> Any:
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=marks)
