"""Read `--dataset_config` as strictly as sd-scripts does, and the images it names."""

import random
from pathlib import Path

import toml
from voluptuous import Invalid

from library.args_util import facts

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


def load(path, args):
    """Return batches of (image, caption, dataset options), each as often as its repeats say."""
    if not path:
        raise ValueError("the stand-in needs --dataset_config to find its images")
    config = toml.load(path)
    general = _known(config.get("general", {}), "general")
    batches = []
    for dataset in config.get("datasets", []):
        subsets = dataset.pop("subsets", [])
        shared = {**general, **_known(dataset, "dataset")}
        found = []
        for subset in subsets:
            options = {**_defaults(args), **shared, **_known(subset, "subset")}
            found += _images(options) * options["num_repeats"]
        random.Random(args.seed).shuffle(found)
        size = shared.get("batch_size", args.train_batch_size)
        batches += [found[at : at + size] for at in range(0, len(found), size)]
    return batches


def _defaults(args):
    """Return what the training options say of a dataset that does not say it itself."""
    sides = [int(side) for side in str(args.resolution or 64).split(",")]
    return {"num_repeats": 1, "resolution": sides, "caption_extension": args.caption_extension}


def _known(options, level):
    known = facts("dataset")
    for key, value in options.items():
        if level not in known.get(key, {"levels": ()})["levels"]:
            raise Invalid(f"extra keys not allowed @ data['{key}']")
        if known[key]["type"] == "int" and type(value) is not int:
            raise Invalid(f"expected int for dictionary value @ data['{key}']")
    return options


def _images(options):
    folder = Path(options["image_dir"])
    if not folder.is_dir():  # upstream continues without it too
        print(f"not a folder: {folder}")
        return []
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
    return [(file, _caption(file, options["caption_extension"]), options) for file in files]


def _caption(image, extension):
    file = image.with_name(image.stem + extension)
    if not file.is_file():
        return ""
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines, f"caption file is empty: {file}"
    return lines[0].strip()
