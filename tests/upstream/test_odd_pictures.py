"""Odd pictures stop sd-scripts just where we report an error; others have the bucket we say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.dataset import checks
from kohya_presets.dataset.sizes import measured
from kohya_presets.dataset.tokens import Tokenizer
from kohya_presets.validate.report import Against
from tests.kohya_presets.dataset.checks.folders import LAMP, Made, captioned
from tests.upstream import loading
from tests.upstream.test_dataset_proofs import RELEASES, asked
from tests.usually import usually
from tests.wrapper.data import odd_pictures
from wrapper.checkouts.checkout import Checkout
from wrapper.data import gather, sources

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
]


@pytest.mark.parametrize("release", usually(RELEASES, ["v0.10.1"]))
def test_each_odd_picture_ends_as_we_say(
    release: str, tokenizer: Tokenizer, upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    checkout = upstream(release)
    made = {}
    for number, name in enumerate(odd_pictures.ODD):
        for file in odd_pictures.write(tmp_path / f"{number}" / "img", [name]).values():
            captioned(file, LAMP)
            made[name] = Made(file.parent)
    assert len(made) >= 60
    cases = {name: asked(one, one.data.parent) for name, one in made.items()}
    told = loading.load(checkout, cases, tokenizer, tmp_path / "room")
    of_each = [sources.of_data(one.preset(), one.data, Against(release)) for one in made.values()]
    together = [replace(one, dataset=n) for n, found in enumerate(of_each) for one in found]
    read = gather.with_pixels(gather.collect(together))
    errors = [f for f in checks.found(read) if f.check.severity == "error"]
    wrong_files = {file for found in errors for file in found.finding.files}
    differ = {}
    for name, one in made.items():
        items = [item for item in read.items if item.file.parent == one.data]
        ours = [
            (measured.believed(i.header, release) or i.header.size, i.placement.bucket)
            for i in items
            if i.placement
        ]
        images, stop = told[name]["images"], told[name]["stop"]
        theirs = [(tuple(image["size"]), tuple(image["bucket"])) for image in images]
        reported = one.data / name in wrong_files
        if (stop is not None) != reported or (stop is None and ours != theirs):
            differ[name] = (reported, ours, theirs, stop)
    assert not differ
