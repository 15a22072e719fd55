"""numpy for what the app's first screen is made of, imported when something of it is first used: after the first paint.

Its import takes a third as long as that of all else there.
"""

import os
from typing import TYPE_CHECKING, Any

__all__ = ["np"]

_THREADS = "OPENBLAS_NUM_THREADS"

if TYPE_CHECKING:
    import numpy as np
else:

    class _Deferred:
        def __getattr__(self, name: str) -> Any:
            value = getattr(_load(), name)
            setattr(self, name, value)
            return value

    np = _Deferred()


def _load() -> Any:
    """numpy, its linear algebra with one thread: pictures need no more, and others would spin for 0.1 s when they start."""
    asked = os.environ.get(_THREADS)
    os.environ[_THREADS] = asked or "1"
    import numpy

    if asked is None:
        os.environ.pop(_THREADS, None)  # torch may bring a library of its own that reads this
    return numpy
