"""The two files of sd-scripts that a user may have: the training config and the dataset config.

They are not told apart by name: a file with [[datasets]] is a dataset config, unless it has what
only a training config has. sd-scripts then reads [general] in it as options, like any section, and
the list `datasets` as one option that nothing looks at (read_config_from_file).

They are read with the parser that sd-scripts uses, so the check sees the same
values; the lines come from our own parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kohya_presets.errors import UserError
from kohya_presets.presets.preset import Table
from kohya_presets.problems import Place, Problem, Severity, listed
from kohya_presets.toml import source as toml_source
from kohya_presets.toml.source import Key, Source

Kind = Literal["config", "dataset"]
_BOM = b"\xef\xbb\xbf"
_NARROWER = "sd-scripts reads it with the package toml 0.10.2, which does not know all of TOML 1.0."
# Two of these make a training config: one may have strayed into a dataset config.
_OF_TRAINING = frozenset(
    {"pretrained_model_name_or_path", "output_dir", "output_name", "network_module"}
    | {"optimizer_type", "learning_rate", "max_train_epochs", "max_train_steps", "mixed_precision"}
    | {"lr_scheduler", "network_dim", "unet_lr", "save_precision"}
)
# What names the images of a training.
DATA = ("dataset_config", "train_data_dir", "in_json", "dataset_class")
_UNREADABLE = frozenset({"toml-syntax", "not-utf8", "misnamed-table", "several-trainings"})
_BASE = "pretrained_model_name_or_path"
_SHARED = 5  # so many options of two sections are two trainings, and no slip


@dataclass(frozen=True)
class ConfigFile:
    """What sd-scripts reads in a file; `places` has the line of each key, from the file's root."""

    file: Path
    kind: Kind
    values: Mapping[str, Any]
    source: Source
    problems: tuple[Problem, ...] = ()

    @property
    def is_unreadable(self) -> bool:
        """Whether sd-scripts reads nothing in it as it is meant, so that its keys tell nothing."""
        return any(problem.code in _UNREADABLE for problem in self.problems)

    @property
    def comments(self) -> tuple[str, ...]:
        """The lines that are comments."""
        lines = (line.strip() for line in self.source.text.splitlines())
        return tuple(line for line in lines if line.startswith("#"))

    def place(self, *key: str, called: str | None = None) -> Place:
        """Return where `key` was written."""
        return self.source.place(*key)._replace(key=called or ".".join(key))


@dataclass(frozen=True)
class Part:
    """One table of a dataset file: its level, its values, and its key from the file's root."""

    level: str
    values: Table
    at: Key


def read(file: Path, *, is_dataset: bool = False) -> ConfigFile:
    """Return what sd-scripts reads in `file`, and as problems what it cannot read.

    `is_dataset` says that it is used as a dataset config, whatever is in it.

    Raises:
        UserError: there is no such file.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the config {file}: {error.strerror}") from error
    try:
        text = data.removeprefix(_BOM).decode("utf-8")
        text = text.replace("\r\n", "\n").replace("\r", "\n")  # as open() reads all three
    except UnicodeDecodeError:
        source = toml_source.read(file)  # which says where
        return ConfigFile(file, "config", {}, source, source.problems)
    values, faults = _loads(text, file)
    source = Source(file, values, text)
    kind: Kind = "dataset" if "datasets" in values else "config"
    if kind == "dataset" and not is_dataset and len(_OF_TRAINING & flat(values).keys()) > 1:
        kind = "config"
    problems = [_bom(file, text, kind)] if data.startswith(_BOM) else []
    problems += faults
    if kind == "config":
        checks = [_misnamed, _ignored, _nested, _shadowed]
        if _trainings(values):
            checks = [_several]
        problems += [problem for check in checks for problem in check(values, source)]
    else:
        problems += _beside_datasets(values, source)
    return ConfigFile(file, kind, values, source, tuple(problems))


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values, those of a section beside the others: sd-scripts drops its name."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= value if isinstance(value, dict) else {key: value}
    return found


def options(config: ConfigFile) -> dict[str, tuple[Any, Key]]:
    """Return each training option and its place in the file; section names are dropped."""
    found: dict[str, tuple[Any, Key]] = {}
    for name, value in config.values.items():
        if isinstance(value, dict):  # tables further in are read by nothing, see `_nested`
            flat = ((key, inner) for key, inner in value.items() if not isinstance(inner, dict))
            found |= {key: (inner, (name, key)) for key, inner in flat}
        elif name != "datasets":  # see `_ignored`
            found[name] = (value, (name,))
    return found


def parts(config: ConfigFile) -> Iterator[Part]:
    """Yield the tables of a dataset file: [general], each dataset, each of its subsets."""
    if isinstance(general := config.values.get("general"), dict):
        yield Part("general", general, ("general",))
    for number, dataset in enumerate(_list(config.values.get("datasets"))):
        at = ("datasets", str(number))
        yield Part("dataset", {k: v for k, v in dataset.items() if k != "subsets"}, at)
        for inner, subset in enumerate(_list(dataset.get("subsets"))):
            yield Part("subset", subset, ("datasets", "subsets", str(_nth(config, number, inner))))


def datasets(config: ConfigFile) -> list[int]:
    """Return the number of its dataset for each subset of `combined`, counted from 0."""
    numbers, number = [], -1
    for part in parts(config):
        number += part.level == "dataset"
        if part.level == "subset":
            numbers.append(number)
    return numbers


def combined(config: ConfigFile) -> Iterator[dict[str, tuple[Any, Key]]]:
    """Yield the settings in effect for each subset, each with where it stands."""
    general: dict[str, tuple[Any, Key]] = {}
    dataset: dict[str, tuple[Any, Key]] = {}
    for part in parts(config):
        here = {key: (value, (*part.at, key)) for key, value in part.values.items()}
        if part.level == "general":
            general = here
        elif part.level == "dataset":
            dataset = {**general, **here}
        else:
            yield {**dataset, **here}


def _nth(config: ConfigFile, dataset: int, subset: int) -> int:
    """Return the number of a subset in the whole file, by which `source` finds its line."""
    before = _list(config.values["datasets"])[:dataset]
    return sum(len(_list(other.get("subsets"))) for other in before) + subset


def _list(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _loads(text: str, file: Path) -> tuple[dict[str, Any], list[Problem]]:
    import toml  # what sd-scripts reads with; only its own files need it

    try:
        return toml.loads(text), []
    except toml.TomlDecodeError as error:
        line, message = error.lineno, error.msg
    except (ValueError, IndexError, TypeError, KeyError) as error:  # toml 0.10.2 on odd input
        line, message = None, str(error) or type(error).__name__
    # It repeats a value that it cannot read, and that may be a token.
    message = re.sub(r"(could not convert string to \w+: ).*", r"\1a value without quotes", message)
    hint: str | None = _NARROWER
    if faults := toml_source.parse(text, file).problems:  # no other parser accepts it either
        hint = faults[0].hint
    return {}, [Problem("toml-syntax", "error", Place(file, line), message, hint)]


def _bom(file: Path, text: str, kind: Kind) -> Problem:
    """Return what sd-scripts makes of the mark: a part of the first key, or no TOML at all."""
    first = text.split("\n", 1)[0]
    key = first.partition("=")[0].strip() if re.match(r"[ \t]*[\w-]+\s*=", first) else None
    effect = "cannot read it, and stops"
    if key:  # an option that nobody asks for; in a dataset config a key that is not allowed
        effect = f"misses {key}, the first key"
        effect = f"stops at {key}, the first key" if kind == "dataset" else effect
    message = f"the file starts with a byte order mark (BOM), so sd-scripts {effect}"
    hint = "Save the file as UTF-8 without BOM."
    return Problem("byte-order-mark", "error", Place(file, 1), message, hint)


def _misnamed(values: Mapping[str, Any], source: Source) -> Iterator[Problem]:
    for name, value in values.items():
        if name != "datasets" and _list(value):
            message = f"sd-scripts does not read [[{name}]]"
            hint = "Write [[datasets]], with [[datasets.subsets]] in each."
            where = source.place(name, "0")._replace(key=name)
            yield Problem("misnamed-table", "error", where, message, hint)


def _ignored(values: Mapping[str, Any], source: Source) -> Iterator[Problem]:
    if "datasets" in values:
        has_others = any(flat(values).get(key) for key in DATA)
        message = "sd-scripts ignores [[datasets]] in a training config (--config_file)"
        hint = "Move [general] and [[datasets]] to a file of their own, for dataset_config."
        if has_others:
            hint = "Delete it here: this file names its images elsewhere."
        where = source.place("datasets", "0")._replace(key="datasets")
        severity: Severity = "warning" if has_others else "error"
        yield Problem("datasets-ignored", severity, where, message, hint)


def _trainings(values: Mapping[str, Any]) -> list[str]:
    """Return the sections that are trainings of their own, each with its model; not only one."""
    found = {n: v for n, v in values.items() if isinstance(v, dict) and _BASE in v}
    shared = frozenset.intersection(*map(frozenset, found.values())) if len(found) > 1 else ()
    return list(found) if len(shared) >= _SHARED else []


def _several(values: Mapping[str, Any], source: Source) -> Iterator[Problem]:
    first, *others = _trainings(values)
    names = listed(f"[{name}]" for name in (first, *others))
    message = f"{names} are trainings of their own, but sd-scripts reads all sections as one"
    hint = "Keep one of them here, and write each other one to a file of its own."
    where = source.place(others[0])
    yield Problem("several-trainings", "error", where, message, hint)


def _nested(values: Mapping[str, Any], source: Source) -> Iterator[Problem]:
    sections = ((name, value) for name, value in values.items() if isinstance(value, dict))
    for name, inner in (
        (name, key) for name, v in sections for key in v if isinstance(v[key], dict)
    ):
        message = f"sd-scripts does not read [{name}.{inner}]: it reads one level of sections"
        where = source.place(name, inner)._replace(key=f"{name}.{inner}")
        hint = f"Move its settings to [{name}]."
        yield Problem("nested-section", "error", where, message, hint)


def _beside_datasets(values: Mapping[str, Any], source: Source) -> Iterator[Problem]:
    for name, value in values.items():
        if name not in ("general", "datasets"):
            what = f"[{name}]" if isinstance(value, dict) else name
            message = (
                f"a dataset config has [general] and [[datasets]] only: {what} stops sd-scripts"
            )
            where = source.place(name)._replace(key=name)
            hint = "Move it to the training config, the file for --config_file."
            yield Problem("extra-table", "error", where, message, hint)


def _shadowed(values: Mapping[str, Any], source: Source) -> Iterator[Problem]:
    seen: dict[str, Key] = {}
    for name, value in values.items():
        keys = [(name, key) for key in value] if isinstance(value, dict) else [(name,)]
        for key in keys:
            if (before := seen.get(key[-1])) is not None:
                where = source.place(*key)._replace(key=key[-1])
                line = source.place(*before).line
                message = f"{key[-1]} is also set on line {line}; sd-scripts uses the last one"
                yield Problem("given-twice", "warning", where, message, "Delete one of the two.")
            seen[key[-1]] = key
