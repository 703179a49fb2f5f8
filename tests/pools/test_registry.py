"""What the files of a pool are: formats, names, order, and pools that can't be."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from metaclip_core.cli import main
from metaclip_core.errors import PoolError, RecordError, SettingsError
from metaclip_core.pools import FORMATS, ReadOptions, Shard, open_pool, read_shard
from metaclip_core.pools.columns import ID_NAME, KEY_NAMES, TEXT_NAMES, URL_NAMES

from .builders import read_pool, sample, write_tar

LINE = '{"text": "a"}\n'


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".tar"):
            write_tar(path, sample("a"))
        else:
            path.write_text("text\na\n" if name.endswith(("csv", "tsv")) else LINE)


def names(shards: list[Shard]) -> list[tuple[str, str]]:
    return [(shard.format, shard.name) for shard in shards]


def test_the_formats_in_the_order_of_recognition() -> None:
    assert list(FORMATS) == ["webdataset", "parquet", "jsonl", "csv", "wat", "warc", "zip", "folder"]
    files = {name: module for name, module in FORMATS.items() if name != "folder"}
    for name, module in files.items():
        for extension in module.EXTENSIONS:
            found = [other for other, format_ in FORMATS.items() if format_.recognises(f"/a.b/F{extension.upper()}")]
            assert found == [name]
        assert not module.recognises(f"/a{module.EXTENSIONS[0]}/file.txt")


def test_the_command_line_names_the_formats(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["curate", "--help"])
    named = " ".join(capsys.readouterr().out.split())
    assert f"auto (by the file's name), {', '.join(FORMATS)}" in named


def test_the_documentation_has_every_format_and_column() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/pools.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in page.partition("## Columns")[0].splitlines() if line.startswith("| `")}
    assert list(rows) == list(FORMATS)
    for name, module in FORMATS.items():
        assert name == "folder" or all(extension.removesuffix(".gz") in rows[name] for extension in module.EXTENSIONS)
    for names in (TEXT_NAMES, URL_NAMES, KEY_NAMES, (ID_NAME,)):
        assert f"`{' '.join(names)}`" in page


def test_a_folder_is_searched_through_all_levels_in_the_order_of_names(tmp_path: Path) -> None:
    write(tmp_path, "b.jsonl", "a/z.csv", "a/b/c.tsv", "a.csv", "a-b/x.jsonl", "notes.md", "a/stats.json")
    write(tmp_path, ".hidden.jsonl", ".git/x.jsonl", "a/._z.csv")
    assert names(open_pool(tmp_path)) == [
        ("jsonl", "a-b/x.jsonl"),
        ("csv", "a.csv"),
        ("csv", "a/b/c.tsv"),
        ("csv", "a/z.csv"),
        ("jsonl", "b.jsonl"),
    ]


def test_arguments_keep_their_order(tmp_path: Path) -> None:
    write(tmp_path, "b.jsonl", "a.csv", "f/1.jsonl")
    shards = open_pool([tmp_path / "f", str(tmp_path / "b.jsonl"), tmp_path / "a.csv"])
    assert names(shards) == [("jsonl", "1.jsonl"), ("jsonl", "b.jsonl"), ("csv", "a.csv")]
    assert all(os.path.isabs(shard.path) and shard.size_bytes for shard in shards)


def test_a_path_alone_is_a_pool(tmp_path: Path) -> None:
    write(tmp_path, "a.csv")
    assert open_pool(str(tmp_path)) == open_pool([tmp_path])


def test_tables_beside_tars_describe_them(tmp_path: Path) -> None:
    write(tmp_path, "wds/0.tar", "wds/0.jsonl", "wds/authors.csv", "other/1.jsonl")
    assert names(open_pool(tmp_path)) == [("jsonl", "other/1.jsonl"), ("webdataset", "wds/0.tar")]
    assert names(open_pool(tmp_path, format="csv")) == [("csv", "wds/authors.csv")]
    assert names(open_pool([tmp_path / "wds/0.jsonl"])) == [("jsonl", "0.jsonl")]


def test_a_named_format_takes_any_file(tmp_path: Path) -> None:
    (tmp_path / "pool.txt").write_text(LINE)
    assert names(open_pool(tmp_path / "pool.txt", format="jsonl")) == [("jsonl", "pool.txt")]
    rows, _ = read_pool(tmp_path / "pool.txt", format="jsonl")
    assert rows[0]["identity"] == "pool.txt#0"


def test_links_are_followed_once(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/x.jsonl", "pool/a.jsonl")
    try:
        os.symlink(tmp_path / "elsewhere", tmp_path / "pool/linked")
        os.symlink(tmp_path / "pool", tmp_path / "elsewhere/ring")
    except OSError:
        pytest.skip("no symbolic links here")
    assert names(open_pool(tmp_path / "pool")) == [("jsonl", "a.jsonl"), ("jsonl", "linked/x.jsonl")]


@pytest.mark.parametrize(
    ("name", "format_", "message"),
    [
        ("gone", "auto", r"gone: no such file or folder"),
        (
            "notes.txt",
            "auto",
            r"notes\.txt: its name says no known format \(webdataset: \.tar; parquet: \.parquet; .*--format",
        ),
        ("plain", "auto", r"plain: no file in the folder has a known format \(webdataset: \.tar; .*csv: \.csv"),
        ("plain", "csv", r"plain: no file in the folder has a known format \(csv: \.csv \.tsv"),
        ("empty.jsonl", "auto", r"empty\.jsonl: the file is empty"),
        ("blank.jsonl", "auto", r"blank\.jsonl: the pool is empty"),
        ("data.arrow", "auto", r"data\.arrow: its name says no known format"),
    ],
)
def test_pools_that_can_not_be(tmp_path: Path, name: str, format_: str, message: str) -> None:
    write(tmp_path, "notes.txt", "plain/readme.md", "data.arrow")
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "blank.jsonl").write_text("\n")
    with pytest.raises(PoolError, match=f"^{re.escape(str(tmp_path))}.{message}"):
        open_pool([tmp_path / name], format=format_)


def test_no_path_at_all() -> None:
    with pytest.raises(PoolError, match="no path given: the pool is empty"):
        open_pool([])


def test_a_pipe_is_no_pool(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes with a name here")
    os.mkfifo(tmp_path / "p.jsonl")
    with pytest.raises(PoolError, match=r"p\.jsonl: neither a file nor a folder"):
        open_pool(tmp_path / "p.jsonl")
    with pytest.raises(PoolError, match="no file in the folder has a known format"):
        open_pool(tmp_path)


def test_all_files_bad_is_an_empty_pool_for_the_policy_that_skips(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "b.parquet").write_bytes(b"x")
    errors: list[RecordError] = []
    with pytest.raises(PoolError, match="the pool is empty, there is no record to read"):
        open_pool(tmp_path, bad_record=errors.append)
    assert [error.reason for error in errors] == ["empty_file", "unreadable_file"]


@pytest.mark.parametrize("second", ["a.jsonl", "."])
def test_a_file_is_not_read_twice(tmp_path: Path, second: str) -> None:
    write(tmp_path, "a.jsonl")
    with pytest.raises(PoolError, match=r"a\.jsonl: the pool reaches this file twice"):
        open_pool([tmp_path / "a.jsonl", tmp_path / second])


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.jsonl")
    try:
        with open(path, "w") as file:
            file.write(LINE)
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(PoolError, match=r"caf\\xe9\.jsonl'?: the name is not valid UTF-8; rename it"):
        open_pool(tmp_path)


def test_an_unknown_format(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl")
    allowed = "auto, webdataset, parquet, jsonl, csv, wat, warc, zip, folder"
    with pytest.raises(SettingsError, match=f"unknown pool format 'tfrecord'; allowed are {allowed}"):
        open_pool(tmp_path, format="tfrecord")
    with pytest.raises(SettingsError, match="unknown pool format 'x'"):
        read_shard(Shard(format="x", path="p", name="p", size_bytes=1))


def test_a_folder_that_can_not_be_read(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", "closed/b.jsonl")
    os.chmod(tmp_path / "closed", 0)
    try:
        if os.access(tmp_path / "closed", os.R_OK):
            pytest.skip("nothing is closed to this user")
        with pytest.raises(PoolError, match=r"closed: the folder can't be read"):
            open_pool(tmp_path)
    finally:
        os.chmod(tmp_path / "closed", 0o700)


def test_the_options_go_with_the_shards(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"alt": "b", "text": "a"}\n')
    options = ReadOptions(text_column="alt")
    (shard,) = open_pool(tmp_path, options=options)
    assert shard.options == options
    assert next(iter(read_shard(shard)))["text"].to_pylist() == ["b"]
