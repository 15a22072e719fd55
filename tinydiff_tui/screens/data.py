"""Data: the sets and where they stand, pages of pictures with a cursor, classes, pixel values; zoom, folder, download."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, OptionList, Static

from core.data.datasets import list_datasets
from core.errors import UserError
from core.files import user_path
from core.names import DATASETS
from tinydiff_tui.jobs.data import OpenedSet, opening, pixel_figures
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.screens.base import ModeScreen, listed
from tinydiff_tui.screens.keys import key
from tinydiff_tui.text import bar, cut, duration, for_app
from tinydiff_tui.widgets.box import Box, Empty
from tinydiff_tui.widgets.data_side import ClassList, Histogram, SetList
from tinydiff_tui.widgets.gallery import Gallery
from tinydiff_tui.widgets.pixel_grid import PixelGrid

if TYPE_CHECKING:
    from core.data.download import Progress

CURSOR, ROWS, PAGE, ENDS, CLASS = (Binding.Group(name) for name in ("Picture", "Row", "Page", "Ends", "Class"))


class Downloading(NamedTuple):
    """Bytes of the file that is on its way."""

    file: str
    done: int
    total: int


class DataScreen(ModeScreen):
    """The mode that looks at data sets."""

    MODE = "data"
    TITLE_TEXT = "Data"
    AUTO_FOCUS = "Gallery"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "add_noise", "Add noise", tooltip="Take the picture under the cursor to Noise"),
        Binding("left", "move(-1,0)", "Picture before", tooltip="The picture before", group=CURSOR),
        Binding("right", "move(1,0)", "Picture", tooltip="The next picture", group=CURSOR),
        Binding("up", "move(0,-1)", "Row above", tooltip="The picture above", group=ROWS),
        Binding("down", "move(0,1)", "Row", tooltip="The picture below", group=ROWS),
        key("before", "page(-1)", "Page before", group=PAGE),
        key("next", "page(1)", "Next page", group=PAGE),
        Binding("pageup", "page(-1)", "Page before", show=False, tooltip="Page before"),
        Binding("pagedown", "page(1)", "Page", show=False, tooltip="Next page"),
        Binding("home", "go(0)", "First", tooltip="The first picture", group=ENDS),
        Binding("end", "go(-1)", "Last", tooltip="The last picture", group=ENDS),
        Binding("c", "next_class(1)", "Class", tooltip="Show only the next class; after the last one all", group=CLASS),
        Binding("C", "next_class(-1)", "Class before", tooltip="Show only the class before", group=CLASS),
        key("zoom", "zoom", "Show the picture as large as it fits, or the page again"),
        key("new", "examples", "Another picture of every class", label="Others"),
        Binding("g", "more", "More", tooltip="The boxes for which there is no room: pixel values, one of every class; or the page"),
        Binding("f", "folder", "Folder", tooltip="Open a folder of your own images"),
        Binding("D", "download", "Download", tooltip="Download the data set that the list points at"),
        key("stop", "cancel", "Cancel the download", label="Cancel"),
        key("leave", "leave", "Leave the field for a folder, or the zoomed picture"),
    ]
    DEFAULT_CSS = """
    DataScreen #side { width: 29; }
    DataScreen #side Box { height: auto; }
    DataScreen #side #class-box { max-height: 60%; }
    DataScreen #side #pixel-box { height: 1fr; }
    DataScreen #upper, DataScreen #page-box, DataScreen #every-box { height: 1fr; }
    DataScreen #picture-box { width: 30; height: 1fr; }
    DataScreen #lower { height: 16; }
    DataScreen #page-box, DataScreen #every-box, DataScreen #picture-box { padding: 0; }
    DataScreen #status { height: auto; max-height: 3; }
    DataScreen #folder { display: none; height: 3; }
    DataScreen.-asking #folder { display: block; }
    DataScreen.-wide #side { width: 34; }
    DataScreen.-narrow #picture-box { display: none; }
    DataScreen #about { display: none; height: auto; color: $axis; margin: 1 0 0 0; }
    DataScreen.-tall #about { display: block; }
    DataScreen.-low #lower, DataScreen.-low #pixel-box { display: none; }
    DataScreen.-low #side #class-box { height: 1fr; max-height: 100%; }
    DataScreen.-low.-more #lower { display: block; height: 1fr; }
    DataScreen.-low.-more #pixel-box { display: block; }
    DataScreen.-low.-more #upper, DataScreen.-low.-more #class-box { display: none; }
    DataScreen.-zoomed #side, DataScreen.-zoomed #upper, DataScreen.-zoomed #every-box { display: none; }
    DataScreen.-zoomed #lower, DataScreen.-zoomed #picture-box { display: block; width: 1fr; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.opened: OpenedSet | None = None
        self.label: int | None = None
        self.rank = 0  # which picture of every class is shown
        self.every: list[int] = []  # the indices of those
        self.download_name = ""
        self.download_started = 0.0

    def compose_mode(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="side"):
                yield Box(SetList(id="sets"), Static(id="about", markup=False), title="Sets", id="set-box")
                yield Box(ClassList(id="classes"), title="Classes", id="class-box")
                yield Box(Histogram(id="pixels"), title="Pixels", id="pixel-box")
            with Vertical():
                yield Horizontal(Box(Empty(id="empty"), Gallery(id="images"), id="page-box"), id="upper")
                with Horizontal(id="lower"):
                    yield Box(PixelGrid(id="picture"), id="picture-box")
                    yield Box(PixelGrid(id="every"), title="one of every class", id="every-box")
        yield Static(id="status", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be left, cancelled or has no room is there only when it is so."""
        if not self.is_mounted:
            return True
        if action == "leave":
            return self.has_class("-asking") or self.has_class("-zoomed")
        if action == "more":
            return self.has_class("-low")
        return action != "cancel" or self.app.jobs.running("download")

    @property
    def gallery(self) -> Gallery:
        return self.query_one(Gallery)

    # --- the list of sets

    def on_mount(self) -> None:
        self._list_sets()
        self._say_empty("" if self.app.engine_ready else "loading the engine …")

    def engine_loaded(self) -> None:
        self._open(self.app.dataset)

    def on_screen_resume(self) -> None:
        if self.opened is None:
            return
        if self.opened.name != self.app.dataset:  # another one was chosen in Train
            self._open(self.app.dataset)
        elif self.gallery.index != self.app.image:
            self._choose_class(None, self.app.image)

    def _list_sets(self) -> None:
        self.query_one(SetList).refill(self.app.data_dir, self.opened.name if self.opened else self.app.dataset)

    def _say_empty(self, sentence: str) -> None:
        """What stands in place of pictures; with no words the pictures."""
        self.query_one("#empty", Empty).say(for_app(sentence))
        self.query_one("#empty").display = bool(sentence)
        self.gallery.display = not sentence

    # --- opening

    @on(OptionList.OptionSelected, "#sets")
    def open_chosen(self) -> None:
        self._open(self.query_one(SetList).name_at_cursor, afresh=True)

    def _open(self, name: str, *, afresh: bool = False) -> None:
        if not self.app.engine_ready or self.app.jobs.running("data"):
            return
        root = self.app.data_dir
        self.app.jobs.start("data", lambda: opening(name, root, afresh=afresh), self, lambda opened: opened)
        self._tell(f"opening {name} …")

    def _tell(self, sentence: str) -> None:
        """Say a sentence where the pictures will be, or below those that are there."""
        if self.opened is None:
            self._say_empty(sentence)
        else:
            self.say(sentence)

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
        elif self.has_class("-zoomed"):
            self.action_zoom()

    def _leave_input(self) -> None:
        self.remove_class("-asking")
        self.refresh_bindings()
        self.gallery.focus()

    def on_job_update(self, message: JobUpdate) -> None:
        if message.name == "data" and isinstance(message.snapshot, OpenedSet):
            self._show_set(message.snapshot)
        elif message.name == "download" and isinstance(message.snapshot, Downloading):
            self._say_progress(message.snapshot)

    def on_job_finished(self, message: JobFinished) -> None:
        if message.name == "data":
            if message.error:
                self._tell(message.error)
            elif isinstance(message.snapshot, OpenedSet):
                self._show_set(message.snapshot)
        elif message.name == "download":
            self._download_ended(message.error)

    def _show_set(self, opened: OpenedSet) -> None:
        if opened is self.opened:
            return
        self.opened, self.rank = opened, 0
        if self.app.dataset != opened.name:
            self.app.choose_dataset(opened.name)
        self.say(opened.said)
        self._list_sets()
        self._show_about(opened)
        self.query_one("#set-box", Box).figures = "● in all modes"
        self.query_one("#class-box", Box).figures = f"{len(opened.classes):,} · {len(opened):,} images"
        self.query_one(ClassList).fill(opened, None)
        self._fit_boxes()
        self._choose_class(None, self.app.image)
        self._show_examples()

    def _show_about(self, opened: OpenedSet) -> None:
        """What the set is, where there is room for it."""
        entry, (height, width, channels) = DATASETS.get(opened.name), opened.images.shape[1:]
        source = f" ({entry.source})" if entry and entry.source else ""
        what = f"{entry.help}{source}" if entry else opened.name
        self.query_one("#about", Static).update(cut(f"{what}; {width}×{height}×{channels} pixels", 200))

    # --- the pictures

    def action_next_class(self, step: int) -> None:
        if self.opened is not None:
            order = [None, *range(len(self.opened.classes))]
            self._choose_class(order[(order.index(self.label) + step) % len(order)])

    @on(OptionList.OptionHighlighted, "#classes")
    def class_pointed_at(self) -> None:
        label = self.query_one(ClassList).label
        if self.opened is not None and label != self.label:
            self._choose_class(label)

    def _choose_class(self, label: int | None, index: int = 0) -> None:
        """Show the images of a class, of all for None, with the cursor on the image `index` or the first behind it."""
        opened = self.opened
        assert opened is not None
        self.label = label
        self.query_one(ClassList).point_at(label)
        chosen = opened.of_class(label)
        figures = pixel_figures(opened.images, chosen)
        self.query_one(Histogram).show(figures)
        pixels = self.query_one("#pixel-box", Box)
        pixels.title = f"Pixels · {figures.least}–{figures.most}" if len(chosen) else "Pixels"
        pixels.figures = f"mean {figures.mean:.1f} · std {figures.std:.1f}" if len(chosen) else ""
        self._say_empty("" if len(chosen) else f"no images of class {cut(self._class_words(), 60)}")
        self.gallery.browse(opened, chosen, min(int(chosen.searchsorted(index)), max(len(chosen) - 1, 0)))

    def _class_words(self) -> str:
        assert self.opened is not None
        return "all" if self.label is None else self.opened.classes[self.label]

    def action_move(self, dx: int, dy: int) -> None:
        self.gallery.point(self.gallery.move(dx, dy))

    def action_page(self, step: int) -> None:
        self.gallery.turn(step)

    def action_go(self, place: int) -> None:
        if self.gallery.count:
            self.gallery.point(place % self.gallery.count)

    @on(PixelGrid.Pointed)
    def picture_clicked(self, event: PixelGrid.Pointed) -> None:
        if event.grid is self.gallery:
            self.gallery.point(event.index)
        elif event.grid.id == "every" and self.opened is not None:
            index = self.every[event.index]
            self._choose_class(int(self.opened.labels[index]), index)

    async def on_click(self, event: events.Click) -> None:
        if event.chain == 2 and event.widget is self.gallery:
            await self.action_add_noise()

    async def action_add_noise(self) -> None:
        if self.gallery.index is not None:
            await self.app.switch_mode("noise")

    def on_gallery_paged(self) -> None:
        """Titles and the picture beside, when the cursor or the page is another."""
        gallery, opened = self.gallery, self.opened
        if opened is None:
            return
        page = self.query_one("#page-box", Box)
        last = gallery.first + gallery.shown
        place = f"{gallery.first + 1:,}–{last:,} of {gallery.count:,}" if gallery.count else "none"
        page.title = f"{cut(opened.short_name, 24)} · {cut(self._class_words(), 24)} · {place}"
        page.figures = "⏎ add noise to this one" if gallery.count else ""
        if gallery.index is None:
            return
        self.app.image = gallery.index
        picture, box = opened.images[gallery.index], self.query_one("#picture-box", Box)
        box.title = f"{cut(opened.class_name(gallery.index), 14)} · image {gallery.index}"
        box.figures = f"mean {picture.mean():.1f} · std {picture.std():.1f}"
        self.query_one("#picture", PixelGrid).show(picture[None])

    def action_examples(self) -> None:
        self.rank += 1
        self._show_examples()

    def _show_examples(self) -> None:
        if self.opened is None:
            return
        found = ((name, self.opened.example(label, self.rank)) for label, name in enumerate(self.opened.classes))
        pairs = [(name, index) for name, index in found if index is not None]
        self.every = [index for _, index in pairs]
        self.query_one("#every-box", Box).figures = "n shows others"
        self.query_one("#every", PixelGrid).show(self.opened.images[self.every], headings=[name for name, _ in pairs])

    # --- boxes

    def action_zoom(self) -> None:
        if self.gallery.index is not None:
            self.toggle_class("-zoomed")
            self.refresh_bindings()

    def action_more(self) -> None:
        self.toggle_class("-more")

    def on_resize(self, _: events.Resize) -> None:
        self._fit_boxes()
        self.refresh_bindings()

    def _fit_boxes(self) -> None:
        """The box of the chosen picture, as large as whole pixels go in about two fifths of the screen."""
        if self.opened is None:
            return
        height, width = self.opened.side
        most = min(self.size.width * 0.3 // width, self.size.height * 0.8 // height)
        times = max(1, int(most))
        self.query_one("#picture-box").styles.width = min(times * width + 2, self.size.width // 3)
        self.query_one("#lower").styles.height = min(-(-times * height // 2) + 2, self.size.height // 2)

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
        self._tell(f"downloading {name} …  X cancels")
        self.refresh_bindings()

    def action_cancel(self) -> None:
        self.app.jobs.stop("download")

    def _say_progress(self, progress: Downloading) -> None:
        share = progress.done / progress.total if progress.total else 0.0
        rate = progress.done / max(time.monotonic() - self.download_started, 0.1)
        left = f"  {duration((progress.total - progress.done) / rate)} left" if progress.total and rate else ""
        total = f" of {progress.total / 1e6:.1f}" if progress.total else ""
        done = f"{progress.done / 1e6:.1f}{total} MB  {rate / 1e6:.1f} MB/s{left}"
        self._tell(f"{progress.file}  {bar(share, 24)}  {done}  X cancels")

    def _download_ended(self, error: str | None) -> None:
        self.refresh_bindings()
        self._list_sets()
        name = self.download_name
        if error:
            self._tell(error)
        elif next(i.status for i in list_datasets(self.app.data_dir) if i.name == name) == "on disk":
            self._open(name, afresh=True)
        else:
            self._tell(f"the download of {name} was cancelled; no half file is left")

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
