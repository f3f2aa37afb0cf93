"""The layout promises who may import whom; this file keeps the promise."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from wrapper.system import proc

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {  # folder -> what its files may import besides the standard library
    "kohya_presets": {"kohya_presets", "tomli", "toml"},
    "kohya_presets/loras": {"kohya_presets", "numpy"},
    "patches": {f"kohya_presets.{name}" for name in ("errors", "problems", "toml_source")}
    | {"patches"},
    # These run in the trainer's Python; `library` is sd-scripts' own.
    "patches/adacoor": {"torch", "kp_adacoor_compiled", "kp_adacoor_step"},  # beside each other
    "patches/ema": {"torch", "safetensors", "library", "kp_moving"},
    "patches/fast-lora": {"torch", "safetensors", "library"},
    "wrapper": {
        "wrapper",
        "patches",
        "kohya_presets",
        "filelock",
        "httpx",
        "huggingface_hub",
        "PIL",
        "platformdirs",
        "psutil",
        "rich",
        "tomlkit",
    },
    "wrapper/cli": {"wrapper", "patches", "kohya_presets", "click"},
    # These run in the trainer's Python, without us; `library` is sd-scripts' own.
    "wrapper/trainer_side": {
        "torch",
        "torchvision",
        "safetensors",
        "diffusers",
        "library",
        "kp_miniature",
        "kp_claim",
    },
    "wrapper/standin": {
        "torch",
        "safetensors",
        "accelerate",
        "numpy",
        "PIL",
        "toml",
        "tqdm",
        "voluptuous",
        "library",
    },
}
MAY_START_PROCESSES = {"wrapper/proc.py", "wrapper/launch.py"}
LONGEST = 300  # lines

SOURCES = sorted(
    p.relative_to(ROOT).as_posix()
    for top in ("kohya_presets", "patches", "wrapper")
    for p in (ROOT / top).rglob("*.py")
)


def imported(path: str) -> set[str]:
    nodes = list(ast.walk(ast.parse((ROOT / path).read_text("utf-8"))))
    names = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    for n in nodes:
        if isinstance(n, ast.ImportFrom):
            names |= {f"{n.module}.{alias.name}" for alias in n.names}
    return names


def foreign(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}


@pytest.mark.parametrize("path", SOURCES)
def test_imports_point_downwards(path: str) -> None:
    folder = max((k for k in MAY_IMPORT if path.startswith(f"{k}/")), key=len)
    roots = tuple(f"{root}." for root in MAY_IMPORT[folder])
    wrong = [n for n in foreign(imported(path)) if not f"{n}.".startswith(roots)]
    assert not wrong, f"{path} may not import {wrong}"
    if not path.startswith("wrapper/cli/"):
        assert not any(n.startswith("wrapper.cli") for n in imported(path))


@pytest.mark.parametrize("path", SOURCES)
def test_only_the_two_doors_start_processes(path: str) -> None:
    starts = any(name.split(".")[0] == "subprocess" for name in imported(path))
    assert not starts or path in MAY_START_PROCESSES


@pytest.mark.parametrize("path", SOURCES)
def test_no_module_outgrows_a_reader(path: str) -> None:
    assert len((ROOT / path).read_text("utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("words", [("list",), ("show", "skynet"), ("diff", "skynet", "lion")])
def test_light_commands_import_nothing_of_the_trainer(words: tuple[str, ...]) -> None:
    code = (
        "import sys; from wrapper.cli import main; sys.argv = sys.argv[1:]\n"
        "try: main()\n"
        "finally: print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = proc.run([sys.executable, "-c", code, "kohya-presets", *words])
    loaded = set(done.stdout.splitlines()[-1].split())
    heavy = {"torch", "accelerate", "diffusers", "transformers", "safetensors", "huggingface_hub"}
    assert not loaded & (heavy | {"rich", "tomlkit", "PIL", "psutil", "numpy"})
