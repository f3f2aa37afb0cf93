"""Write the files of a preset for someone who starts sd-scripts by hand."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from kohya_presets.dataset import rendered
from kohya_presets.errors import PresetError
from kohya_presets.files import render as texts
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import errors
from kohya_presets.sdscripts import releases
from kohya_presets.sdscripts.scripts import TOOLS
from wrapper.checkouts import patchwork
from wrapper.checkouts.checkout import Checkout
from wrapper.data import base_model
from wrapper.planning import preflight
from wrapper.system import names, proc, whole

HEAD = "# Run these commands in the sd-scripts folder, in its environment, one after the other.\n"


def render(
    preset: Preset,
    out: Path,
    *,
    data: Path,
    base: str,
    name: str | None = None,
    release: str | None = None,
    force: bool = False,
) -> list[Path]:
    """Return the three files written into `out`: same input, same bytes.

    Raises:
        PresetError: it has errors for `release`.
        UserError: another file already exists, and `force` is not set.
    """
    _check(preset, releases.find(release).tag if release else releases.best_for(preset.releases))
    out = out.expanduser().resolve()
    model = Path(base).expanduser()
    paths = texts.Paths(
        data=data.expanduser().resolve(),
        base=PurePosixPath(base) if _is_repository(base) else model.resolve(),
        output=out,
        name=names.usable(name or preset.name),
        dataset_config=out / "dataset.toml",
    )
    files = {
        "config.toml": texts.config(preset, paths),
        "dataset.toml": rendered.text(preset, paths),
        "command.txt": HEAD
        + _patching(preset)
        + "".join(f"{proc.command_line(c)}\n" for c in commands(preset, paths)),
    }
    return whole.write({out / file: text for file, text in files.items()}, force=force)


def commands(preset: Preset, paths: texts.Paths) -> list[tuple[str, ...]]:
    """Return the command of each stage, as a person would type it."""
    mixed = preset.train.get("mixed_precision", "no")
    config = paths.output / "config.toml"
    launch = ("accelerate", "launch", "--num_processes=1", f"--mixed_precision={mixed}")
    found: list[tuple[str, ...]] = [(*launch, preset.script, f"--config_file={config}")]
    lora = paths.output / f"{paths.name}-lora.safetensors"
    if preset.extract is not None:
        full = lora
        if preset.resize is not None:
            full = paths.output / f"{paths.name}-extracted.safetensors"
        tuned = paths.output / f"{paths.name}.safetensors"
        ends = {"model_org": str(paths.base), "model_tuned": str(tuned), "save_to": str(full)}
        found.append(_python("extract", {**preset.extract, **ends}))
        if preset.resize is not None:
            ends = {"model": str(full), "save_to": str(lora)}
            found.append(_python("resize", {**preset.resize, **ends}))
    return found


def _python(stage: str, options: dict[str, object]) -> tuple[str, ...]:
    return ("python", TOOLS[stage], *texts.arguments(options))


def _patching(preset: Preset) -> str:
    needed = preset.patches
    return f"# Before the first run: {patchwork.command(needed, '.')}\n" if needed else ""


def _is_repository(base: str) -> bool:
    """Return whether sd-scripts would look for `base` on Hugging Face: owner/repo, no file."""
    return base.count("/") == 1 and not base_model.is_path(base) and not base.endswith(".ckpt")


def _check(preset: Preset, tag: str) -> None:
    nowhere = Path("sd-scripts")  # never opened
    checkout = Checkout(nowhere, nowhere, "plain", tag, tag)
    if wrong := errors(preflight.fit(preset, checkout)):
        raise PresetError(f"preset {preset.name!r} on {tag}", wrong)
