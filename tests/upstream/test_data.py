"""sd-scripts takes the dataset config that we make from folders and from another config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath

import pytest
from PIL import Image

from kohya_presets.dataset import rendered
from kohya_presets.files.render import Paths
from kohya_presets.presets.catalogue import Catalogue
from tests.upstream import asking
from wrapper.checkouts.checkout import Checkout
from wrapper.data import of_run

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),
    pytest.mark.trainer,
    pytest.mark.every_release,
]
READ = """
import types
from library import config_util
import sdxl_train
args = sdxl_train.setup_parser().parse_args(["--masked_loss", "--cache_latents"])
told = []
for file in sys.argv[1:]:
    generator = config_util.BlueprintGenerator(config_util.ConfigSanitizer(True, True, True, True))
    tokenizer = types.SimpleNamespace(model_max_length=77)
    config = config_util.load_user_config(file)
    blueprint = generator.generate(config, args, tokenizer=[tokenizer, tokenizer])
    told.append([
        [type(subset.params).__name__, subset.params.image_dir, subset.params.num_repeats,
         dataset.params.batch_size, list(dataset.params.resolution)]
        for dataset in blueprint.dataset_group.datasets for subset in dataset.subsets
    ])
tell(told)
"""
CONFIG = """
[[datasets]]
batch_size = 2
resolution = 768
  [[datasets.subsets]]
  image_dir = "a"
  num_repeats = 4
[[datasets]]
  [[datasets.subsets]]
  image_dir = "b"
  conditioning_data_dir = "masks"
[[datasets]]
  [[datasets.subsets]]
  metadata_file = "meta.json"
  image_dir = "a"
"""


@pytest.mark.parametrize("release", ["v0.8.7", "v0.10.1"])
def test_the_settings_of_each_subset_are_those_that_we_say(
    release: str, shipped: Catalogue, upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    root = tmp_path / "data"
    for name in ("a", "b", "masks", "img/10_korra", "img/3_naga woman"):
        (root / name).mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(root / name / "1.png")
    (root / "meta.json").write_text("{}", "utf-8")
    config = root / "mine.toml"
    config.write_text(CONFIG, "utf-8")
    preset = shipped.load("lion", overrides=["dataset.random_crop=false"])
    files = []
    for number, data in enumerate((root / "a", root / "img", config)):
        given = Paths(data, PurePath("b"), tmp_path, "korra", tmp_path / f"{number}.toml")
        given.dataset_config.write_text(rendered.text(preset, given), "utf-8")
        files.append(str(given.dataset_config))
    told = asking.ask(upstream(release), READ, *files)
    kinds = {
        "folder": "DreamBoothSubsetParams",
        "metadata": "FineTuningSubsetParams",
        "masks": "ControlNetSubsetParams",
    }
    for data, answer in zip((root / "a", root / "img", config), told, strict=True):
        ours = [
            [
                *(kinds[subset.kind], str(subset.folder), subset.repeats),
                subset.settings.dataset("batch_size"),
                list(subset.settings.sides() or ()),
            ]
            for subset in of_run.of(preset, data, release)
        ]
        assert ours == answer
