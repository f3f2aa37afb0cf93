"""Files of other training tools, which sd-scripts cannot read, or reads as something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kohya_presets.errors import UserError
from kohya_presets.files import configs

Values = Mapping[str, Any]


class Tool(NamedTuple):
    """Whose file it is, how it is known, and what to say of it if it is not just another tool's.

    `is_` goes on from "this file" or its name.
    """

    name: str
    fits: Callable[[Values], bool]
    is_: str = ""
    hint: str = ""


def fault(values: Values) -> tuple[str, str] | None:
    """Return why sd-scripts cannot use a file with these values, and what to do; None if it can.

    `values` is the document, as any TOML or JSON parser gives it. The first goes on from "this
    file" or the name of the file.
    """
    tool = next((tool for tool in _TOOLS if tool.fits(values)), None)
    if tool is None:
        return None
    usual = f"Give it to {tool.name}, or write its settings with sd-scripts' own names."
    why = tool.is_ or f"is for {tool.name}; sd-scripts does not understand it"
    return why, tool.hint or usual


def refuse(file: Path, values: Values) -> None:
    """Do nothing for a file that sd-scripts could read.

    Raises:
        UserError: it is for another tool.
    """
    if found := fault(values):
        why, hint = found
        raise UserError(f"{file} {why}", hint=hint)


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


# Keys of the Kohya GUI's own config.toml that sd-scripts has not, by their table: its "config
# example.toml" from v23.0.0 on. A config for sd-scripts may have one of them by mistake.
_GUI: Mapping[str, frozenset[str]] = {
    "settings": frozenset({"use_shell"}),
    "server": frozenset({"allowed_paths"}),
    "model": frozenset({"models_dir"}),
    "configuration": frozenset({"config_dir"}),
    "accelerate_launch": frozenset(
        {"dynamo_mode", "dynamo_use_dynamic", "dynamo_use_fullgraph", "gpu_ids", "num_machines"}
        | {"extra_accelerate_launch_args", "main_process_port", "multi_gpu", "num_processes"}
        | {"num_cpu_threads_per_process"}
    ),
    "basic": frozenset({"epoch", "learning_rate_te", "lr_warmup", "max_resolution", "optimizer"}),
    "advanced": frozenset(
        {"additional_parameters", "log_tracker_config_dir", "noise_offset_type", "state_dir"}
        | {"v_pred_like_loss", "vae_dir"}
    ),
    "dataset_preparation": frozenset(
        {"class_prompt", "images_folder", "instance_prompt", "reg_images_folder"}
        | {"reg_images_repeat", "util_training_images_repeat_input"}
        | {"util_regularization_images_repeat_input"}
    ),
    "sdxl": frozenset({"sdxl_cache_text_encoder_outputs", "sdxl_no_half_vae"}),
    "wd14_caption": frozenset(
        {"always_first_tags", "append_tags", "character_threshold", "general_threshold", "onnx"}
        | {"remove_underscore", "undesired_tags", "use_rating_tags"}
    ),
}


def _kohya_gui(values: Values) -> bool:
    found = ((_table(values, table), keys) for table, keys in _GUI.items())
    return sum(len(keys & inside.keys()) for inside, keys in found) > 1


def _anima_fork(values: Values) -> bool:
    """One file for the training and its images, which it converts; or one with its own options."""
    model, dataset = _table(values, "model"), _table(values, "dataset")
    converted = "training" in values and "transformer_path" in model and "data_dir" in dataset
    return converted or "anima_transformer" in configs.flat(values)


def _lora_scripts(values: Values) -> bool:
    """A template of its web page; what it trains from is sd-scripts' own config."""
    about = _table(values, "metadata")
    return isinstance(values.get("data"), dict) and {"name", "version", "author"} <= about.keys()


_TOOLS = (
    Tool(
        "the Kohya GUI",
        _kohya_gui,
        "is the Kohya GUI's own config.toml: it sets the defaults of the GUI's fields, and "
        "sd-scripts does not read it",
        "Leave it in the GUI's folder. To check a training, save it in the GUI as a JSON file, and "
        "run: kohya-presets gui import FILE.json",
    ),
    Tool("LoRA_Easy_Training_Scripts", _easy_scripts),
    Tool("musubi-tuner", _musubi),
    Tool("OneTrainer", _one_trainer),
    Tool("ai-toolkit", _ai_toolkit),
    Tool("diffusion-pipe", _diffusion_pipe),
    Tool("SimpleTuner", _simple_tuner),
    Tool("the fork FHfanshu/sd-scripts-anima", _anima_fork),
    Tool(
        "lora-scripts",
        _lora_scripts,
        "is a template for the web page of lora-scripts; sd-scripts does not read it",
        "Load it in lora-scripts, and save from there the config for the training.",
    ),
)


def _table(values: Values, name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _tables(value: Any) -> bool:
    return any(isinstance(item, dict) for item in _list(value))
