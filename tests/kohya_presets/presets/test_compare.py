from __future__ import annotations

from kohya_presets.presets import compare
from kohya_presets.presets.catalogue import Catalogue


def test_every_kind_of_difference_has_its_sign(shipped: Catalogue) -> None:
    found = [str(d) for d in compare.presets(shipped.load("adacoor"), shipped.load("lion"))]
    assert found == [
        '~ preset.patches = ["adacoor", "fast-lora"] -> ["fast-lora"]',
        '~ train.optimizer_type = "AdaCoor" -> "Lion"',
        '- train.optimizer_args = ["epsilon=1e-8"]',
        "~ train.learning_rate = 1.0 -> 1e-07",
    ]


def test_a_preset_does_not_differ_from_itself(shipped: Catalogue) -> None:
    assert not list(compare.presets(shipped.load("skynet"), shipped.load("skynet")))
