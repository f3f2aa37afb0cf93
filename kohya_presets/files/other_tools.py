"""Files of other training tools, which sd-scripts cannot read, or reads as something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.files import configs

Values = Mapping[str, Any]


def maker(values: Values) -> str | None:
    """Return the tool that a file with these values is for; None if nothing tells of another one.

    `values` is the document, as any TOML or JSON parser gives it.
    """
    return next((name for name, fits in _TOOLS if fits(values)), None)


def refuse(file: Path, values: Values) -> None:
    """Do nothing for a file that sd-scripts could read.

    Raises:
        UserError: it is for another tool.
    """
    if tool := maker(values):
        message = f"{file} is for {tool}; sd-scripts does not understand it"
        raise UserError(message, hint=f"Give it to {tool}.")


def _easy_scripts(values: Values) -> bool:
    """Sections named `..._args`, each with `args` or `dataset_args` inside; `[[subsets]]` alone."""
    nested = (value for value in values.values() if isinstance(value, dict))
    inside = any(isinstance(n.get(k), dict) for n in nested for k in ("args", "dataset_args"))
    return inside or (_tables(values.get("subsets")) and "datasets" not in values)


def _musubi(values: Values) -> bool:
    """Datasets of folders named `image_directory`; a model given as `dit`."""
    folders = {"image_directory", "video_directory", "image_jsonl_file", "video_jsonl_file"}
    datasets = [d for d in _list(values.get("datasets")) if isinstance(d, dict)]
    if any(folders & dataset.keys() for dataset in datasets) or folders & values.keys():
        return True
    flat = configs.flat(values)
    module = str(flat.get("network_module") or "")
    wan = module.removeprefix("networks.").startswith(("lora_wan", "lora_fpack", "lora_qwen"))
    return "dit" in flat or wan


def _one_trainer(values: Values) -> bool:
    return (
        "__version" in values and {"training_method", "concept_file_name"} & values.keys() != set()
    )


def _ai_toolkit(values: Values) -> bool:
    config = values.get("config")
    return "job" in values and isinstance(config, dict) and "process" in config


def _diffusion_pipe(values: Values) -> bool:
    model, adapter = values.get("model"), values.get("adapter")
    typed = isinstance(model, dict) and "type" in model and "dataset" in values
    return (
        typed
        or (isinstance(adapter, dict) and "type" in adapter)
        or _tables(values.get("directory"))
    )


def _simple_tuner(values: Values) -> bool:
    return any(key.startswith("--") for key in values) or (
        "data_backend_config" in values and "model_family" in values
    )


_TOOLS: tuple[tuple[str, Callable[[Values], bool]], ...] = (
    ("LoRA_Easy_Training_Scripts", _easy_scripts),
    ("musubi-tuner", _musubi),
    ("OneTrainer", _one_trainer),
    ("ai-toolkit", _ai_toolkit),
    ("diffusion-pipe", _diffusion_pipe),
    ("SimpleTuner", _simple_tuner),
)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _tables(value: Any) -> bool:
    return any(isinstance(item, dict) for item in _list(value))
