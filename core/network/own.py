"""A network of a person's own, held so that the engine can train, save and draw from it like the U-Net."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.errors import UserError
from core.network.unet import UNet


@dataclass(frozen=True)
class OwnShape:
    """What makes such a network: its name in the table, and what its function is told."""

    own: str
    image_size: int
    channels: int
    classes: int
    width: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.image_size, self.width or self.image_size


class OwnNetwork(nn.Module):
    """forward(x, t, labels) as the U-Net's: x (N, C, H, W), t (N,), labels (N,) or None, which the network's `forward` is told as
    index `classes` where it knows classes. Raises UserError for an output that is not like x."""

    def __init__(
        self,
        name: str,
        make: Callable[[tuple[int, int], int, int], nn.Module],
        size: tuple[int, int],
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.config = OwnShape(name, size[0], channels, classes, size[1] if size[1] != size[0] else 0)
        self.null_label = classes
        own = make(size, channels, classes)
        if not isinstance(own, nn.Module):
            raise UserError(f"network '{name}' is made as a {type(own).__name__}; its function returns a torch module")
        self.own = own

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        if labels is None and self.config.classes:
            labels = torch.full_like(t, self.null_label)
        output = self.own(x.contiguous(), t, labels if self.config.classes else None)
        if not isinstance(output, Tensor) or output.shape != x.shape:
            said = f"a tensor {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
            raise UserError(f"network '{self.config.own}' makes {said} of x_t {tuple(x.shape)}; its output is like x_t")
        return output

    def plain_parameters(self) -> list[Tensor]:
        """Those that Muon leaves to AdamW: embeddings, and whatever module comes last."""
        embeddings = [p for module in self.modules() if isinstance(module, nn.Embedding) for p in module.parameters()]
        *_, last = (module for module in self.modules() if list(module.parameters(recurse=False)))
        return [*embeddings, *last.parameters(recurse=False)]


AnyNetwork = UNet | OwnNetwork
"""What the engine trains and draws from."""
