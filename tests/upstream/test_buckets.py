"""sd-scripts puts pictures of any size into the bucket that we say."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from kohya_presets.dataset import buckets, steps, subsets
from kohya_presets.dataset.buckets import Buckets
from kohya_presets.dataset.steps import Picture
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
    return [[list(map(int, part)) for part in manager.select_bucket(*size)[:2]] for size in sizes]

with open(sys.argv[1], encoding="utf-8") as file:
    asked = json.load(file)
tell([placed(one, asked["sizes"]) for one in asked["buckets"]])
"""


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
    return [s for s in (*near, *narrow, *anyhow, *like) if max(s) / min(s) < 12]


@pytest.mark.parametrize("release", RELEASES)
def test_each_picture_gets_the_same_bucket_and_scale(
    release: str, upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    made, pictures = settings(release), sizes()
    keys = ("resolution", "enabled", "no_upscale", "smallest", "largest", "step")
    asked = {"sizes": pictures, "buckets": [{k: getattr(b, k) for k in keys} for b in made]}
    file = tmp_path / "asked.json"
    file.write_text(json.dumps(asked), "utf-8")
    told = asking.ask(upstream(release), ASKED, str(file))
    for one, answers in zip(made, told, strict=True):
        for size, (bucket, scaled) in zip(pictures, answers, strict=True):
            placed = one.place(*size)
            assert (placed.bucket, placed.scaled) == (tuple(bucket), tuple(scaled)), (one, size)


COUNTED = """
import types
from library import config_util
import sdxl_train

args = sdxl_train.setup_parser().parse_args(["--dataset_config", sys.argv[1]])
generator = config_util.BlueprintGenerator(config_util.ConfigSanitizer(True, True, False, True))
tokenizer = types.SimpleNamespace(model_max_length=77)  # which older releases ask
config = config_util.load_user_config(sys.argv[1])
blueprint = generator.generate(config, args, tokenizer=[tokenizer, tokenizer])
made = config_util.generate_dataset_group_by_blueprint(blueprint.dataset_group)
group = made[0] if isinstance(made, tuple) else made
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
        Settings({"dataset": {k: v for k, (v, _) in one.items()}, "train": {}}, release=release)
        for one in configs.combined(read)
    ]
    made = subsets.of_settings(found, configs.datasets(read), config)
    for number, answer in enumerate(told):
        pictures = [
            Picture(buckets.of(s.settings).place(*shape(f)).bucket, s.repeats, s.is_reg)
            for s in made
            if s.dataset == number
            for f in s.images()
        ]
        batch = found[-1 if number else 0].dataset("batch_size")
        epoch = steps.epoch(pictures, batch)
        assert epoch.length == answer["length"]
        assert epoch.pictures == {tuple(size): count for size, count in answer["buckets"] if count}
        assert sum(p.repeats for p in pictures if not p.is_reg) == answer["train"]
