"""Stores for tests: a folder that all processes reach through `dir://` alone, and a server that speaks S3."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metaclip_core.store import StorePath

__all__ = ["dir_store", "s3_store", "stored"]


@contextmanager
def dir_store(folder: Path) -> Iterator[str]:
    """`dir://...` leads into this folder, also in the processes that are started meanwhile."""
    setting = {"path": str(folder), "target_protocol": "file"}
    with _fsspec_setting("dir", json.dumps(setting)):
        yield "dir://bucket"


@contextmanager
def s3_store() -> Iterator[str]:
    """A bucket of a real S3 server on this machine, which checks nobody's credentials."""
    pytest.importorskip("s3fs", reason="s3fs is not installed: the tests on dir:// stand in")
    server = pytest.importorskip("moto.server", reason="moto's server is not installed: the tests on dir:// stand in")
    started = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    setting = {"endpoint_url": f"http://{host}:{port}", "key": "test", "secret": "test"}
    try:
        with _fsspec_setting("s3", json.dumps(setting)):
            import s3fs

            bucket = f"bucket-{secrets.token_hex(6)}"  # what the server holds outlives it
            s3fs.S3FileSystem(**setting).mkdir(bucket)
            yield f"s3://{bucket}"
    finally:
        started.stop()


@contextmanager
def _fsspec_setting(protocol: str, value: str) -> Iterator[None]:
    """As users set it, by the environment; this process has read that already."""
    import fsspec

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"FSSPEC_{protocol.upper()}", value)
        patch.setitem(fsspec.config.conf, protocol, json.loads(value))
        yield
    os.environ.pop(f"FSSPEC_{protocol.upper()}", None)


def stored(url: str) -> dict[str, bytes]:
    """Every file below the URL, by its name from there."""
    place = StorePath(url)
    return {name: (place / name).read_bytes() for name in place.sizes()}
