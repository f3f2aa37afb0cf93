from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.errors import UserError
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.validate import base
from patches import registry
from tests import tensors
from tests.wrapper import lookalike
from wrapper.checkouts import patchwork
from wrapper.checkouts.checkout import Checkout
from wrapper.environments.environment import Probe
from wrapper.environments.gpu import Gpu
from wrapper.planning import preflight
from wrapper.rehearsal.adapt import STANDIN
from wrapper.system import rewrite

H200 = Gpu("NVIDIA H200", 139.8)
GOOD = Probe("3.11.7", {"torch": "2.6.0"}, {}, "12.4", (H200,))


def codes(found: Any) -> list[tuple[str, str]]:
    return [(problem.code, problem.severity) for problem in found]


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    return lookalike.write(tmp_path / "sd-scripts")


def like(release: str, scripts: Path) -> Checkout:
    return Checkout(scripts, scripts, "plain", release, release)


def test_a_fitting_checkout_is_no_problem(shipped: Catalogue, scripts: Path) -> None:
    assert not list(preflight.fit(shipped.load("skynet"), like("v0.7.1", scripts)))


def test_a_release_the_preset_excludes(shipped: Catalogue, scripts: Path) -> None:
    found = codes(preflight.fit(shipped.load("skynet"), like("v0.7.0", scripts)))
    assert ("release", "error") in found
    assert found.count(("option-too-new", "error")) == 2  # extract's clamp_quantile and min_diff


def test_an_option_that_is_too_new(shipped: Catalogue, scripts: Path) -> None:
    preset = shipped.load("skynet", overrides=["train.huber_scale=1.0"])
    (problem,) = preflight.fit(preset, like("v0.9.1", scripts))
    assert "train.huber_scale came with v0.10.0" in problem.message


def test_a_patch_that_is_missing_is_told_with_the_command(
    shipped: Catalogue, tmp_path: Path
) -> None:
    scripts = shutil.copytree(STANDIN, tmp_path / "sd scripts")
    adacoor, checkout = shipped.load("adacoor"), like("v0.10.1", scripts)
    (problem,) = preflight.patches(adacoor, checkout)
    assert problem.message == (
        f"adacoor needs the patches adacoor and fast-lora, which are not applied in {scripts}"
    )
    command = f'kohya-presets patch apply adacoor fast-lora --checkout "{scripts}"'
    assert problem.hint == f"Run `{command}`. A run never changes your own folder."
    rewrite.carry_out(patchwork.applying(checkout, map(registry.find, adacoor.patches)))
    assert not list(preflight.patches(adacoor, checkout))
    script = scripts / "sdxl_train.py"
    script.write_text("", "utf-8")
    (problem,) = preflight.patches(shipped.load("a100-ema"), checkout)
    assert f"needs the patch ema: in {scripts} it does not fit: ema: expected" in problem.message


def test_a_lora_as_base_is_told(shipped: Catalogue, tmp_path: Path) -> None:
    base = tensors.write(tmp_path / "a.safetensors", tensors.lora())
    assert codes(preflight.model(shipped.load("skynet"), base)) == [("base", "error")]


@pytest.mark.parametrize(
    ("preset", "change", "expected"),
    [
        ("skynet", {}, []),
        ("skynet", {"broken": {"diffusers": "ImportError: x"}}, [("broken-package", "error")]),
        ("skynet", {"broken": {"bitsandbytes": "no"}}, []),
        ("a6000", {"broken": {"bitsandbytes": "no"}}, [("optimizer-package", "error")]),
        ("lion", {"broken": {"lion_pytorch": "no"}}, [("optimizer-package", "error")]),
        ("skynet", {"devices": ()}, [("no-gpu", "error")]),
        ("skynet", {"devices": (Gpu("NVIDIA GB10", None),)}, []),
        ("skynet", {"devices": (Gpu("RTX 4090", 23.6),)}, [("vram", "warning")]),
        ("a6000", {"devices": (Gpu("RTX A6000", 47.5),)}, []),
        ("skynet", {"devices": (Gpu("A100 80GB", 79.2),)}, []),
    ],
)
def test_what_an_environment_lacks(
    preset: str,
    change: dict[str, Any],
    expected: list[tuple[str, str]],
    shipped: Catalogue,
) -> None:
    import dataclasses

    probe = dataclasses.replace(GOOD, **change)
    assert codes(preflight.environment(shipped.load(preset), probe, cpu=False)) == expected


@pytest.mark.parametrize(
    ("setting", "module", "code", "hint"),
    [
        ("optimizer_type=Prodigy", "prodigyopt", "optimizer-package", "pip install prodigyopt"),
        ("optimizer_type=PagedAdamW32bit", "bitsandbytes", "optimizer-package", "pip install"),
        ("optimizer_type=DAdaptLion", "dadaptation", "optimizer-package", "pip install"),
        ("optimizer_type=AdamWScheduleFree", "schedulefree", "optimizer-package", "pip install"),
        ("optimizer_type=a.b.Class", "a.b:Class", "optimizer-package", "Check the name"),
        ("lr_scheduler_type=a.b.Class", "a.b:Class", "package", "Check the name"),
    ],
)
def test_the_package_of_a_setting_is_looked_for(
    setting: str, module: str, code: str, hint: str, shipped: Catalogue
) -> None:
    preset = shipped.load("skynet", overrides=[f"train.{setting}"])
    assert preflight.modules(preset) == [module]
    assert not list(preflight.environment(preset, GOOD, cpu=False))
    (problem,) = preflight.environment(preset, replace(GOOD, broken={module: "x"}), cpu=False)
    assert (problem.code, problem.severity) == (code, "error")
    assert hint in (problem.hint or "")


def test_a_rule_about_the_base_model_can_be_left_out_and_nothing_else(
    shipped: Catalogue, tmp_path: Path
) -> None:
    preset, nine = shipped.load("skynet"), {base.INPUT: (8, 9, 3, 3)}
    file = tensors.write(tmp_path / "a.safetensors", {**tensors.SDXL, "v_pred": (0,), **nine})
    assert codes(preflight.model(preset, file)) == [
        ("base-channels", "error"),
        ("base-predicts-v", "error"),
    ]
    ignore = ("base-predicts-v", "base-channels")
    left = [("base-channels", "error")]
    assert codes(preflight.model(preset, file, ignore=ignore)) == left
    assert codes(preflight.model(replace(preset, silence=ignore), file)) == left


def test_a_code_that_is_no_rules_is_refused_before_a_run(shipped: Catalogue, scripts: Path) -> None:
    checkout = like("v0.10.1", scripts)
    with pytest.raises(UserError, match="there is no rule 'unknown-option'"):
        list(preflight.fit(shipped.load("skynet"), checkout, ignore=["unknown-option"]))


def test_xformers_where_it_is_missing_gets_sdpa_offered(shipped: Catalogue) -> None:
    preset = shipped.load("skynet", overrides=["train.xformers=true"])
    probe = Probe("3.11", {}, {"xformers": "no"}, "12.4", (H200,))
    (problem,) = preflight.environment(preset, probe, cpu=False)
    assert "train.sdpa=true" in (problem.hint or "")


def test_a_rehearsal_wants_no_gpu_and_repairs_torchvision(shipped: Catalogue) -> None:
    probe = Probe("3.11", {}, {"torchvision": "operator torchvision::nms"}, None, ())
    assert not list(preflight.environment(shipped.load("skynet"), probe, cpu=True))


def test_flux_wants_its_parts(shipped: Catalogue, tmp_path: Path) -> None:
    preset = shipped.load("skynet")
    assert not list(preflight.parts(preset))
    flux = replace(preset, script="flux_train_network.py")
    assert [p.code for p in preflight.parts(flux)] == ["part"] * 3
    (tmp_path / "x.safetensors").touch()
    given = dict.fromkeys(("ae", "clip_l"), str(tmp_path / "x.safetensors"))
    gone = {"t5xxl": str(tmp_path / "gone.safetensors")}
    (left,) = preflight.parts(replace(flux, train={**flux.train, **given, **gone}))
    assert left.message.startswith("flux_train_network.py needs the file t5xxl, but ")
    assert left.message.endswith("gone.safetensors does not exist")
