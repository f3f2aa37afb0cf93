"""Packages that are missing or do not fit, and options of another release."""

from __future__ import annotations

from wrapper.watching import remedies
from wrapper.watching.known.signature import Signature

EVERY: tuple[Signature, ...] = (
    Signature(
        "bitsandbytes",
        r"CUDA Setup failed despite (?:GPU|CUDA) being available"
        r"|Could not find the bitsandbytes CUDA binary at|libbitsandbytes_cpu\S*: undefined symbol",
        "bitsandbytes does not work with this CUDA",
        "it was built for another CUDA version than torch",
        remedies.bitsandbytes,
        "kohya_ss 1523; bitsandbytes 1200, 1559",
    ),
    Signature(
        "xformers",
        r"No operator found for `memory_efficient_attention_forward`",
        "xformers cannot compute attention here",
        "it was built for another torch, Python or GPU",
        remedies.xformers,
        "kohya_ss 1651",
    ),
    Signature(
        "xformers",
        r"xFormers can't load C\+\+/CUDA extensions\. xFormers was built for:",
        "xformers does not work with this torch",
        "it was built for another torch or Python",
        remedies.xformers,
        "xformers 982",
        explains="xformers|xFormers|memory_efficient",
    ),
    Signature(
        "package",
        r"No (lion_pytorch|bitsandbytes|dadaptation|Prodigy|schedulefree|xformers|wandb) /"
        r"|(?:ModuleNotFoundError|ImportError): No module named '([\w.]+)'"
        r"|ImportError: No (?:package )?(lion_pytorch|bitsandbytes|xformers)\b",
        "a package is missing in the trainer environment: {0}",
        "the preset uses it, and it was not installed",
        remedies.package,
        "train_util.py of v0.7.0 to v0.10.1",
    ),
    Signature(
        "package",
        r"(?m)^(?:\S*python\S*: )?No module named '?([\w.]+)"
        r"|\(ModuleNotFoundError: No module named '([\w.]+)'\)",
        "a package is missing in the trainer environment: {0}",
        "the trainer environment is not complete",
        remedies.package,
        "Python's -m",
    ),
    Signature(
        "numpy",
        r"Numpy is not available|numpy\.core\.multiarray failed to import"
        r"|numpy\.dtype size changed",
        "a package does not work with this NumPy",
        "NumPy 2 is installed, and the package was built for NumPy 1",
        remedies.numpy,
        "kohya_ss 3422",
    ),
    Signature(
        "numpy",
        r"A module that was compiled using NumPy 1\.x cannot be run in",
        "a package does not work with this NumPy",
        "NumPy 2 is installed, and the package was built for NumPy 1",
        remedies.numpy,
        "kohya_ss 3422",
        explains="[Nn]um[Pp]y|_ARRAY_API",
    ),
    Signature(
        "transformers",
        r"position_ids",
        "the base model and this transformers do not fit",
        "this sd-scripts release needs an older transformers",
        remedies.doctor,
        "sd-scripts v0.7 and v0.8",
    ),
    Signature(
        "options",
        r"unrecognized arguments|error: argument|invalid choice",
        "the script does not know one of the options",
        "the option came with another release, or with a patch",
        remedies.options_of_release,
        "argparse",
    ),
)
