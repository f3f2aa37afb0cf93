"""Load datasets as sd-scripts does: its own classes read, sort and cut, and we are told of it.

`LOAD` runs in the trainer's Python. It takes a file of cases, the vocabulary and the merges of
CLIP. Each case is a dataset config and further words of the command line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kohya_presets.dataset.tokens import Tokenizer
from tests.upstream import asking
from wrapper.checkouts.checkout import Checkout

LOAD = """
import logging, os, types
import torch, transformers
from library import config_util
import sdxl_train

class Notes(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())

said = []
logging.getLogger().addHandler(Notes(logging.INFO))
tokenizer = transformers.CLIPTokenizer(sys.argv[2], sys.argv[3], model_max_length=77)
try:
    from library import strategy_base, strategy_sd, strategy_sdxl
except ImportError:
    strategy_sdxl = None

def strategy(args):
    made = object.__new__(strategy_sdxl.SdxlTokenizeStrategy)
    made.tokenizer1 = made.tokenizer2 = tokenizer
    made.max_length = (args.max_token_length or 75) + 2
    return made

def fault(stage, error):
    return {"stage": stage, "error": type(error).__name__, "says": str(error)[:300]}

def loaded(one):
    said.clear()
    args = sdxl_train.setup_parser().parse_args(one["words"])
    if args.resolution:
        args.resolution = tuple(map(int, args.resolution.split(",")))  # prepare_dataset_args
    answer = {"stop": None, "images": [], "batches": [], "train": None, "length": None}
    stage = "config"
    try:
        masked = getattr(args, "masked_loss", False)
        sanitizer = config_util.ConfigSanitizer(True, True, masked, True)
        generator = config_util.BlueprintGenerator(sanitizer)
        if one["config"]:
            config = config_util.load_user_config(one["config"])
        else:
            subsets = config_util.generate_dreambooth_subsets_config_by_subdirs(
                args.train_data_dir, args.reg_data_dir
            )
            config = {"datasets": [{"subsets": subsets}]}
        blueprint = generator.generate(config, args, tokenizer=[tokenizer, tokenizer])
        stage = "read"
        if strategy_sdxl:
            strategy_base.TokenizeStrategy._strategy = strategy(args)
            strategy_base.LatentsCachingStrategy._strategy = (
                strategy_sd.SdSdxlLatentsCachingStrategy(False, False, 1, False)
                if args.cache_latents else None
            )
        made = config_util.generate_dataset_group_by_blueprint(blueprint.dataset_group)
        group = made[0] if isinstance(made, tuple) else made
        if strategy_sdxl:
            group.set_current_strategies()
    except Exception as error:
        answer["stop"] = fault(stage, error)
        # Sizes are read after everything else.
        if "loading image sizes." in said or "make_buckets" in trace(error):
            answer["stop"]["stage"] = "sizes"
        return {**answer, "log": said[:]}
    for number, dataset in enumerate(group.datasets):
        whole = getattr(dataset, "dreambooth_dataset_delegate", dataset)
        answer["images"] += [
            {
                "dataset": number, "file": os.path.basename(info.absolute_path),
                "caption": info.caption, "size": list(info.image_size), "reg": info.is_reg,
                "bucket": list(map(int, info.bucket_reso)), "repeats": info.num_repeats,
                "latents": latents(whole, info, args),
            }
            for info in whole.image_data.values()
        ]
        for index in range(len(dataset)):
            answer["batches"].append(batch(dataset, whole, index, args))
    answer["train"], answer["length"] = group.num_train_images, len(group)
    stopped = [b["stop"] for b in answer["batches"] if "stop" in b]
    answer["stop"] = stopped[0] if stopped else None
    return {**answer, "log": said[:]}

def latents(dataset, info, args):
    # The file of an image's latents.
    if not args.cache_latents_to_disk:
        return None
    if strategy_sdxl:
        naming = strategy_sd.SdSdxlLatentsCachingStrategy(False, True, 1, False)
        return naming.get_latents_npz_path(info.absolute_path, info.image_size)
    dataset.cache_latents(None, 1, True, False)  # not the main process: names are all it finds
    return info.latents_npz

def trace(error):
    names, at = [], error.__traceback__
    while at:
        names.append(at.tb_frame.f_code.co_name)
        at = at.tb_next
    return names

def batch(dataset, whole, index, args):
    at = whole.buckets_indices[index]
    bucket = whole.bucket_manager.buckets[at.bucket_index]
    start = at.batch_index * at.bucket_batch_size
    keys = bucket[start : start + at.bucket_batch_size]
    files = [os.path.basename(whole.image_data[key].absolute_path) for key in keys]
    try:
        item = dataset[index]
        if args.weighted_captions and strategy_sdxl:  # as sdxl_train.py does with each batch
            strategy(args).tokenize_with_weights(item["captions"])
    except Exception as error:
        return {"files": files, "stop": fault("batch", error)}
    images = ((item["images"] + 1) * 127.5).round().int()
    ids = item.get("input_ids")
    ids = item["input_ids_list"][0] if ids is None else ids
    masks, cond = item.get("alpha_masks"), item.get("conditioning_images")
    return {
        "files": files,
        "size": [images.shape[3], images.shape[2]],
        "captions": item["captions"],
        "means": images.float().mean(dim=(2, 3)).round(decimals=1).tolist(),
        "corners": images[:, :, 0, 0].tolist(),
        "ends": images[:, :, -1, -1].tolist(),
        "least": images.amin(dim=(1, 2, 3)).tolist(),
        "tokens": [[n for n in one.flatten().tolist() if n < 49406] for one in ids],
        "mask": None if masks is None else [float(masks.min()), float(masks.max())],
        "cond": None if cond is None else [float(cond.min()), float(cond.max())],
    }

def trained(one):
    # The script itself, as far as it comes without a model.
    said.clear()
    sdxl_train.setup_logging = lambda *_, **__: None  # lest it takes our handler away
    if strategy_sdxl:
        strategy_base.TokenizeStrategy._strategy = None
        strategy_base.LatentsCachingStrategy._strategy = None
        sdxl_train.strategy_sdxl = types.SimpleNamespace(
            SdxlTokenizeStrategy=lambda *_: types.SimpleNamespace(tokenizer1=None, tokenizer2=None)
        )
    else:
        sdxl_train.sdxl_train_util.load_tokenizers = lambda args: [tokenizer, tokenizer]
    words = [*one["words"], "--output_dir", os.path.dirname(sys.argv[1])]
    if one["config"]:
        words += ["--dataset_config", one["config"]]
    args = sdxl_train.setup_parser().parse_args(words)
    try:
        sdxl_train.train(args)
        stop = None
    except BaseException as error:
        stop = fault("train", error)
    return {"stop": stop, "log": said[:]}

with open(sys.argv[1], encoding="utf-8") as file:
    asked = json.load(file)
answers = {name: loaded(one) for name, one in asked.items()}
for name, one in asked.items():
    if one["train"]:
        answers[name]["script"] = trained(one)
tell(answers)
"""


class Asked(NamedTuple):
    """What is loaded: a dataset config, or none where `words` name the folders."""

    config: Path | None
    words: tuple[str, ...] = ()
    train: bool = False  # also in the script itself


def load(
    checkout: Checkout, cases: Mapping[str, Asked], tokenizer: Tokenizer, room: Path
) -> dict[str, Any]:
    """Return what becomes of each case in sd-scripts; files are written into `room`."""
    room.mkdir(parents=True, exist_ok=True)
    vocab, merges, asked = room / "vocab.json", room / "merges.txt", room / "asked.json"
    vocab.write_text(json.dumps(tokenizer.numbers), "utf-8")
    lines = "".join(f"{first} {second}\n" for first, second in tokenizer.merges)
    merges.write_text(f"#version: 0.2\n{lines}", "utf-8")
    each = {
        name: {"config": str(one.config) if one.config else None, "words": one.words}
        | {"train": one.train}
        for name, one in cases.items()
    }
    asked.write_text(json.dumps(each), "utf-8")
    found: dict[str, Any] = asking.ask(checkout, LOAD, *map(str, (asked, vocab, merges)))
    return found
