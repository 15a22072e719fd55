"""The mathematics: noise schedules, the forward process and its loss, samplers, and drawing images with them."""

from core.diffusion.process import Denoise, Diffusion, Prediction

__all__ = ["Denoise", "Diffusion", "Prediction"]
