"""The estimate against what rehearsals at true size have measured, part by part.

Each row is `observed/memory.json` of `kohya-presets rehearse PRESET --full-size`: the real
`sdxl_train.py` with a model of SDXL's size, on a CPU, three steps. `MEASURED` says the release.
"""

from __future__ import annotations

import pytest

from kohya_presets.memory import estimate
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.training import settings
from patches import registry

PERCENT = 5
MEASURED = {  # bytes
    ("hal", "v0.10.1"): {
        "weights": 5134927368 + 246120960 + 1389319680,
        "optimizer state": 6756189192,
        "gradients": 126484480,
    },
    ("marvin", "v0.10.1"): {
        "weights": 5134927368 + 246120960 + 1389319680,
        "optimizer state": 6756189192,
        "gradients": 126484480,
    },
}


@pytest.mark.parametrize(("preset", "release"), MEASURED)
def test_each_part_is_as_measured(preset: str, release: str, shipped: Catalogue) -> None:
    found = settings.of_preset(shipped.load(preset), release, registry.additions(None))
    size = estimate.of(found)
    assert size is not None
    for part, measured in MEASURED[preset, release].items():
        estimated = max(moment.parts.get(part, 0) for moment in size.moments)
        assert abs(estimated - measured) <= measured * PERCENT / 100, part
