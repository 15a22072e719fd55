"""A data set to walk through: its classes and pixel values, pages of its pictures, the chosen one, one of every class."""

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import OptionList, Static

from core.names import DATASETS
from tinydiff_tui.jobs.data import OpenedSet, pixel_figures
from tinydiff_tui.terminal.tiling import alone
from tinydiff_tui.text import cut, for_app
from tinydiff_tui.widgets.box import Box, Empty
from tinydiff_tui.widgets.data_side import ClassList, Histogram, SetList
from tinydiff_tui.widgets.gallery import Gallery
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.room import Room


class Browser(Horizontal):
    """`show` a set; the cursor is on one of the pictures of the class `label`, of all for None."""

    class Moved(Message):
        """The cursor is on another picture."""

    class Taken(Message):
        """The mouse asked for what enter does."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: OpenedSet | None = None
        self.label: int | None = None
        self.every: list[int] = []
        """The indices of the pictures that stand for the classes."""
        self._rank = 0

    def compose(self) -> ComposeResult:
        yield Vertical(
            Box(SetList(id="sets"), title="Sets", id="set-box"),
            Box(title="Classes", id="class-box"),
            Box(title="Pixels", id="pixel-box"),
            id="side",
        )
        yield Room(
            Horizontal(Box(Empty(id="empty"), Gallery(id="images"), id="page-box"), id="upper"),
            Horizontal(Box(id="picture-box"), Box(title="one of every class", id="every-box"), id="lower"),
        )

    def _fill(self) -> None:
        """Put into the boxes what shows a set: the first paint has none."""
        insides = {
            "set": Static(id="about", markup=False),
            "class": ClassList(id="classes"),
            "pixel": Histogram(id="pixels"),
            "picture": PixelGrid(id="picture"),
            "every": PixelGrid(id="every"),
        }
        for box, inside in insides.items():
            self.query_one(f"#{box}-box", Box).mount(inside)

    @property
    def gallery(self) -> Gallery:
        return self.query_one(Gallery)

    @property
    def index(self) -> int | None:
        """The picture under the cursor."""
        return self.gallery.index if self.opened is not None else None

    # --- what is shown

    def say(self, sentence: str) -> None:
        """What stands in place of pictures; with no words the pictures."""
        self.query_one("#empty", Empty).say(for_app(sentence))
        self.query_one("#empty").display = bool(sentence)
        self.gallery.display = not sentence

    def show(self, opened: OpenedSet, index: int) -> None:
        """Another set, with the cursor on one of its images."""
        if self.opened is None:
            self._fill()
        self.opened, self._rank = opened, -1
        entry, (height, width, channels) = DATASETS.get(opened.name), opened.images.shape[1:]
        source = f" ({entry.source})" if entry and entry.source else ""
        what = f"{entry.help}{source}" if entry else "images of your own"
        self.query_one("#about", Static).update(f"{what}; {width}×{height}×{channels} pixels")
        self.query_one("#set-box", Box).figures = "● in all modes"
        self.query_one("#class-box", Box).figures = f"{len(opened.classes):,} · {len(opened):,} images"
        self.query_one(ClassList).fill(opened)
        self.fit()
        self.choose_class(None, index)
        self.show_examples()

    def choose_class(self, label: int | None, index: int = 0) -> None:
        """Show the images of a class, of all for None, with the cursor on the image `index` or the first behind it."""
        opened = self.opened
        assert opened is not None
        self.label = label
        self.query_one(ClassList).point_at(label)
        chosen = opened.of_class(label)
        figures, pixels = pixel_figures(opened.images, chosen), self.query_one("#pixel-box", Box)
        self.query_one(Histogram).show(figures)
        pixels.title = f"Pixels · {figures.least}–{figures.most}" if len(chosen) else "Pixels"
        pixels.figures = f"mean {figures.mean:.1f} · std {figures.std:.1f}" if len(chosen) else ""
        self.say("" if len(chosen) else f"no images of class {cut(self._class_words(), 60)}")
        self.gallery.browse(opened, chosen, min(int(chosen.searchsorted(index)), max(len(chosen) - 1, 0)))

    def _class_words(self) -> str:
        assert self.opened is not None
        return "all" if self.label is None else self.opened.classes[self.label]

    @on(Gallery.Paged)
    def tell_page(self) -> None:
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
        picture, box = opened.images[gallery.index], self.query_one("#picture-box", Box)
        box.title = " · ".join(filter(None, (cut(opened.class_name(gallery.index), 14), f"image {gallery.index}")))
        box.figures = f"mean {picture.mean():.1f} · std {picture.std():.1f}"
        self.query_one("#picture", PixelGrid).show(picture[None])
        self.post_message(self.Moved())

    def show_examples(self) -> None:
        """Other pictures that stand for the classes."""
        if self.opened is None:
            return
        self._rank += 1
        found = ((name, self.opened.example(label, self._rank)) for label, name in enumerate(self.opened.classes))
        pairs = [(name, index) for name, index in found if index is not None]
        self.every = [index for _, index in pairs]
        self.query_one("#every-box", Box).figures = "n shows others"
        self.query_one("#every", PixelGrid).show(self.opened.images[self.every], headings=[name for name, _ in pairs])

    # --- moving

    def next_class(self, step: int) -> None:
        """The images of the class before or after; behind the last one all."""
        if self.opened is not None:
            order = [None, *range(len(self.opened.classes))]
            self.choose_class(order[(order.index(self.label) + step) % len(order)])

    @on(OptionList.OptionHighlighted, "#classes")
    def class_pointed_at(self) -> None:
        label = self.query_one(ClassList).label
        if self.opened is not None and label != self.label:
            self.choose_class(label)

    @on(PixelGrid.Pointed)
    def picture_clicked(self, event: PixelGrid.Pointed) -> None:
        if event.grid is self.gallery:
            self.gallery.point(event.index)
        elif event.grid.id == "every" and self.opened is not None and event.index < len(self.every):
            index = self.every[event.index]
            self.choose_class(int(self.opened.labels[index]), index)

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2 and event.widget is self.gallery:
            self.post_message(self.Taken())

    # --- room

    @on(Room.Resized)
    def fit(self) -> None:
        """The chosen picture as large as whole pixels go in a part of the room; alone it takes all of it."""
        if self.opened is None:
            return
        (width, height), zoomed = self.query_one(Room).size, self.screen.has_class("-zoomed")
        most = (width - 2, height - 2) if zoomed else (max(width * 2 // 5, 30) - 2, max(height * 9 // 20, 14))
        columns, rows = alone(self.opened.side, most)
        picture, box = self.query_one("#picture"), self.query_one("#picture-box")
        picture.styles.width, picture.styles.height = columns, rows
        box.styles.width = None if zoomed else columns + 2
        self.query_one("#lower").styles.height = None if zoomed or self.screen.has_class("-low") else rows + 2
