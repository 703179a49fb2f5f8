"""Tests of the core and of its command line; a package, so that they share `commands.py`."""
