"""Fine-tune the toy: sd-scripts' options, files and order of events, not its mathematics."""

import argparse
import math
from multiprocessing import Value

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from library import args_util, config_util, sdxl_model_util, sdxl_train_util, train_util
from tqdm import tqdm

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "float": torch.float32}


def train(args):
    """Train on the images of --dataset_config and save what came of it."""
    if args.seed is not None:
        set_seed(args.seed)
    train_dataset_group = config_util.load(args.dataset_config, args)
    current_step = Value("i", 0)
    if not train_dataset_group:
        print("No data found. Please verify the folder.")
        return
    accelerator = Accelerator(
        gradient_accumulation_steps=args.gradient_accumulation_steps,
        mixed_precision=args.mixed_precision,
        log_with=args.log_with if args.logging_dir else None,
        project_dir=args.logging_dir,
    )
    if args.logging_dir:
        accelerator.init_trackers("finetuning")
    text_encoder1, text_encoder2, vae, unet, logit_scale, _ = (
        sdxl_model_util.load_models_from_sdxl_checkpoint(
            sdxl_model_util.MODEL_VERSION_SDXL_BASE_V1_0, args.pretrained_model_name_or_path, "cpu"
        )
    )
    text_encoders = [text_encoder1, text_encoder2]
    for encoder in text_encoders:
        encoder.requires_grad_(bool(args.train_text_encoder))
    training_models = [unet, *(text_encoders if args.train_text_encoder else [])]
    params_to_optimize = [
        {"params": list(m.parameters()), "lr": args.learning_rate} for m in training_models
    ]
    _, _, optimizer = train_util.get_optimizer(args, params_to_optimize)
    # Prepared, the loader ends an epoch with a step, full or not, as upstream's does.
    train_dataloader = torch.utils.data.DataLoader(
        train_dataset_group, shuffle=True, collate_fn=lambda one: one[0]
    )
    unet, text_encoder1, text_encoder2, optimizer, train_dataloader = accelerator.prepare(
        unet, text_encoder1, text_encoder2, optimizer, train_dataloader
    )
    lr_scheduler = accelerator.prepare(torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1))
    text_encoders = [text_encoder1, text_encoder2]
    vae = vae.to(accelerator.device)
    in_epoch = math.ceil(len(train_dataset_group) / args.gradient_accumulation_steps)
    if args.max_train_epochs:
        args.max_train_steps = args.max_train_epochs * in_epoch
    train_util.resume_from_local_or_hf_if_specified(accelerator, args)

    num_train_epochs = math.ceil(args.max_train_steps / in_epoch)
    progress_bar = tqdm(range(args.max_train_steps), smoothing=0, desc="steps")
    global_step, losses = 0, []
    save_dtype = DTYPES.get(args.save_precision)

    def models():
        unwrapped = map(accelerator.unwrap_model, (text_encoder1, text_encoder2))
        return (*unwrapped, vae, accelerator.unwrap_model(unet), logit_scale)

    def sample(epoch):
        sdxl_train_util.sample_images(
            *(accelerator, args, epoch, global_step, accelerator.device, vae, None),
            *(text_encoders, unet),
        )

    for epoch in range(num_train_epochs):
        accelerator.print(f"\nepoch {epoch + 1}/{num_train_epochs}")
        for batch in train_dataloader:
            current_step.value = global_step
            with accelerator.accumulate(*training_models):
                loss = loss_of(batch, vae, text_encoders, unet, accelerator.device)
                accelerator.backward(loss)
                optimizer.step()
                lr_scheduler.step()
                optimizer.zero_grad(set_to_none=True)
            if accelerator.sync_gradients:
                progress_bar.update(1)
                global_step += 1
                sample(None)
                sdxl_train_util.save_sd_model_on_epoch_end_or_stepwise(
                    *(args, False, accelerator, epoch, num_train_epochs, global_step),
                    *(models(), save_dtype),
                )
            losses.append(loss.detach().item())
            if accelerator.trackers:
                logs = {"loss": losses[-1]}
                train_util.append_lr_to_logs_with_names(logs, lr_scheduler, ["unet", "te1", "te2"])
                accelerator.log(logs, step=global_step)
            progress_bar.set_postfix(avr_loss=sum(losses) / len(losses))
            if global_step >= args.max_train_steps:
                break
        sdxl_train_util.save_sd_model_on_epoch_end_or_stepwise(
            *(args, True, accelerator, epoch + 1, num_train_epochs, global_step),
            *(models(), save_dtype),
        )
        sample(epoch + 1)
    progress_bar.close()
    if args.save_state or args.save_state_on_train_end:
        train_util.save_state_on_train_end(args, accelerator)
    sdxl_train_util.save_sd_model_on_train_end(
        args, num_train_epochs, global_step, models(), save_dtype
    )
    print("model saved.")


def loss_of(batch, vae, text_encoders, unet, device):
    """Return how far the U-Net is from the noise that was mixed into a batch's latents."""
    pixels = torch.stack([pixels_of(image, options) for image, _, options in batch]).to(device)
    tokens = train_util.tokenize([caption for _, caption, _ in batch]).to(device)
    with torch.no_grad():
        latents = vae.encode(pixels)
    noise = torch.randn_like(latents)
    timesteps = torch.randint(0, 1000, (len(batch),), device=device)
    image_share, noise_share = train_util.noise_level(timesteps)
    noisy = image_share * latents + noise_share * noise
    context, pooled = train_util.encode(text_encoders, tokens)
    predicted = unet(noisy, timesteps.float(), context, pooled)
    return torch.nn.functional.mse_loss(predicted.float(), noise.float())


def pixels_of(image, options):
    """Return an image as numbers from -1 to 1, shape (3, height, width), fitted to resolution."""
    import numpy
    from PIL import Image

    resolution = options["resolution"]
    sides = resolution if isinstance(resolution, list) else [resolution]
    size = (sides[0], sides[-1])
    with Image.open(image) as opened:
        fitted = numpy.asarray(opened.convert("RGB").resize(size), dtype=numpy.float32)
    return torch.from_numpy(fitted).permute(2, 0, 1) / 127.5 - 1


def setup_parser():
    parser = argparse.ArgumentParser()
    args_util.add_arguments(parser, "sdxl_train.py")
    return parser


if __name__ == "__main__":
    parser = setup_parser()
    train(args_util.read_config_from_file(parser.parse_args(), parser))
