"""Train the same with weights in fp32 and in bf16, by sd-scripts' own script, and compare.

    python -m bench.quality.trained --out DIR --width 32 --seeds 1 2 --rates 1e-6

On a CPU, with a miniature SDXL whose width can be chosen: the U-Net and both text encoders are
trained. It is first trained on pictures of another kind, so that what is compared is a fine-tune.
All trainings of a seed get the same images, noise and timesteps. What is there already is not made
again, so a run that was stopped goes on. `bench.quality.table` prints what came of it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw

from kohya_presets.presets import catalogue
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.sdscripts import releases
from wrapper.planning import prepare_rehearsal
from wrapper.planning.request import Request
from wrapper.rehearsal import pictures
from wrapper.rehearsal.adapt import ROOM, SIDE
from wrapper.runs.manifest import Stage
from wrapper.screen.talk import Talk
from wrapper.system import proc

HERE = Path(__file__).parent
COUNT = 24  # images to train on; as many to judge by, and of the other kind
PRESET = "skynet"
BEGIN_RATE, BEGIN_SEED = "5e-4", 7
SETTINGS = ("dataset.random_crop=false", "train.cache_latents=true")
IN_BF16 = ("--mixed_precision=bf16", "--full_bf16")
FORMATS = {
    "fp32": ("--mixed_precision=no",),
    "mixed": ("--mixed_precision=bf16",),
    "plain": IN_BF16,
    "chance": (*IN_BF16, "--stochastic_rounding"),
    "kahan": (*IN_BF16, "--kahan_summation"),
}

OTHER = "other seed"


class Trainer:
    """Trains a miniature of one width into files of a folder."""

    def __init__(self, out: Path, width: int, steps: int) -> None:
        self._out, self._steps = out.resolve(), steps
        self._out.mkdir(parents=True, exist_ok=True)
        self._env = {"KP_WIDTH": str(width)}
        for kind, first in (("discs", 0), ("held out", COUNT)):
            _draw_discs(self._out / kind, first)
        _draw_stripes(self._out / "stripes")
        loaded = Catalogue((catalogue.SHIPPED,)).load(PRESET, overrides=SETTINGS)
        preset = replace(loaded, patches=("adacoor", "fused-step"))
        request = Request(
            preset, "rehearsal", self._out, releases.DEFAULT, data=self._out / "discs"
        )
        ready = prepare_rehearsal.ready(request, Talk())
        self._miniature, self._train, *_ = ready.run.stages
        self._made = self._miniature.output.parent
        self.tokenizers = self._out / "tokenizers"
        config = (ready.run.folder / "config.toml").read_text("utf-8")
        config = config.replace(str(self._made / "tokenizers"), str(self.tokenizers))
        left_out = ("max_train_epochs", "output_dir", "seed", "learning_rate", "optimizer_type")
        lines = [line for line in config.splitlines() if line.split(" = ")[0] not in left_out]
        self._config = self._out / "config.toml"
        self._config.write_text("\n".join(lines), "utf-8")
        dataset = (ready.run.folder / "dataset.toml").read_text("utf-8")
        own = str(ready.run.folder / "data")
        assert own in dataset
        self._stripes = self._out / "stripes.toml"
        self._stripes.write_text(dataset.replace(own, str(self._out / "stripes")), "utf-8")

    def begin(self, steps: int) -> Path:
        """Return the model that all begin with; its weights are numbers that bf16 has."""
        made = self._out / "begin" / f"{PRESET}.safetensors"
        if not self.tokenizers.exists():
            self._run(self._miniature)
            self._miniature.makes.replace(self._miniature.output)
            shutil.copytree(self._made / "tokenizers", self.tokenizers)
        if not made.exists():
            base = self._made / "base.safetensors"
            self.train(
                made.parent,
                f"--pretrained_model_name_or_path={base}",
                "--optimizer_type=AdamW",
                f"--learning_rate={BEGIN_RATE}",
                f"--seed={BEGIN_SEED}",
                f"--dataset_config={self._stripes}",
                "--save_precision=bf16",
                f"--max_train_steps={steps}",
            )
        return made

    def train(self, into: Path, *options: str) -> Path:
        """Train into a folder; return the model."""
        made = into / f"{PRESET}.safetensors"
        if made.exists():
            return made
        part = into.with_name(into.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        started = time.monotonic()
        usual = (
            f"--config_file={self._config}",
            "--save_precision=float",
            f"--max_train_steps={self._steps}",
            f"--output_dir={part}",
        )
        said = self._run(self._train, *usual, *options)
        told = {"seconds": round(time.monotonic() - started), "options": options}
        part.mkdir(exist_ok=True)
        (part / "told.json").write_text(json.dumps(told), "utf-8")
        (part / "said.txt").write_text(said, "utf-8")
        shutil.rmtree(into, ignore_errors=True)
        part.rename(into)
        print(f"{into.name}: {told['seconds']} s", flush=True)
        return made

    def judge(self, work: Path) -> None:
        """Judge models as a file of work says."""
        argv = list(self._train.launch.argv)
        at = next(i for i, word in enumerate(argv) if word.endswith("kp_miniature.py"))
        script = str(HERE / "kp_judge.py")
        front = [argv[0], argv[at], str(work.parent / "observed"), script, str(work)]
        print(self._run(self._train, argv=front), flush=True)

    def _run(self, stage: Stage, *options: str, argv: Sequence[str] | None = None) -> str:
        launch, sized = stage.launch, str(HERE / "kp_sized.py")
        ours = {str(ROOM / name) for name in ("kp_miniature.py", "kp_checkpoint.py")}
        words = [sized if word in ours else word for word in argv or launch.argv]
        stage.makes.parent.mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join((launch.env["PYTHONPATH"], str(ROOM)))
        env = {**launch.env, **self._env, "PYTHONPATH": path}
        done = proc.run((*words, *options), cwd=launch.cwd, env=env)
        return f"{done.stdout}\n{done.stderr}"


def main() -> None:
    """Make all trainings that are asked for, then judge them."""
    asked = _options()
    trainer = Trainer(asked.out, asked.width, asked.steps)
    begin = trainer.begin(asked.begin_steps)
    runs = list(_runs(asked))
    with ThreadPoolExecutor(asked.at_once) as pool:
        base = f"--pretrained_model_name_or_path={begin}"
        done = [pool.submit(trainer.train, into, base, *options) for _, _, into, options in runs]
        for one in done:
            one.result()
    groups: dict[str, dict[str, str]] = {}
    for group, name, into, _ in runs:
        groups.setdefault(group, {})[name] = str(into / f"{PRESET}.safetensors")
    work = {
        "begin": str(begin),
        "images": str(asked.out.resolve() / "held out"),
        "tokenizers": str(trainer.tokenizers),
        "groups": [
            {"name": name, "models": models, "reference": models["fp32"]}
            for name, models in groups.items()
        ],
        "out": str(asked.out.resolve() / "judged.json"),
    }
    file = asked.out.resolve() / "work.json"
    file.write_text(json.dumps(work, indent=1), "utf-8")
    trainer.judge(file)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder; what is there is kept")
    parser.add_argument("--width", type=int, default=32, help="of the U-Net; a multiple of 32")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--begin-steps", type=int, default=1000, help="on pictures of another kind")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--rates", nargs="+", default=["1e-6"])
    parser.add_argument("--other-seed", type=int, help="of one more fp32 training, to compare")
    parser.add_argument("--optimizer", default="AdamW")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--at-once", type=int, default=1, help="trainings, each on one thread")
    return parser.parse_args()


def _runs(asked: argparse.Namespace) -> Iterator[tuple[str, str, Path, tuple[str, ...]]]:
    for rate in asked.rates:
        for seed in asked.seeds:
            group = f"{asked.optimizer} {rate} seed {seed}"
            for name in asked.formats:
                yield group, name, *_run(asked, rate, seed, name)
            if asked.other_seed is not None:
                yield group, OTHER, *_run(asked, rate, asked.other_seed, "fp32")


def _run(
    asked: argparse.Namespace, rate: str, seed: int, name: str
) -> tuple[Path, tuple[str, ...]]:
    """Return where a training goes, and its options."""
    options = (
        f"--optimizer_type={asked.optimizer}",
        f"--learning_rate={rate}",
        f"--seed={seed}",
        *FORMATS[name],
    )
    into = f"{asked.optimizer} {rate} seed {seed} {name}".replace(" ", "-")
    return asked.out.resolve() / into, options


def _draw_discs(folder: Path, first: int) -> None:
    """Draw as a rehearsal does, but others for another `first`."""
    if folder.exists():
        return
    every = folder.with_name("every")
    shutil.rmtree(every, ignore_errors=True)
    pictures.draw(every, first + COUNT)
    folder.mkdir()
    for number in range(first, first + COUNT):
        for ending in ("png", "txt"):
            name = f"a disc ({number + 1}).{ending}"
            (every / name).rename(folder / name)
    shutil.rmtree(every)


def _draw_stripes(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    dice = random.Random(BEGIN_SEED)
    for number in range(COUNT):
        colours = [tuple(dice.randrange(256) for _ in range(3)) for _ in range(2)]
        picture = Image.new("RGB", (SIDE, SIDE), colours[0])
        wide = dice.randrange(4, 16)
        for left in range(0, SIDE, 2 * wide):
            ImageDraw.Draw(picture).rectangle((left, 0, left + wide - 1, SIDE), fill=colours[1])
        picture.save(folder / f"stripes ({number + 1}).png")
        text = f"stripes, number {number + 1}"
        (folder / f"stripes ({number + 1}).txt").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
