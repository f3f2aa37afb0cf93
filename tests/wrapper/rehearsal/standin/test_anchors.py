"""The stand-in has the statements that patches look for, in upstream's functions, once each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from wrapper.rehearsal.adapt import STANDIN

LIBRARY = sorted((STANDIN / "library").glob("*.py"))
TRAIN = [STANDIN / "sdxl_train.py"]
EXTRACT = [STANDIN / "networks/extract_lora_from_models.py"]
RESIZE = [STANDIN / "networks/resize_lora.py"]


def statements(files: list[Path], function: str | None) -> Iterator[str]:
    for file in files:
        tree = ast.parse(file.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == (function or node.name):
                yield from (ast.unparse(s) for s in ast.walk(node) if isinstance(s, ast.stmt))


@pytest.mark.parametrize(
    ("files", "function", "text"),
    [
        pytest.param(TRAIN, "setup_parser", "return parser", id="A1"),
        pytest.param(EXTRACT, "setup_parser", "return parser", id="C3 extract"),
        pytest.param(RESIZE, "setup_parser", "return parser", id="C3 resize"),
        pytest.param(TRAIN, "train", "global_step += 1", id="A3"),
        pytest.param(
            TRAIN,
            "train",
            "train_util.resume_from_local_or_hf_if_specified(accelerator, args)",
            id="A2",
        ),
    ],
)
def test_a_statement_is_there_once(files: list[Path], function: str, text: str) -> None:
    assert list(statements(files, function)).count(text) == 1


@pytest.mark.parametrize(
    ("files", "function", "call"),
    [
        (LIBRARY, "save_and_remove_state_on_epoch_end", "accelerator.save_state"),
        (LIBRARY, "save_and_remove_state_stepwise", "accelerator.save_state"),
        (LIBRARY, "save_state_on_train_end", "accelerator.save_state"),
        (LIBRARY, "sample_images_common", "pipe_class"),
        (LIBRARY, "get_optimizer", "ast.literal_eval"),
        (LIBRARY, "get_optimizer", "importlib.import_module"),
        (EXTRACT, "svd", "torch.linalg.svd"),
        (RESIZE, "extract_conv", "torch.linalg.svd"),
        (RESIZE, "extract_linear", "torch.linalg.svd"),
    ],
)
def test_a_call_is_there_once(files: list[Path], function: str, call: str) -> None:
    found = [
        node
        for file in files
        for outer in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(outer, ast.FunctionDef) and outer.name == function
        for node in ast.walk(outer)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == call
    ]
    assert len(found) == 1


def test_a_step_is_counted_where_gradients_are_synchronized() -> None:
    tree = ast.parse(TRAIN[0].read_text("utf-8"))
    tests = [
        ast.unparse(node.test)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "global_step += 1" in map(ast.unparse, node.body)
    ]
    assert tests == ["accelerator.sync_gradients"]


def test_there_is_one_optimizer_chooser() -> None:
    text = "".join(file.read_text("utf-8") for file in LIBRARY)
    assert text.count("def get_optimizer(") == 1
    assert text.count("    if optimizer is None:\n") == 1


@pytest.mark.parametrize("end", ["on_epoch_end_or_stepwise", "on_train_end"])
@pytest.mark.parametrize(
    ("saver", "call"),
    [
        ("sd_saver", "sdxl_model_util.save_stable_diffusion_checkpoint"),
        ("diffusers_saver", "sdxl_model_util.save_diffusers_checkpoint"),
    ],
)
def test_models_are_saved_through_the_modules_attribute(end: str, saver: str, call: str) -> None:
    tree = ast.parse((STANDIN / "library/sdxl_train_util.py").read_text("utf-8"))
    (outer,) = (
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.FunctionDef) and n.name == f"save_sd_model_{end}"
    )
    (inner,) = (n for n in outer.body if isinstance(n, ast.FunctionDef) and n.name == saver)
    calls = [ast.unparse(n.func) for n in ast.walk(inner) if isinstance(n, ast.Call)]
    assert calls.count(call) == 1
