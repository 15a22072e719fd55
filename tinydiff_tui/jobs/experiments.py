"""What the lessons compute, with the real engine: each a generator of scenes that ends in its outcome.

Import it once torch is there. Digits are of the glyphs, drawn anew, so that no model was trained on them; the model is the one
that comes with the program.
"""

import contextlib
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core import images
from core.compute.device import choose_compute
from core.compute.seeds import SampleNoise
from core.config import SampleConfig, TrainConfig
from core.data.glyphs import make_glyphs
from core.diffusion.generate import BatchFrame, generate
from core.diffusion.model import Model
from core.judge.copies import nearest
from core.runs.embedded import embedded_model
from core.training.aside import HeldOutLoss
from tinydiff_tui.jobs.lessons import LESSONS, Line, Outcome, Scene
from tinydiff_tui.jobs.noising import Noising, diffusion, tables
from tinydiff_tui.jobs.sampling import model_of
from tinydiff_tui.jobs.series import Row, kept, spread
from tinydiff_tui.jobs.training import Training, TrainView
from tinydiff_tui.terminal.cells import Pixels

TIMES = (0, 100, 200, 400, 600, 800, 900, 999)
CLASSES = 10
SHAPE = (1, 28, 28)
COUNTS = (1, 4, 16, 64)
"""Noises that are averaged."""
LITTLE = 0.01
GRID = (*range(0, 999, 111), 999)
"""Values of t at which the network's error is measured, three parts of each third."""
MEASURED = 32
"""Digits that it is measured on."""
TRAINED: dict[str, object] = {"model": "fast", "budget": "45s"}
LOOK = 10  # steps between two scenes of it
EVALUATIONS = 16
SCALES = (0.0, 1.0, 2.0, 4.0, 8.0)
OF_A_CLASS = 10
SPENT, MANY = (1, 2, 4, 8, 16), 50
_REAL = 2000  # glyphs that pictures are compared with


def digits(seed: int, count: int) -> tuple[Tensor, Tensor]:
    """(images uint8 (count, 28, 28, 1), labels (count,)) that no training has seen."""
    return make_glyphs(count, 1_000 + seed)


def the_model() -> Model:
    """The model that comes with the program."""
    return model_of(embedded_model())


def power(x: Tensor) -> float:
    """Mean square of the values."""
    return float(x.double().square().mean())


def nearest_to(value: float, choices: Sequence[float]) -> int:
    """Which of some positive numbers a value is nearest to, as a ratio."""
    return min(range(len(choices)), key=lambda k: abs(math.log(max(value, 1e-9) / choices[k])))


def _line(y: Sequence[float], x: Sequence[float], colour: str, name: str) -> Line:
    return Line(np.array(x[: len(y)], dtype=np.float64), np.array(y, dtype=np.float64), colour, name)


def _noises(seed: int) -> Tensor:
    return SampleNoise(seed, 0, COUNTS[-1], SHAPE, torch.device("cpu"))()


# --- 1: what noise is


def noise_before(seed: int) -> Iterator[Scene]:
    """Four noises."""
    yield _averages(_noises(seed), 0)


def noise(seed: int) -> Iterator[Scene | Outcome]:
    """The mean of 1, 4, 16 and 64 noises; independent ones of strength 1 leave 1 / sqrt(n)."""
    noises = _noises(seed)
    for shown in range(1, len(COUNTS) + 1):
        scene = _averages(noises, shown)
        yield scene
    left = float(noises.mean(0).double().std(correction=0))
    said = f"what is left of 64 noises has strength {left:.3f}; 1/√64 = {1 / 8:.3f}. Noises know nothing of each other."
    yield Outcome(scene, nearest_to(left, (1, 1 / 2, 1 / 8, 1 / 64)), said, {"left": left})


def _averages(noises: Tensor, shown: int) -> Scene:
    """Single noises above the mean of as many as were averaged so far."""
    rows, pictures = [("ε, one each", "epsilon")], [images.to_uint8(noises[: len(COUNTS)] / 2)]
    curves: tuple[Line, ...] = ()
    if shown:
        means = torch.stack([noises[:count].mean(0) for count in COUNTS[:shown]] + [torch.zeros(SHAPE)] * (len(COUNTS) - shown))
        rows.append(("mean of n", "x-t"))
        pictures.append(images.to_uint8(means / 2))
        strength = [float(noises[:n].mean(0).double().std(correction=0)) for n in range(1, COUNTS[shown - 1] + 1)]
        numbers = range(1, len(strength) + 1)
        law = _line([1 / math.sqrt(n) for n in numbers], numbers, "raw", "1/√n")
        curves = (law, _line(strength, numbers, "epsilon", "strength"))
    headings = tuple(f"n = {count}" for count in COUNTS)
    return Scene(tuple(rows), np.stack(pictures), headings, curves, "noises", "strength of the mean")


# --- 2: the forward process


def _noised(seed: int) -> Noising:
    return Noising(digits(seed, 1)[0][0].numpy(), seed, 0)


def forward_before(seed: int) -> Iterator[Scene]:
    """x_t on its way to noise."""
    noising = _noised(seed)
    yield _way(noising, [("x_t", "x-t", noising.film_at("linear", TIMES))])


def forward(seed: int) -> Iterator[Scene | Outcome]:
    """The noise taken away again, at every t."""
    noising = _noised(seed)
    schedule = diffusion("linear").schedule
    x_t = torch.cat([noising.x_t("linear", t) for t in TIMES])
    a, s = schedule.coefficients(torch.tensor(TIMES), x_t)
    rows = [("x_t", "x-t", images.to_uint8(x_t)), ("s·ε", "epsilon", images.to_uint8(s * noising.noise))]
    yield _way(noising, rows)
    back = (x_t - s * noising.noise) / a
    scene = _way(noising, [*rows, ("(x_t−s·ε)/a", "x0", images.to_uint8(back))])
    yield scene
    x0 = noising.x0
    blurred = torch.nn.functional.avg_pool2d(x0, 5, stride=1, padding=2, count_include_pad=False)
    errors = [power(back[-1:] - other) for other in (x0, blurred, noising.noise, torch.zeros_like(x0))]
    right = min(range(4), key=errors.__getitem__)
    off = float((back[-1:] - x0).abs().max())
    said = (
        f"at t = 999 it differs from x₀ by {off:.0e} at most, with a = {float(a[-1]):.4f}. Who knows ε knows x₀: a network can "
        "learn to say either."
    )
    yield Outcome(scene, right, said, {"off": off})


def _way(noising: Noising, rows: Sequence[tuple[str, str, Pixels]]) -> Scene:
    path = diffusion("linear").schedule
    t = np.arange(path.timesteps, dtype=np.float64)
    curves = (Line(t, path.a.numpy(), "x0", "a"), Line(t, path.s.numpy(), "epsilon", "s"))
    names, pictures = tuple((name, colour) for name, colour, _ in rows), np.stack([row[2] for row in rows])
    return Scene(names, pictures, _at(TIMES), curves, "t", "the two weights, linear schedule")


def _at(times: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"t={t}" for t in times)


# --- 3: schedules


def schedules_before(seed: int) -> Iterator[Scene]:
    """The same digit and noise on every schedule."""
    yield _paths(_noised(seed), len(_names()))


def schedules(seed: int) -> Iterator[Scene | Outcome]:
    """Steps with little of the image left, schedule by schedule."""
    noising, names = _noised(seed), _names()
    spent = []
    for number, name in enumerate(names, start=1):
        spent.append(int((tables(name)[0] < LITTLE).sum()))
        scene = _paths(noising, len(names), number)
        yield scene
    counted = ", ".join(f"{name} {steps}" for name, steps in zip(names, spent, strict=True))
    said = f"steps with ᾱ < 0.01: {counted}. There a network learns little about any image, and training there is wasted."
    yield Outcome(scene, spent.index(min(spent)), said, dict(zip(names, map(float, spent), strict=True)))


def _names() -> tuple[str, ...]:
    return next(lesson.choices for lesson in LESSONS if lesson.name == "schedules")


def _paths(noising: Noising, shown: int, counted: int = 0) -> Scene:
    """The film of each schedule; the curves of those that were counted, from above to where nothing is left."""
    colours = ("x0", "x-t", "x0-hat", "epsilon")
    names = _names()[:shown]
    t = np.arange(diffusion(names[0]).schedule.timesteps, dtype=np.float64)
    curves = [Line(t, tables(name)[0], colour, name) for name, colour in zip(names[:counted], colours, strict=False)]
    if curves:
        curves.append(Line(t, np.full_like(t, LITTLE), "raw", "1 %"))
    pictures = np.stack([noising.film_at(name, TIMES) for name in names])
    rows = tuple((name, colour) for name, colour in zip(names, colours, strict=False))
    return Scene(rows, pictures, _at(TIMES), tuple(curves), "t", "ᾱ, the share of the image's power")


# --- 4: what the network predicts


def prediction_before(seed: int) -> Iterator[Scene]:
    """What the network is shown."""
    clean, noise, _ = _shown(seed)
    x_t = torch.cat([the_model().diffusion.q_sample(clean[:1], torch.tensor([t]), noise[:1]) for t in TIMES])
    yield Scene((("x_t", "x-t"),), images.to_uint8(x_t)[None], _at(TIMES))


def _shown(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """(x_0, epsilon, labels) of the digits that are measured."""
    pictures, labels = digits(seed, MEASURED)
    return images.to_float(pictures), SampleNoise(seed, 0, MEASURED, SHAPE, torch.device("cpu"))(), labels


def prediction(seed: int) -> Iterator[Scene | Outcome]:
    """The x_0 that the network predicts, of digits it has never seen, and its mean squared error at ten values of t."""
    model, compute = the_model(), choose_compute()
    clean, noise, _ = _shown(seed)
    denoise = model.diffusion.denoiser(model.network)
    errors: list[float] = []
    seen: list[tuple[Tensor, Tensor]] = []
    scene = None
    for t in GRID:
        x_t = model.diffusion.q_sample(clean, torch.full((MEASURED,), t), noise)
        with torch.inference_mode(), compute.autocast():
            predicted = denoise(x_t.to(compute.device), t).x0.float().cpu()
        errors.append(power(predicted - clean))
        seen.append((x_t[:1], predicted[:1]))
        blank = [torch.zeros_like(clean[:1])] * (len(GRID) - len(seen))
        rows = [torch.cat([pair[k] for pair in seen] + blank) for k in range(2)]
        pictures = np.stack([*map(images.to_uint8, rows), images.to_uint8(clean[:1]).repeat(len(GRID), axis=0)])
        names = (("x_t", "x-t"), ("predicted x̂₀", "x0-hat"), ("x₀", "x0"))
        curve = _line(errors, GRID, "x0-hat", "error")
        scene = Scene(names, pictures, _at(GRID), (curve,), "t", "mean squared error of x̂₀", f"{len(errors)} of {len(GRID)}")
        yield scene
    assert scene is not None
    grown = [errors[3 * k + 3] - errors[3 * k] for k in range(3)]
    right = grown.index(max(grown))
    said = (
        f"the error grows by {grown[0]:.3f}, {grown[1]:.3f} and {grown[2]:.3f}, to {errors[-1]:.2f} at t = 999. Where x_t says "
        "nothing, the best answer is the mean of all digits: blurred, and right on average."
    )
    yield Outcome(scene, right, said, {f"third {k + 1}": value for k, value in enumerate(grown)})


# --- 5: training


def training_before(seed: int) -> Iterator[Scene]:
    """Digits to learn from."""
    yield Scene((("real digits", "x0"),), digits(seed, CLASSES)[0].numpy()[None], tuple("" for _ in range(CLASSES)))


def training(seed: int) -> Iterator[Scene | Outcome]:
    """A real training, in a folder that is gone afterwards; its loss beside what the pictures of the same noises become."""
    real = make_glyphs(_REAL, 0)[0]
    with tempfile.TemporaryDirectory(prefix="tinydiff-lesson-") as folder:
        values: dict[str, object] = {"dataset": "glyphs", "sample_interval": 0, "save_interval": 0, "seed": seed, **TRAINED}
        config = TrainConfig.of(**values, output_dir=str(Path(folder) / "run"))
        run = Training(config)
        bottom = _best_loss(config)
        event = None
        with contextlib.closing(iter(run)) as events:
            for number, event in enumerate(events):
                if number % LOOK == 0 and len((view := run.snapshot(event)).losses.x):
                    yield _progress(view, bottom)
        view = run.snapshot(event)
        assert run.trainer is not None
        drawn = images.to_uint8(run.trainer.aside.drawn(run.trainer.model()).images)  # as it is at the end, too
        view = replace(view, rows=kept(view.rows, Row(view.step, view.seconds, drawn)))
    half, end = losses_of(view.losses.y)
    fall = 1 - end / half
    middle = min(view.rows, key=lambda row: abs(row.step - view.step / 2))
    away = [float(torch.cat([b.distance for b in nearest(row.pictures, real)]).mean()) for row in (middle, view.rows[-1])]
    right = min(range(3), key=lambda k: abs((0.5, 0.25, 0.05)[k] - fall))
    said = (
        f"the loss fell by {fall:.0%}, from {half:.3f} to {end:.3f}; the pictures came from {away[0]:.0f} to {away[1]:.0f} "
        f"levels of grey from the nearest real one. After twelve minutes it still is {bottom:.3f}: what cannot be known stays."
    )
    yield Outcome(_progress(view, bottom), right, said, {"half": half, "end": end, "fall": fall})


def losses_of(losses: "np.ndarray") -> tuple[float, float]:
    """Mean loss of a tenth of the training at its middle, and of the last tenth."""
    tenth = max(1, len(losses) // 10)
    middle = len(losses) // 2
    return float(losses[middle - tenth // 2 : middle - tenth // 2 + tenth].mean()), float(losses[-tenth:].mean())


def _best_loss(config: TrainConfig) -> float:
    """The loss of the model that comes with the program on images held out, as the training draws t."""
    model = the_model()
    pictures, labels = make_glyphs(500, 1)
    from core.data.datasets import ImageSet

    compute = choose_compute()
    held = HeldOutLoss(model.config, ImageSet("glyphs", pictures, labels, model.classes), model.diffusion, compute.device)
    return held.measure(model.network, compute)[0]


def _progress(view: TrainView, bottom: float) -> Scene:
    rows = spread(view.rows, 6)
    pictures = np.stack([row.pictures for row in rows])
    curves = (
        Line(np.array([0.0, max(view.step, 1)]), np.array([bottom, bottom]), "held", "12 min"),
        Line(view.losses.x, view.losses.y, "loss", "loss"),
    )
    left = f"step {view.step:,} of {view.total_steps:,}"
    names = tuple((f"step {row.step:,}", "x0-hat") for row in rows)
    headings = tuple(view.classes[: pictures.shape[1]])
    return Scene(names, pictures, headings, curves, "step", "loss", left)


# --- 6: sampling step by step


def _drawing(options: SampleConfig) -> Iterator[BatchFrame]:
    return generate(the_model(), options, choose_compute())


def sampling_before(seed: int) -> Iterator[Scene]:
    """The noises that it starts from."""
    noises = SampleNoise(seed, 0, CLASSES, SHAPE, torch.device("cpu"))()
    yield Scene((("pure noise", "x-t"),), images.to_uint8(noises)[None], tuple(map(str, range(CLASSES))))


def sampling(seed: int) -> Iterator[Scene | Outcome]:
    """x_t and the predicted x_0 of ten noises, evaluation by evaluation, and how far each is from the end."""
    options = SampleConfig(num_images=CLASSES, sampler="euler", steps=EVALUATIONS, seed=seed)
    frames: list[tuple[Tensor, Tensor]] = []
    scene = None
    for batch in _drawing(options):
        frames.append((batch.frame.x.float().cpu(), batch.frame.x0.float().cpu()))
        rows = np.stack([images.to_uint8(part) for part in frames[-1]])
        progress = f"{batch.done} of {batch.evaluations} evaluations"
        names = (("x_t", "x-t"), ("predicted x̂₀", "x0-hat"))
        scene = Scene(names, rows, tuple(map(str, range(CLASSES))), (), "evaluation", "way that is left", progress)
        yield scene
    assert scene is not None
    final = frames[-1][0]
    left = [[power(part - final) for part in parts] for parts in zip(*frames[:-1], strict=True)]
    shares = [[value / max(values[0], 1e-12) for value in values] + [0.0] for values in left]
    numbers = range(1, len(shares[0]) + 1)
    curves = (_line(shares[0], numbers, "x-t", "x_t"), _line(shares[1], numbers, "x0-hat", "x̂₀"))
    needed = next(k for k, share in enumerate(shares[1], start=1) if share < 0.1)
    right = min(range(4), key=lambda k: abs(needed - (4, 8, 12, 16)[k]))
    said = (
        f"after {needed} of {EVALUATIONS} evaluations x̂₀ has less than a tenth of its way left. First the network says where the "
        "digit stands, then its strokes; the last steps only clean up."
    )
    yield Outcome(replace(scene, curves=curves, progress=""), right, said, {"needed": needed})


# --- 7: guidance


def _guided(seed: int, scale: float) -> SampleConfig:
    """Pictures of one class, of the same noises at every scale."""
    return SampleConfig(num_images=OF_A_CLASS, seed=seed, label=seed % CLASSES, guidance_scale=scale, guidance_interval="all",
                        sampler="unipc", steps=6)  # fmt: skip


def guidance_before(seed: int) -> Iterator[Scene]:
    """Without guidance, asked for one class."""
    *_, last = _drawing(_guided(seed, 1.0))
    yield Scene((("guidance 1", "x0-hat"),), images.to_uint8(last.frame.x)[None], ())


def guidance(seed: int) -> Iterator[Scene | Outcome]:
    """The same noises at growing guidance: the share of the right class, by the nearest real digit, differences and contrast."""
    real, labels = make_glyphs(_REAL, 0)
    rows: list[Pixels] = []
    measures: list[tuple[float, float, float]] = []
    scene = None
    for scale in SCALES:
        *_, last = _drawing(_guided(seed, scale))
        x = last.frame.x.float().cpu().clamp(-1, 1)
        rows.append(images.to_uint8(x))
        whose = labels[torch.cat([block.index[:, 0] for block in nearest(rows[-1], real)])]
        measures.append((float((whose == seed % CLASSES).double().mean()), differences(x), float(x.std())))
        names = tuple((f"guidance {s:g}", "x0-hat") for s in SCALES[: len(rows)])
        curves = tuple(
            _line([m[k] for m in measures], SCALES, colour, name)
            for k, (name, colour) in enumerate((("right class", "x0"), ("differences", "epsilon"), ("contrast", "x-t")))
        )
        scene = Scene(names, np.stack(rows), (), curves, "guidance", "share of the right class, differences, contrast")
        yield scene
    assert scene is not None
    one, most = measures[SCALES.index(1.0)], measures[-1]
    grown = [after / max(before, 1e-9) for before, after in zip(one, most, strict=True)]
    right = grown.index(max(grown)) if max(grown) > 1.05 else 3
    said = (
        f"from 1 to 8: right class {one[0]:.0%} → {most[0]:.0%}, differences {one[1]:.2f} → {most[1]:.2f}, contrast {one[2]:.2f} "
        f"→ {most[2]:.2f}. Guidance goes on past what the class asks for: first it gets clear, then strokes grow thick and hard."
    )
    yield Outcome(scene, right, said, dict(zip(("class", "differences", "contrast"), grown, strict=True)))


def differences(x: Tensor) -> float:
    """Mean distance, per pixel, between any two of some pictures (N, C, H, W)."""
    return float(torch.pdist(x.flatten(1).double()).mean()) / math.sqrt(x[0].numel())


# --- 8: few steps


def steps_before(seed: int) -> Iterator[Scene]:
    """One evaluation."""
    *_, last = _drawing(_spending(seed, 1))
    yield Scene((("1 step", "x0-hat"),), images.to_uint8(last.frame.x)[None], tuple(map(str, range(CLASSES))))


def _spending(seed: int, evaluations: int) -> SampleConfig:
    return SampleConfig(num_images=CLASSES, seed=seed, sampler="unipc", steps=evaluations)


def steps(seed: int) -> Iterator[Scene | Outcome]:
    """The same noises with more and more evaluations, and how far the pictures are from those of 50."""
    drawn: list[Tensor] = []
    scene = None
    spent = (*SPENT, MANY)
    for evaluations in spent:
        *_, last = _drawing(_spending(seed, evaluations))
        drawn.append(last.frame.x.float().cpu())
        names = tuple((f"{n} step{'s' * (n > 1)}", "x0-hat") for n in spent[: len(drawn)])
        pictures = np.stack([images.to_uint8(x) for x in drawn])
        scene = Scene(names, pictures, tuple(map(str, range(CLASSES))), progress=f"{len(drawn)} of {len(spent)}")
        yield scene
    assert scene is not None
    off = [power(x - drawn[-1]) / power(drawn[-1]) for x in drawn[:-1]]
    curve = _line(off, [math.log2(n) for n in SPENT], "x0-hat", "difference")
    needed = next((n for n, value in zip(SPENT, off, strict=True) if value < 0.05), SPENT[-1])
    right = (2, 4, 8, 16).index(max(needed, 2))
    far = ", ".join(f"{n}: {value:.1%}" for n, value in zip(SPENT, off, strict=True))
    said = f"difference to 50 evaluations, of their power: {far}. From {needed} on it is below 5 %: a good sampler spends few."
    scene = Scene(scene.rows, scene.pictures, scene.headings, (curve,), "log₂ of evaluations", "difference to 50 evaluations")
    yield Outcome(scene, right, said, {str(n): value for n, value in zip(SPENT, off, strict=True)})
