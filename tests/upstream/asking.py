"""Ask sd-scripts' own code, in the Python that runs it: a text of Python answers with JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from wrapper.checkouts.checkout import Checkout
from wrapper.planning import trainer
from wrapper.rehearsal import adapt
from wrapper.screen.talk import Talk
from wrapper.system import proc

# The answer is the line that begins with this, on stdout: sd-scripts prints there too.
ANSWER = "TOLD "
BEGIN = '''
import json, sys
sys.path.insert(0, sys.argv.pop(1))
import kp_miniature
kp_miniature.repair_torchvision()

def tell(answer):
    print("TOLD", json.dumps(answer))

def group_of(config):
    """Return the group of real datasets that sdxl_train.py makes of a dataset config."""
    import types
    import sdxl_train
    from library import config_util

    args = sdxl_train.setup_parser().parse_args([])
    generator = config_util.BlueprintGenerator(config_util.ConfigSanitizer(True, True, False, True))
    tokenizer = types.SimpleNamespace(model_max_length=77)  # which older releases ask
    blueprint = generator.generate(config, args, tokenizer=[tokenizer, tokenizer])
    made = config_util.generate_dataset_group_by_blueprint(blueprint.dataset_group)
    return made[0] if isinstance(made, tuple) else made  # newer ones make one for validation too
'''


def ask(checkout: Checkout, text: str, *words: str, sources: Path | None = None) -> Any:
    """Return what `text` tells, with `words` as its `sys.argv[1:]`.

    It runs in the environment of `checkout`, with the scripts of `sources` where that is given.
    """
    python = trainer.environment_for(checkout, None, Talk()).python
    folder = sources or checkout.scripts
    paths = os.pathsep.join(map(str, (folder, folder / "networks")))
    said = proc.run(
        [python, "-c", BEGIN + text, Path(adapt.__file__).parent, *words],
        env={"PYTHONPATH": paths, "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"},
        cwd=folder,
    )
    (line,) = [line for line in said.stdout.splitlines() if line.startswith(ANSWER)]
    return json.loads(line.removeprefix(ANSWER))
