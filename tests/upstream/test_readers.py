"""sd-scripts reads our files back as what the preset says: asked in its own Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.presets.catalogue import Catalogue
from tests.upstream import asking
from wrapper.checkouts.checkout import Checkout
from wrapper.export import by_hand
from wrapper.planning import trainer
from wrapper.rehearsal import adapt, pictures
from wrapper.screen.talk import Talk
from wrapper.system import proc

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
    pytest.mark.every_release,
]

# Run in the trainer's environment. Every release has both functions, in modules that differ.
READ = """
import json, sys
sys.path.insert(0, sys.argv[2])
import kp_miniature
kp_miniature.repair_torchvision()
import sdxl_train
from library import config_util, train_util
parser = sdxl_train.setup_parser()
defaults = vars(parser.parse_args([]))
args = parser.parse_args(["--config_file", sys.argv[1]])
sys.argv = [sys.argv[0], "--config_file", sys.argv[1]]
args = train_util.read_config_from_file(args, parser)
given = {k: v for k, v in vars(args).items() if k not in defaults or v != defaults[k]}
config = config_util.load_user_config(args.dataset_config)
generator = config_util.BlueprintGenerator(config_util.ConfigSanitizer(True, True, False, True))
blueprint = generator.generate(config, args)
(dataset,) = blueprint.dataset_group.datasets
(subset,) = dataset.subsets
plain = lambda params: {k: v for k, v in vars(params).items()}
print("READ", json.dumps({"given": given, "dataset": plain(dataset.params),
                          "subset": plain(subset.params)}, default=str))
"""


@pytest.mark.parametrize("release", ["v0.8.7", "v0.10.1"])
@pytest.mark.parametrize("name", ["skynet", "lion"])
def test_the_files_say_exactly_what_the_preset_says(
    name: str,
    release: str,
    shipped: Catalogue,
    upstream: Callable[[str], Checkout],
    tmp_path: Path,
) -> None:
    checkout = upstream(release)
    python = trainer.environment_for(checkout, None, Talk()).python
    preset = shipped.load(name)
    data, out = tmp_path / "my 'pictures' ü", tmp_path / "out"
    pictures.draw(data)
    base = tmp_path / "base \\ model.safetensors"
    by_hand.render(preset, out, data=data, base=str(base), name="korra")
    room = Path(adapt.__file__).parent
    said = proc.run(
        [python, "-c", READ, out / "config.toml", room],
        env={"PYTHONPATH": str(checkout.scripts), "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"},
        cwd=checkout.scripts,
    )
    (line,) = [line for line in said.stdout.splitlines() if line.startswith("READ ")]
    read: dict[str, dict[str, Any]] = json.loads(line.removeprefix("READ "))

    given = read["given"]
    assert given.pop("pretrained_model_name_or_path") == str(base)
    assert given.pop("output_dir") == str(out)
    assert given.pop("output_name") == "korra"
    assert given.pop("dataset_config") == str(out / "dataset.toml")
    given.pop("config_file")
    # An option whose value is the default does not stand out; every other is there, and no more.
    defaults = {"lr_scheduler": "constant", "lr_warmup_steps": 0, "gradient_accumulation_steps": 1}
    assert {k: v for k, v in preset.train.items() if defaults.get(k) != v} == given

    both = {**read["dataset"], **read["subset"]}
    assert both["image_dir"] == str(data)
    for key, value in preset.dataset.items():
        assert both[key] == value, key


READ_EACH = """
import sdxl_train
from library import config_util, train_util

parser = sdxl_train.setup_parser()

def config(file):
    sys.argv = ["sdxl_train.py", "--config_file", file]
    args = parser.parse_args()
    return {k: v for k, v in vars(train_util.read_config_from_file(args, parser)).items()
            if k in ("datasets", "enable_bucket", "dataset_config", "seed", "output_name")}

def dataset(file):
    return config_util.ConfigSanitizer(True, True, False, True).sanitize_user_config(
        config_util.load_user_config(file)
    )

told = {}
for file in sys.argv[1:]:
    try:
        told[file] = (dataset if "dataset-" in file else config)(file)
    except Exception as error:
        told[file] = type(error).__name__
tell(told)
"""
DATASETS = '[[datasets]]\n[[datasets.subsets]]\nimage_dir = "d"\n'


def test_what_a_mark_and_datasets_do_in_a_training_config(
    upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    mark = "\ufeff"
    texts = {
        "key-first": mark + 'seed = 1\noutput_name = "o"\n',
        "table-first": mark + "[a]\nseed = 1\n",
        "mixed": f"[general]\nenable_bucket = true\n{DATASETS}[a]\nseed = 1\n",
        "dataset-table-first": mark + DATASETS,
        "dataset-key-first": mark + "general = {}\n" + DATASETS,
        "dataset-mixed": f"{DATASETS}[a]\nseed = 1\n",
        "dataset-good": DATASETS,
    }
    files = {name: tmp_path / f"{name}.toml" for name in texts}
    for name, file in files.items():
        file.write_text(texts[name], "utf-8")
    told = asking.ask(upstream("v0.10.1"), READ_EACH, *map(str, files.values()))
    said = {name: told[str(file)] for name, file in files.items()}
    assert (said["key-first"]["seed"], said["key-first"]["output_name"]) == (None, "o")
    assert said["table-first"] == "TomlDecodeError"
    mixed = said["mixed"]
    assert (mixed["enable_bucket"], mixed["seed"], mixed["dataset_config"]) == (True, 1, None)
    assert said["dataset-table-first"] == "TomlDecodeError"
    assert said["dataset-key-first"] == said["dataset-mixed"] == "MultipleInvalid"
    assert said["dataset-good"]["datasets"]
