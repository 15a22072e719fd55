"""What lies over a screen closes once: keys and clicks of one packet reach it while it is on its way out."""

from typing import TYPE_CHECKING, Any

from textual.await_complete import AwaitComplete

if TYPE_CHECKING:
    from textual.screen import Screen

    Base = Screen[Any]
else:
    Base = object  # a second base with a style of its own would hide the component classes of the first


class Once(Base):
    """Before the base of a screen: Textual pops whichever screen is on top by then, and fails where none is left."""

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Close this screen with a result, unless it is closed already or another one lies over it."""
        if not self.is_mounted:  # told so in the packet that opened it: Textual's own must have been there once
            self.call_later(self.dismiss, result)
        elif self is self.app.screen:
            return super().dismiss(result)
        return AwaitComplete()
