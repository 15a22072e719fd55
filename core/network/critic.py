"""Who tells a teacher's student how its pictures differ from real ones."""

from torch import Tensor, nn

WIDTH = 32
LEAST_SIDE = 4  # of what is halved once more


class Critic(nn.Module):
    """A small convolutional critic that is told the class by projection (Miyato & Koyama 2018).

    forward(x, labels): x (N, C, H, W) in [-1, 1], labels (N,) integers up to `classes`, which stands for none -> (N,), larger for
    what looks more real.
    """

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, WIDTH, 4 if min(size) > 1 else 3, 2, 1), nn.LeakyReLU(0.2)]
        width, side = WIDTH, min(size) // 2
        for outputs, stride in ((2 * WIDTH, 2), (2 * WIDTH, 1), (4 * WIDTH, 2)):
            if side >= LEAST_SIDE or stride == 1:
                kernel = 4 if stride == 2 else 3
                layers += [nn.Conv2d(width, outputs, kernel, stride, 1), nn.GroupNorm(8, outputs), nn.LeakyReLU(0.2)]
                width, side = outputs, side // stride
        self.body = nn.Sequential(*layers)
        self.out = nn.Linear(width, 1)
        self.label = nn.Embedding(classes + 1, width)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        h = self.body(x).mean((2, 3)) * 3
        return self.out(h)[:, 0] + (self.label(labels) * h).sum(1) * h.shape[1] ** -0.5  # type: ignore[no-any-return]


def steepness(critic: Critic, x: Tensor, labels: Tensor, shifts: Tensor, looks: Tensor) -> Tensor:
    """A scalar: how much the critic's word of x, `looks`, changes with `shifts` of its pixels (like x, small), squared, for a
    shift of one a pixel: about the squared norm of its gradient.

    A penalty on it keeps the critic smooth (R1 and R2, by finite differences as in Lin et al. 2025, "approximated R1").
    """
    change: Tensor = critic(x + shifts, labels) - looks
    return change.square().mean() / shifts.square().mean()
