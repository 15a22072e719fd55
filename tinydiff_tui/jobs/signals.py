"""Which signals to answer."""

import signal


def heeded(*names: str) -> list[signal.Signals]:
    """Those of these signals that this system has and that were not ignored when the program was started.

    `nohup` has a hang-up ignored, a shell without job control the interrupt of what it puts into the background: both mean it.
    """
    found = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return [number for number in found if signal.getsignal(number) is not signal.SIG_IGN]
