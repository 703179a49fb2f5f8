"""Compiled loops: arrays in, arrays out, no Python object inside, the interpreter's lock released.

Every kernel works on one range of its input, so a caller runs it in as many threads as it likes (`threads.map_ranges`)
and gets the same arrays. Numba's own `parallel=True` is not used: it aborts the process when two threads of a server
enter it at once.
"""

import atexit
import os
import shutil
import tempfile

from numba import config, njit


def _provide_cache() -> None:
    """Compiled code is kept beside its source, or in the user's cache folder: as numba does, which fails without either.

    Where neither can be written (a read-only container) it is kept as long as this process, for its workers too.
    """
    try:
        njit(cache=True)(_provide_cache)  # compiles nothing, only looks for a place
    except RuntimeError:
        folder = tempfile.mkdtemp(prefix="metaclip-kernels-")
        os.environ["NUMBA_CACHE_DIR"] = folder
        config.CACHE_DIR = folder  # type: ignore[attr-defined]  # numba has read its environment already
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


_provide_cache()
