"""sdxl_train.py counts the steps that we count."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from kohya_presets.dataset.sizes import steps
from tests.upstream import asking
from wrapper.checkouts.checkout import Checkout

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),
    pytest.mark.trainer,
    pytest.mark.every_release,
]
RELEASES = ["v0.7.0", "v0.8.7", "v0.9.1", "v0.10.1", "v0.11.1"]
# The script's own three lines are run, with a data loader that accelerate shares out.
COUNTED = """
import ast, math, types
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler

with open("sdxl_train.py", encoding="utf-8") as file:
    tree = ast.parse(file.read())

def line(target):
    (found,) = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == target
    ]
    return compile(ast.Module([found], []), target, "exec")

override = line("args.max_train_steps")
lines = [line("num_update_steps_per_epoch"), line("num_train_epochs")]

def counted(batches, accumulation, processes, epochs, steps):
    args = types.SimpleNamespace(
        gradient_accumulation_steps=accumulation, max_train_epochs=epochs, max_train_steps=steps
    )
    accelerator = types.SimpleNamespace(num_processes=processes)
    known = dict(args=args, accelerator=accelerator, math=math, train_dataloader=range(batches))
    if epochs is not None:
        exec(override, known)
    shared = BatchSamplerShard(BatchSampler(range(batches), 1, False), processes, 0)
    known["train_dataloader"] = list(shared)
    for one in lines:
        exec(one, known)
    steps_by_epoch = known["num_update_steps_per_epoch"]
    return [steps_by_epoch, args.max_train_steps, known["num_train_epochs"]]

tell([counted(*one) for one in json.loads(sys.argv[1])])
"""


@pytest.mark.parametrize("release", RELEASES)
def test_the_script_counts_the_same_steps(
    release: str, upstream: Callable[[str], Checkout]
) -> None:
    shapes = itertools.product((1, 7, 24, 25, 121), (1, 3, 4), (1, 2, 3), (None, 1, 10), (1, 1600))
    asked = [list(shape) for shape in shapes]
    told = asking.ask(upstream(release), COUNTED, str(asked).replace("None", "null"))
    for (batches, accumulation, processes, epochs, most), answer in zip(asked, told, strict=True):
        found = steps.length(
            batches or 0,
            accumulation=accumulation or 1,
            processes=processes or 1,
            epochs=epochs,
            steps=most,
        )
        assert [found.by_epoch, found.steps, found.epochs] == answer
