"""Training: the loop as an iterator of events, and everything that changes while it runs."""

from core.training.trainer import Trainer

__all__ = ["Trainer"]
