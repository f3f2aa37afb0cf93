"""Every setting of the guide and of the presets is explained, and found by any of its names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kohya_presets.errors import UserError
from kohya_presets.explain import lookup, shown, written
from kohya_presets.explain.written import Key
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import OWN
from kohya_presets.sdscripts import options
from kohya_presets.sdscripts.scripts import TOOLS
from tests.sheets import ADDITIONS, GOOD, SHIPPED_NAMES, Make, spoiled

GUIDES = ("a100-ema", "a6000", "adacoor", "lion", "skynet")
DATES = ("2023-12-09", "2023-12-08", "2023-12-05", "2023-11-22", "2023-11")
# Every point of the guide's section on training parameters, by a name of the GUI or the guide.
POINTS = {
    "Train batch size": "dataset.batch_size",
    "Epoch": "gui.epoch",
    "Max train epoch": "train.max_train_epochs",
    "Max train steps": "train.max_train_steps",
    "Save every N epochs": "train.save_every_n_epochs",
    "Caption extension": "dataset.caption_extension",
    "Mixed precision": "train.mixed_precision",
    "Save precision": "train.save_precision",
    "Number of CPU threads": "gui.num_cpu_threads_per_process",
    "Seed": "train.seed",
    "Cache latents": "train.cache_latents",
    "Cache latents to disk": "train.cache_latents_to_disk",
    "LR scheduler": "train.lr_scheduler",
    "Optimizer": "train.optimizer_type",
    "Learning rate": "train.learning_rate",
    "LR scheduler extra arguments": "train.lr_scheduler_args",
    "Optimizer extra arguments": "train.optimizer_args",
    "LR warmup": "train.lr_warmup_steps",
    "Cache text encoder outputs": "train.cache_text_encoder_outputs",
    "No half VAE": "train.no_half_vae",
    "Dataset repeats": "dataset.num_repeats",
    "Train text encoder": "train.train_text_encoder",
    "Gradient accumulation": "train.gradient_accumulation_steps",
    "Block LR": "train.block_lr",
    "Additional parameters": "gui.additional_parameters",
    "Save every N steps": "train.save_every_n_steps",
    "Save last N steps": "train.save_last_n_steps",
    "Save last N steps state": "train.save_last_n_steps_state",
    "Keep n tokens": "dataset.keep_tokens",
    "Clip skip": "train.clip_skip",
    "Max token length": "train.max_token_length",
    "Full fp16 training": "train.full_fp16",
    "Full bf16 training": "train.full_bf16",
    "Gradient checkpointing": "train.gradient_checkpointing",
    "Shuffle caption": "dataset.shuffle_caption",
    "Persistent data loader": "train.persistent_data_loader_workers",
    "Memory efficient attention": "train.mem_eff_attn",
    "CrossAttention": "train.xformers",
    "sdpa": "train.sdpa",
    "Color augmentation": "dataset.color_aug",
    "Flip augmentation": "dataset.flip_aug",
    "Min SNR gamma": "train.min_snr_gamma",
    "Don't upscale bucket resolution": "dataset.bucket_no_upscale",
    "Bucket resolution steps": "dataset.bucket_reso_steps",
    "Random crop instead of center crop": "dataset.random_crop",
    "V pred like loss": "train.v_pred_like_loss",
    "Min timestep": "train.min_timestep",
    "Max timestep": "train.max_timestep",
    "Noise offset": "train.noise_offset",
    "Noise offset type": "gui.noise_offset_type",
    "Adaptive noise scale": "train.adaptive_noise_scale",
    "Dropout caption every n epochs": "dataset.caption_dropout_every_n_epochs",
    "Rate of caption dropout": "dataset.caption_dropout_rate",
    "VAE batch size": "train.vae_batch_size",
    "Save training state": "train.save_state",
    "Max num workers for DataLoader": "train.max_data_loader_n_workers",
    "WANDB API key": "train.wandb_api_key",
    "WANDB logging": "train.log_with",
    "Scale v prediction loss": "train.scale_v_pred_loss_like_noise_pred",
}
# The points of its steps for extracting and resizing, and of EMA.
STEPS = {
    "Network Dimension (Rank)": "extract.dim",
    "Conv Dimension (Rank)": "extract.conv_dim",
    "SDXL": "extract.sdxl",
    "Clamp quantile": "extract.clamp_quantile",
    "extract.save_precision": "extract.save_precision",
    "Minimum difference": "extract.min_diff",
    "Desired LoRA rank": "resize.new_rank",
    "Dynamic method": "resize.dynamic_method",
    "Dynamic parameter": "resize.dynamic_param",
    "resize.save_precision": "resize.save_precision",
    "--enable_ema": "train.enable_ema",
    "--ema_decay": "train.ema_decay",
    "Resolution (width,height)": "dataset.resolution",
    "Min bucket resolution": "dataset.min_bucket_reso",
    "Max bucket resolution": "dataset.max_bucket_reso",
    "Regularization images": "dataset.is_reg",
}


def told(name: str) -> str:
    """Return what is said of an option, of the guide's presets only: others may join them."""
    found = lookup.option(name, ADDITIONS)
    entries = tuple(
        replace(entry, values={n: v for n, v in entry.values.items() if n in GUIDES})
        for entry in found.entries
    )
    return shown.text(replace(found, entries=entries))


def dates(name: str) -> list[str]:
    (entry,) = lookup.option(name, ADDITIONS).entries
    assert entry.text
    return [said.date for said in entry.text.guide]


@pytest.mark.parametrize("name", [*POINTS, *STEPS])
def test_every_point_of_the_guide_is_found_and_has_its_advice(name: str) -> None:
    found = {str(entry.key): entry.text for entry in lookup.option(name, ADDITIONS).entries}
    text = found[{**POINTS, **STEPS}[name]]
    assert text
    assert text.guide
    assert not text.see


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_every_setting_of_a_shipped_preset_is_explained(name: str, shipped: Catalogue) -> None:
    settings = [reason.key for reason in lookup.preset(shipped.load(name)).reasons]
    assert settings
    assert not set(settings) - set(written.every())


@pytest.mark.parametrize("name", ADDITIONS.options("sdxl_train.py", ADDITIONS.names))
def test_every_option_of_a_patch_is_explained(name: str) -> None:
    if name == "fused_backward_pass":  # sd-scripts has it as well, from a release on
        assert "releases  since v0.9.0" in told(name)
    else:
        assert "releases  only with the patch" in told(name)
    assert Key("train", name) in written.every()


def test_every_text_is_about_an_option_of_its_table() -> None:
    def all_of(script: str) -> dict[str, object]:
        return {**options.of(script), **ADDITIONS.options(script, ADDITIONS.names)}

    tools = {table: all_of(script) for table, script in TOOLS.items()}
    train = all_of("sdxl_train.py")
    known = {"train": train, "dataset": options.dataset(), **tools, **OWN}
    fields = {name for table, name in written.every() if table == "gui"}
    assert not [key for key in written.every() if key.name not in known.get(key.table, fields)]
    assert not [name for name in fields if any(name in part for part in known.values())]


@pytest.mark.parametrize("table", written.TABLES)
def test_the_texts_are_well_formed(table: str) -> None:
    source = written.toml_source.read(written.FOLDER / f"{table}.toml")
    assert source.problems == ()
    for name, entry in source.values.items():
        assert set(entry) <= {"what", "guide", "gui", "see"}, name
        assert set(entry.get("guide", {})) <= set(DATES), name
    for key, text in written.every().items():
        assert text.what.endswith("."), key
        assert text.see is None or text.see in written.every()


def test_the_newest_advice_stands_first() -> None:
    for text in written.every().values():
        found = [said.date for said in text.guide]
        assert found == [date for date in DATES if date in found]
    assert dates("min_snr_gamma") == ["2023-12-08", "2023-11"]
    assert dates("train.learning_rate") == ["2023-12-09", "2023-11-22", "2023-11"]
    assert dates("optimizer_type") == ["2023-12-09", "2023-12-05", "2023-11"]
    assert dates("extract.dim") == ["2023-12-09", "2023-11"]
    for changed in ("dataset.num_repeats", "enable_ema", "gradient_accumulation_steps"):
        assert "2023-12-05" in dates(changed)


@pytest.mark.parametrize(
    "name",
    [
        "min_snr_gamma",
        "--min-snr-gamma",
        "min-snr-gamma",
        "train.min_snr_gamma",
        "Min SNR Gamma",
        " min snr gamma ",
    ],
)
def test_an_option_is_found_by_any_of_its_names(name: str) -> None:
    assert lookup.find(name, ADDITIONS) == (Key("train", "min_snr_gamma"),)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("save_precision", ["train", "extract", "resize"]),
        ("Save precision", ["train", "extract", "resize"]),
        ("extract.save_precision", ["extract"]),
        ("random_crop", ["dataset", "train"]),
        ("v2", ["train", "extract"]),
    ],
)
def test_an_option_of_several_tables_is_told_for_each(name: str, expected: list[str]) -> None:
    assert [key.table for key in lookup.find(name, ADDITIONS)] == expected


@pytest.mark.parametrize(
    ("name", "read_first"),
    [
        ("train_batch_size", "dataset.batch_size"),
        ("dataset_repeats", "dataset.num_repeats"),
        ("train.random_crop", "dataset.random_crop"),
        ("reg_data_dir", "dataset.is_reg"),
    ],
)
def test_what_stands_in_for_another_leads_there(name: str, read_first: str) -> None:
    first, second = lookup.option(name, ADDITIONS).entries
    assert str(first.key) == read_first
    assert second.text
    assert second.text.see == first.key
    assert f"See {read_first}." in " ".join(told(name).split())


def test_no_name_leads_to_two_unlike_options() -> None:
    for called in {name for text in written.every().values() for name in text.gui}:
        found = {key: written.every().get(key) for key in lookup.find(called, ADDITIONS)}
        names = {key.name for key, text in found.items() if text and not text.see}
        assert len(names) == 1 or names == {"xformers", "sdpa"}, called


def test_an_explanation_reads_like_this() -> None:
    assert (
        told("min_snr_gamma")
        == """\
train.min_snr_gamma
  Multiplies the loss by min(SNR, gamma) / SNR: time steps with little noise, whose
  signal-to-noise ratio is above this value, count less. A lower value is stronger. If
  it is 0 or not set, all time steps count the same.

  guide
    2023-12-08  On, at 5: it clearly improves the likeness. The earlier advice was
                wrong.
    2023-11     Off: results were slightly worse in many tests.

  presets
    adacoor, lion, skynet: 5
    a100-ema, a6000: not set

  facts
    type      a number
    default   none
    releases  all
    place     [train] of sdxl_train.py, sdxl_train_network.py, train_network.py and
              flux_train_network.py
    GUI       Min SNR gamma
"""
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("learning_rate", "a100-ema, a6000, skynet: 1e-06\n    adacoor: 1.0\n    lion: 1e-07"),
        ("extract.dim", "a100-ema, a6000, skynet: 512\n    adacoor, lion: 128"),
        ("learning_rate_te1", "releases  since v0.7.1"),
        ("learning_rate_te1", "guide\n    does not mention it"),
        ("huber_scale", "No description yet, only facts."),
        ("huber_scale", "no shipped preset sets it"),
        ("network_dim", "place     [train] of sdxl_train_network.py, train_network.py and"),
        ("output_dir", "not in presets, set for each run"),
        ("caption_extension", 'default   ".caption"'),
        ("num_repeats", "default   1"),
        ("flip_aug", "default   false"),
        ("mixed_precision", "choices   no, fp16, bf16"),
        ("num_repeats", "place     [dataset], subset level"),
        ("optimizer_args", 'adacoor: ["epsilon=1e-8"]'),
    ],
)
def test_the_facts_of_an_option_are_told(name: str, said: str) -> None:
    assert said in told(name)


def test_a_field_of_the_gui_has_no_facts() -> None:
    assert "facts" not in told("Additional parameters")
    assert "presets" not in shown.values(lookup.option("epoch", ADDITIONS))["options"][0]


def test_conflicts_are_told_at_the_end() -> None:
    found = lookup.option("cache_latents", ADDITIONS)
    told = "cache_latents does not work with random_crop and color_aug [cached-latents-varied]"
    assert told in found.conflicts
    assert f"\nconflicts\n  {told}\n" in shown.text(found)
    assert shown.values(found)["conflicts"] == list(found.conflicts)
    assert not lookup.option("caption_prefix", ADDITIONS).conflicts


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("min_snr_gama", "Did you mean 'min_snr_gamma'"),
        ("--min-snr-gama", "Did you mean 'min_snr_gamma'"),
        ("Min SNR gama", "Did you mean 'min_snr_gamma'"),
        ("extract.dims", "Did you mean 'dim'"),
        ("skynt", "Did you mean 'skynet'?"),
        ("resize.dim", "Did you mean extract.dim?"),
        ("zzzz", "kohya-presets show PRESET"),
    ],
)
def test_an_unknown_name_gets_the_nearest_of_options_and_presets(
    name: str, hint: str, shipped: Catalogue
) -> None:
    with pytest.raises(UserError, match=r"there is no option or preset '.*'") as caught:
        lookup.named(name, shipped, ADDITIONS)
    assert caught.value.exit_code == 1
    assert hint in (caught.value.hint or "")


def test_an_unknown_option_is_an_error_too() -> None:
    with pytest.raises(UserError, match="there is no option 'skynet'"):
        lookup.option("skynet", ADDITIONS)


def test_a_preset_is_told_line_by_line(shipped: Catalogue) -> None:
    lines = shown.text(lookup.named("lion", shipped, ADDITIONS)).splitlines()
    assert lines[0] == "lion: Lion"
    about = "2023-12-09, 48 GB, sdxl_train.py, releases >=0.7.1, patches: fast-lora"
    assert lines[lines.index("train") - 2].strip() == about
    assert [line for line in lines if line and line[0] != " "][1:] == [
        "train",
        "dataset",
        "extract",
    ]
    (rate,) = (line for line in lines if "learning_rate" in line)
    assert rate.split(maxsplit=3)[2:] == [
        "1e-07",
        "guide: update after 2023-12-08 (1e-7; higher rates distort)",
    ]


def test_a_setting_without_a_reason_says_so(make: Make) -> None:
    told = shown.text(lookup.named("mine", make(mine=GOOD), ADDITIONS))
    assert "  dim = 8                    no reason given\n" in told
    assert "  sdxl_train.py, releases >=0.7.1, patches: none\n" in told


def test_an_option_goes_before_a_preset_of_its_name_and_tells_of_it(make: Make) -> None:
    presets = make(seed=spoiled(('"mine"', '"seed"')))
    file = presets.names()["seed"]
    found = lookup.named("seed", presets, ADDITIONS)
    assert isinstance(found, lookup.Explanation)
    assert found.namesake == file
    assert "A preset has this name too" in shown.text(found)
    assert isinstance(lookup.named(str(file), presets, ADDITIONS), lookup.PresetExplanation)
