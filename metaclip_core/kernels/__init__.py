"""Compiled loops: arrays in, arrays out, no Python object inside, the interpreter's lock released.

Every kernel works on one range of its input, so a caller runs it in as many threads as it likes (`threads.map_ranges`)
and gets the same arrays. Numba's own `parallel=True` is not used: it aborts the process when two threads of a server
enter it at once.
"""
