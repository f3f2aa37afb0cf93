"""What a rule forbids does fail in the real script, for the reason the rule gives."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.errors import PresetError
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset, Table
from kohya_presets.validate import rules
from kohya_presets.validate.rules.rule import FIRST_SAVE, FIRST_STEP
from tests.kohya_presets.validate.rules import proofs
from tests.kohya_presets.validate.rules.cases import CASES, Case
from tests.kohya_presets.validate.rules.proofs import CHANGED, LORA, NETWORK, TOOLS
from tests.upstream.training import Training, weights
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
def made() -> Iterator[dict[tuple[str, ...], Training]]:
    """Miniatures made once for each preset and release."""
    yield (kept := {})
    kept.clear()


@pytest.fixture
def training(
    made: dict[tuple[str, ...], Training],
    shipped: Catalogue,
    upstream: Callable[[str], Checkout],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Training]:
    """Return a function that gives the training of a preset on a release, with more patches."""

    def get(preset: str, release: str, patches: tuple[str, ...] = ()) -> Training:
        upstream(release)
        key = (preset, release, *patches)
        if key not in made:
            runs = tmp_path_factory.mktemp("runs")
            loaded = shipped.load(preset)
            loaded = replace(loaded, patches=(*loaded.patches, *patches))
            made[key] = Training(loaded, release, runs)
        return made[key]

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
    code: str, shipped: Catalogue, training: Callable[..., Training]
) -> None:
    case = TRUE[code]
    rule = next(rule for rule in rules.RULES if rule.code == code)
    at = training(case.preset, case.release, case.patches)
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
    made = replace(made, patches=(*made.patches, *case.patches))
    asked = Request(made, "rehearsal", tmp_path / "runs", case.release)
    with pytest.raises(PresetError) as caught:
        prepare_rehearsal.ready(asked, Talk())
    assert code in {problem.code for problem in caught.value.problems}
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "here"])


@pytest.mark.every_release
@pytest.mark.parametrize("code", CHANGED)
def test_what_a_file_of_sd_scripts_must_not_say_fails_in_the_real_script(
    code: str, shipped: Catalogue, training: Callable[..., Training]
) -> None:
    asked = CHANGED[code]
    at = training("skynet", asked.release)
    small, _ = adapt.adapt(shipped.load("skynet"), pictures.COUNT)
    (at.folder / "meta.json").write_text(json.dumps(metadata(at.folder / "data")), "utf-8")
    change = {
        k: v.replace("{folder}", str(at.folder)) if isinstance(v, str) else v
        for k, v in asked.change.items()
    }
    said = at.run_as(small, code, change, asked.script)
    assert not list((at.folder / code).glob("*.safetensors"))
    assert bool(said.returncode) == (asked.says is not None), said.stderr[-3000:]
    assert asked.says is None or asked.says in said.stderr + said.stdout, said.stderr[-3000:]


def metadata(images: Path) -> dict[str, dict[str, str | list[int]]]:
    """Return what an in_json says of the images in a folder."""
    found = (path for path in images.iterdir() if path.suffix != ".txt")
    return {str(path): {"caption": "a disc", "train_resolution": [64, 64]} for path in found}


@pytest.mark.every_release
@pytest.mark.parametrize("code", TOOLS)
def test_what_a_tool_is_not_to_be_told_fails_in_the_real_tool(
    code: str, training: Callable[..., Training]
) -> None:
    tool, options, says = TOOLS[code]
    at = training("skynet", "v0.10.1")
    models = {f"--model_{name}": str(at.base) for name in ("org", "tuned")}
    said = at.refused(tool, {**(models if tool == "extract" else {}), **options})
    assert said.returncode
    assert says in said.stderr + said.stdout, said.stderr[-3000:]


@pytest.fixture
def small(shipped: Catalogue) -> Preset:
    """Return the preset of a rehearsal."""
    return adapt.adapt(shipped.load("skynet"), pictures.COUNT)[0]


@pytest.mark.every_release
@pytest.mark.parametrize("module", ["lora_flux", "lora_sd3"])
def test_another_models_network_module_leaves_the_u_net_as_it_was(
    module: str, small: Preset, training: Callable[..., Training]
) -> None:
    at = training("skynet", "v0.10.1")
    said = at.run_as(small, module, {**NETWORK, "network_module": f"networks.{module}"}, LORA)
    assert said.returncode == 0
    names = weights(at.folder / module / "skynet.safetensors")
    assert {name.partition("_")[2][:2] for name in names} == {"te"}


@pytest.mark.every_release
def test_a_number_that_is_not_finite_makes_weights_that_are_none(
    small: Preset, training: Callable[..., Training]
) -> None:
    at = training("skynet", "v0.10.1")
    assert at.run_as(small, "inf", {"noise_offset": math.inf}).returncode == 0
    made = weights(at.folder / "inf" / "skynet.safetensors")
    assert sum(bool((tensor != tensor).any()) for tensor in made.values()) > len(made) / 2


@pytest.mark.every_release
@pytest.mark.parametrize("share", [1.0, 20.0])
def test_a_validation_split_of_one_or_more_leaves_nothing_to_train_on(
    share: float, small: Preset, training: Callable[..., Training]
) -> None:
    at, name = training("skynet", "v0.10.1"), f"split-{share:g}"
    split = replace(small, dataset={**small.dataset, "validation_split": share})
    assert at.run_as(split, name).returncode == 0
    assert not list((at.folder / name).glob("*.safetensors"))


@pytest.mark.every_release
def test_fused_twice_trains_a_part_of_the_weights_only(
    small: Preset, training: Callable[..., Training]
) -> None:
    at = training("skynet", "v0.10.1")
    args = ["relative_step=False", "scale_parameter=False"]
    usual = {"optimizer_type": "Adafactor", "optimizer_args": args, "learning_rate": 1e-3}
    fused: Table = {"fused_backward_pass": True}
    groups: Table = {"fused_optimizer_groups": 4}
    base, changed = weights(at.base), {}
    for name, options in (("pass", fused), ("groups", groups), ("both", {**fused, **groups})):
        said = at.run_as(small, f"fused-{name}", {**usual, **options})
        assert said.returncode == 0, said.stderr[-3000:]
        made = weights(at.folder / f"fused-{name}" / "skynet.safetensors")
        changed[name] = sum(bool((made[key] != base[key]).any()) for key in made.keys() & base)
    assert changed["both"] < changed["pass"] / 2
    assert changed["groups"] == changed["pass"]


def test_every_error_is_run_or_says_why_not() -> None:
    found = {r.code: proofs.of(r.code) for r in rules.RULES if r.severity == "error"}
    read = {code: how for code, how in found.items() if not how.startswith("run, v")}
    assert read == {code: f"read: {why}" for code, why in proofs.UNRUN.items()}
    every = [*TRUE, *CHANGED, *TOOLS, *proofs.ELSEWHERE, *proofs.UNRUN]
    assert len(every) == len(set(every))
