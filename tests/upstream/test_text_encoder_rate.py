"""A LoRA's `text_encoder_lr` may be one number, though the option takes a list."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.sdscripts import options
from tests import missing
from tests.usually import usually
from tools import make_options

LISTS = [
    tag
    for tag in options.releases_with("train_network.py", "text_encoder_lr")
    if options.of("train_network.py", tag)["text_encoder_lr"].type != "float"
]
pytestmark = [pytest.mark.upstream]


@pytest.mark.parametrize("tag", usually(LISTS, ["v0.10.1", LISTS[-1]]))
def test_a_number_is_taken_on_purpose(tag: str, tmp_path: Path) -> None:
    with missing.skipped_without(missing.SD_SCRIPTS):
        folder = make_options.fetch(tag, tmp_path / "sources")
    tree = ast.parse((folder / "train_network.py").read_text("utf-8"))
    asks = "isinstance(args.text_encoder_lr, float)"
    (statement,) = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and asks in _test(node)
    ]
    code = compile(ast.Module([statement], []), "train_network.py", "exec")
    for given, used in ((1e-5, 1e-5), (1, 1), ([1e-5, 2e-5], 1e-5)):
        names: dict[str, Any] = {"args": argparse.Namespace(text_encoder_lr=given)}
        exec(code, names)
        assert names["text_encoder_lr"] == used
        known = options.of("sdxl_train_network.py", tag)["text_encoder_lr"]
        assert options.check(known, given) is None


def _test(node: ast.If) -> str:
    return ast.unparse(node.test)
