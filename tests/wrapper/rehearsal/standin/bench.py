"""A folder with everything that the stand-in's scripts read, and the scripts run in it."""

from __future__ import annotations

from pathlib import Path

from wrapper.rehearsal.adapt import STANDIN
from wrapper.system import proc
from wrapper.system.proc import Result

# Four batches an epoch and accumulation over three: an epoch is two steps, the second a short one.
CONFIG = """\
[model]
pretrained_model_name_or_path = "base.safetensors"
[training]
learning_rate = 1e-6
max_train_epochs = 6
gradient_accumulation_steps = 3
train_text_encoder = true
seed = 1
save_precision = "fp16"
save_model_as = "safetensors"
dataset_config = "dataset.toml"
output_dir = "out"
output_name = "tuned"
"""
DATASET = """\
[general]
resolution = [64, 64]
caption_extension = ".txt"
[[datasets]]
batch_size = 1
[[datasets.subsets]]
image_dir = "images"
num_repeats = 1
"""


class Bench:
    """A folder with everything that the three scripts read; they are run in it as processes."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder, self.python = folder, python

    def edit(self, file: str, old: str, new: str) -> None:
        """Change one thing in a file of the folder."""
        text = (self.folder / file).read_text("utf-8")
        assert text.count(old) == 1
        (self.folder / file).write_text(text.replace(old, new), "utf-8")

    def launch(self, *options: str) -> Result:
        """Run sdxl_train.py through accelerate, as the wrapper does."""
        launcher = ("-m", "accelerate.commands.launch", "--num_processes=1", "--cpu")
        words = (*launcher, "--mixed_precision=no", "sdxl_train.py", "--config_file=config.toml")
        return self._run(*words, *options)

    def train(self, *options: str, check: bool = True) -> Result:
        """Run sdxl_train.py as `launch` does, without the seconds that its launcher takes."""
        return self._run("sdxl_train.py", "--config_file=config.toml", *options, check=check)

    def extract(self, *options: str, to: str = "lora.safetensors") -> Path:
        """Return the LoRA between base and tuned, of the full rank."""
        words = ("--sdxl", "--model_org=base.safetensors", "--model_tuned=out/tuned.safetensors")
        often = ("--dim=512", "--clamp_quantile=1", "--save_precision=fp16")
        script = "networks/extract_lora_from_models.py"
        self._run(script, *words, *often, f"--save_to={to}", *options)
        return self.folder / to

    def resize(self, *options: str, lora: str = "lora.safetensors") -> Path:
        """Return the LoRA of `extract`, smaller."""
        words = (f"--model={lora}", "--save_to=small.safetensors")
        self._run("networks/resize_lora.py", *words, *options)
        return self.folder / "small.safetensors"

    def _run(self, *words: str, check: bool = True) -> Result:
        scripts = [str(STANDIN / w) if w.endswith(".py") else w for w in words]
        env = {
            "PYTHONPATH": str(STANDIN),
            "PYTHONUTF8": "1",
            "OMP_NUM_THREADS": "1",
            "ACCELERATE_USE_CPU": "true",  # what its launcher would say
        }
        return proc.run((self.python, *scripts), cwd=self.folder, env=env, check=check)
