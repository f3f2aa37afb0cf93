"""A file is a part, its script is recognized, and what does not matter is no error."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kohya_presets.problems import errors
from kohya_presets.validate import config_files, everything
from kohya_presets.validate.report import Report
from tests.sheets import GOOD, Make, against

HERE = against("v0.10.1")
Check = Callable[..., list[Report]]
WHOLE = """\
pretrained_model_name_or_path = "sdxl.safetensors"
train_data_dir = "d"
output_dir = "o"
resolution = "1024,1024"
max_train_epochs = 10
caption_extension = ".txt"
"""


@pytest.fixture
def files(tmp_path: Path) -> Check:
    """Return a function that writes files and checks them together."""

    def check(
        *texts: str, names: tuple[str, ...] = ("a.toml", "b.toml"), **how: str
    ) -> list[Report]:
        paths = [tmp_path / name for name in names[: len(texts)]]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, "utf-8")
        release = how.pop("release", "v0.10.1")
        return [*config_files.together(paths, against(release), **how)]  # type: ignore[arg-type]

    return check


def told(report: Report) -> set[str]:
    """Return what is said beside advice."""
    return {p.code for p in report.problems if p.severity != "advice"}


def hints(report: Report, code: str) -> list[str | None]:
    return [p.hint for p in report.problems if p.code == code]


def test_a_faultless_file_is_silent(files: Check) -> None:
    (report,) = files(WHOLE)
    assert told(report) == set()


@pytest.mark.parametrize(
    ("more", "script"),
    [
        ('network_module = "networks.lora"\nunet_lr = 1e-4\n', "sdxl_train_network.py"),
        (
            'network_module = "networks.lora_flux"\nnetwork_dim = 8\nae = "a"\nclip_l = "c"\n'
            't5xxl = "t"\nguidance_scale = 1.0\nmodel_prediction_type = "raw"\n',
            "flux_train_network.py",
        ),
        ('ae = "a"\nclip_l = "c"\nt5xxl = "t"\ndiscrete_flow_shift = 3.0\n', "flux_train.py"),
        ("v2 = true\nno_token_padding = true\n", "train_db.py"),
    ],
)  # fmt: skip
def test_no_option_of_its_own_script_is_anothers(files: Check, more: str, script: str) -> None:
    text = WHOLE.replace("sdxl.safetensors", "m.safetensors") + more
    (report,) = files(text)
    assert report.taken_for is not None
    assert (report.taken_for.script, told(report)) == (script, set())


def test_a_script_can_be_named(files: Check) -> None:
    text = WHOLE + "train_text_encoder = true\nlearning_rate_te1 = 1e-6\n"
    assert told(*files(text)) == set()
    (report,) = files(text, script="train_db.py")
    assert told(report) == {"other-script"}
    assert report.taken_for is None


def test_a_script_that_the_release_has_not_is_one_error(files: Check) -> None:
    text = WHOLE + 'network_module = "networks.lora_flux"\nae = "a"\n'
    (report,) = files(text, release="v0.9.1")
    assert [p.code for p in report.problems] == ["script-too-new"]


def test_what_a_part_leaves_open_is_a_note(files: Check) -> None:
    (report,) = files("max_train_epochs = 10\n")
    (note,) = (p for p in report.problems if p.severity != "advice")
    assert (note.code, note.severity) == ("left-open", "note")
    for option in ("pretrained_model_name_or_path", "output_dir", "dataset_config"):
        assert f"--{option}" in note.message
    (report,) = files('[[datasets]]\nresolution = 1280\n[[datasets.subsets]]\nimage_dir = "d"\n')
    assert told(report) == set()


DATASET = (
    '[[datasets]]\nresolution = {}\nenable_bucket = true\n[[datasets.subsets]]\nimage_dir = "d"\n'
)
CONFIG = 'pretrained_model_name_or_path = "m"\noutput_dir = "o"\nmax_train_epochs = 10\n'


@pytest.mark.parametrize(
    ("config", "side", "code"),
    [
        ("max_bucket_reso = 2048\n", 1280, None),
        ("", 1280, "bucket-largest"),  # the default of 1024
        ("min_bucket_reso = 64\n", 192, None),
        ("", 192, "bucket-smallest"),
    ],
)
def test_each_value_is_judged_with_what_the_other_file_says(
    files, config: str, side: int, code: str | None
) -> None:
    captions = 'caption_extension = ".txt"\n'
    (pair,) = files(CONFIG + captions + config, DATASET.format(side))
    assert told(pair) == {"left-open"} | ({code} if code else set())  # --dataset_config
    (named,) = files(
        CONFIG + captions + config + 'dataset_config = "b.toml"\n', DATASET.format(side)
    )
    assert told(named) - {"dataset-config-place"} == ({code} if code else set())
    (alone,) = files(DATASET.format(side))
    assert told(alone) == set()


def test_settings_of_a_config_alone_may_be_overruled_by_its_dataset(files: Check) -> None:
    text = CONFIG + 'dataset_config = "/elsewhere/ds.toml"\nresolution = "1024,1024"\n'
    text += (
        "enable_bucket = true\nmax_bucket_reso = 768\ncache_latents = true\nrandom_crop = true\n"
    )
    (report,) = files(text)
    assert told(report) == {"no-dataset-config"}


def test_files_that_do_not_belong_together_are_two(files: Check) -> None:
    assert len(files(WHOLE, DATASET.format(1024))) == 2
    assert len(files(WHOLE, WHOLE)) == 2


@pytest.mark.parametrize(
    ("line", "works"),
    [
        ("resume = false", True),
        ('resume = ""', True),
        ("persistent_data_loader_workers = 1", True),
        ("persistent_data_loader_workers = 0", True),
        ('optimizer_args = ""', True),
        ('lr_scheduler_args = ""', True),
        ('xformers = "xformers"', True),
        ("gradient_checkpointing = 1.0", True),
        ("noise_offset = 0.0", True),
        ('save_precision = "fp32"', True),
        ("max_token_length = 75", True),
        ('dynamo_backend = "no"', True),
        ('cache_latents = "false"', False),
        ('gradient_checkpointing = "no"', False),
        ("vae = false", False),
        ('optimizer_args = "weight_decay=0.1"', False),
        ('learning_rate = "1e-5"', False),
        ("seed = true", False),
    ],
)
def test_a_wrong_type_is_an_error_where_it_changes_something(
    files: Check, line: str, works: bool
) -> None:
    (report,) = files(WHOLE + line + "\n")
    assert bool(errors(report.problems)) is not works
    if works:
        assert told(report) <= {"loose-value"}


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("vae = false", "Leave vae out."),
        ('optimizer_args = "weight_decay=0.1 eps=1e-8"', '["weight_decay=0.1", "eps=1e-8"]'),
        ("epochs = 3", "max_train_epochs"),
        ("epoch = 3", "max_train_epochs"),
        ('optimizer = "AdamW"', "optimizer_type"),
        ("lr_warmup = 10", "lr_warmup_steps"),
        ("learning_rate_te = 1e-6", "learning_rate_te1 and learning_rate_te2"),
        ('max_resolution = "1024,1024"', "Use resolution."),
        ("batch_size = 4", "train_batch_size"),
        ("bf16 = true", 'mixed_precision = "bf16"'),
    ],
)
def test_the_right_option_is_named(files: Check, line: str, hint: str) -> None:
    given = re.sub(r"(max_train_epochs|resolution) = .*\n", "", WHOLE)
    (report,) = files(given + line + "\n")
    (problem,) = (p for p in report.problems if p.where.key == line.split(" ")[0])
    assert problem.severity in ("error", "warning")
    assert hint in (problem.hint or "")


def test_keys_of_the_gui_that_change_nothing_are_notes(files: Check) -> None:
    text = WHOLE + 'epoch = 10\nnoise_offset_type = "Original"\ndynamo_backend = "no"\n'
    (report,) = files(text)
    assert told(report) == {"gui-key", "loose-value"}
    assert not errors(report.problems)


def test_a_file_of_lora_scripts_is_known_and_its_own_keys_are_notes(files: Check) -> None:
    text = WHOLE + LORA + 'model_train_type = "sd-lora"\nenable_preview = true\nlearnin_rate = 1\n'
    (report,) = files(text)
    assert report.taken_for is not None
    assert report.taken_for.script == "train_network.py"
    assert report.taken_for.because == ("lora-scripts' model_train_type is sd-lora",)
    assert told(report) == {"lora-scripts-key", "unknown-option"}
    assert told(*files(WHOLE + "enable_preview = true\n")) == {"unknown-option"}


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        ("[general_args.args]\nseed = 1\n[[subsets]]\n", "LoRA_Easy_Training_Scripts"),
        ('[[subsets]]\nimage_dir = "d"\n', "LoRA_Easy_Training_Scripts"),
        ('[[datasets]]\nimage_directory = "d"\n', "musubi-tuner"),
        ('dit = "x"\nnetwork_module = "networks.lora_wan"\n', "musubi-tuner"),
        ('[model]\ntype = "flux"\n[adapter]\ntype = "lora"\n', "diffusion-pipe"),
    ],
)  # fmt: skip
def test_a_file_of_another_tool_is_said_to_be_one(files: Check, text: str, tool: str) -> None:
    (report,) = files(text)
    (problem,) = report.problems
    assert (problem.code, f"for {tool};" in problem.message) == ("other-tool", True)


def test_a_second_level_of_sections_is_not_read(files: Check) -> None:
    (report,) = files(WHOLE + "[more.inner]\nlearning_rat = 1\n[other]\nseed = 1\n")
    assert told(report) == {"nested-section"}


MIXED = "[general]\nenable_bucket = true\n" + DATASET.format(512).replace(
    "enable_bucket = true\n", ""
)


@pytest.mark.parametrize(
    ("more", "severity"), [("", "error"), ('train_data_dir = "d"\n', "warning")]
)
def test_datasets_in_a_training_config_are_ignored(files: Check, more: str, severity: str) -> None:
    """It is judged as a training config, with [general] as one of its sections."""
    text = MIXED + LORA.join(("[a]\n", "learnin_rate = 1\n")) + CONFIG + more
    (report,) = files(text)
    found = {p.code: p for p in report.problems}
    assert found["datasets-ignored"].severity == severity
    assert found["datasets-ignored"].where.line == 3
    assert found["unknown-option"].where.key == "learnin_rate"
    assert report.taken_for is not None
    assert report.taken_for.script == "train_network.py"  # since its datasets are of 512 pixels
    assert not {"extra-table", "misnamed-table", "nested-section"} & told(report)


def test_several_trainings_in_one_file_are_one_cause(files: Check) -> None:
    """A wrapper of somebody's takes one of the sections; sd-scripts takes all."""
    own = WHOLE.replace("sdxl.safetensors", "m.safetensors")
    text = f'model_type = "SD"\n[SD]\n{own}\n[SDXL]\n{WHOLE}learnin_rate = 1\n'
    (problem,) = files(text)[0].problems
    assert (problem.code, problem.severity) == ("several-trainings", "error")
    assert problem.message.startswith("[SD] and [SDXL] are trainings of their own")
    (report,) = files(f'[a]\n{WHOLE}[b]\npretrained_model_name_or_path = "m"\n')  # a slip
    assert told(report) == {"given-twice"}


def test_the_same_file_named_as_a_dataset_config_stops(files: Check) -> None:
    mixed = MIXED + f"[a]\n{CONFIG}"
    (report,) = files(CONFIG + 'dataset_config = "b.toml"\n', mixed)
    assert "extra-table" in told(report)
    assert "datasets-ignored" not in told(report)


def test_a_dataset_config_is_found_from_any_folder_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "configs" / "examples"
    folder.mkdir(parents=True)
    (folder / "ds.toml").write_text(DATASET.format(1024), "utf-8")
    config = folder / "a.toml"
    text = CONFIG + 'caption_extension = ".txt"\ndataset_config = "configs/examples/ds.toml"\n'
    config.write_text(text, "utf-8")
    report = config_files.file(config, HERE)
    (note,) = (p for p in report.problems if p.severity != "advice")
    assert (note.code, note.severity) == ("dataset-config-place", "note")
    assert note.message.endswith(f"only if it starts in {tmp_path}")
    monkeypatch.chdir(tmp_path)
    assert told(config_files.file(config, HERE)) == set()


@pytest.mark.parametrize("folder", ["/workspace/configs/", "C:\\\\train\\\\"])
def test_a_dataset_config_of_another_machine_may_be_given(files: Check, folder: str) -> None:
    text = CONFIG + f'caption_extension = ".txt"\ndataset_config = "{folder}b.toml"\n'
    (report,) = files(text, DATASET.format(1024))
    (note,) = (p for p in report.problems if p.severity != "advice")
    assert (note.code, note.severity) == ("dataset-config-place", "note")
    (other,) = files(text)
    assert told(other) == {"no-dataset-config"}


def test_a_name_too_long_for_a_file_is_one_that_is_not_there(files: Check) -> None:
    (report,) = files(CONFIG + f'dataset_config = "{"x" * 300}.toml"\n')
    assert "no-dataset-config" in told(report)


def test_tables_of_a_training_config_stop_a_dataset_config(files: Check) -> None:
    (report,) = files(DATASET.format(1024) + "[training_args]\nseed = 1\n")
    (problem,) = errors(report.problems)
    assert (problem.code, problem.where.line) == ("extra-table", 6)


@pytest.mark.parametrize(
    ("first", "what"),
    [("", "misses pretrained"), ("# comment\n", "cannot read"), ("[general]\n", "cannot read")],
)
def test_a_byte_order_mark_costs_a_key_or_the_file(files: Check, first: str, what: str) -> None:
    (report,) = files("\ufeff" + first + WHOLE)
    (problem,) = errors(report.problems)
    assert what in problem.message


@pytest.mark.parametrize(
    ("first", "what"),
    [("", "cannot read it, and stops"), ("general = {}\n", "stops at general, the first key")],
)
def test_a_dataset_config_with_the_mark_stops_in_any_case(
    files: Check, first: str, what: str
) -> None:
    (report,) = files("\ufeff" + first + DATASET.format(1024))
    (problem,) = errors(report.problems)
    assert what in problem.message


def test_lines_may_end_in_cr_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(WHOLE.replace("\n", "\r").encode())
    assert told(config_files.file(file, HERE)) == set()


def test_what_is_the_default_anyway_is_not_idle(files: Check) -> None:
    defaults = "max_train_steps = 1600\nlr_scheduler_num_cycles = 1\nlr_scheduler_power = 1\n"
    defaults += "huber_c = 0.1\nmin_bucket_reso = 256\nmax_bucket_reso = 1024\n"
    assert (
        told(*files(WHOLE + defaults + "enable_bucket = true\nbucket_no_upscale = true\n")) == set()
    )
    (report,) = files(WHOLE + "max_train_steps = 1601\nlr_scheduler_power = 2\n")
    assert told(report) == {"steps-overridden", "power-idle"}


def test_reg_data_dir_may_be_empty(files: Check) -> None:
    assert told(*files(WHOLE + 'reg_data_dir = ""\n')) == set()


def test_metadata_has_the_captions_that_no_file_has(files: Check) -> None:
    text = WHOLE.replace('caption_extension = ".txt"\n', "")
    assert told(*files(text)) == {"caption-extension"}
    text += 'in_json = "m.json"\ncache_latents = true\n'
    assert told(*files(text)) == set()


LORA = 'network_module = "networks.lora"\nnetwork_dim = 8\n'


@pytest.mark.parametrize(
    ("more", "release", "code", "hint"),
    [
        ("", "v0.10.1", "resumed-count", "Reduce max_train_epochs"),
        ('lr_scheduler = "cosine"\n', "v0.10.1", "resumed-count", "Keep max_train_epochs"),
        ('lr_scheduler = "linear"\n', "v0.8.7", "resumed-count", "Keep max_train_epochs"),
        (LORA, "v0.8.7", "resumed-count", "Reduce max_train_epochs"),
        (LORA, "v0.9.0", "resumed-on", None),
        (LORA + 'lr_scheduler = "cosine"\n', "v0.10.1", "resumed-on", None),
    ],
)
def test_advice_for_a_resume_fits_the_script_and_its_schedule(
    files, more: str, release: str, code: str, hint: str | None
) -> None:
    (report,) = files(WHOLE + 'resume = "state"\n' + more, release=release)
    (said,) = (p for p in report.problems if p.code.startswith("resumed"))
    assert (said.code, said.severity) == (code, "warning" if hint else "note")
    assert (said.hint or "").startswith(hint or "")


@pytest.mark.parametrize(
    ("optimizer", "rate", "lora", "fits"),
    [
        ("AdamW8bit", 1e-4, True, True),
        ("AdamW8bit", 2e-4, True, True),
        ("AdamW", 1.0, True, False),
        ("AdamW", 1e-6, False, True),
        ("Adam", 1.0, False, False),
        ("SGDNesterov", 1.0, False, False),
        ("AdamWScheduleFree", 1.0, False, False),
        ("pytorch_optimizer.CAME", 1.0, False, False),
        ("bitsandbytes.optim.AdEMAMix8bit", 1.0, False, False),
        ("Prodigy", 1.0, True, True),
        ("Prodigy", 1e-4, True, False),
        ("somebody.Optimizer", 1.0, False, True),
    ],
)
def test_a_rate_is_held_against_what_is_trained(
    files, optimizer: str, rate: float, lora: bool, fits: bool
) -> None:
    text = WHOLE + f'optimizer_type = "{optimizer}"\nlearning_rate = {rate}\n'
    (report,) = files(text + (LORA if lora else ""))
    assert ("foreign-rate" not in told(report)) is fits


def test_adafactor_has_a_scale_where_it_does_not_set_its_own_rate(files: Check) -> None:
    text = WHOLE + 'optimizer_type = "Adafactor"\nlearning_rate = 1.0\n'
    assert "foreign-rate" not in told(*files(text))
    text += 'optimizer_args = ["relative_step=False", "scale_parameter=False"]\n'
    assert "foreign-rate" in told(*files(text))


def test_each_part_of_a_lora_has_its_rate(files: Check) -> None:
    text = WHOLE + LORA + 'optimizer_type = "Prodigy"\nunet_lr = 1.0\ntext_encoder_lr = [1.0]\n'
    assert told(*files(text)) == set()
    (report,) = files(text.replace("unet_lr = 1.0", "unet_lr = 1e-4"))
    (problem,) = (p for p in report.problems if p.code == "foreign-rate")
    assert problem.where.key == "unet_lr"


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("sample_every_n_epochs = 1\n", {"left-open"}),
        ("sample_every_n_epochs = 0\n", set()),
        ('sample_every_n_epochs = 1\nsample_prompts = "1girl, solo"\n', {"prompts-form"}),
        ('sample_every_n_epochs = 1\nsample_prompts = "p.txt"\n', set()),
    ],
)
def test_samples_need_a_file_of_prompts(files: Check, line: str, codes: set[str]) -> None:
    assert told(*files(WHOLE + line)) == codes


def test_a_preset_cannot_draw_samples_without_prompts(make: Make) -> None:
    text = GOOD.replace("[train]", "[train]\nsample_every_n_epochs = 1")
    found = errors(everything.loaded(make(mine=text).load("mine"), HERE).problems)
    assert "samples-without-prompts" in {problem.code for problem in found}


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ("cache_text_encoder_outputs = true\n", "lora-cached-text"),
        ("cache_text_encoder_outputs = true\nnetwork_train_unet_only = true\n", None),
        ('network_args = ["conv_dim"]\n', "network-args"),
        ('network_args = ["conv_dim=4", "conv_alpha=1"]\n', None),
        ('network_args = ["algo=lora"]\n', "network-args-idle"),
        ('network_weights = "D:\\train"\n', "backslash"),
    ],
)
def test_a_lora_has_rules_of_its_own(files: Check, more: str, code: str | None) -> None:
    assert told(*files(WHOLE + LORA + more)) == ({code} if code else set())


def test_a_network_is_for_one_model(files: Check) -> None:
    text = WHOLE + LORA.replace("networks.lora", "networks.lora_flux")
    (report,) = files(text, script="sdxl_train_network.py")
    assert told(report) == {"network-module"}


@pytest.mark.parametrize("name", ["noobaiXL_vPred10.safetensors", "x/a-v-pred.st", "b_v_pred"])
def test_the_name_of_a_base_tells_what_it_predicts(files: Check, name: str) -> None:
    text = WHOLE.replace("sdxl.safetensors", name)
    assert told(*files(text)) == {"base-predicts-v"}
    assert told(*files(text + "v_parameterization = true\n")) == set()
    (report,) = files(WHOLE + "v_parameterization = true\n", release="v0.9.1")
    assert "v-prediction" in told(report)
    (report,) = files(text + "v_parameterization = true\n", release="v0.9.1")
    assert "v-prediction" not in told(report)


@pytest.mark.parametrize("key", ["sample_every_n_epochs", "sample_every_n_steps"])
def test_an_interval_of_0_stopped_older_releases(files: Check, key: str) -> None:
    (report,) = files(WHOLE + f"{key} = 0\n", release="v0.8.5")
    assert "sample-every-zero" in told(report)
    (report,) = files(WHOLE + f"{key} = 0\n", release="v0.8.6")
    assert "sample-every-zero" not in told(report)
