"""What a check says that sd-scripts does is what sd-scripts' own loader does, release by release.

Each case of tests/kohya_presets/dataset/checks/cases.py that a check speaks up about is loaded by
sd-scripts itself: all cases of a release in one process. `PROOFS` says what must be seen then.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kohya_presets.dataset import rendered
from kohya_presets.dataset.checks import CHECKS, CODES
from kohya_presets.dataset.tokens import Tokenizer
from kohya_presets.files.render import Paths
from tests.kohya_presets.dataset.checks.cases import CASES, LONG
from tests.kohya_presets.dataset.checks.folders import LAMP, Made
from tests.upstream import loading
from tests.upstream.loading import Asked
from tests.usually import usually
from tests.wrapper.data.odd_pictures import drawn
from wrapper.checkouts.checkout import Checkout

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
]
RELEASES = ["v0.8.7", "v0.9.1", "v0.10.1", "v0.11.1"]
Told = dict[str, Any]  # see `loading.LOAD`
IN_THE_SCRIPT = {"nothing-to-train", "regularization-only"}


def stops(told: Told, stage: str, *words: str) -> bool:
    """Return whether it stopped at a stage, with these words in its error."""
    stop = told["stop"] or {"stage": "", "error": "", "says": ""}
    return stop["stage"] == stage and all(w in f"{stop['error']}: {stop['says']}" for w in words)


def trains(told: Told, *files: str) -> bool:
    """Return whether it trains just these images, to the end."""
    shown = sorted(file for batch in told["batches"] for file in batch["files"])
    return told["stop"] is None and shown == sorted(files)


def says(told: Told, *words: str) -> bool:
    """Return whether each of these is in its log."""
    return all(any(word in line for line in told["log"]) for word in words)


def captions(told: Told) -> list[str]:
    """Return the captions of all images, by the images' names."""
    return [image["caption"] for image in sorted(told["images"], key=lambda one: one["file"])]


def batches(told: Told, key: str) -> list[Any]:
    """Return what all batches have under a key, one after another."""
    return [batch[key] for batch in told["batches"]]


def looks_like(told: Told, image: Image.Image, *, within: float = 2.0) -> bool:
    """Return whether the first image is trained with the middle of `image`, of 96 x 64 pixels."""
    expected = np.asarray(image.convert("RGB").crop((16, 0, 80, 64)), float).mean((0, 1))
    found = np.asarray(told["batches"][0]["means"][0])
    return bool(np.abs(expected - found).max() <= within)


def no_data(told: Told) -> bool:
    """Return whether the script itself ends without an error, and says why."""
    script = told["script"]
    return script["stop"] is None and says(script, "No data found") and not told["batches"]


def is_old(release: str) -> bool:
    return release in ("v0.8.7", "v0.9.1")


Proof = Callable[[Told, str, Tokenizer], bool]
PROOFS: dict[str, Proof] = {
    "nothing-to-train": lambda t, r, k: no_data(t),
    "regularization-only": lambda t, r, k: no_data(t),
    "subset-no-folder": lambda t, r, k: stops(t, "read", "ValueError", "not enough values"),
    "subset-left-out": lambda t, r, k: (
        trains(t, "0.png", "1.png") and says(t, "ignore duplicated subset")
    ),
    "metadata-unreadable": lambda t, r, k: stops(t, "read", "JSONDecodeError"),
    "metadata-lost": lambda t, r, k: (
        stops(t, "read", "AssertionError", "no image")
        if is_old(r)
        else stops(t, "sizes", "FileNotFoundError")
    ),
    "metadata-needs-cache": lambda t, r, k: stops(t, "read", "AttributeError", "cache_suffix"),
    "folder-without-number": lambda t, r, k: (
        trains(t, "0.png", "0.png", "1.png", "1.png") and says(t, "ignore directory without repeat")
    ),
    "regularization-unused": lambda t, r, k: (
        [image["file"] for image in t["images"] if image["reg"]] == ["0.png"]
        and says(t, "some of reg images are not used")
    ),
    "listed-before": lambda t, r, k: trains(t, "0.png") and captions(t) == ["an old caption"],
    "mask-missing": lambda t, r, k: stops(t, "read", "missing conditioning data"),
    "mask-extra": lambda t, r, k: stops(t, "read", "extra conditioning data"),
    "mask-folder": lambda t, r, k: stops(t, "batch") and says(t, "not directory"),
    "mask-broken": lambda t, r, k: stops(t, "batch", "UnidentifiedImageError"),
    "mask-size": lambda t, r, k: stops(t, "batch", "size of conditioning image is not match"),
    "mask-unused": lambda t, r, k: trains(t, "0.png", "1.png") and says(t, "extra conditioning"),
    "mask-squeezed": lambda t, r, k: (
        batches(t, "cond") == [[-1, 1]] and looks_like(t, drawn(0, (96, 64)))
    ),
    "image-broken": lambda t, r, k: (
        stops(t, "batch", "UnidentifiedImageError")
        if is_old(r)
        else stops(t, "sizes", "ZeroDivisionError")
    ),
    "image-nowhere": lambda t, r, k: stops(t, "sizes", "IsADirectoryError"),
    "image-truncated": lambda t, r, k: (
        stops(t, "batch", "OSError", "truncated") and t["images"][0]["size"] == [96, 64]
    ),
    "image-not-read": lambda t, r, k: (
        trains(t, "0.png") and not says(t, "1.gif") and not says(t, "2.tiff")
    ),
    "image-ending": lambda t, r, k: trains(t, "0.png") and not says(t, "1.Png"),
    "image-hidden": lambda t, r, k: trains(t, "0.png") and not says(t, ".1.png"),
    "image-same-name": lambda t, r, k: trains(t, "0.png", "0.jpg") and captions(t) == [LAMP, LAMP],
    "image-same-latents": lambda t, r, k: len({image["latents"] for image in t["images"]}) == 1,
    "image-turned": lambda t, r, k: (
        t["images"][0]["size"] == [96, 64] and looks_like(t, drawn()) and trains(t, "turned 6.jpg")
    ),
    "image-deep": lambda t, r, k: min(t["batches"][0]["means"][0]) > 250,
    "image-transparent": lambda t, r, k: t["batches"][0]["means"] == [[200, 0, 0]],
    "image-opaque": lambda t, r, k: batches(t, "mask") == [[1, 1]],
    "image-animated": lambda t, r, k: looks_like(t, drawn()) and not looks_like(t, drawn(1)),
    "image-cmyk": lambda t, r, k: looks_like(t, drawn().convert("CMYK").convert("RGB")),
    "image-profile": lambda t, r, k: looks_like(t, drawn()),
    "image-misnamed": lambda t, r, k: looks_like(t, drawn()) and trains(t, "webp in truth.jpg"),
    "image-size": lambda t, r, k: stops(t, "batch", "image too large"),
    "image-stretched": lambda t, r, k: (
        t["images"][0]["size"] == [-1, -1]
        and batches(t, "size") == [[64, 64]]
        and squeezed(t, drawn(0, (96, 64)))
    ),
    "image-small": lambda t, r, k: batches(t, "size") == [[64, 64]],
    "image-cut": lambda t, r, k: batches(t, "size") == [t["images"][0]["bucket"]] == [[128, 32]],
    "bucket-small": lambda t, r, k: sorted(map(len, batches(t, "files"))) == [1, 2],
    "caption-empty": lambda t, r, k: stops(t, "read", "AssertionError", "caption file is empty"),
    "caption-encoding": lambda t, r, k: stops(t, "read", "UnicodeDecodeError"),
    "no-captions": lambda t, r, k: (
        trains(t, "0.png", "1.png")
        and captions(t) == ["", ""]
        and says(t, "No caption file found for 2 images")
    ),
    "caption-missing": lambda t, r, k: (
        captions(t) == ["", LAMP] and says(t, "No caption file found for 1 images")
    ),
    "caption-of-folder": lambda t, r, k: captions(t) == ["lamp"],
    "caption-orphan": lambda t, r, k: trains(t, "0.png") and captions(t) == [LAMP],
    "caption-blank": lambda t, r, k: captions(t) == ["", LAMP],
    "caption-mark": lambda t, r, k: (
        captions(t) == ["\ufefflamp"] and batches(t, "tokens") == [[k.ids("lamp")]]
    ),
    "caption-lines": lambda t, r, k: captions(t) == ["a lamp"],
    "caption-spaces": lambda t, r, k: captions(t) == ["a lamp"],
    "caption-long": lambda t, r, k: k.ids(LONG)[:75] in [b[0] for b in batches(t, "tokens")],
    "caption-weight": lambda t, r, k: stops(t, "batch", "ValueError"),
    "caption-weights-off": lambda t, r, k: batches(t, "tokens") == [[k.ids("(a lamp:1.2)")]],
    "caption-choices-off": lambda t, r, k: batches(t, "tokens") == [[k.ids("a {red|blue} lamp")]],
    "caption-json": lambda t, r, k: batches(t, "tokens") == [[k.ids('{"caption": "a lamp"}')]],
    "caption-same": lambda t, r, k: captions(t) == [LAMP, LAMP] and trains(t, "0.png", "1.png"),
    "duplicate": lambda t, r, k: trains(t, "0.png", "again.png"),
    "look-alike": lambda t, r, k: trains(t, "0.png", "again.jpg"),
    "set-size": lambda t, r, k: trains(t, "0.png", "1.png", "2.png"),
    "set-shape": lambda t, r, k: len({tuple(image["bucket"]) for image in t["images"]}) == 1,
    "caption-style": lambda t, r, k: captions(t)[-1] == "lamp, table, red, indoors",
    "image-grey": lambda t, r, k: any(len(set(mean[0])) == 1 for mean in batches(t, "means")),
    "set-brightness": lambda t, r, k: all(max(m[0]) < 70 for m in batches(t, "means")),
    "trigger-missing": lambda t, r, k: captions(t) == ["a zkw lamp", LAMP],
    "trigger-first": lambda t, r, k: captions(t) == ["zkw lamp"],
    "trigger-long": lambda t, r, k: len(batches(t, "tokens")[0][0]) > 5,
}
# What is said of sd-scripts there is about what a model learns: no loader shows it.
UNPROVED = {
    "image-blurred": "that blur is learned",
    "caption-words": "what a word in all captions is learned with",
    "trigger-known": "that a word's meanings are mixed",
}


def squeezed(told: Told, image: Image.Image) -> bool:
    """Return whether the first image is trained with the whole of `image`, in a square."""
    expected = np.asarray(image.convert("RGB"), float).mean((0, 1))
    found = np.asarray(told["batches"][0]["means"][0])
    return bool(np.abs(expected - found).max() <= 2) and not looks_like(told, image, within=1)


def test_each_claim_has_a_proof_or_a_reason_why_not() -> None:
    assert set(PROOFS) | set(UNPROVED) == CODES
    assert not set(PROOFS) & set(UNPROVED)


def asked(made: Made, room: Path, *, train: bool = False, folders: bool = False) -> Asked:
    """Return what sd-scripts is asked to load: the config that a run has."""
    if folders:
        return Asked(None, ("--train_data_dir", str(made.data), *SIZES))
    file = room / "given.toml"
    paths = Paths(made.data, PurePath("base"), room, "lamp", file)
    text = rendered.text(made.preset(), paths)
    file.write_text(text, "utf-8")
    words: list[str] = ["--masked_loss"] if "conditioning_data_dir" in text else []
    for override in made.overrides:
        key, value = override.split("=")
        if key.startswith("train."):
            name = f"--{key.removeprefix('train.')}"
            words += [name] if value == "true" else [name, value]
    return Asked(file, tuple(words), train)


SIZES = (
    "--resolution",
    "64,64",
    "--enable_bucket",
    "--min_bucket_reso",
    "32",
    *("--max_bucket_reso", "128", "--bucket_reso_steps", "32", "--caption_extension", ".txt"),
)


@pytest.mark.parametrize("release", usually(RELEASES, ["v0.10.1"]))
def test_sd_scripts_does_what_each_check_says(
    release: str, tokenizer: Tokenizer, upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    checkout = upstream(release)
    codes = [one.code for one in CHECKS if one.holds_for(release) and one.code in PROOFS]
    cases = {
        code: asked(
            CASES[code].fires(tmp_path / code),
            tmp_path / code,
            train=code in IN_THE_SCRIPT,
            folders=code == "folder-without-number",
        )
        for code in codes
    }
    told = loading.load(checkout, cases, tokenizer, tmp_path / "room")
    untrue = {c: told[c] for c in codes if not PROOFS[c](told[c], release, tokenizer)}
    assert not untrue
