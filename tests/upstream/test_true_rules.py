"""What a rule forbids does fail in the real script, for the reason the rule gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.errors import PresetError
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from kohya_presets.validate import rules
from kohya_presets.validate.rules.rule import EXTRACTING, FIRST_SAVE, FIRST_STEP, NEVER, RESIZING
from tests.kohya_presets.validate.rules.cases import CASES, Case
from tests.upstream.training import Training
from wrapper.checkouts.checkout import Checkout
from wrapper.planning import prepare_rehearsal
from wrapper.planning.request import Request
from wrapper.rehearsal import adapt, pictures
from wrapper.screen.talk import Talk

TRUE = {code: case for code, case in CASES.items() if case.says}

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
]


@pytest.fixture(scope="module")
def made() -> Iterator[dict[tuple[str, str], Training]]:
    """Miniatures made once for each preset and release."""
    yield (kept := {})
    kept.clear()


@pytest.fixture
def training(
    made: dict[tuple[str, str], Training],
    shipped: Catalogue,
    upstream: Callable[[str], Checkout],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, str], Training]:
    """Return a function that gives the training of a preset on a release."""

    def get(preset: str, release: str) -> Training:
        upstream(release)
        if (preset, release) not in made:
            runs = tmp_path_factory.mktemp("runs")
            made[preset, release] = Training(shipped.load(preset), release, runs)
        return made[preset, release]

    return get


def rehearsed(case: Case, rule: rules.Rule, shipped: Catalogue) -> Preset:
    """Return the case's preset as a rehearsal has it, but for what the case is about."""
    made = shipped.load(case.preset, overrides=case.fires.split())
    small, _ = adapt.adapt(shipped.load(case.preset), pictures.COUNT)
    about = [word.split("=")[0] for word in case.fires.split()]
    own = {k: v for k, v in made.train.items() if f"train.{k}" in about}
    # Of the real size, unless images are trained on before it fails.
    dataset = small.dataset if rule.fails in (FIRST_STEP, FIRST_SAVE) else made.dataset
    return replace(small, train={**small.train, **own}, dataset=dataset)


@pytest.mark.every_release
@pytest.mark.parametrize("code", TRUE)
def test_what_an_error_forbids_fails_in_the_real_script(
    code: str, shipped: Catalogue, training: Callable[[str, str], Training]
) -> None:
    case = TRUE[code]
    rule = next(rule for rule in rules.RULES if rule.code == code)
    at = training(case.preset, case.release)
    said = at.run_as(rehearsed(case, rule, shipped), code)
    assert said.returncode, f"{code}: sd-scripts ends well"
    assert str(case.says) in said.stderr + said.stdout, said.stderr[-3000:]


@pytest.mark.parametrize("code", [rule.code for rule in rules.RULES if rule.severity == "error"])
def test_and_a_rehearsal_stops_before_anything_is_made(
    code: str, shipped: Catalogue, tmp_path: Path
) -> None:
    if code not in CASES:
        pytest.skip("needs files: see test_validate")
    case = CASES[code]
    made = shipped.load(case.preset, overrides=case.fires.split())
    asked = Request(made, "rehearsal", tmp_path / "runs", case.release)
    with pytest.raises(PresetError) as caught:
        prepare_rehearsal.ready(asked, Talk())
    assert code in {problem.code for problem in caught.value.problems}
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "here"])


WITHOUT = {  # what a config lacks, or has, and what sd-scripts says of it; None: nothing
    "no-base": ({"pretrained_model_name_or_path": None}, "NoneType"),
    "no-output": ({"output_dir": None}, "NoneType"),
    "no-images": ({"dataset_config": None, "resolution": "64"}, None),
    "empty-text": ({"vae": ""}, "vae"),
    "dataset-config-form": ({"dataset_config": __file__}, "not supported config file format"),
}


@pytest.mark.every_release
@pytest.mark.parametrize("code", WITHOUT)
def test_what_a_file_lacks_fails_in_the_real_script(
    code: str, shipped: Catalogue, training: Callable[[str, str], Training]
) -> None:
    at = training("skynet", "v0.10.1")
    small, _ = adapt.adapt(shipped.load("skynet"), pictures.COUNT)
    change, says = WITHOUT[code]
    said = at.run_as(small, code, change)
    assert not list((at.folder / code).glob("*.safetensors"))
    assert bool(said.returncode) == (says is not None), said.stderr[-3000:]
    assert says is None or says in said.stderr + said.stdout, said.stderr[-3000:]


def test_every_error_is_shown_true_or_says_why_not() -> None:
    never = {EXTRACTING, RESIZING, NEVER}  # the tools' own and those that end well
    for rule in rules.RULES:
        if rule.severity == "error" and rule.fails not in never and rule.code in CASES:
            shown = rule.code in TRUE or rule.code == "ema-deepspeed"  # which needs its package
            assert shown, rule.code
