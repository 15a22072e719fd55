"""The Data mode: sets, pages, classes, zoom, folders, download."""

import gzip
import hashlib
import http.server
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Input, Static

from core.names import DATASETS
from tests.tui.modes import at_mode, three_pictures, until
from tinydiff_tui.app.app import TinydiffApp
from tinydiff_tui.jobs.data import open_set, pixel_figures
from tinydiff_tui.screens.data import DataScreen
from tinydiff_tui.screens.noise import NoiseScreen
from tinydiff_tui.terminal.tiling import places
from tinydiff_tui.widgets.box import Box, Empty
from tinydiff_tui.widgets.data_side import ClassList, Histogram, SetList, bar_rows
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
    await until(pilot, lambda: screen.query_one("#page-box", Box).title != "" and bool(screen.query_one(ClassList).region.height))
    await pilot.pause()
    return screen


def grid(screen: DataScreen, name: str) -> PixelGrid:
    return screen.query_one(f"#{name}", PixelGrid)


def shows(screen: DataScreen, index: int) -> bool:
    """Whether the picture beside the page is this image of the set."""
    assert screen.opened is not None
    return np.array_equal(grid(screen, "picture").images[0], screen.opened.images[index])


def status(screen: DataScreen) -> str:
    return str(screen.query_one("#status", Static).visual)


async def test_a_page_of_the_embedded_set(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path, (120, 40)) as pilot:
        screen = await ready(pilot)
        gallery, opened = screen.browser.gallery, screen.opened
        assert opened is not None
        assert gallery.images is opened.images
        assert screen.query_one("#page-box", Box).title == f"glyphs · all · 1–{gallery.shown} of 96"
        assert gallery.shown >= 6
        text = "".join(gallery.render_line(y).text for y in range(gallery.size.height))
        for index in range(1, gallery.shown):
            assert f" {opened.class_name(index)} {index} " in f"{text} "
        assert shows(screen, 0)
        assert grid(screen, "picture").tiling.tile[1:] == (28, 14, (28, 28))  # exact
        assert screen.query_one("#picture-box", Box).title == f"{opened.class_name(0)} · image 0"
        assert f"mean {opened.images[0].mean():.1f}" in screen.query_one("#picture-box", Box).figures
        figures = screen.query_one("#pixel-box", Box)
        assert figures.title == f"Pixels · {opened.images.min()}–{opened.images.max()}"
        assert figures.figures == f"mean {opened.images.mean():.1f} · std {opened.images.std():.1f}"


async def test_the_cursor_walks_over_all_pages(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path, (120, 40)) as pilot:
        screen = await ready(pilot)
        gallery = screen.browser.gallery
        size, across = gallery.shown, gallery.tiling.across
        await pilot.press("right", "down")
        assert gallery.index == 1 + across
        assert shows(screen, 1 + across)
        await pilot.press("up", *["right"] * (size - 1))
        assert (gallery.first, gallery.index) == (size, size)
        assert f"{size + 1}–{2 * size} of 96" in screen.query_one("#page-box", Box).title
        await pilot.press("left", "left")
        assert (gallery.first, gallery.index) == (0, size - 2)
        await pilot.press("end")
        assert gallery.index == 95 and shows(screen, 95)
        await pilot.press("right", "down")
        assert gallery.index == 95
        await pilot.press("home", "left", "up")
        assert gallery.index == 0


async def test_pages_turn_and_wrap(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        gallery = screen.browser.gallery
        size = gallery.shown
        await pilot.press("right", "right_square_bracket")
        assert (gallery.first, gallery.index) == (size, size + 1)
        await pilot.press("left_square_bracket", "pageup")
        assert gallery.first == (96 - 1) // size * size
        await pilot.press("pagedown")
        assert (gallery.first, gallery.index) == (0, 1)


async def test_a_page_turned_before_another_class_is_laid_out(tmp_path: Path) -> None:
    """Where the page begins is that of what was shown before."""
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        gallery = screen.browser.gallery
        await pilot.press("end")
        gallery.display = False  # and so not laid out
        await pilot.pause()
        screen.browser.choose_class(1)
        gallery.turn(1)
        assert screen.opened is not None and gallery.index in screen.opened.of_class(1)
        gallery.turn(-1)
        assert gallery.index == screen.opened.of_class(1)[0]


async def test_classes_filter(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path, (120, 40)) as pilot:
        screen = await ready(pilot)
        browser, opened = screen.browser, screen.opened
        assert opened is not None
        await pilot.press("c", "c")
        assert browser.label == 1
        assert browser.gallery.chosen is not None
        assert (opened.labels[browser.gallery.chosen] == 1).all()
        assert browser.gallery.count == opened.counts()[1]
        assert browser.index == int(np.flatnonzero(opened.labels == 1)[0])
        assert f"· {opened.classes[1]} ·" in screen.query_one("#page-box", Box).title
        await pilot.press("C", "C", "C")
        assert browser.label == len(opened.classes) - 1
        await pilot.press("c")
        assert browser.label is None
        screen.query_one(ClassList).focus()
        await pilot.press("down", "down", "down")
        assert browser.label == 2
        assert (opened.labels[browser.gallery.chosen] == 2).all()


async def test_the_mouse_points_at_pictures_classes_and_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with at_mode("data", tmp_path, (120, 40)) as pilot:
        screen = await ready(pilot)
        browser, opened = screen.browser, screen.opened
        assert opened is not None
        gallery, every = browser.gallery, grid(screen, "every")
        x, y = places(gallery.tiling, gallery.shown)[4]
        await pilot.click("#images", offset=(x + 1, y + 1))
        assert gallery.index == 4 and shows(screen, 4)
        await pilot.click("#classes", offset=(4, 3))
        await until(pilot, lambda: browser.label == 2)
        x, y = places(every.tiling, 10)[7]
        await pilot.click("#every", offset=(x + 1, y + 1))
        assert browser.label == 7
        assert browser.index == browser.every[7]
        x, y = places(gallery.tiling, gallery.shown)[1]
        monkeypatch.setattr(TinydiffApp, "CLICK_CHAIN_TIME_THRESHOLD", 60)  # on a loaded machine too
        await pilot.click("#images", offset=(x + 1, y + 1), times=2)
        await until(pilot, lambda: pilot.app.current_mode == "noise")


async def test_one_of_every_class_and_then_others(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path, (120, 40)) as pilot:
        screen = await ready(pilot)
        browser, opened, every = screen.browser, screen.opened, grid(screen, "every")
        assert opened is not None
        assert opened.labels[browser.every].tolist() == list(range(10))
        assert every.tiling.classes == 10 and every.shown == 10
        first = list(browser.every)
        await pilot.press("n")
        assert opened.labels[browser.every].tolist() == list(range(10))
        assert not set(first) & set(browser.every)
        assert np.array_equal(every.images, opened.images[browser.every])


async def test_zoom_walks_over_images(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        assert not grid(screen, "picture").region
        await pilot.press("z", "right", "right")
        picture = grid(screen, "picture")
        assert shows(screen, 2)
        assert picture.tiling.tile[1:] == (28, 14, (28, 28))
        assert not grid(screen, "images").region
        await pilot.press("end")
        assert shows(screen, 95)
        await pilot.press("escape")
        await until(pilot, lambda: bool(grid(screen, "images").region))
        assert pilot.app.focused is grid(screen, "images")


async def test_a_low_screen_shows_the_other_boxes_by_a_key(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        assert not grid(screen, "every").region and not screen.query_one(Histogram).region
        await pilot.press("b")
        await until(pilot, lambda: bool(grid(screen, "every").region))
        assert screen.query_one(Histogram).region and not grid(screen, "images").region
        assert grid(screen, "every").shown == 10
        await pilot.press("b")
        await until(pilot, lambda: bool(grid(screen, "images").region))
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: bool(grid(screen, "every").region))
        assert not [key for key, active in screen.active_bindings.items() if active.binding.action == "more" and active.enabled]


async def test_the_chosen_picture_comes_along_to_noise_and_back(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        await pilot.press("right", "right", "enter")
        await until(pilot, lambda: pilot.app.current_mode == "noise")
        noise = pilot.app.screen
        assert isinstance(noise, NoiseScreen)
        await until(pilot, lambda: noise.noising is not None)
        assert noise.index == 2
        assert screen.opened is not None and noise.noising is not None
        assert np.array_equal(noise.noising.picture, screen.opened.images[2])
        await pilot.press("down", "1")
        await until(pilot, lambda: pilot.app.screen is screen and screen.browser.index == 3)
        await pilot.press("right", "2")
        await until(pilot, lambda: noise.index == 4)


async def test_a_key_that_leaves_right_behind_one_that_moves_takes_the_new_picture_along(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        for key in ("right", "2"):
            pilot.app.post_message(Key(key, None))
        await until(pilot, lambda: isinstance(pilot.app.screen, NoiseScreen) and pilot.app.screen.noising is not None)
        assert pilot.app.screen.index == screen.browser.index == 1  # type: ignore[attr-defined]


async def test_until_a_set_is_there_the_boxes_are_hatched(tmp_path: Path) -> None:
    app = TinydiffApp(data_dir=tmp_path / "data", cwd=tmp_path)
    app.dataset = f"folder:{tmp_path / 'gone'}"
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, DataScreen))
        empty = app.screen.query_one("#empty", Empty)
        await until(pilot, lambda: "there is no folder" in empty.text)
        assert empty.region and not app.screen.query_one("#images").region
        assert "╱" in "".join(strip.text for strip in app.screen._compositor.render_strips())
        app.screen.query_one(SetList).focus()
        await pilot.press(*["up"] * len(DATASETS), "enter")
        await until(pilot, lambda: isinstance(app.screen, DataScreen) and app.screen.opened is not None)
        assert app.screen.query_one("#images").region and not empty.region


async def test_a_set_asked_for_while_another_opens_is_opened_next(tmp_path: Path) -> None:
    mine = three_pictures(tmp_path / "mine")
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        screen._open("glyphs", afresh=True)
        screen._open(mine)
        screen = await ready(pilot, mine)
        assert screen.opened is not None and screen.browser.gallery.count == len(screen.opened)
        assert screen.browser.label is None


async def test_pictures_without_classes_have_numbers_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8))
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        screen._open(f"folder:{tmp_path / 'few.npy'}")
        screen = await ready(pilot, f"folder:{tmp_path / 'few.npy'}")
        assert screen.browser.gallery.caption(2) == "2"
        await until(pilot, lambda: screen.query_one("#picture-box", Box).title == "image 0")


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
        assert pilot.app.focused is screen.browser.gallery
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
        screen.query_one(SetList).focus()
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
        screen.query_one(SetList).focus()
        await pilot.press("down", "D")
        mirror.hold.set()
        screen = await ready(pilot, "mnist")
        assert screen.opened is not None
        assert len(screen.opened) == 20
        assert screen.query_one(SetList).infos[1].status == "on disk"


async def test_download_can_be_cancelled(tmp_path: Path, mirror: type[_Mirror]) -> None:
    async with at_mode("data", tmp_path) as pilot:
        screen = await ready(pilot)
        screen.query_one(SetList).focus()
        await pilot.press("down", "D")
        await pilot.pause()
        await pilot.press("X")
        mirror.hold.set()
        await until(pilot, lambda: "cancelled" in status(screen))
        assert not list((tmp_path / "data").rglob("*.gz"))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (100, 30), (90, 50)])
async def test_nothing_is_cut_off(tmp_path: Path, size: tuple[int, int]) -> None:
    async with at_mode("data", tmp_path, size=size) as pilot:
        screen = await ready(pilot)
        for key in ("", "b", "b", "z"):
            await pilot.press(*([key] if key else []))
            await pilot.pause()
            boxes = [box for box in screen.query(Box) if box.region]
            inside = [widget for box in boxes for widget in box.children if widget.display]
            for widget in [*boxes, *inside, screen.query_one("#status")]:
                assert widget.region.height > 0 and widget.region.width > 0
                assert screen.region.contains_region(widget.region)
            for one, other in combinations(boxes, 2):
                assert not one.region.overlaps(other.region)
            body = sum(box.region.area for box in boxes) + screen.query_one("#status").region.area
            assert body >= 0.97 * screen.query_one("#body").region.area
        names = {box.id for box in boxes}
        assert "picture-box" in names and "set-box" in names


def test_the_histogram_counts_every_pixel_once() -> None:
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    figures = pixel_figures(images, np.arange(1))
    assert figures.bins(16) == [16] * 16
    assert sum(figures.bins(7)) == 256
    assert (figures.mean, figures.least, figures.most) == (127.5, 0, 255)
    assert figures.std == pytest.approx(images.std())
    assert pixel_figures(images, np.arange(0)).bins(4) == [0] * 4
    assert bar_rows([0, 1, 1000], 1) == [" ▁█"]
    assert bar_rows([0, 1, 10, 100], 2) == ["  ▁█", " ▂██"]
    assert bar_rows([0, 0], 1) == ["  "]


@pytest.mark.parametrize("name", ["x" * 200, "写真" * 50, "שלום" * 50, "", "[/b]\x1b]0;x\x07"])
async def test_any_class_name_is_cut_by_cells(tmp_path: Path, name: str) -> None:
    async with at_mode("data", tmp_path, (120, 40)) as pilot:
        screen = await ready(pilot)
        opened = screen.opened
        assert opened is not None
        screen._show_set(replace(opened, classes=(name, *opened.classes[1:])))
        await pilot.pause()
        drawn = [strip.text for strip in screen._compositor.render_strips()]
        assert all(cell_len(line) == 120 for line in drawn)
        assert "\x1b" not in "".join(drawn)
        for widget in ("#class-box", "#page-box", "#picture-box", "#every-box"):
            region = screen.query_one(widget).region
            assert drawn[region.y][region.x] == "╭" or name.startswith("写")  # a wide letter takes two places of one character
        assert str(screen.query_one(ClassList).get_option_at_index(2).prompt).split()[0] == opened.classes[1]
