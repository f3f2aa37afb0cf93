"""Which subsets a user means: folders, sd-scripts' own files, or a preset with its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kohya_presets.dataset import rendered
from kohya_presets.dataset import subsets as subsets_of
from kohya_presets.dataset.subsets import Subset
from kohya_presets.errors import UserError
from kohya_presets.files import configs
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from kohya_presets.training import settings as settings_of
from kohya_presets.training.settings import Settings
from kohya_presets.validate import config_files
from kohya_presets.validate.report import Against, Report

USUAL = "skynet"  # whose settings a folder alone is judged with: SDXL at 1024 x 1024, with buckets


def subsets(
    names: Sequence[str],
    presets: Catalogue,
    against: Against,
    *,
    data: Path | None = None,
    overrides: Sequence[str] = (),
) -> tuple[Subset, ...]:
    """Return the subsets of the folders, or of the files, or of the one preset in `names`.

    Raises:
        UserError: they do not go together, or one does not exist.
    """
    paths = [Path(name).expanduser() for name in names]
    if all(path.is_dir() for path in paths):
        if data:
            raise UserError("--data is for a preset", hint="Give the folders only.")
        usual = presets.load(USUAL, overrides=overrides)
        return _renumbered([of_data(usual, path, against) for path in paths])
    if all(_is_config(path) for path in paths):
        if overrides or data:
            raise UserError("--set and --data work only with a preset, or with folders")
        return _of_configs(paths, against)
    if len(names) == 1:
        if data is None and not paths[0].suffix:
            known = names[0] in presets.names()
            if known:
                raise UserError(f"{names[0]} is a preset", hint="Add its images: --data FOLDER.")
            raise UserError(f"there is no folder and no preset {names[0]!r}")
        if data is not None:
            return of_data(presets.load(names[0], overrides=overrides), data, against)
    missing = next((name for name, path in zip(names, paths, strict=True) if not path.exists()), "")
    found = f"there is no {missing}" if missing else "these do not go together"
    hint = "Give folders of images, or files of sd-scripts, or one preset with --data FOLDER."
    raise UserError(found, hint=hint)


def of_data(preset: Preset, data: Path, against: Against) -> tuple[Subset, ...]:
    """Return the subsets of `data` as trained with a preset: a folder, or a dataset config.

    What a dataset config leaves open, the preset says.

    Raises:
        UserError: there is no such folder or file, or it is no dataset config.
    """
    made = settings_of.of_preset(preset, against.release, against.additions)
    if not _is_config(data):
        return subsets_of.of_folder(made, data)
    config = rendered.read(data)
    each = [
        _filled(made, {key: value for key, (value, _) in one.items()})
        for one in configs.combined(config)
    ]
    return tuple(subsets_of.of_settings(each, configs.datasets(config), data))


def _filled(made: Settings, said: dict[str, object]) -> Settings:
    dataset = {**made.tables.get("dataset", {}), **said}
    return replace(made, tables={**made.tables, "dataset": dataset})


def _of_configs(paths: Sequence[Path], against: Against) -> tuple[Subset, ...]:
    reports = config_files.together(paths, against)
    found: list[tuple[Subset, ...]] = []
    for report in reports:
        if not report.subsets:
            raise UserError(f"{report.subject} names no images")
        found.append(of_report(report))
    return _renumbered(found)


def of_report(report: Report) -> tuple[Subset, ...]:
    """Return the subsets of the config that was checked; none for a preset."""
    if report.near is None:
        return ()
    return tuple(subsets_of.of_settings(report.subsets, report.datasets, report.near))


def _renumbered(found: Sequence[tuple[Subset, ...]]) -> tuple[Subset, ...]:
    """Return subsets of several sources as datasets of their own."""
    subsets: list[Subset] = []
    for several in found:
        before = 1 + max((subset.dataset for subset in subsets), default=-1)
        subsets += [replace(one, dataset=one.dataset + before) for one in several]
    return tuple(subsets)


def _is_config(path: Path) -> bool:
    return path.suffix == ".toml" and path.is_file() and not config_files.is_preset(path)
