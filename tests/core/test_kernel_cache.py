"""The compiled kernels where no folder for them can be written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import metaclip_core


def test_a_read_only_installation(tmp_path: Path) -> None:
    """Files stand where the folders should be: even an administrator can't write into them."""
    package = Path(str(metaclip_core.__file__)).parent
    shutil.copytree(package, tmp_path / "metaclip_core", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "metaclip_core/kernels/__pycache__").touch()
    (tmp_path / "home").touch()
    (tmp_path / "temporary").mkdir()
    home = str(tmp_path / "home")
    environment = {
        **{name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"},
        **{"PYTHONPATH": str(tmp_path), "HOME": home, "XDG_CACHE_HOME": home, "LOCALAPPDATA": home},
        **{"TMPDIR": str(tmp_path / "temporary"), "TEMP": str(tmp_path / "temporary")},
    }
    code = (
        "import os, numpy as np, metaclip_core\n"
        "from metaclip_core.kernels.draws import hash_strings\n"
        "print(metaclip_core.__file__, len(os.listdir(os.environ['TMPDIR'])), os.environ['NUMBA_CACHE_DIR'])\n"
        "print(hash_strings(np.zeros(0, np.uint8), np.zeros(2, np.int64), 0, 1)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    place, value = done.stdout.splitlines()
    assert place.startswith(f"{tmp_path / 'metaclip_core/__init__.py'} 1 {tmp_path / 'temporary'}")
    assert int(value) == 0xEF46DB3751D8E999  # XXH64 of nothing
    assert list((tmp_path / "temporary").iterdir()) == []
