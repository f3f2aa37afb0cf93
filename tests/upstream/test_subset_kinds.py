"""Which subsets go together is what sd-scripts' own ConfigSanitizer says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kohya_presets.validate.subsets import DATASETS, dataset, verdict
from tests.usually import usually
from wrapper.checkouts.checkout import Checkout
from wrapper.rehearsal import adapt
from wrapper.runs import trainer
from wrapper.screen.talk import Talk
from wrapper.system import proc

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
]
ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
import kp_miniature
kp_miniature.repair_torchvision()
import toml, voluptuous
from library.config_util import ConfigSanitizer

def takes(text, masked):
    try:
        ConfigSanitizer(True, True, masked, True).sanitize_user_config(toml.loads(text))
    except voluptuous.MultipleInvalid:
        return False
    return True

texts = json.loads(sys.argv[2])
print("TOLD", json.dumps({n: [takes(t, m) for m in (False, True)] for n, t in texts.items()}))
"""


@pytest.mark.parametrize("release", usually(["v0.8.7", "v0.10.1"], ["v0.10.1"]))
def test_the_sanitizer_says_the_same(release: str, upstream: Callable[[str], Checkout]) -> None:
    found = upstream(release)
    python = trainer.environment_for(found, None, Talk()).python
    texts = json.dumps({name: dataset(name) for name in DATASETS})
    said = proc.run(
        [python, "-c", ASK, Path(adapt.__file__).parent, texts],
        env={"PYTHONPATH": str(found.scripts), "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"},
        cwd=found.scripts,
    )
    (line,) = [line for line in said.stdout.splitlines() if line.startswith("TOLD ")]
    expected = {name: [verdict(name, masked) for masked in (False, True)] for name in DATASETS}
    assert json.loads(line.removeprefix("TOLD ")) == expected
