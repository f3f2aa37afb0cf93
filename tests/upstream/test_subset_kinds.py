"""Which subsets go together is what sd-scripts' own ConfigSanitizer says."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.kohya_presets.validate.subsets import DATASETS, dataset, verdict
from tests.upstream.asking import ask
from tests.usually import usually
from wrapper.checkouts.checkout import Checkout

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
]
ASK = """
import json, sys, toml, voluptuous
from library.config_util import ConfigSanitizer

def takes(text, masked):
    try:
        ConfigSanitizer(True, True, masked, True).sanitize_user_config(toml.loads(text))
    except voluptuous.MultipleInvalid:
        return False
    return True

texts = json.loads(sys.argv[1])
tell({n: [takes(t, m) for m in (False, True)] for n, t in texts.items()})
"""


@pytest.mark.parametrize("release", usually(["v0.8.7", "v0.10.1"], ["v0.10.1"]))
def test_the_sanitizer_says_the_same(release: str, upstream: Callable[[str], Checkout]) -> None:
    said = ask(upstream(release), ASK, json.dumps({name: dataset(name) for name in DATASETS}))
    expected = {name: [verdict(name, masked) for masked in (False, True)] for name in DATASETS}
    assert said == expected
