"""What rounding takes from a weight is kept, added later, and survives a stop."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")

from patches.adacoor.kp_adacoor import AdaCoor  # noqa: E402
from patches.fused_step import kp_alone, kp_fused, kp_kahan, kp_rounding  # noqa: E402
from tests.patches import test_kp_fused as fused  # noqa: E402

pytestmark = pytest.mark.trainer
KAHAN = kp_fused.KAHAN
