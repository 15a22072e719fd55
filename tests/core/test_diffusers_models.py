"""Models that diffusers saved: drawn by our samplers as by its own pipeline, and every folder that lies is one sentence."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.compute.device import choose_compute
from core.compute.seeds import generator_for
from core.config import SampleConfig
from core.data.datasets import open_split
from core.data.glyphs import make_glyphs
from core.diffusion.generate import generate, source_pictures
from core.errors import UserError
from core.images import to_float
from core.runs.checkpoint import export_safetensors, load_model
from core.runs.models import find_pipelines, is_pipeline, modified, require_model, run_of
from tests.conftest import UNET

diffusers = pytest.importorskip("diffusers")
pytestmark = pytest.mark.peer

TOLERANCE = 1e-4
SEED, COUNT = 3, 4


@pytest.fixture(scope="module")
def networks() -> Callable[..., Any]:
    """networks(learned, **shape): a UNet2DModel for pictures of side 8, after a few steps or none; each made once."""
    made: dict[str, Any] = {}

    def get(learned: bool = False, **shape: Any) -> Any:
        key = json.dumps([learned, shape])
        if key not in made:
            torch.manual_seed(0)
            network = diffusers.UNet2DModel(**(UNET | shape))
            made[key] = learn(network) if learned else network.eval()
        return made[key]

    return get


def learn(network: Any) -> Any:
    """The network after a few steps of predicting epsilon of glyphs: then not all that it draws is black or white."""
    scheduler = diffusers.DDPMScheduler()
    images = torch.nn.functional.avg_pool2d(to_float(make_glyphs(8, seed=0)[0]), 4)
    images = torch.nn.functional.pad(images, (0, 1, 0, 1), value=-1)
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    for _ in range(20):
        noise, t = torch.randn(images.shape), torch.randint(1000, (8,))
        (network(scheduler.add_noise(images, noise, t), t).sample - noise).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return network.eval()


@pytest.fixture
def saved(tmp_path: Path, networks: Callable[..., Any]) -> Callable[..., Path]:
    """saved(scheduler, learned, **shape): a folder as `save_pretrained` of the pipeline leaves it."""

    def save(scheduler: Any = None, learned: bool = False, **shape: Any) -> Path:
        scheduler = scheduler or diffusers.DDPMScheduler()
        folder = tmp_path / "model"
        pipeline = diffusers.DDPMPipeline if isinstance(scheduler, diffusers.DDPMScheduler) else diffusers.DDIMPipeline
        pipeline(networks(learned, **shape), scheduler).save_pretrained(folder)
        return folder

    return save


def drawn(folder: Path, **options: Any) -> Tensor:
    """What `sample` draws, (COUNT, C, H, W) in [-1, 1]."""
    *_, last = generate(load_model(folder), SampleConfig(num_images=COUNT, seed=SEED, **options), choose_compute("cpu", "fp32"))
    return last.frame.x.clamp(-1, 1)


def by_pipeline(folder: Path, steps: int, **scheduler: Any) -> Tensor:
    """What its DDIMPipeline draws of the same noise, whose generators are ours: as drawn().

    It is given what is fixed in our ddim: epsilon follows from the clamped x_0 (use_clipped_model_output), and the last step goes
    to alpha_bar = 1 (set_alpha_to_one). `scheduler`: how its timesteps are spread, where that is not as it was saved.
    """
    pipeline = diffusers.DDIMPipeline.from_pretrained(folder)
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config, set_alpha_to_one=True, **scheduler)
    pipeline.set_progress_bar_config(disable=True)
    generators = [generator_for("cpu", SEED, "image", k) for k in range(COUNT)]
    shown = pipeline(
        batch_size=COUNT, generator=generators, num_inference_steps=steps, use_clipped_model_output=True, output_type="np"
    ).images
    return torch.from_numpy(shown).permute(0, 3, 1, 2) * 2 - 1


SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "as saved by its training script": ("DDPMScheduler", {}),
    "x0": ("DDPMScheduler", {"prediction_type": "sample"}),
    "v": ("DDIMScheduler", {"prediction_type": "v_prediction"}),
    "scaled linear": ("DDIMScheduler", {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}),
    "cosine": ("DDPMScheduler", {"beta_schedule": "squaredcos_cap_v2"}),
    "not clamped": ("DDIMScheduler", {"prediction_type": "v_prediction", "clip_sample": False}),
    "clamped wider": ("DDIMScheduler", {"clip_sample_range": 1.5}),
    "pure noise at its end": ("DDIMScheduler", {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}),
    "betas of its own": (
        "DDPMScheduler",
        {"trained_betas": torch.linspace(1e-4, 0.06, 400).tolist(), "num_train_timesteps": 400},
    ),
}


@pytest.mark.parametrize(("kind", "settings"), SCHEDULERS.values(), ids=SCHEDULERS)
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_our_ddim_draws_what_its_pipeline_draws(
    saved: Callable[..., Path], kind: str, settings: dict[str, Any], spacing: str
) -> None:
    folder = saved(getattr(diffusers, kind)(**settings), learned="prediction_type" not in settings)
    ours = drawn(folder, sampler="ddim", steps=20, spacing=spacing)
    theirs = by_pipeline(folder, 20, timestep_spacing=spacing)
    assert (ours - theirs).abs().max() < TOLERANCE
    assert (ours.abs() < 0.99).float().mean() > 0.1, "pictures of black and white alone would say little"


def test_the_schedule_is_the_schedulers_own_table(saved: Callable[..., Path]) -> None:
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=300, beta_schedule="squaredcos_cap_v2")
    model = load_model(saved(scheduler))
    assert torch.equal(model.diffusion.schedule.alpha_bar.float(), scheduler.alphas_cumprod)
    assert (model.config.timesteps, model.config.schedule, model.config.objective) == (300, "squaredcos_cap_v2", "epsilon")
    noise, x0, t = torch.randn(3, 1, 8, 8), torch.rand(3, 1, 8, 8), torch.tensor([0, 150, 299])
    assert torch.allclose(model.diffusion.q_sample(x0, t, noise), scheduler.add_noise(x0, noise, t), atol=1e-6)


@pytest.mark.parametrize("sampler", ["ddpm", "euler", "heun", "dpmpp_2m", "unipc"])
def test_every_sampler_draws_from_it(saved: Callable[..., Path], sampler: str) -> None:
    x = drawn(saved(), sampler=sampler, steps=12)
    assert x.shape == (COUNT, 1, 8, 8) and bool(x.isfinite().all())


def test_colour_and_oblong_pictures(saved: Callable[..., Path]) -> None:
    folder = saved(in_channels=3, out_channels=3)
    shape = json.loads((folder / "unet" / "config.json").read_text()) | {"sample_size": [8, 12]}
    (folder / "unet" / "config.json").write_text(json.dumps(shape))
    assert load_model(folder).shape == (3, 8, 12)
    ours = drawn(folder, sampler="ddim", steps=4, spacing="leading")
    assert (ours - by_pipeline(folder, 4)).abs().max() < TOLERANCE


def test_a_network_that_is_told_the_class(saved: Callable[..., Path], networks: Callable[..., Any]) -> None:
    folder = saved(num_class_embeds=3)
    model = load_model(folder)
    assert (model.label_count, model.classes) == (3, ("class 0", "class 1", "class 2"))
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([5, 5])
    labels = torch.tensor([2, 0])
    assert torch.allclose(model.network(x, t, labels), networks(num_class_embeds=3)(x, t, labels).sample, atol=1e-6)
    assert not torch.equal(drawn(folder, label=0, steps=4), drawn(folder, label=2, steps=4))
    with pytest.raises(UserError, match="nothing that guidance could lead away from"):
        drawn(folder, guidance_scale=2.0)


def test_a_folder_as_it_once_was(saved: Callable[..., Path]) -> None:
    """All files beside one another, the parts of attentions by their old names, 16 bits: as models of 2022 lie on the hub."""
    folder = saved()
    expected = drawn(folder, sampler="ddim", steps=5)
    weights = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for new, name in old.items():
        weights = {key.replace(f".{new}.", f".{name}."): value for key, value in weights.items()}
    save_file({key: value.half() for key, value in weights.items()}, folder / "diffusion_pytorch_model.safetensors")
    (folder / "unet" / "config.json").rename(folder / "config.json")
    (folder / "scheduler" / "scheduler_config.json").rename(folder / "scheduler_config.json")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "unet").rmdir()
    (folder / "scheduler").rmdir()
    found = drawn(folder, sampler="ddim", steps=5)
    assert (found - expected).abs().mean() < 0.01  # 16 bits


def test_what_a_path_of_a_model_is(saved: Callable[..., Path], tiny_run: Path, tmp_path: Path) -> None:
    folder = saved()
    assert is_pipeline(folder) and not is_pipeline(tiny_run) and not is_pipeline(tmp_path / "nothing")
    assert find_pipelines(tmp_path) == [folder] and find_pipelines(folder) == [folder]
    assert run_of(folder) is None and run_of(tiny_run / "model_final.pt") == tiny_run
    require_model(folder)
    with pytest.raises(UserError, match="it is a folder, and no model of diffusers"):
        require_model(tiny_run)
    assert modified(folder) == max(file.stat().st_mtime_ns for file in folder.rglob("*.*"))


def test_it_says_not_what_it_was_trained_on(saved: Callable[..., Path], tmp_path: Path) -> None:
    folder = saved()
    model = load_model(folder)
    assert model.about == "UNet2DModel of diffusers"
    with pytest.raises(UserError, match="does not say which it was trained on"):
        open_split(model.config, "train")
    options = SampleConfig(num_images=2, start="image")
    with pytest.raises(UserError, match=r"does not say which it was trained on; .* with --data-dir"):
        source_pictures(model, options)
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    for k in range(20):
        Image.new("L", (30, 40), k).save(tmp_path / "pictures" / f"{k}.png")
    source = source_pictures(model, options, str(tmp_path / "pictures"))
    assert source is not None and source.images.shape == (2, 8, 8, 1)
    with pytest.raises(UserError, match="does not train or write"):
        export_safetensors(folder, tmp_path / "weights.safetensors")


# --- folders that lie


def network(**values: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "unet" / "config.json", values)


def scheduler(**values: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "scheduler" / "scheduler_config.json", values)


def index(**values: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "model_index.json", values)


def edit(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def weights(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        path = folder / "unet" / "diffusion_pytorch_model.safetensors"
        save_file(change(load_file(path)), path)

    return rewrite


def pickled(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")


def torn(folder: Path) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def swollen(folder: Path) -> None:
    with (folder / "unet" / "diffusion_pytorch_model.safetensors").open("r+b") as file:
        file.truncate(1 << 33)


LIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no scheduler": (lambda f: (f / "scheduler" / "scheduler_config.json").unlink(), r"scheduler_config.json cannot be read"),
    "no network": (lambda f: (f / "unet" / "config.json").unlink(), r"config.json cannot be read"),
    "no JSON": (lambda f: (f / "unet" / "config.json").write_text("{"), r"config.json cannot be read"),
    "deep JSON": (lambda f: (f / "unet" / "config.json").write_text("[" * 9999), r"config.json cannot be read"),
    "a list": (lambda f: (f / "unet" / "config.json").write_text("[]"), r"describes no part of a model"),
    "an index that is none": (lambda f: (f / "model_index.json").write_text("7"), r"describes no part of a model"),
    "no weights": (lambda f: (f / "unet" / "diffusion_pytorch_model.safetensors").unlink(), r"has no diffusion_pytorch_model"),
    "a pickle": (pickled, r"as a pickle alone, which could run code"),
    "torn weights": (torn, r"it is torn, or larger"),
    "a file of 8 GiB": (swollen, r"it is torn, or larger"),
    "a weight of another shape": (weights(lambda w: w | {"conv_in.bias": torch.zeros(17)}), r"are not those of the network"),
    "a weight too many": (weights(lambda w: w | {"more": torch.zeros(1)}), r"are not those of the network"),
    "a weight too few": (weights(lambda w: dict(list(w.items())[1:])), r"are not those of the network"),
    "no numbers": (weights(lambda w: w | {"conv_in.bias": torch.full((16,), torch.nan)}), r"are no finite numbers"),
    "whole numbers": (weights(lambda w: w | {"conv_in.bias": torch.zeros(16).int()}), r"are no finite numbers"),
    "another network": (network(_class_name="UNet2DConditionModel"), r"has the network 'UNet2DConditionModel'; only UNet2DModel"),
    "no class": (network(_class_name=["os", "system"]), r"has the network a list"),
    "a field of tomorrow": (network(sparkle=1), r"with 'sparkle', which the diffusers that is installed does not know"),
    "huge channels": (network(block_out_channels=[1 << 20, 1 << 20]), r"parameters; 268,435,456 are the most"),
    "channels beyond reason": (network(block_out_channels=[10**30, 32]), r"block_out_channels makes no sense"),
    "ten thousand levels": (network(block_out_channels=[16] * 10_000), r"block_out_channels makes no sense"),
    "ten thousand layers": (network(layers_per_block=10_000), r"layers_per_block makes no sense"),
    "layers that are no number": (network(layers_per_block="2"), r"layers_per_block makes no sense"),
    "channels that are words": (network(block_out_channels=["a", "b"]), r"describes does not work"),
    "channels that are a table": (network(block_out_channels={"a": 1}), r"block_out_channels makes no sense"),
    "groups that do not divide": (network(norm_num_groups=7), r"describes does not work"),
    "no groups": (network(norm_num_groups=0), r"describes does not work"),
    "no such block": (network(down_block_types=["os.system", "x"]), r"describes does not work"),
    "more blocks than levels": (network(down_block_types=["DownBlock2D"] * 3), r"describes does not work"),
    "a side that does not halve": (network(sample_size=7), r"describes does not work"),
    "no side": (network(sample_size=None), r"its sample_size is None"),
    "a huge side": (network(sample_size=100_000), r"its sample_size is 100000"),
    "latents": (network(in_channels=4, out_channels=4), r"makes 4 channels of 4"),
    "a learned variance": (network(out_channels=2), r"makes 2 channels of 1"),
    "channels that are true": (network(in_channels=True), r"makes 1 channels of True"),
    "embedded classes": (network(class_embed_type="timestep"), r"class_embed_type 'timestep', which cannot be opened"),
    "another embedding of time": (network(time_embedding_type="fourier"), r"time_embedding_type 'fourier'"),
    "another scheduler": (scheduler(_class_name="PNDMScheduler"), r"has the scheduler 'PNDMScheduler'; only DDPMScheduler and"),
    "a scheduler of one's own": (scheduler(_class_name={"a": 1}), r"has the scheduler a dict"),
    "another prediction": (scheduler(prediction_type="flow"), r"predicts 'flow'; only epsilon, sample, v_prediction"),
    "another schedule": (scheduler(beta_schedule="laplacian"), r"a noise schedule that diffusers does not make: 'laplacian'"),
    "endless timesteps": (scheduler(num_train_timesteps=10**12), r"num_train_timesteps makes no sense"),
    "betas above 1": (scheduler(beta_end=7.0), r"beta_end makes no sense"),
    "a beta that is none": (scheduler(beta_start=float("nan")), r"beta_start makes no sense"),
    "betas that do nothing": (scheduler(beta_start=0, beta_end=0), r"the linear schedule makes no sense"),
    "betas that are words": (scheduler(trained_betas=["a"]), r"trained_betas makes no sense"),
    "too few betas": (scheduler(trained_betas=[0.1, 0.2]), r"has 2 betas for 1,000 timesteps"),
    "thresholds": (scheduler(thresholding=True), r"asks for dynamic thresholding"),
    "a clamp to nothing": (scheduler(clip_sample_range=0), r"clip_sample_range makes no sense"),
    "a switch that is none": (scheduler(clip_sample="yes"), r"clip_sample makes no sense"),
    "epsilon of pure noise": (scheduler(rescale_betas_zero_snr=True), r"predicts epsilon where its schedule ends in pure noise"),
    "code of its own": (index(unet=["my_unet", "MyUNet"]), r"is no class of diffusers but code of its own"),
    "a part that is nothing": (index(scheduler=[]), r"is no class of diffusers but code of its own"),
    "latents and a text": (index(vqvae=["diffusers", "VQModel"]), r"more than a network and a scheduler \('vqvae'\)"),
    "a name with controls": (index(**{"a\x1b[2J": ["diffusers", "B"]}), r"more than a network and a scheduler"),
}  # fmt: skip


@pytest.mark.parametrize(("lie", "said"), LIES.values(), ids=LIES)
def test_a_folder_that_lies_is_one_sentence(saved: Callable[..., Path], lie: Callable[[Path], object], said: str) -> None:
    folder = saved()
    lie(folder)
    with pytest.raises(UserError, match=said) as refused:
        load_model(folder)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 1000


def test_without_the_package_it_is_one_sentence(saved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved()
    monkeypatch.setitem(sys.modules, "diffusers.utils", None)
    with pytest.raises(UserError, match=r"which is not installed; install it with pip install 'tinydiff-tui\[diffusers\]'"):
        load_model(folder)
