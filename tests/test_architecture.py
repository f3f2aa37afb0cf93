"""The layout promises who may import whom; this file keeps the promise."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from wrapper.system import proc

ROOT = Path(__file__).parents[1]
# Room by room: each may import itself and those above it, and the packages beside its name.
ROOMS: dict[str, set[str]] = {
    "kohya_presets/secrets.py": set(),
    "kohya_presets/problems.py": set(),
    "kohya_presets/errors.py": set(),
    "kohya_presets/toml": {"tomli", "toml"},
    "kohya_presets/sdscripts": set(),
    "kohya_presets/pages": {"jinja2", "markupsafe"},
    "kohya_presets/loras": {"markupsafe", "numpy"},
    "kohya_presets/presets": set(),
    "kohya_presets/training": set(),
    "kohya_presets/memory": set(),
    "kohya_presets/files": {"toml"},
    "kohya_presets/prompts": set(),
    "kohya_presets/validate": set(),
    "kohya_presets/dataset": {"numpy", "regex", "ftfy"},
    "kohya_presets/judging": {"numpy"},
    "kohya_presets/renting": set(),
    "kohya_presets/gui": set(),
    "kohya_presets/explain": set(),
    "kohya_presets/cards": {"jinja2", "tomlkit"},
    "patches": set(),
    "wrapper/system": {"filelock", "platformdirs", "psutil"},
    "wrapper/screen": {"rich"},
    "wrapper/checkouts": set(),
    "wrapper/environments": set(),
    "wrapper/rehearsal": {"PIL", "numpy"},
    "wrapper/data": {"PIL", "httpx", "huggingface_hub", "numpy", "pillow_heif"},
    "wrapper/data/page": {"PIL"},
    "wrapper/extraction": set(),
    "wrapper/watching": {"psutil"},
    "wrapper/runs": {"tomlkit"},
    "wrapper/planning": set(),
    "wrapper/ranks": set(),
    "wrapper/conversions": set(),
    "wrapper/evaluation": {"PIL", "markupsafe", "numpy"},
    "wrapper/reports": {"PIL", "markupsafe"},
    "wrapper/export": set(),
    "wrapper/renting": {"jinja2"},
    "wrapper/cards": {"PIL", "huggingface_hub", "httpx"},
    "wrapper/cli": {"click"},
}
# These run in the trainer's Python, without us; `library` is sd-scripts' own.
IN_THE_TRAINER = {
    "patches/adacoor": {"torch"},
    "patches/ema": {"torch", "safetensors", "library"},
    "patches/fast_lora": {"torch", "safetensors"},
    "patches/fused_step": {"torch"},
    "patches/resume": {"torch", "safetensors", "numpy", "tqdm", "rich"},
    "wrapper/environments": {"torch"},
    "wrapper/extraction": {"torch"},
    "wrapper/ranks": {"torch", "kp_detour", "patches.fast_lora"},
    "wrapper/rehearsal": {
        *("torch", "torchvision", "safetensors", "diffusers", "library", "accelerate", "numpy"),
        *("kp_miniature", "kp_observed", "kp_torchvision", "kp_checkpoint"),
        "kp_full_checkpoint",
    },
}
STANDIN = "wrapper/rehearsal/standin"
PATCHES_KNOW = tuple(f"kohya_presets.{n}" for n in ("errors", "problems", "toml", "sdscripts"))
MAY_START_PROCESSES = {
    "wrapper/system/proc.py",
    "wrapper/system/launch.py",
    "patches/adacoor/kp_adacoor_cpp.py",  # a compiler, inside sd-scripts, where the doors are not
}
MOST_FILES = 12  # in a folder, beside its sub-folders and its __init__.py
LONGEST = 300  # lines

SOURCES = sorted(
    p.relative_to(ROOT).as_posix()
    for top in ("kohya_presets", "patches", "wrapper")
    for p in (ROOT / top).rglob("*.py")
    if STANDIN not in p.as_posix()
)
BESIDE = sorted(
    p.relative_to(ROOT).as_posix() for d in ("tools", "bench") for p in (ROOT / d).rglob("*.py")
)
FOLDERS = sorted({str(Path(source).parent) for source in SOURCES} | {"tools", "tools/gui", "bench"})


def imported(path: str) -> set[str]:
    nodes = list(ast.walk(ast.parse((ROOT / path).read_text("utf-8"))))
    names = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    for n in nodes:
        if isinstance(n, ast.ImportFrom) and not n.level:  # not a module beside it
            names |= {f"{n.module}.{alias.name}" for alias in n.names}
    return names


def is_ours(module: str) -> bool:
    return module.split(".")[0] in ("kohya_presets", "patches", "wrapper", "tools", "bench")


def foreign(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}


def room_of(name: str) -> int | None:
    """Return the place of a module, or of a file's path, in the order of rooms; None: in none.

    Of a room inside another, it is the inner one.
    """
    path = name.replace(".", "/") + "/"
    found = [
        (len(r), n) for n, r in enumerate(ROOMS) if path.startswith(r.removesuffix(".py") + "/")
    ]
    return max(found)[1] if found else None


@pytest.mark.parametrize("path", [s for s in SOURCES if "/kp_" not in s])
def test_imports_go_up_the_list_of_rooms_and_never_down(path: str) -> None:
    here = room_of(path.removesuffix(".py"))
    if here is None:  # the three folders' own __init__, and the door of `python -m`
        assert path.rsplit("/", 1)[1] in ("__init__.py", "__main__.py"), f"{path} is in no room"
        return
    third_party = [*ROOMS.values()][here]
    for name in imported(path):
        root = name.split(".")[0]
        there = room_of(name)
        if there is not None:
            assert there <= here, f"{path} may not import {name}, of a room below"
        elif root not in sys.stdlib_module_names:
            assert root in third_party, f"{path} may not import {name}"
        if path.startswith("patches/") and root == "kohya_presets":
            assert name.startswith(PATCHES_KNOW), f"{path} may not import {name}"


@pytest.mark.parametrize("path", [s for s in SOURCES if "/kp_" in s])
def test_what_runs_in_the_trainer_imports_nothing_of_ours(path: str) -> None:
    allowed = tuple(f"{name}." for name in IN_THE_TRAINER[str(Path(path).parent)])
    wrong = [name for name in foreign(imported(path)) if not f"{name}.".startswith(allowed)]
    assert not wrong, f"{path} may not import {wrong}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folders_listing_is_read_at_a_glance(folder: str) -> None:
    files = [f for f in (ROOT / folder).iterdir() if f.suffix == ".py" and f.stem != "__init__"]
    assert len(files) <= MOST_FILES, f"{folder} has {len(files)} files: make rooms of it"


@pytest.mark.parametrize("path", [*SOURCES, *BESIDE])
def test_no_import_goes_round_a_circle_through_a_back_door(path: str) -> None:
    """An import of ours inside a function hides a circle; the command line has its reasons."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.Name) and node.id == "TYPE_CHECKING"), path
        if isinstance(node, ast.FunctionDef) and not path.startswith("wrapper/cli/"):
            inner = [n for n in ast.walk(node) if isinstance(n, ast.ImportFrom | ast.Import)]
            ours = [
                n.module
                for n in inner
                if isinstance(n, ast.ImportFrom) and n.module and is_ours(n.module)
            ]
            assert not ours, f"{path}, {node.name}: imports {ours} inside"


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
    assert not loaded & (heavy | {"rich", "tomlkit", "PIL", "psutil", "numpy", "jinja2"})
