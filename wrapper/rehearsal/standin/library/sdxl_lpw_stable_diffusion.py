"""The pipeline that samples are drawn with."""

from library import train_util


class SdxlStableDiffusionLongPromptWeightingPipeline:
    """Makes a picture of a prompt: enough of a pipeline to be swapped in and out of."""

    def __init__(self, vae, text_encoder, unet):
        self.vae, self.text_encoder, self.unet = vae, text_encoder, unet

    def __call__(self, prompt, side=64):
        return train_util.denoise(self.vae, self.text_encoder, self.unet, prompt, side)
