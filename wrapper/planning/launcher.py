"""How `accelerate launch` starts a training: its config file, and the words of its command.

The file is always our own. Without one, accelerate takes the user's default of `accelerate config`,
which may have several GPUs or DeepSpeed, or ask for a port that is in use.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kohya_presets.training.spread import PORT, Spread

FILE = "accelerate.yaml"  # of a run
PATIENCE = 600  # seconds
PORTS = 100  # how many are tried, from accelerate's own on
# Options of DeepSpeed: sd-scripts gives them to accelerate itself, and the launcher needs some too.
_DEEPSPEED = ("zero_stage", "offload_optimizer_device", "offload_param_device", "zero3_init_flag")
_ACCUMULATION, _CLIPPING = "gradient_accumulation_steps", "max_grad_norm"


def config(spread: Spread, train: Mapping[str, Any]) -> str:
    """Return accelerate's config file, in YAML, for a training with these options.

    The keys and values are those of accelerate 0.23 to 1.x (`ClusterConfig`).
    """
    return "".join(f"{line}\n" for line in _lines(spread, train))


def words(file: Path, *, threads: int, cpu: bool, spread: Spread) -> tuple[str, ...]:
    """Return what stands between `accelerate launch` and the script."""
    alone = cpu and spread.processes == 1  # several on a CPU are told by `environ`
    return (
        f"--config_file={file}",
        f"--num_cpu_threads_per_process={threads}",
        *(("--cpu",) if alone else ()),
    )


def environ(*, cpu: bool, spread: Spread) -> dict[str, str]:
    """Return the variables that several processes need.

    accelerate starts several only where it takes them for GPUs; they then ask its variable. torch's
    launcher gives them half a minute when it is told to terminate: too short to save a state.
    """
    if spread.processes == 1:
        return {}
    patient = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(PATIENCE)}
    return patient | ({"ACCELERATE_USE_CPU": "true"} if cpu else {})


def of_earlier(precision: str, *, threads: int, cpu: bool) -> tuple[str, ...]:
    """Return the words with which earlier versions started a run: they wrote no config file."""
    return (
        "--num_processes=1",
        "--num_machines=1",
        f"--mixed_precision={precision}",
        "--dynamo_backend=no",
        f"--num_cpu_threads_per_process={threads}",
        *(("--cpu",) if cpu else ()),
    )


def listening(spread: Spread) -> Spread:
    """Return it with a port that is free here, where nobody else has to know it."""
    alone = spread.machines > 1 or spread.processes == 1
    return spread if alone else replace(spread, port=_free_port())


def _free_port() -> int:
    """Return a port that nothing listens on here: accelerate's own, or one of the next."""
    for port in range(PORT, PORT + PORTS):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return PORT


def _lines(spread: Spread, train: Mapping[str, Any]) -> Iterator[str]:
    deepspeed, several = bool(train.get("deepspeed")), spread.processes > 1
    kind = "DEEPSPEED" if deepspeed else "MULTI_GPU" if several else "NO"
    yield "# Written by kohya-presets for `accelerate launch`."
    yield "compute_environment: LOCAL_MACHINE"
    yield f"distributed_type: {kind}"
    if deepspeed:
        yield "deepspeed_config:"
        yield "  deepspeed_multinode_launcher: standard"
        for option in _DEEPSPEED:
            if option in train:
                yield f"  {option}: {_value(train[option])}"
        yield f"  gradient_accumulation_steps: {_value(train.get(_ACCUMULATION, 1))}"
        yield f"  gradient_clipping: {_value(train.get(_CLIPPING, 1.0))}"
    yield f"num_processes: {spread.processes}"
    yield f"num_machines: {spread.machines}"
    yield f"machine_rank: {spread.rank}"
    if spread.machines > 1:
        yield f"main_process_ip: {_value(spread.address or '127.0.0.1')}"
        yield "rdzv_backend: static"
    if several or deepspeed:
        yield f"main_process_port: {spread.port}"
    yield f"mixed_precision: {_value(str(train.get('mixed_precision', 'no')))}"
    yield "dynamo_backend: 'NO'"
    yield "use_cpu: false"
    yield "debug: false"


def _value(value: Any) -> str:
    """Return a number or a word as YAML; "no" without quotes would be false."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"
