"""Data: the sets and where they stand, a page of images, classes, counts, pixel values; zoom, filter, download."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, OptionList, Static

from core.data.datasets import list_datasets
from core.errors import UserError
from core.files import user_path
from core.names import DATASETS
from tinydiff_tui.jobs.data import OpenedSet, opening
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.screens.base import ModeScreen, listed
from tinydiff_tui.text import printable
from tinydiff_tui.widgets.data_side import SetAbout, SetList
from tinydiff_tui.widgets.pixel_grid import PixelGrid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.data.download import Progress

MOST_IMAGES = 1024  # of a page
PAGE, CLASS, ENDS, DENSITY = (Binding.Group(name) for name in ("Page", "Class", "Ends", "Density"))


class Downloading(NamedTuple):
    """Bytes of the file that is on its way."""

    file: str
    done: int
    total: int


class DataScreen(ModeScreen):
    """The mode that looks at data sets."""

    MODE = "data"
    TITLE_TEXT = "Data"
    AUTO_FOCUS = "SetList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", tooltip="Open the data set that the list points at"),
        Binding("left,pageup", "page(-1)", "Back", tooltip="Page before, or image before when one is zoomed", group=PAGE),
        Binding("right,pagedown", "page(1)", "Next", tooltip="Next page, or next image when one is zoomed", group=PAGE),
        Binding("home", "page(0)", "First", tooltip="First page, or first image when one is zoomed", group=ENDS),
        Binding("end", "last_page", "Last", tooltip="Last page, or last image when one is zoomed", group=ENDS),
        Binding("c", "next_class(1)", "Class", tooltip="Show only the next class; after the last one all", group=CLASS),
        Binding("C", "next_class(-1)", "Class before", tooltip="Show only the class before", group=CLASS),
        Binding("z", "zoom", "Zoom", tooltip="Show one image as large as it fits, or the page again"),
        Binding("v", "density(1)", "Smaller", tooltip="More and smaller images", group=DENSITY),
        Binding("V", "density(-1)", "Larger", tooltip="Fewer and larger images", group=DENSITY),
        Binding("f", "folder", "Folder", tooltip="Open a folder of your own images"),
        Binding("D", "download", "Download", tooltip="Download the data set that the list points at"),
        Binding("x", "cancel", "Cancel", tooltip="Cancel the download"),
        Binding("escape", "leave", "Leave", tooltip="Leave the field for a folder, or the zoomed image"),
    ]
    DEFAULT_CSS = """
    DataScreen #side { width: 37; height: 1fr; padding: 0 1 0 0; }
    DataScreen #page { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    DataScreen #status { height: auto; max-height: 3; }
    DataScreen #folder { display: none; height: 3; }
    DataScreen.-asking #folder { display: block; }
    DataScreen.-wide #side { width: 46; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.opened: OpenedSet | None = None
        self.opening_name = ""
        self.label: int | None = None
        self.first = 0
        self.zoomed: int | None = None
        self.download_name = ""
        self.download_started = 0.0

    def compose_mode(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="side"):
                yield SetList(id="sets")
                yield SetAbout(id="about")
            with Vertical():
                yield Static(id="page")
                yield PixelGrid(id="images")
        yield Static(id="status", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be left or cancelled is there only when there is something to leave or cancel."""
        if action == "leave" and self.is_mounted:
            return self.has_class("-asking") or self.zoomed is not None
        return not (action == "cancel" and self.is_mounted) or self.app.jobs.running("download")

    # --- the list

    def on_mount(self) -> None:
        self._list_sets()
        if not self.app.engine_ready:
            self.say("loading the engine …")

    def engine_loaded(self) -> None:
        self._open(self.app.dataset)

    def _list_sets(self) -> None:
        self.query_one(SetList).refill(self.app.data_dir, self.opened.name if self.opened else self.app.dataset)

    # --- opening

    @on(OptionList.OptionSelected)
    def action_open(self) -> None:
        self._open(self.query_one(SetList).name_at_cursor, afresh=True)

    def _open(self, name: str, *, afresh: bool = False) -> None:
        if not self.app.engine_ready or self.app.jobs.running("data"):
            return
        self.opening_name = name
        root = self.app.data_dir
        self.app.jobs.start("data", lambda: opening(name, root, afresh=afresh), self, lambda opened: opened)
        self.say(f"opening {name} …")

    async def action_folder(self) -> None:
        if not self.query("#folder"):  # the first screen is painted without it
            field = Input(placeholder="folder of images, for example ~/photos; enter opens it, escape leaves", id="folder")
            await self.query_one("#body").mount(field, before="#status")
        self.add_class("-asking")
        self.refresh_bindings()
        self.set_focus(self.query_one("#folder"))

    @on(Input.Submitted, "#folder")
    def open_folder(self, event: Input.Submitted) -> None:
        self._leave_input()
        if not event.value.strip():
            return
        try:
            name = f"folder:{user_path(event.value.strip())}"
        except UserError as error:
            self.say(str(error))
            return
        sets = self.query_one(SetList)
        if name not in sets.folders:
            sets.folders.append(name)
            self._list_sets()
        sets.point_at(name)
        self._open(name, afresh=True)

    def action_leave(self) -> None:
        if self.has_class("-asking"):
            self._leave_input()
        elif self.zoomed is not None:
            self.action_zoom()

    def _leave_input(self) -> None:
        self.remove_class("-asking")
        self.refresh_bindings()
        self.query_one(SetList).focus()

    def on_job_update(self, message: JobUpdate) -> None:
        progress = message.snapshot
        if message.name == "data" and isinstance(progress, OpenedSet):
            self._show_set(progress)
        elif message.name == "download" and isinstance(progress, Downloading):
            self._say_progress(progress)

    def on_job_finished(self, message: JobFinished) -> None:
        if message.name == "data":
            if message.error:
                self.say(message.error)
            elif isinstance(message.snapshot, OpenedSet):
                self._show_set(message.snapshot)
        elif message.name == "download":
            self.refresh_bindings()
            self._list_sets()
            name = self.download_name
            if message.error:
                self.say(message.error)
            elif next(i.status for i in list_datasets(self.app.data_dir) if i.name == name) == "on disk":
                self._open(name, afresh=True)
            else:
                self.say(f"the download of {name} was cancelled; no half file is left")

    def _show_set(self, opened: OpenedSet) -> None:
        if opened is self.opened:
            return
        self.opened = opened
        if self.app.dataset != opened.name:
            self.app.choose_dataset(opened.name)
        self.say(f"{opened.said}; the data set of all modes now")
        self._list_sets()
        self.zoomed = None
        self._choose_class(None)
        self.refresh_bindings()

    # --- the page

    def action_next_class(self, step: int) -> None:
        if self.opened is None:
            return
        order = [None, *range(len(self.opened.classes))]
        self._choose_class(order[(order.index(self.label) + step) % len(order)])

    def _choose_class(self, label: int | None) -> None:
        assert self.opened is not None
        self.label, self.first = label, 0
        if self.zoomed is not None:
            self.zoomed = 0
        self._show_page()

    @property
    def chosen(self) -> "NDArray[np.intp]":
        """Indices of the images of the class that is shown."""
        assert self.opened is not None
        return self.opened.of_class(self.label)

    def action_page(self, step: int) -> None:
        count = len(self.chosen) if self.opened else 0
        if not count:
            return
        if self.zoomed is not None:
            self.zoomed = (self.zoomed + step) % count if step else 0
            size = self._page_size()
            self.first = self.zoomed // size * size
        else:
            size = self._page_size()
            pages = -(-count // size)
            self.first = (self.first // size + step) % pages * size if step else 0
        self._show_page()

    def action_last_page(self) -> None:
        self.action_page(0)
        self.action_page(-1)

    def action_zoom(self) -> None:
        if self.opened and len(self.chosen):
            self.zoomed = self.first if self.zoomed is None else None
            self._show_page()
            self.refresh_bindings()

    def action_density(self, step: int) -> None:
        self.query_one(PixelGrid).density += step
        self._show_page()

    def on_resize(self, _: events.Resize) -> None:
        self.call_after_refresh(self._show_page)

    def _page_size(self) -> int:
        assert self.opened is not None
        return max(1, self.query_one(PixelGrid).capacity(self.opened.side, MOST_IMAGES))

    def _show_page(self) -> None:
        opened, grid = self.opened, self.query_one(PixelGrid)
        if opened is None or not grid.size.height:
            return
        size = self._page_size()
        self.first = self.first // size * size
        page = self.chosen[self.first : self.first + size]
        which = "all classes" if self.label is None else f"class {opened.classes[self.label]}"
        if self.zoomed is not None:
            index = int(self.chosen[self.zoomed])
            grid.zoomed = 0
            grid.show(opened.images[index : index + 1])
            where = f"image {index:,}, {self._class_name(index)} · {self.zoomed + 1:,} of {len(self.chosen):,} of {which}"
        else:
            grid.zoomed = None
            grid.show(opened.images[page], [f"{self._class_name(int(index))} {index}" for index in page])
            where = f"{self.first + 1:,}–{self.first + len(page):,} of {len(self.chosen):,} · {which}"
            where = where if len(page) else f"no images of {which}"
        self.query_one("#page", Static).update(Text(printable(where), no_wrap=True, overflow="ellipsis"))
        self.query_one(SetAbout).describe(opened, self.label, self.chosen)

    def _class_name(self, index: int) -> str:
        assert self.opened is not None
        return self.opened.classes[int(self.opened.labels[index])]

    # --- download

    def action_download(self) -> None:
        name = self.query_one(SetList).name_at_cursor
        info = next((i for i in list_datasets(self.app.data_dir) if i.name == name), None)
        if info is None or info.status != "can be downloaded":
            self.say(f"{name} needs no download; enter opens it")
            return
        if not self.app.engine_ready or self.app.jobs.running("download"):
            return
        self.download_name, self.download_started = name, time.monotonic()
        root = self.app.data_dir

        def fetch() -> "Iterator[Progress]":
            from core.data.download import download

            return download(name, root)

        self.app.jobs.start("download", fetch, self, lambda p: Downloading(p.file, p.done, p.total))
        self.say(f"downloading {name} …  x cancels")
        self.refresh_bindings()

    def action_cancel(self) -> None:
        self.app.jobs.stop("download")

    def _say_progress(self, progress: Downloading) -> None:
        width, share = 24, progress.done / progress.total if progress.total else 0.0
        bar = "━" * round(share * width) + "─" * (width - round(share * width))
        rate = progress.done / max(time.monotonic() - self.download_started, 0.1) / 1e6
        total = f" of {progress.total / 1e6:.1f}" if progress.total else ""
        self.say(f"{progress.file}  {bar}  {progress.done / 1e6:.1f}{total} MB  {rate:.1f} MB/s  x cancels")

    def explain_values(self) -> dict[str, str]:
        """What the text of this mode may quote."""
        if self.opened is None:
            return {"dataset": self.app.dataset, "count": "…", "shape": "…", "classes": "…", "datasets": listed(DATASETS)}
        height, width, channels = self.opened.images.shape[1:]
        return {
            "dataset": self.opened.name,
            "count": f"{len(self.opened):,}",
            "shape": f"{width}×{height}×{channels}",
            "classes": str(len(self.opened.classes)),
            "datasets": listed(DATASETS),
        }
