"""Every rule speaks up where it should and is silent where it should not, and says its source."""

from __future__ import annotations

import pytest

from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.sdscripts import options, releases
from kohya_presets.training.settings import Settings
from kohya_presets.validate import everything, rules
from kohya_presets.validate.rules.stops import files
from tests.kohya_presets.validate.rules.cases import CASES, Case
from tests.sheets import GOOD, Make, against

SOURCES = (
    "sdxl_train.py",
    "sdxl_train_network.py",
    "train_network.py",
    "library/",
    "networks/",
    "torch.",
    "toml ",
    "patches/",
    "wrapper/",
    "guide: ",
)
THREADS = ("issue", "pull request", "check")


def codes(shipped: Catalogue, case: Case, overrides: str, *ignored: str) -> set[str]:
    made = shipped.load(case.preset, overrides=overrides.split())
    at = against(case.release, case.patches, ignore=frozenset(ignored))
    report = everything.loaded(made, at)
    return {problem.code for problem in report.problems}


def test_every_rule_has_a_case() -> None:
    known = [rule.code for rule in rules.RULES]
    assert len(set(known)) == len(known)
    # Presets hold no paths, and the cases' is for no LoRA: see test_config_files.py.
    of_loras = {
        rule.code for rule in rules.RULES if rule.scripts and "sdxl_train.py" not in rule.scripts
    }
    of_files = {
        "metadata-uncached",
        "resumed-on",
        "base-predicts-v",
        *of_loras,
        *(rule.code for rule in files.RULES),
    }
    assert set(known) - of_files == set(CASES)


@pytest.mark.parametrize("code", CASES)
def test_a_rule_fires_is_quiet_and_can_be_silenced(code: str, shipped: Catalogue) -> None:
    case = CASES[code]
    assert code in codes(shipped, case, case.fires)
    assert code not in codes(shipped, case, case.quiet)
    assert code not in codes(shipped, case, case.fires, code)


@pytest.mark.parametrize("code", CASES)
def test_a_preset_can_silence_a_rule_itself(code: str, shipped: Catalogue) -> None:
    case = CASES[code]
    made = shipped.load(case.preset, overrides=case.fires.split())
    silent = type(made)(**{**vars(made), "silence": (code,)})
    found = everything.loaded(silent, against(case.release, case.patches)).problems
    assert code not in {problem.code for problem in found}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.code)
def test_a_rule_says_where_it_comes_from_and_for_which_releases(rule: rules.Rule) -> None:
    assert rule.citation.startswith(SOURCES) or any(word in rule.citation for word in THREADS)
    assert any(releases.satisfies(tag, rule.releases) for tag in releases.tags())
    assert set(rule.not_in) <= set(options.releases())
    assert rule.fails


def test_steps_that_epochs_take_the_place_of_are_in_no_range(shipped: Catalogue) -> None:
    case = CASES["out-of-range"]
    assert "out-of-range" not in codes(shipped, case, "train.max_train_steps=0")
    without = "train.max_train_epochs=unset train.max_train_steps=0"
    assert "out-of-range" in codes(shipped, case, without)


def test_a_rule_is_not_asked_about_other_releases(shipped: Catalogue) -> None:
    old, new = CASES["weighted-captions"], CASES["weighted-captions-cached"]
    assert "weighted-captions" not in codes(shipped, new, old.fires)
    assert "weighted-captions-cached" not in codes(shipped, old, new.fires)


@pytest.mark.parametrize("table", ["train", "dataset", "extract", "resize"])
def test_of_a_malformed_setting_no_rule_has_anything_to_say(table: str, shipped: Catalogue) -> None:
    made = shipped.load("a100-ema")
    usual = Settings(made.tables, patches=made.patches)
    for key, option in usual.known(table).items():
        for value in ({}, [[]], "\0", 10**400, -1.5):
            if options.check(option, value) is None:
                continue
            tables = {**made.tables, table: {**made.tables[table], key: value}}
            found = list(rules.check(Settings(tables, patches=made.patches)))
            assert all(p.where.key != f"{table}.{key}" for p in found), (key, value)


def test_a_loras_rate_is_not_held_against_that_of_fine_tuning(make: Make) -> None:
    of_lora = GOOD.replace("1e-6", "1e-4").replace("sdxl_train.py", "sdxl_train_network.py")
    for name, text in (("whole", GOOD.replace("1e-6", "1e-4")), ("lora", of_lora)):
        found = everything.loaded(make(**{name: text}).load(name), against("v0.10.1")).problems
        assert ("rate-too-high" in {p.code for p in found}) is (name == "whole")


def test_advice_about_fine_tuning_is_not_given_to_loras(make: Make) -> None:
    network = GOOD.replace("[train]", '[train]\nnetwork_module = "networks.lora"').replace(
        'script = "sdxl_train.py"', 'script = "sdxl_train_network.py"'
    )
    words = ["train.learning_rate=1e-3", "train.max_train_epochs=400", "train.flip_aug=true"]
    lora = make(mine=network).load("mine", overrides=words)
    whole = make(mine=GOOD).load("mine", overrides=words)
    assert [
        p for p in everything.loaded(lora, against("v0.10.1")).problems if p.severity == "advice"
    ] == []
    told = {
        p.code
        for p in everything.loaded(whole, against("v0.10.1")).problems
        if p.severity == "advice"
    }
    assert {"rate-too-high", "many-epochs"} <= told


@pytest.mark.parametrize(
    ("epochs", "every", "last", "kept"),
    [(10, 1, None, 10), (10, 1, 499, 10), (10, 2, None, 5), (499, 499, None, 1), (20, 1, 3, 4)],
)
def test_models_kept_are_counted_within_the_runs_length(
    epochs: int, every: int, last: int | None, kept: int
) -> None:
    keep = {} if last is None else {"save_last_n_epochs": last}
    train = {"max_train_epochs": epochs, "save_every_n_epochs": every, **keep}
    found = [p.message for p in rules.check(Settings({"train": train})) if p.code == "many-saves"]
    assert found == ([f"{kept} checkpoints are kept: {kept * 6.9:.0f} GB in fp16"] * (kept > 5))


def test_all_time_steps_are_not_few() -> None:
    def told(highest: int) -> bool:
        codes = {p.code for p in rules.check(Settings({"train": {"max_timestep": highest}}))}
        return "few-timesteps-above" in codes

    assert told(999)
    assert not told(1000)


@pytest.mark.parametrize(
    ("release", "key", "value", "expected"),
    [
        ("v0.8.8", "min_bucket_reso", 1050, "bucket-smallest"),
        ("v0.9.0", "min_bucket_reso", 1050, None),  # rounded down to 1024
        ("v0.9.0", "min_bucket_reso", 1088, "bucket-smallest"),
        ("v0.8.8", "max_bucket_reso", 1000, "bucket-largest"),
        ("v0.9.0", "max_bucket_reso", 1000, None),  # rounded up to 1024
        ("v0.9.0", "max_bucket_reso", 960, "bucket-largest"),
        ("v0.7.0", "min_bucket_reso", 32, "bucket-below-step"),
        ("v0.8.8", "min_bucket_reso", 32, None),
        ("v0.8.8", "min_bucket_reso", 0, "bucket-below-step"),
        ("v0.9.0", "min_bucket_reso", 32, "bucket-below-step"),
        ("v0.9.0", "min_bucket_reso", 64, None),
    ],
)
def test_limits_of_buckets_are_rounded_as_each_release_rounds_them(
    release: str, key: str, value: int, expected: str | None
) -> None:
    dataset = {"resolution": [1024, 1024], "enable_bucket": True, "max_bucket_reso": 2048}
    made = Settings({"train": {}, "dataset": {**dataset, key: value}}, release=release)
    codes = [p.code for p in rules.check(made) if p.code.startswith("bucket-")]
    assert codes == ([expected] if expected else [])
