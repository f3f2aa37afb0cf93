"""The text that sd-scripts trains of a caption is the one we say that it trains."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kohya_presets.dataset import metadata, trained
from kohya_presets.dataset.subsets import Subset
from kohya_presets.training.settings import Settings
from tests.upstream import asking
from wrapper.checkouts.checkout import Checkout

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),
    pytest.mark.trainer,
    pytest.mark.every_release,
]
RELEASES = ["v0.7.0", "v0.8.7", "v0.9.1", "v0.10.1", "v0.11.1"]
WITH_WILDCARDS = RELEASES[1:]
# Chance is taken out: nothing is shuffled, the line is the one asked for, and a word the longest.
PROCESSED = """
import random, types
from library import train_util

random.shuffle = lambda tags: None
first = []
random.choice = lambda found: found[first.pop()] if first else max(found, key=len)
dataset = types.SimpleNamespace(
    current_epoch=1, current_step=9, max_train_steps=99, replacements={})
base = dict(
    caption_prefix=None, caption_suffix=None, caption_dropout_rate=0,
    caption_dropout_every_n_epochs=0, enable_wildcard=False, shuffle_caption=False,
    token_warmup_step=0, token_warmup_min=1, caption_tag_dropout_rate=0, keep_tokens=0,
    keep_tokens_separator=None, caption_separator=",", secondary_separator=None)
told = []
with open(sys.argv[1], encoding="utf-8") as file:
    asked = json.load(file)
for text, settings in asked:
    subset = types.SimpleNamespace(**{**base, **settings})
    lines = text.count("\\n") + 1 if subset.enable_wildcard else 1
    got = []
    for number in range(lines):
        first[:] = [number] if lines > 1 else []
        got.append(train_util.BaseDataset.process_caption(dataset, subset, text))
    told.append(got)
tell(told)
"""
TEXTS = (
    *("korra, smiling", "", " korra ,, smiling , ", "a\nb, c", "korra|||smiling, sky|||best"),
    *("a ||| b", "|||", "a;;;b,c", "{red|blue green} hair, {{x}}", "{{{a|bb}}}", "{a|{b|cc}}"),
    *("{}", "{|}", "a}{b", "first {a|bb}\n\n{{second}}", "a;b; c", "a,b;;;c|||d;;;e"),
)
SETTINGS: dict[str, tuple[Any, ...]] = {
    "shuffle_caption": (False, True),
    "caption_prefix": (None, "photo of"),
    "caption_suffix": (None, "masterpiece"),
    "caption_separator": (",", ";"),
    "keep_tokens": (0, 1),
    "keep_tokens_separator": (None, "|||"),
    "secondary_separator": (None, ";;;"),
    "enable_wildcard": (False, True),
}
SINCE_V0_7_1 = ("caption_separator", "keep_tokens_separator")


def cases(release: str) -> list[tuple[str, dict[str, Any]]]:
    """Return captions with settings that the release knows."""
    known = dict(SETTINGS)
    if release not in WITH_WILDCARDS:
        for key in ("enable_wildcard", "secondary_separator", *SINCE_V0_7_1):
            known[key] = SETTINGS[key][:1]
    every = itertools.product(*known.values())
    tables = [dict(zip(known, values, strict=True)) for values in every]
    return [(text, table) for table in tables for text in TEXTS]


@pytest.mark.parametrize("release", RELEASES)
def test_a_caption_becomes_the_text_that_is_trained(
    release: str, upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    asked = cases(release)
    assert len(asked) >= 200
    file = tmp_path / "asked.json"
    file.write_text(json.dumps(asked), "utf-8")
    told = asking.ask(upstream(release), PROCESSED, str(file))
    for (text, table), theirs in zip(asked, told, strict=True):
        given = {key: value for key, value in table.items() if value is not None}
        # Until v0.9.0 no dataset config can set the separator, but the training can.
        training = {"caption_separator": given.pop("caption_separator")}
        settings = Settings({"dataset": given, "train": training}, release=release)
        subset = Subset(settings, Path("images"))
        assert trained.texts(text, subset) == tuple(theirs), (text, given)


NAMED = """
try:
    from library import strategy_base, strategy_sd
    made = strategy_sd.SdSdxlLatentsCachingStrategy(False, False, 1, True)
    strategy_base.LatentsCachingStrategy.set_strategy(made)
except ImportError:
    pass  # not in older releases
told = []
for wildcard in (False, True) if sys.argv[3] == "yes" else (False,):
    subset = {"metadata_file": sys.argv[1], "image_dir": sys.argv[2]}
    subset |= {"enable_wildcard": True} if wildcard else {}
    config = {"datasets": [{"resolution": 64, "enable_bucket": True, "min_bucket_reso": 64,
              "subsets": [subset]}]}
    group = group_of(config)
    told.append({info.image_key: info.caption for info in group.datasets[0].image_data.values()})
tell(told)
"""
VALUES: tuple[dict[str, str | None], ...] = (
    *({"caption": "korra"}, {"tags": "1girl, sky"}, {"caption": "korra", "tags": "1girl"}, {}),
    *({"caption": "", "tags": "1girl"}, {"caption": "korra", "tags": ""}, {"caption": ""}),
    *({"caption": "a\n\nb\n", "tags": "x\ny"}, {"tags": "x\ny"}, {"caption": None, "tags": "z"}),
    *({"caption": "a\nb"}, {"caption": " ", "tags": "x"}, {"caption": "c", "tags": None}),
)


@pytest.mark.parametrize("release", RELEASES)
def test_caption_and_tags_of_a_metadata_file_become_one_text(
    release: str, upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    keys = [str(tmp_path / f"{number}.png") for number in range(len(VALUES))]
    for key in keys:
        Image.new("RGB", (64, 64)).save(key)
    listing = tmp_path / "meta.json"
    size = {"train_resolution": [64, 64]}  # which older releases take for the image's
    found = {key: {**values, **size} for key, values in zip(keys, VALUES, strict=True)}
    listing.write_text(json.dumps(found), "utf-8")
    known = "yes" if release in WITH_WILDCARDS else "no"
    told = asking.ask(upstream(release), NAMED, str(listing), str(tmp_path), known)
    assert len(told) == (2 if known == "yes" else 1)
    for wildcard, theirs in zip((False, True), told, strict=False):
        read = metadata.read(listing, tmp_path, release, separator=",", wildcard=wildcard)
        assert {entry.key: entry.caption for entry in read} == theirs, wildcard
