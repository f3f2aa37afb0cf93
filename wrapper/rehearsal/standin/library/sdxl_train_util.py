"""Saving and sampling, through the functions that upstream has for them."""

from library import sdxl_model_util, train_util
from library.sdxl_lpw_stable_diffusion import SdxlStableDiffusionLongPromptWeightingPipeline


def sample_images(accelerator, args, epoch, steps, device, vae, tokenizer, text_encoder, unet):
    """Make sample pictures if this is the step for them."""
    return train_util.sample_images_common(
        SdxlStableDiffusionLongPromptWeightingPipeline,
        *(accelerator, args, epoch, steps, vae, text_encoder, unet),
    )


def save_sd_model_on_epoch_end_or_stepwise(
    args, on_epoch_end, accelerator, epoch, num_train_epochs, global_step, models, save_dtype
):
    """Save the models in between, if this is the moment; then the state, if asked for."""
    text_encoder1, text_encoder2, vae, unet, logit_scale = models

    def sd_saver(ckpt_file, epoch_no, global_step):
        sdxl_model_util.save_stable_diffusion_checkpoint(
            *(ckpt_file, text_encoder1, text_encoder2, unet, epoch_no, global_step, None, vae),
            *(logit_scale, None, save_dtype),
        )

    def diffusers_saver(out_dir):
        sdxl_model_util.save_diffusers_checkpoint(
            out_dir, text_encoder1, text_encoder2, unet, None, vae
        )

    train_util.save_sd_model_on_epoch_end_or_stepwise_common(
        *(args, on_epoch_end, accelerator, epoch, num_train_epochs, global_step),
        *(sd_saver, diffusers_saver),
    )


def save_sd_model_on_train_end(args, epoch, global_step, models, save_dtype):
    """Save the models at the end."""
    text_encoder1, text_encoder2, vae, unet, logit_scale = models

    def sd_saver(ckpt_file, epoch_no, global_step):
        sdxl_model_util.save_stable_diffusion_checkpoint(
            *(ckpt_file, text_encoder1, text_encoder2, unet, epoch_no, global_step, None, vae),
            *(logit_scale, None, save_dtype),
        )

    def diffusers_saver(out_dir):
        sdxl_model_util.save_diffusers_checkpoint(
            out_dir, text_encoder1, text_encoder2, unet, None, vae
        )

    train_util.save_sd_model_on_train_end_common(
        args, epoch, global_step, sd_saver, diffusers_saver
    )
