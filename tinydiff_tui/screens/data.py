"""Data: the sets and where they stand, pages of pictures with a cursor, classes, pixel values; zoom, folder, download."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, OptionList, Static

from core.data.datasets import list_datasets
from core.errors import UserError
from core.files import user_path
from core.names import DATASETS
from tinydiff_tui.jobs.data import OpenedSet, opening
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.screens.base import ModeScreen, listed
from tinydiff_tui.screens.keys import key
from tinydiff_tui.text import bar, duration
from tinydiff_tui.widgets.browser import Browser
from tinydiff_tui.widgets.data_side import SetList
from tinydiff_tui.widgets.room import Room

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
        key("boxes", "more", "The boxes for which there is no room: pixel values, one of every class; or the page"),
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
    DataScreen #picture-box { align: center middle; }
    DataScreen #status { height: auto; max-height: 3; }
    DataScreen #folder { display: none; height: 3; }
    DataScreen.-asking #folder { display: block; }
    DataScreen.-wide #side { width: 34; }
    DataScreen.-narrow #picture-box { display: none; }
    DataScreen #about { display: none; height: auto; color: $axis; margin: 1 0 0 0; }
    DataScreen.-tall #about { display: block; }
    DataScreen.-none #class-box { height: 13; }
    DataScreen.-none Box { hatch: right $grid; }
    DataScreen.-none #set-box { hatch: none; }
    DataScreen.-none PixelGrid { display: none; }
    DataScreen.-low #lower, DataScreen.-low #pixel-box { display: none; }
    DataScreen.-low #side #class-box { height: 1fr; max-height: 100%; }
    DataScreen.-low.-more #lower { display: block; height: 1fr; }
    DataScreen.-low.-more #pixel-box { display: block; }
    DataScreen.-low.-more #upper, DataScreen.-low.-more #class-box { display: none; }
    DataScreen.-zoomed #upper, DataScreen.-zoomed #every-box { display: none; }
    DataScreen.-zoomed #lower, DataScreen.-zoomed #picture-box { display: block; width: 1fr; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.add_class("-none", update=False)
        self.opened: OpenedSet | None = None
        self.wanted = ""
        """The set to open as soon as the engine is there, in place of the app's."""
        self.download_name = ""
        self.download_started = 0.0

    def compose_mode(self) -> ComposeResult:
        yield Browser()
        yield Static(id="status", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be left, cancelled or has no room is there only when it is so."""
        if not self.is_mounted:
            return True
        if action == "leave":
            return self.has_class("-asking") or self.has_class("-zoomed")
        if action == "more":
            return self.has_class("-low")
        return action != "cancel" or self.app.jobs.busy("download")

    @property
    def browser(self) -> Browser:
        return self.query_one(Browser)

    # --- the list of sets

    def on_mount(self) -> None:
        self._list_sets()
        self.browser.say("loading the engine …")
        self.call_after_refresh(self._mount_folder)  # the first screen is painted without it

    def _mount_folder(self) -> None:
        field = Input(placeholder="folder of images, for example ~/photos; enter opens it, escape leaves", id="folder")
        self.query_one("#body").mount(field, before="#status")

    def engine_loaded(self) -> None:
        self._open(self.wanted or self.app.dataset)

    def on_screen_resume(self) -> None:
        if self.opened is None:
            return
        if self.opened.name != self.app.dataset:  # another one was chosen in Train
            self._open(self.app.dataset)
        elif self.browser.index != self.app.image:
            self.browser.choose_class(None, self.app.image)

    def _list_sets(self) -> None:
        self.query_one(SetList).refill(self.app.data_dir, self.opened.name if self.opened else self.app.dataset)

    def names_changed(self) -> None:
        self._list_sets()
        if self.opened is not None and self.opened.name in DATASETS and DATASETS[self.opened.name].origin:
            self._open(self.opened.name)

    # --- opening

    @on(OptionList.OptionSelected, "#sets")
    def open_chosen(self) -> None:
        self._open(self.query_one(SetList).name_at_cursor, afresh=True)

    def _open(self, name: str, *, afresh: bool = False) -> None:
        if not self.app.engine_ready:
            self.wanted = name
            return
        root = self.app.data_dir
        self.app.jobs.replace("data", lambda: opening(name, root, afresh=afresh), self)
        self._tell(f"opening {name} …")

    def _tell(self, sentence: str) -> None:
        """Say a sentence where the pictures will be, or below those that are there."""
        if self.opened is None:
            self.browser.say(sentence)
        else:
            self.say(sentence)

    def action_folder(self) -> None:
        if not self.query("#folder"):
            return  # in the moment of the first paint
        self.add_class("-asking")
        self.refresh_bindings()
        self.set_focus(self.query_one("#folder"))  # at once: the words come right behind the key

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
        self.browser.gallery.focus()

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
        self.opened = opened
        self.remove_class("-none")
        if self.app.dataset != opened.name:
            self.app.choose_dataset(opened.name)
        self.say(opened.said)
        self._list_sets()
        self.browser.show(opened, self.app.image)

    # --- the pictures

    def action_next_class(self, step: int) -> None:
        self.browser.next_class(step)
        self._take_image()

    def action_move(self, dx: int, dy: int) -> None:
        self.browser.gallery.point(self.browser.gallery.move(dx, dy))
        self._take_image()

    def action_page(self, step: int) -> None:
        self.browser.gallery.turn(step)
        self._take_image()

    def action_go(self, place: int) -> None:
        if count := self.browser.gallery.count:
            self.browser.gallery.point(place % count)
            self._take_image()

    def action_examples(self) -> None:
        self.browser.show_examples()

    @on(Browser.Moved)
    def _take_image(self) -> None:
        """The picture under the cursor is that of every mode; after a key at once, since the next one may leave."""
        if self.browser.index is not None:
            self.app.image = self.browser.index

    @on(Browser.Taken)
    async def action_add_noise(self) -> None:
        if self.browser.index is not None:
            await self.app.switch_mode("noise")

    # --- boxes

    def action_zoom(self) -> None:
        if self.browser.index is not None:
            self.toggle_class("-zoomed")
            self.browser.fit()
            self.refresh_bindings()
            self.call_after_refresh(self.browser.gallery.focus)  # which was hidden while the picture had its place

    def action_more(self) -> None:
        self.toggle_class("-more")
        self.call_after_refresh(self.browser.gallery.focus)

    @on(Room.Resized)
    def tell_bindings(self) -> None:
        self.refresh_bindings()  # whether there is more to show

    # --- download

    def action_download(self) -> None:
        name = self.query_one(SetList).name_at_cursor
        info = next((i for i in list_datasets(self.app.data_dir) if i.name == name), None)
        if info is None or info.status != "can be downloaded":
            self.say(f"{name} needs no download; enter opens it")
            return
        if not self.app.engine_ready or self.app.jobs.busy("download"):
            return
        self.download_name, self.download_started = name, time.monotonic()
        root = self.app.data_dir

        def fetch() -> "Iterator[Progress]":
            from core.data.download import download

            return download(name, root)

        self.app.jobs.replace("download", fetch, self, lambda p: Downloading(p.file, p.done, p.total))
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
