"""What the training script shares with others upstream: optimizer, saving, state, samples."""

import ast
import importlib
import math
import shutil
from pathlib import Path

import torch

from library.sdxl_model_util import CAPTION, LATENT


def get_optimizer(args, trainable_params):
    """Return the optimizer's name, its arguments as text, and the optimizer."""
    optimizer_type = (args.optimizer_type or "AdamW").lower()
    optimizer_kwargs = {}
    for argument in args.optimizer_args or []:
        key, value = argument.split("=")
        optimizer_kwargs[key] = ast.literal_eval(value)
    lr, optimizer = args.learning_rate, None
    if optimizer_type.endswith("8bit"):
        raise ImportError(f"{args.optimizer_type} needs bitsandbytes, which the stand-in lacks")
    if optimizer_type == "adamw":
        optimizer_class = torch.optim.AdamW
        optimizer = optimizer_class(trainable_params, lr=lr, **optimizer_kwargs)
    elif optimizer_type == "lion":
        optimizer_class = Lion
        optimizer = optimizer_class(trainable_params, lr=lr, **optimizer_kwargs)
    elif optimizer_type == "sgdnesterov":
        optimizer_class = torch.optim.SGD
        optimizer_kwargs.setdefault("momentum", 0.9)
        optimizer = optimizer_class(trainable_params, lr=lr, nesterov=True, **optimizer_kwargs)
    if optimizer is None:
        module, _, kind = args.optimizer_type.rpartition(".")
        optimizer_class = getattr(importlib.import_module(module or "torch.optim"), kind)
        optimizer = optimizer_class(trainable_params, lr=lr, **optimizer_kwargs)
    optimizer_name = optimizer_class.__module__ + "." + optimizer_class.__name__
    return optimizer_name, ",".join(f"{k}={v}" for k, v in optimizer_kwargs.items()), optimizer


def append_lr_to_logs_with_names(logs, lr_scheduler, names):
    """Add the learning rate of each group."""
    logs.update(
        {f"lr/{name}": rate for name, rate in zip(names, lr_scheduler.get_last_lr(), strict=False)}
    )


class Lion(torch.optim.Optimizer):
    """Lion (Chen et al. 2023, arXiv 2302.06675, algorithm 2)."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            first, second = group["betas"]
            for p in (p for p in group["params"] if p.grad is not None):
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(group["lr"] * torch.lerp(p.grad, average, first).sign())
                average.lerp_(p.grad, 1 - second)


def tokenize(captions):
    """Return bytes as tokens, shape (batch, CAPTION): 1 begins, 2 fills up."""
    rows = []
    for caption in captions:
        row = [1, *(byte + 3 for byte in caption.encode("utf-8"))][:CAPTION]
        rows.append(row + [2] * (CAPTION - len(row)))
    return torch.tensor(rows)


def encode(text_encoders, tokens):
    """Return the caption's states of both encoders side by side, and the second's last one."""
    first, second = (encoder(tokens) for encoder in text_encoders)
    return torch.cat([first, second], dim=-1), second[:, -1]


def noise_level(timesteps):
    """Return the share of the image and of the noise at each timestep (0 to 999), cosine."""
    angle = (timesteps + 1) / 1001 * math.pi / 2
    return torch.cos(angle)[:, None, None, None], torch.sin(angle)[:, None, None, None]


@torch.no_grad()
def denoise(vae, text_encoders, unet, prompt, side):
    """Return a picture (3, side, side) of a few steps; what it shows is of no importance."""
    device = next(unet.parameters()).device
    context, pooled = encode(text_encoders, tokenize([prompt]).to(device))
    x = torch.randn(1, LATENT, side // 8, side // 8, device=device)
    for time in (900, 600, 300):
        t = torch.tensor([time], device=device)
        signal, noise = noise_level(t)
        x = (x - noise * unet(x, t.float(), context, pooled)) / signal.clamp(min=0.1)
    return vae.decode(x)[0].clamp(0, 1).float().cpu()


def resume_from_local_or_hf_if_specified(accelerator, args):
    """Load the state that --resume names."""
    if args.resume:
        print(f"resume training from state: {args.resume}")
        accelerator.load_state(args.resume)


def sample_images_common(pipe_class, accelerator, args, epoch, steps, vae, text_encoder, unet):
    """Write a picture for each prompt of --sample_prompts, if this is the step for it."""
    every, count = args.sample_every_n_steps, steps
    if args.sample_every_n_epochs:
        every, count = args.sample_every_n_epochs, epoch
    if not (args.sample_prompts and every and count and count % every == 0):
        return
    import numpy
    from PIL import Image

    pipeline = pipe_class(vae=vae, text_encoder=text_encoder, unet=unet)
    folder = Path(args.output_dir) / "sample"
    folder.mkdir(parents=True, exist_ok=True)
    prompts = Path(args.sample_prompts).read_text(encoding="utf-8").splitlines()
    for number, prompt in enumerate(prompts):
        pixels = (pipeline(prompt).permute(1, 2, 0).numpy() * 255).astype(numpy.uint8)
        name = f"{args.output_name}_{steps:06d}_{number:02d}.png"
        Image.fromarray(pixels).save(folder / name)


def save_sd_model_on_epoch_end_or_stepwise_common(
    args, on_epoch_end, accelerator, epoch, num_train_epochs, global_step, sd_saver, diffusers_saver
):
    """Save in between, when the epoch or the step is one of those asked for."""
    every = args.save_every_n_epochs if on_epoch_end else args.save_every_n_steps
    count = epoch if on_epoch_end else global_step
    if not every or count % every or (on_epoch_end and epoch >= num_train_epochs):
        return
    suffix = f"-{epoch:06d}" if on_epoch_end else f"-step{global_step:08d}"
    _save(args, suffix, epoch, global_step, sd_saver, diffusers_saver)
    if args.save_state:
        if on_epoch_end:
            save_and_remove_state_on_epoch_end(args, accelerator, epoch)
        else:
            save_and_remove_state_stepwise(args, accelerator, global_step)


def save_sd_model_on_train_end_common(args, epoch, global_step, sd_saver, diffusers_saver):
    """Save under the plain name."""
    _save(args, "", epoch, global_step, sd_saver, diffusers_saver)


def save_and_remove_state_on_epoch_end(args, accelerator, epoch):
    """Save the state of an epoch; those older than --save_last_n_epochs_state go."""
    accelerator.save_state(state_folder(args, f"-{epoch:06d}"))
    if args.save_last_n_epochs_state:
        old = epoch - args.save_every_n_epochs * args.save_last_n_epochs_state
        shutil.rmtree(state_folder(args, f"-{old:06d}"), ignore_errors=True)


def save_and_remove_state_stepwise(args, accelerator, step_no):
    """Save the state of a step."""
    accelerator.save_state(state_folder(args, f"-step{step_no:08d}"))


def save_state_on_train_end(args, accelerator):
    """Save the state at the end."""
    accelerator.save_state(state_folder(args, ""))


def state_folder(args, suffix):
    """Return the folder of a saved state."""
    return str(Path(args.output_dir) / f"{args.output_name}{suffix}-state")


def _save(args, suffix, epoch, global_step, sd_saver, diffusers_saver):
    folder = Path(args.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    stem = str(folder / f"{args.output_name}{suffix}")
    if (args.save_model_as or "safetensors").startswith("diffusers"):
        diffusers_saver(stem)
    else:
        print(f"saving checkpoint: {stem}.safetensors")
        sd_saver(f"{stem}.safetensors", epoch, global_step)
