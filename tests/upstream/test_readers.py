"""sd-scripts reads our files back as what the preset says: asked in its own Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.presets.catalogue import Catalogue
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
