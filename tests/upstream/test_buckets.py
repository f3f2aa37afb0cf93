"""sd-scripts puts pictures of any size into the bucket that we say."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from kohya_presets.dataset.buckets import Buckets
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
    return [buckets for buckets in made if buckets.fault() is None]


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
    for buckets, answers in zip(made, told, strict=True):
        for size, (bucket, scaled) in zip(pictures, answers, strict=True):
            placed = buckets.place(*size)
            assert (placed.bucket, placed.scaled) == (tuple(bucket), tuple(scaled)), (buckets, size)
