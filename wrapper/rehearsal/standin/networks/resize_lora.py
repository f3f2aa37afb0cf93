"""Bring a LoRA to a smaller rank."""

import argparse

import torch
from library import args_util
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tqdm import tqdm

DTYPES = {"float": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, None: None}


def extract_conv(weight, rank, method=None, param=None):
    """Return up and down of the nearest convolution of that rank, or less by `method`."""
    out, inside, high, wide = weight.shape
    U, S, Vh = torch.linalg.svd(weight.reshape(out, -1))
    rank = kept(S, rank, method, param)
    up = (U[:, :rank] * S[:rank]).reshape(out, rank, 1, 1)
    return up, Vh[:rank].reshape(rank, inside, high, wide)


def extract_linear(weight, rank, method=None, param=None):
    """Return up and down of the nearest matrix of that rank, or less by `method`."""
    U, S, Vh = torch.linalg.svd(weight)
    rank = kept(S, rank, method, param)
    return U[:, :rank] * S[:rank], Vh[:rank]


def kept(singular, rank, method, param):
    """Return how many singular values stay, `rank` at most; a layer that never moved keeps one."""
    if singular[0] <= 1e-6:
        return 1
    enough = len(singular)
    if method == "sv_ratio":  # those above the largest / param
        enough = int((singular > singular[0] / param).sum())
    elif method == "sv_cumulative":  # the fewest with this share of the sum
        enough = reaching(singular, param)
    elif method == "sv_fro":  # the fewest with this share of the Frobenius norm
        enough = reaching(singular.square(), param**2)
    return max(1, min(rank, enough, len(singular)))


def reaching(amounts, share):
    """Return how many of the first `amounts` make up at least this share of their sum."""
    return int((amounts.cumsum(0) / amounts.sum() < share).sum()) + 1


def resize(args):
    """Write the LoRA with every module at `new_rank` or below."""
    if args.dynamic_method and args.dynamic_param is None:
        raise ValueError("--dynamic_method needs --dynamic_param")
    tensors = load_file(args.model)
    with safe_open(args.model, "pt") as opened:
        metadata = dict(opened.metadata() or {})
    device, save_dtype = args.device or "cpu", DTYPES[args.save_precision]
    dynamic = (args.dynamic_method, args.dynamic_param)
    resized = {}
    names = [key.removesuffix(".lora_down.weight") for key in tensors if "lora_down" in key]
    for name in tqdm(names):
        down = tensors[f"{name}.lora_down.weight"].float().to(device)
        up = tensors[f"{name}.lora_up.weight"].float().to(device)
        scale = float(tensors.get(f"{name}.alpha", down.shape[0])) / down.shape[0]
        product = scale * (up.flatten(1) @ down.flatten(1))
        if down.dim() == 4:
            rank = args.new_conv_rank or args.new_rank
            up, down = extract_conv(product.reshape(up.shape[0], *down.shape[1:]), rank, *dynamic)
        else:
            up, down = extract_linear(product, args.new_rank, *dynamic)
        if args.verbose:
            print(f"{name}: rank {down.shape[0]}")
        dtype = save_dtype or tensors[f"{name}.lora_up.weight"].dtype
        resized[f"{name}.lora_up.weight"] = up.to("cpu", dtype).contiguous()
        resized[f"{name}.lora_down.weight"] = down.to("cpu", dtype).contiguous()
        resized[f"{name}.alpha"] = torch.tensor(float(down.shape[0])).to(dtype)
    fixed = (str(args.new_rank), str(float(args.new_rank)))
    dim, alpha = ("Dynamic", "Dynamic") if args.dynamic_method else fixed
    metadata.update(ss_network_dim=dim, ss_network_alpha=alpha)
    save_file(resized, args.save_to, metadata=metadata)
    print(f"saving LoRA to: {args.save_to}")


def setup_parser():
    parser = argparse.ArgumentParser()
    args_util.add_arguments(parser, "networks/resize_lora.py")
    return parser


if __name__ == "__main__":
    parser = setup_parser()
    args = parser.parse_args()
    resize(args)
