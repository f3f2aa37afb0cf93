"""sd-scripts puts pictures of any size into the bucket that we say."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kohya_presets.dataset import subsets
from kohya_presets.dataset.sizes import buckets, steps
from kohya_presets.dataset.sizes.buckets import Buckets
from kohya_presets.dataset.sizes.placement import Placement, Refused
from kohya_presets.dataset.sizes.steps import Picture
from kohya_presets.files import configs
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
# What Kohya GUI v24.1.5 to v25.0.3 run: neither has the buckets of the release nearest to it.
BETWEEN = ["b8896aad400222c8c4441b217fda0f9bb0807ffd", "8ebe858f896340d698f03fc33d99ca010131320a"]
ASKED = """
try:
    from library.dataset import BaseDataset, BucketManager
except ImportError:
    from library.train_util import BaseDataset, BucketManager

def limits(one):
    adjust = getattr(BaseDataset, "adjust_min_max_bucket_reso_by_steps", None)
    found = one["smallest"], one["largest"]
    if adjust is None:
        assert found[0] <= min(one["resolution"]) and max(one["resolution"]) <= found[1]
        return found
    return adjust(None, one["resolution"], *found, one["step"])

def placed(one, sizes):
    resolution = tuple(one["resolution"])
    if one["enabled"]:
        manager = BucketManager(one["no_upscale"], resolution, *limits(one), one["step"])
        if not one["no_upscale"]:
            manager.make_buckets()
    else:
        manager = BucketManager(False, resolution, None, None, None)
        manager.set_predefined_resos([resolution])
    return [found(manager, size) for size in sizes]

def found(manager, size):
    try:
        bucket, scaled = manager.select_bucket(*size)[:2]
    except ZeroDivisionError:
        return None
    told = manager.get_crop_ltrb(bucket, size)[:2] if all(bucket) else (0, 0)
    return [list(map(int, part)) for part in (bucket, scaled, told)]

with open(sys.argv[1], encoding="utf-8") as file:
    asked = json.load(file)
tell([placed(one, asked["sizes"]) for one in asked["buckets"]])
"""


def known(release: str) -> str:
    """Return the name under which we know a release, or a commit between two."""
    return release if release.startswith("v") else release[:12]


def settings(release: str) -> list[Buckets]:
    """Return bucket settings that people have, and some that nobody should."""
    made = [
        Buckets((1024, 1024), True, False, 256, 2048, 64, release),
        Buckets((1024, 1024), True, False, 512, 1536, 32, release),
        Buckets((1024, 1024), True, True, 256, 2048, 64, release),
        Buckets((1024, 768), True, False, 320, 1536, 64, release),
        Buckets((832, 1216), True, True, 256, 2048, 32, release),
        Buckets((1024, 1024), False, False, 256, 2048, 64, release),
        Buckets((768, 512), False, False, release=release),
        Buckets((1000, 1000), True, False, 300, 1500, 64, release),
        Buckets((512, 512), True, False, 256, 1024, 96, release),
    ]
    return [one for one in made if one.fault() is None]


def sizes() -> list[tuple[int, int]]:
    """Return sizes of pictures: common ones, narrow ones, and any."""
    rng = random.Random(18)
    near = [(1024, 1024), (832, 1216), (4000, 3000), (1920, 1080), (512, 512), (1000, 1001)]
    narrow = [(4096, 400), (400, 4096), (1025, 1024), (1024, 1025), (3000, 1000), (65, 64)]
    anyhow = [(rng.randint(64, 5000), rng.randint(64, 5000)) for _ in range(400)]
    like = [(rng.choice((1024, 2048, 1536)), rng.randint(600, 2500)) for _ in range(200)]
    thin = [(60, 4000), (4000, 60), (40, 40), (30000, 60), (60, 30000), (63, 64), (9000, 30)]
    return [*near, *narrow, *anyhow, *like, *thin]


def placed(one: Buckets, size: tuple[int, int]) -> Placement | None:
    try:
        return one.place(*size)
    except Refused:
        return None


@pytest.mark.parametrize("release", [*RELEASES, *BETWEEN])
def test_each_picture_gets_the_same_bucket_and_scale(
    release: str, upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    made, pictures = settings(known(release)), sizes()
    keys = ("resolution", "enabled", "no_upscale", "smallest", "largest", "step")
    asked = {"sizes": pictures, "buckets": [{k: getattr(b, k) for k in keys} for b in made]}
    file = tmp_path / "asked.json"
    file.write_text(json.dumps(asked), "utf-8")
    told = asking.ask(upstream(release), ASKED, str(file))
    for one, answers in zip(made, told, strict=True):
        for size, answer in zip(pictures, answers, strict=True):
            if (
                ours := placed(one, size)
            ) is None:  # a bucket without width fails later, in the VAE
                assert answer is None or 0 in answer[0], (one, size)
            else:
                found = [list(part) for part in (ours.bucket, ours.scaled, ours.told)]
                assert found == answer, (one, size)


CUT = """
import cv2
import numpy
from PIL import Image

try:
    from library.dataset import trim_and_resize_if_required as trim
except ImportError:
    from library.train_util import trim_and_resize_if_required as trim

def field(size):
    # Each pixel says where it is, in the same bytes forwards and backwards, as RGB and BGR.
    x, y = numpy.meshgrid(numpy.arange(size[0]), numpy.arange(size[1]))
    return numpy.stack([x % 256, y % 256 ^ x % 256, x % 256], axis=-1).astype(numpy.uint8), x, y

used = []
names = {getattr(cv2, "INTER_" + name): name.lower() for name in ("AREA", "LINEAR", "CUBIC")}
names[cv2.INTER_NEAREST_EXACT] = "nearest"

def by_cv2(image, size, interpolation=None, **_):
    used.append(names[interpolation])
    return field(size)[0]

def by_pillow(image, size, resample=None, **_):
    used.append({1: "lanczos", 4: "box"}[int(resample)])
    return Image.fromarray(field(size)[0])

cv2.resize = by_cv2
Image.Image.resize = by_pillow

def cut(one):
    used.clear()
    size, bucket, scaled = map(tuple, (one["original"], one["bucket"], one["scaled"]))
    more = {"resize_interpolation": one["wanted"]} if one["wanted"] else {}
    image = field(size)[0] if scaled == size else numpy.zeros((size[1], size[0], 3), numpy.uint8)
    left_over = trim(False, image, bucket, scaled, **more)[0]
    corner = left_over[0, 0].astype(int)
    return {
        "by": used[0] if used else None,
        "corner": [int(corner[0]), int(corner[1] ^ corner[0])],
        "size": [left_over.shape[1], left_over.shape[0]],
    }

with open(sys.argv[1], encoding="utf-8") as file:
    tell([cut(one) for one in json.load(file)])
"""


def scaled_and_cut(release: str) -> list[tuple[Buckets, Placement]]:
    """Return pictures of which some are enlarged, some cut, and some keep one side."""
    rng = random.Random(7)
    sides = [(513, 2049), (2049, 513), (1024, 1024), (1025, 1024), (1000, 1100)]
    sides += [(rng.randint(200, 2600), rng.randint(200, 2600)) for _ in range(60)]
    made = [
        Buckets((1024, 1024), True, False, 256, 2048, 64, known(release)),
        Buckets((1024, 1024), True, True, 256, 2048, 64, known(release)),
        Buckets((768, 512), False, release=known(release)),
    ]
    if release in ("v0.10.1", "v0.11.1"):
        chosen = ("lanczos", "nearest", "linear", "cubic", "area", "box")
        made += [replace(made[0], interpolation=name) for name in chosen]
    return [(one, one.place(*size)) for one in made for size in sides]


@pytest.mark.parametrize("release", [*RELEASES, *BETWEEN])
def test_each_picture_is_scaled_and_cut_the_same_way(
    release: str, upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    made = scaled_and_cut(release)
    file = tmp_path / "asked.json"
    file.write_text(
        json.dumps([{**p._asdict(), "wanted": b.interpolation} for b, p in made]), "utf-8"
    )
    told = asking.ask(upstream(release), CUT, str(file))
    for (_, one), answer in zip(made, told, strict=True):
        assert answer["by"] == one.interpolation, one
        assert answer["size"] == list(one.bucket)
        assert answer["corner"] == [margin % 256 for margin in one.margins[:2]], one


TRIED = """
def tried(one):
    try:
        group = group_of(one)
        group.verify_bucket_reso_steps(32)
    except (AssertionError, ZeroDivisionError):
        return "buckets"
    try:
        group.datasets[0][0]
    except Exception as error:  # those that come later are about the tokenizer, which is none
        if isinstance(error, AssertionError) and "image" in str(error):
            return "picture"
    return None

with open(sys.argv[1], encoding="utf-8") as file:
    tell([tried(one) for one in json.load(file)])
"""


def odd_settings() -> list[dict[str, Any]]:
    """Return settings of [[datasets]] of which some stop sd-scripts, each with one picture."""
    on = {"enable_bucket": True, "max_bucket_reso": 2048}
    changes: list[dict[str, Any]] = [
        *({**on, "min_bucket_reso": n} for n in (0, 1, 31, 32, 63, 64, 96, 1024, 1025, 1087, 1088)),
        *({**on, "max_bucket_reso": n} for n in (512, 900, 961, 1000, 1023, 1024)),
        *({**on, "bucket_reso_steps": n} for n in (0, 1, 16, 32, 48, 64, 96, 128, 256, 1024, 2048)),
        *({**on, "bucket_no_upscale": True, "min_bucket_reso": n} for n in (0, 32, 1088)),
        *({**on, "bucket_no_upscale": True, "bucket_reso_steps": n} for n in (0, 48, 256)),
        *({**on, "resolution": [n, n], "min_bucket_reso": 32} for n in (32, 63, 64, 128, 256)),
        *({**on, "resolution": [256, 256], "max_bucket_reso": n} for n in (1024, 1088, 4096)),
        {},
        {"random_crop": True},
        {"bucket_reso_steps": 7, "min_bucket_reso": 5000},
        *({"resolution": list(n)} for n in ((1100, 900), (1101, 900), (1000, 800), (1100, 1000))),
        *({"resolution": [1000, n], "random_crop": True} for n in (800, 900, 901)),
    ]
    return [{"resolution": [1024, 1024], **change} for change in changes]


@pytest.mark.parametrize("release", RELEASES)
def test_the_same_settings_and_pictures_stop_sd_scripts(
    release: str, upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    size = (1100, 900)
    Image.new("RGB", size).save(tmp_path / "one.png")
    asked = odd_settings()
    subset = {"image_dir": str(tmp_path), "num_repeats": 1}
    configs_asked = [{"datasets": [{**one, "subsets": [{**subset}]}]} for one in asked]
    for config, one in zip(configs_asked, asked, strict=True):
        if "random_crop" in one:
            config["general"] = {"random_crop": one["random_crop"]}
            config["datasets"][0].pop("random_crop")
    file = tmp_path / "asked.json"
    file.write_text(json.dumps(configs_asked), "utf-8")
    told = asking.ask(upstream(release), TRIED, str(file))
    for one, answer in zip(asked, told, strict=True):
        found = buckets.of(Settings({"dataset": one, "train": {}}, release=release))
        assert found
        ours = "buckets" if found.fault() else None if placed(found, size) else "picture"
        assert answer == ours, one


COUNTED = """
from library import config_util

group = group_of(config_util.load_user_config(sys.argv[1]))
tell([
    {
        "length": len(dataset),
        "train": dataset.num_train_images,
        "buckets": [
            [list(map(int, reso)), len(bucket)]
            for reso, bucket in zip(dataset.bucket_manager.resos, dataset.bucket_manager.buckets)
        ],
        "times": {key: info.num_repeats for key, info in dataset.image_data.items()},
    }
    for dataset in group.datasets
])
"""
DATASET = """
[[datasets]]
resolution = 512
batch_size = 3
enable_bucket = true
min_bucket_reso = 256
max_bucket_reso = 1024
  [[datasets.subsets]]
  image_dir = 'DIR/train'
  num_repeats = 2
  [[datasets.subsets]]
  image_dir = 'DIR/more'
  [[datasets.subsets]]
  image_dir = 'DIR/reg'
  is_reg = true
  num_repeats = 3
[[datasets]]
resolution = [512, 384]
  [[datasets.subsets]]
  image_dir = 'DIR/more'
  num_repeats = 5
"""


CACHED = {"cache_latents": True}  # else sd-scripts scales nothing where there are no buckets


def shape(file: Path) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size


@pytest.mark.parametrize("release", RELEASES[1:])
def test_each_bucket_has_the_same_pictures_and_batches(
    release: str, upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    rng = random.Random(4)
    for name, count in (("train", 12), ("more", 7), ("reg", 5)):
        (tmp_path / name).mkdir()
        for number in range(count):
            size = (rng.randint(200, 900), rng.randint(200, 900))
            Image.new("RGB", size).save(tmp_path / name / f"{number:02}.png")
    config = tmp_path / "dataset.toml"
    config.write_text(DATASET.replace("DIR", tmp_path.as_posix()), "utf-8")
    told = asking.ask(upstream(release), COUNTED, str(config))

    read = configs.read(config)
    found = [
        Settings({"dataset": {k: v for k, (v, _) in one.items()}, "train": CACHED}, release=release)
        for one in configs.combined(read)
    ]
    made = subsets.of_settings(found, configs.datasets(read), config)
    for number, answer in enumerate(told):
        pictures = [
            Picture(buckets.of(s.settings).place(*shape(f)).bucket, s.repeats, s.is_reg)
            for s in made
            if s.dataset == number
            for f in s.images
        ]
        batch = found[-1 if number else 0].dataset("batch_size")
        epoch = steps.epoch(pictures, batch)
        assert epoch.length == answer["length"]
        assert epoch.pictures == {tuple(size): count for size, count in answer["buckets"] if count}
        assert sum(p.repeats for p in pictures if not p.is_reg) == answer["train"]
