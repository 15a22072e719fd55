"""The Data mode: sets, pages, classes, zoom, folders, download."""

import gzip
import hashlib
import http.server
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from textual.pilot import Pilot
from textual.widgets import Input, Static

from tests.tui.modes import at_mode, until
from tinydiff_tui.jobs.data import bars, open_set, pixel_histogram
from tinydiff_tui.screens.data import DataScreen
from tinydiff_tui.widgets.data_side import SetAbout, SetList
from tinydiff_tui.widgets.pixel_grid import PixelGrid

pytestmark = pytest.mark.usefixtures("small_glyphs")


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_set.cache_clear()
    monkeypatch.setenv("TINYDIFF_DATA_DIR", str(tmp_path / "data"))


async def ready(pilot: Pilot[None], name: str = "glyphs") -> DataScreen:
    screen = pilot.app.screen
    assert isinstance(screen, DataScreen)
    await until(pilot, lambda: screen.opened is not None and screen.opened.name == name)
    await pilot.pause()
    return screen


def status(screen: DataScreen) -> str:
    return str(screen.query_one("#status", Static).visual)


async def test_a_page_of_the_embedded_set(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        grid = screen.query_one(PixelGrid)
        assert screen.opened is not None
        assert grid.shown == len(grid.images) >= 6
        assert np.array_equal(grid.images, screen.opened.images[: grid.shown])
        about = str(screen.query_one(SetAbout).visual)
        assert "96 images 28×28×1" in about
        assert "pixel values" in about


async def test_pages_turn_and_wrap(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        size = screen.query_one(PixelGrid).shown
        await pilot.press("right")
        assert screen.first == size
        await pilot.press("left", "left")
        assert screen.first == (96 - 1) // size * size
        await pilot.press("pagedown")
        assert screen.first == 0
        await pilot.press("pageup", "home")
        assert screen.first == 0


async def test_classes_filter(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        assert screen.opened is not None
        await pilot.press("c", "c")
        assert screen.label == 1
        assert (screen.opened.labels[screen.chosen] == 1).all()
        await pilot.press("C", "C", "C")
        assert screen.label == len(screen.opened.classes) - 1
        await pilot.press("c")
        assert screen.label is None


async def test_zoom_walks_over_images(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        assert screen.opened is not None
        await pilot.press("z", "right", "right")
        grid = screen.query_one(PixelGrid)
        assert np.array_equal(grid.images[0], screen.opened.images[2])
        assert grid.tiling.tile.look == "half"
        await pilot.press("left", "left", "left")
        assert np.array_equal(grid.images[0], screen.opened.images[-1])
        await pilot.press("escape")
        assert grid.shown > 1


async def test_a_folder_of_images(tmp_path: Path) -> None:
    for i in range(5):
        (tmp_path / "mine" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16), 50 * i).save(tmp_path / "mine" / "ab"[i % 2] / f"{i}.png")
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        await pilot.press("f")
        screen.query_one("#folder", Input).value = str(tmp_path / "mine")
        await pilot.press("enter")
        screen = await ready(pilot, f"folder:{tmp_path / 'mine'}")
        assert screen.opened is not None
        assert screen.opened.classes == ("a", "b")
        assert pilot.app.focused is screen.query_one(SetList)
        await pilot.press("f", "escape")
        assert not screen.has_class("-asking")


async def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        await pilot.press("f", *"/nowhere", "enter")
        await until(pilot, lambda: "there is no folder" in status(screen))
        assert screen.opened is not None
        assert screen.opened.name == "glyphs"


async def test_a_set_that_is_missing_or_torn_is_a_sentence(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        await pilot.press("down", "enter")
        await until(pilot, lambda: "mnist is not in" in status(screen))
        torn = tmp_path / "data" / "MNIST" / "raw" / "train-images-idx3-ubyte"
        torn.parent.mkdir(parents=True)
        torn.write_bytes(b"torn")
        await pilot.press("enter")
        await until(pilot, lambda: "cannot be read" in status(screen))


async def test_embedded_sets_need_no_download(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        await pilot.press("D")
        assert "needs no download" in status(screen)


class _Mirror(http.server.BaseHTTPRequestHandler):
    files: ClassVar[dict[str, bytes]] = {}
    hold = threading.Event()

    def do_GET(self) -> None:
        body = self.files[self.path.lstrip("/")]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.hold.wait(30)
        self.wfile.write(body[len(body) // 2 :])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Mirror]]:
    """A server with a whole MNIST of 20 images, that holds every file back in the middle until told."""
    from torchvision import datasets

    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8).tobytes()
    parts = {
        "images-idx3-ubyte": struct.pack(">IIII", 0x803, 20, 28, 28) + images,
        "labels-idx1-ubyte": struct.pack(">II", 0x801, 20) + bytes(i % 10 for i in range(20)),
    }
    files = {f"{s}-{p}.gz": gzip.compress(body, 0) for s in ("train", "t10k") for p, body in parts.items()}
    _Mirror.files, _Mirror.hold = files, threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Mirror)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    sums = [(name, hashlib.md5(body, usedforsecurity=False).hexdigest()) for name, body in files.items()]
    monkeypatch.setattr(datasets.MNIST, "resources", sums)
    yield _Mirror
    _Mirror.hold.set()
    server.shutdown()
    server.server_close()


async def test_download_shows_progress_and_opens_the_set(tmp_path: Path, mirror: type[_Mirror]) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        await pilot.press("down", "D")
        mirror.hold.set()
        screen = await ready(pilot, "mnist")
        assert screen.opened is not None
        assert len(screen.opened) == 20
        assert screen.query_one(SetList).infos[1].status == "on disk"


async def test_download_can_be_cancelled(tmp_path: Path, mirror: type[_Mirror]) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        await pilot.press("down", "D")
        await pilot.pause()
        await pilot.press("x")
        mirror.hold.set()
        await until(pilot, lambda: "cancelled" in status(screen))
        assert not list((tmp_path / "data").rglob("*.gz"))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_nothing_is_cut_off(tmp_path: Path, size: tuple[int, int]) -> None:
    async with at_mode("data", tmp_path, size=size) as pilot:
        screen = await ready(pilot)
        for widget in screen.query("PixelGrid, SetList, SetAbout, #page, #status").results():
            assert widget.region.height > 0
            assert screen.region.contains_region(widget.region)
        assert len(str(screen.query_one(SetAbout).visual).splitlines()) <= screen.query_one(SetAbout).size.height
        assert screen.query_one(PixelGrid).shown >= {80: 9, 120: 20, 200: 15}[size[0]]


def test_the_histogram_counts_every_pixel_once() -> None:
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert pixel_histogram(images, np.arange(1), 16) == [16] * 16
    assert sum(pixel_histogram(images, np.arange(1), 7)) == 256
    assert pixel_histogram(images, np.arange(0), 4) == [0] * 4
    assert bars([0, 1, 1000]) == " ▁█"
    assert bars([0, 0]) == "  "
