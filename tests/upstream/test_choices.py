"""What is said of values outside an option's choices is what the real scripts do with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.sdscripts import options
from kohya_presets.training.settings import Settings
from kohya_presets.validate import choices
from tests.kohya_presets.validate.rules.proofs import LORA, NETWORK
from tests.upstream.asking import ask
from tests.upstream.training import Training
from tests.usually import usually
from wrapper.checkouts.checkout import Checkout
from wrapper.rehearsal import adapt, pictures

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
]
FULL = "sdxl_train.py"
# Script, options, and what it makes: None where it stops. The first option is the one in question.
# A model in the format of Diffusers cannot be made of a miniature: the saver knows one size only.
RUNS: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "255 tokens": (FULL, {"max_token_length": 255}, "skynet.safetensors"),
    "300 tokens": (FULL, {"max_token_length": 300}, "skynet.safetensors"),
    "100 tokens": (FULL, {"max_token_length": 100}, "skynet.safetensors"),
    "60 tokens": (FULL, {"max_token_length": 60}, None),
    "l3": (FULL, {"loss_type": "l3"}, None),
    "idle schedule": (FULL, {"huber_schedule": "cosine"}, "skynet.safetensors"),
    "schedule": (FULL, {"huber_schedule": "cosine", "loss_type": "huber"}, None),
    "no precision": (FULL, {"save_precision": "fp8"}, "skynet.safetensors"),
    "mixed": (FULL, {"mixed_precision": "fp32"}, None),
    "ending": (FULL, {"save_model_as": "Safetensors"}, "skynet.safetensors"),
    "ending of a LoRA": (LORA, {"save_model_as": "Safetensors", **NETWORK}, "skynet.Safetensors"),
    "no tracker": (FULL, {"log_with": ""}, None),
    "level": (FULL, {"console_log_level": "info"}, None),
    "other level": (FULL, {"console_log_level": "WARN"}, "skynet.safetensors"),
    "backend": (FULL, {"dynamo_backend": "fast"}, "skynet.safetensors"),
    "stage": (FULL, {"zero_stage": 4}, "skynet.safetensors"),
}
PIECES = """
from types import SimpleNamespace
import torch
from transformers import CLIPTokenizer
try:
    from library.strategy_base import TokenizeStrategy
    cut = lambda tokenizer, n: TokenizeStrategy._get_input_ids(
        SimpleNamespace(), tokenizer, WORDS, n + 2)
except ImportError:
    from library.train_util import BaseDataset
    cut = lambda tokenizer, n: BaseDataset.get_input_ids(
        SimpleNamespace(tokenizers=[], tokenizer_max_length=n + 2), WORDS, tokenizer)
WORDS = "word"

class Tokenizer:
    model_max_length, eos_token_id, pad_token_id = 77, 49407, 0
    def __call__(self, text, padding, truncation, max_length, return_tensors):
        ids = torch.arange(1, max_length + 1).unsqueeze(0)
        return SimpleNamespace(input_ids=ids)

tell([list(cut(Tokenizer(), n).shape) for n in json.loads(sys.argv[1])])
"""


@pytest.fixture(scope="module")
def kept() -> dict[str, Training]:
    return {}


@pytest.mark.every_release
@pytest.mark.parametrize("name", RUNS)
def test_the_real_script_does_what_is_said(
    name: str,
    kept: dict[str, Training],
    shipped: Catalogue,
    upstream: Callable[[str], Checkout],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    upstream("v0.10.1")
    if not kept:
        kept["v0.10.1"] = Training(
            shipped.load("skynet"), "v0.10.1", tmp_path_factory.mktemp("runs")
        )
    at = kept["v0.10.1"]
    script, change, makes = RUNS[name]
    small, _ = adapt.adapt(shipped.load("skynet"), pictures.COUNT)
    said = at.run_as(small, name, change, script)
    assert bool(said.returncode) == (makes is None), said.stderr[-3000:]
    if makes is not None:
        assert (at.folder / name / makes).is_file()
    option, value = next(iter(change.items()))
    known = options.of(script, "v0.10.1")[option]
    found = choices.outcome(known, value, Settings({"train": change}, script, kind="config"))
    assert (found is None) == (makes is None)
    if found and makes and "ends in" in found.says:
        assert f'"{Path(makes).suffix}"' in found.says


@pytest.mark.parametrize("release", usually(["v0.8.7", "v0.10.1"], ["v0.10.1"]))
def test_captions_are_cut_into_pieces_of_75(
    release: str, upstream: Callable[[str], Checkout]
) -> None:
    lengths = [76, 100, 149, 150, 224, 225, 255, 300]
    said = ask(upstream(release), PIECES, json.dumps(lengths))
    assert said == [[n // choices.PIECE, choices.PIECE + 2] for n in lengths]
