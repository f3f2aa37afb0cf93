"""A rehearsal at true size is at SDXL's: the made base model has the published one's weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kohya_presets.memory import parts
from tests.upstream import asking
from tests.usually import usually
from wrapper.checkouts.checkout import Checkout
from wrapper.rehearsal import changed

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),
    pytest.mark.trainer,
]
SHAPES = """
import math
import kp_full_checkpoint

told = {}
for name, (shape, dtype) in kp_full_checkpoint.shapes().items():
    told[name] = [math.prod(shape), str(dtype)]
tell(told)
"""
PUBLISHED = 2515  # tensors in sd_xl_base_1.0.safetensors
NAMES = {"U-Net": "unet", "text encoder 1": "text_encoder1", "VAE": "vae"}


@pytest.mark.parametrize(
    "release", usually(["v0.8.7", "v0.9.1", "v0.10.1", "v0.11.1"], ["v0.10.1"])
)
def test_the_made_base_model_is_as_large_as_sdxl(
    release: str, upstream: Callable[[str], Checkout]
) -> None:
    told = asking.ask(upstream(release), SHAPES)
    assert len(told) == PUBLISHED
    count = {
        part: sum(n for name, (n, _) in told.items() if name.startswith(start))
        for part, start in changed.PARTS.items()
    }
    facts = parts.facts()["parameters"]
    positions = 77  # numbers that are no weights
    assert count["text encoder 1"] - positions == facts["text_encoder1"]
    for part in ("U-Net", "VAE"):
        assert count[part] == facts[NAMES[part]]
    # In the file one more number is the scale of the logits, which no training uses.
    assert count["text encoder 2"] - 1 == facts["text_encoder2"]
    kinds = {dtype for _, dtype in told.values()}
    assert kinds == {"torch.float16", "torch.int64"}
