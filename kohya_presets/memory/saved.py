"""How large a saved state is on disk: what accelerate writes, and the patches' parts of it.

Arithmetic over the facts that the estimate of GPU memory uses. bench/states.py compares it with
what the patch `resume` writes.
"""

from __future__ import annotations

from kohya_presets.memory import parts as memory_parts
from kohya_presets.memory import states
from kohya_presets.memory.parts import EMA_BYTES, Parts
from kohya_presets.training.settings import Settings

MODEL, LORA = "sdxl_train.py", "sdxl_train_network.py"
NETWORK = "networks.lora"  # of which the facts say how many weights it has
RANK = 4  # where no network_dim is given
REST = 2_000_000  # bytes: headers, schedule, generators


def state_bytes(settings: Settings) -> int | None:
    """Return the bytes of one saved state; None for a script or network that is not known.

    Of the models that are trained, with their frozen parts; of a LoRA, that alone.
    """
    parts = Parts(settings)
    if settings.script == MODEL:
        sizes = memory_parts.facts()["parameters"]
        weights = sum(sizes[model] for model in parts.trained) * parts.width
        average = EMA_BYTES * parts.numbers() if settings.train("enable_ema") else 0
        return int(weights + _optimizer(parts) + average + REST)
    if settings.script == LORA and settings.train("network_module") == NETWORK:
        numbers = lora_numbers(settings)
        if settings.training.optimizer == "adafactor":  # a row and a column of each matrix
            state = 4 * numbers // _rank(settings)
            state += 4 * numbers * ("beta1" in settings.training.optimizer_args)
        else:
            state = _optimizer(parts) * numbers // max(1, parts.numbers())
        return numbers * parts.width + state + REST
    return None


def lora_numbers(settings: Settings) -> int:
    """Return how many weights a LoRA of SDXL has, of the network module `NETWORK`."""
    facts = memory_parts.facts()["lora"]
    rank, trained = _rank(settings), settings.training.parts
    found = sum(facts["linear"][part] for part in trained) * rank
    given = settings.train("network_args") or ()
    for key, _, value in (str(item).partition("=") for item in given):
        if key.strip() == "conv_dim" and value.strip().isdigit() and "unet" in trained:
            blocks = facts["blocks"]
            found += blocks["linear"] * rank + blocks["kernels"] * int(value)
    return int(found)


def _rank(settings: Settings) -> int:
    return int(settings.train("network_dim") or RANK)


def _optimizer(parts: Parts) -> int:
    half = parts.precision.startswith("full")
    return states.cost(parts.settings.training, memory_parts.facts(), half=half).state
