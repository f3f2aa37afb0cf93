"""LoRAs that the patched scripts make, beside those of the stock scripts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.presets.catalogue import Catalogue
from tests.conftest import UPSTREAM_HOME
from tests.upstream import own_environment
from tests.upstream.extracting import Scripts, modules, norm, product
from tests.upstream.training import Training
from wrapper.checkouts.checkout import Checkout
from wrapper.system import proc

RELEASES = ("v0.10.1", "v0.7.1", "v0.8.8", "v0.9.1", "v0.11.1")
RATES = ("--learning_rate=1e-4",)  # so that fp16 shows what changed
RANK, LESS = 16, 4
# What tells one file from another: its title, when it was made, and its own hash.
OWN = ("modelspec.title", "modelspec.date", "sshs_model_hash", "sshs_legacy_hash")
DYNAMIC = (("sv_ratio", 4), ("sv_fro", 0.9), ("sv_cumulative", 0.7))
# What reads our files, in an environment of its own.
DIFFUSERS = ("torch==2.13.0", "diffusers==0.35.2", "transformers<5", "peft", "accelerate")
FP16 = 1e-3  # relative: two factors rounded to 11 bits

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
    pytest.mark.every_release,
]


class Case(Scripts):
    """Two checkpoints, and the scripts of one release with the patch and without."""

    def __init__(self, training: Training, folder: Path) -> None:
        super().__init__(training, folder)
        made, _ = training.run("tuned", *RATES)
        (self.tuned,) = made.glob("*.safetensors")

    def extract(self, scripts: Path, name: str, *options: str) -> Path:
        """Return what a script extracted; later options win over those of the preset."""
        models = (f"--model_org={self.base}", f"--model_tuned={self.tuned}")
        return self.made("extract", scripts, name, *models, *options)

    def resize(self, scripts: Path, lora: Path, name: str, *options: str) -> Path:
        """Return what a script resized `lora` to."""
        return self.made("resize", scripts, name, f"--model={lora}", *options)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Case]]:
    cases: dict[str, Case] = {}
    yield cases
    for case in cases.values():
        shutil.rmtree(case.folder, ignore_errors=True)  # gigabytes


@pytest.fixture(params=RELEASES)
def case(
    request: pytest.FixtureRequest,
    upstream: Callable[[str], Checkout],
    shipped: Catalogue,
    shared: dict[str, Case],
    tmp_path_factory: pytest.TempPathFactory,
) -> Case:
    release: str = request.param
    if release not in shared:
        upstream(release)
        folder = tmp_path_factory.mktemp(release)
        training = Training(shipped.load("skynet"), release, folder / "runs ü")
        shared[release] = Case(training, folder)
    return shared[release]


def read(file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return tensors, in double precision, and metadata."""
    from safetensors import safe_open

    with safe_open(file, "np") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        return tensors, opened.metadata()


def assert_alike(stock: Path, fast: Path) -> None:
    """Fail unless keys, shapes, dtypes, alphas and metadata are the same."""
    (one, about_one), (other, about_other) = read(stock), read(fast)
    assert other.keys() == one.keys()
    assert [(n, t.shape, t.dtype) for n, t in sorted(other.items())] == [
        (n, t.shape, t.dtype) for n, t in sorted(one.items())
    ]
    alphas = [name for name in one if name.endswith(".alpha")]
    assert alphas
    assert all(one[name] == other[name] for name in alphas)
    assert about_one.keys() == about_other.keys()
    for key in about_one.keys() - set(OWN):
        assert about_other[key] == about_one[key], key


def changes(base: Path, tuned: Path) -> dict[str, Any]:
    """Return what fine-tuning changed, in double precision, by module."""
    found: dict[str, Any] = {}
    from patches.fast_lora import kp_difference

    with closing(kp_difference.Pair(base, tuned, convolutions=False)) as pair:
        for target in pair.targets:
            change = pair.difference(target.key)
            if change is not None:
                parts = change.chunk(len(target.modules))
                found |= {n: p.double().numpy() for n, p in zip(target.modules, parts, strict=True)}
    return found


def assert_as_near(case: Case, stock: Path, fast: Path) -> None:
    """Fail unless `fast` is as near to what changed as `stock`, module by module."""
    one, other = read(stock)[0], read(fast)[0]
    for name, change in changes(case.base, case.tuned).items():
        by_stock, by_us = (norm(change - product(found, name)) for found in (one, other))
        assert by_us <= 1.001 * by_stock + FP16 * norm(change), name


def precise(case: Case) -> list[Path]:
    options = (f"--dim={RANK}", "--save_precision=float")
    return [case.extract(scripts, "precise", *options) for scripts in (case.stock, case.fast)]


def test_an_extracted_lora_is_stocks_as_near_as_fp16(case: Case) -> None:
    stock, fast = precise(case)
    assert_alike(stock, fast)
    assert_as_near(case, stock, fast)


def test_several_ranks_of_one_pass_are_each_as_good(case: Case) -> None:
    options = ("--save_precision=float", "--dim", "32", str(RANK))
    first = case.extract(case.fast, "several", *options)
    second = first.with_name(f"{first.stem}-dim{RANK}.safetensors")
    alone = case.extract(case.fast, "alone", "--save_precision=float", f"--dim={RANK}")
    assert_alike(alone, second)
    assert read(first)[1]["ss_network_dim"] == "32"


@pytest.mark.parametrize("dynamic", [None, *DYNAMIC], ids=str)
def test_a_resized_lora_is_stocks(case: Case, dynamic: tuple[str, float] | None) -> None:
    lora = case.extract(case.stock, "wide", "--dim=48")
    options = ["--save_precision=float", f"--new_rank={LESS}"]
    if dynamic:
        options[1:] = ["--new_rank=32", f"--dynamic_method={dynamic[0]}"]
        options += [f"--dynamic_param={dynamic[1]}", "--verbose"]
    name = dynamic[0] if dynamic else "fixed"
    stock, fast = (
        case.resize(scripts, lora, name, *options) for scripts in (case.stock, case.fast)
    )
    assert_alike(stock, fast)
    whole, one, other = (read(file)[0] for file in (lora, stock, fast))
    for module in modules(one):
        before = product(whole, module)
        size = norm(before)
        least, error = (norm(before - product(found, module)) for found in (one, other))
        assert abs(error - least) <= 1e-5 * size, module


def test_skynet_ends_in_the_same_lora_by_either_way(case: Case) -> None:
    high = [case.extract(scripts, "high", "--dim=512") for scripts in (case.stock, case.fast)]
    stock, fast = (
        case.resize(scripts, lora, "low", f"--new_rank={RANK}")
        for scripts, lora in zip((case.stock, case.fast), high, strict=True)
    )
    assert_alike(stock, fast)
    assert_as_near(case, stock, fast)


def test_it_loads_and_acts_as_stocks_does(case: Case) -> None:
    assert_acts_alike(*(forward(case, str(file)) for file in ("none", *precise(case))))


def test_it_loads_and_acts_as_stocks_does_in_diffusers(case: Case) -> None:
    python = own_environment.python(UPSTREAM_HOME / "diffusers", DIFFUSERS)
    out = case.folder / "diffusers.safetensors"

    def passed(lora: str) -> dict[str, Any]:
        proc.run([python, Path(__file__).with_name("diffusers_forward.py"), lora, out])
        return {name: t.astype("float64") for name, t in read(out)[0].items()}

    assert_acts_alike(*(passed(str(file)) for file in ("none", *precise(case))))


def assert_acts_alike(bare: dict[str, Any], stock: dict[str, Any], fast: dict[str, Any]) -> None:
    """Fail unless both LoRAs move each part's output, and by the same."""
    for name, before in bare.items():
        moved = norm(stock[name] - before)
        assert moved > 0, name
        assert norm(fast[name] - stock[name]) < 0.05 * moved, name


def forward(case: Case, lora: str) -> dict[str, Any]:
    out = case.folder / "forward.safetensors"
    said = case.training.script(
        Path(__file__).with_name("forward.py"), str(case.base), lora, str(out)
    )
    if lora != "none":
        assert "<All keys matched successfully>" in said.stdout
    return {name: t.astype("float64") for name, t in read(out)[0].items()}
