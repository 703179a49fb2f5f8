"""Parquet: columns, types, row groups, and rows that give no pair."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip_core.errors import PassedOver, PoolError
from metaclip_core.pools import ReadOptions, Shard, open_pool, parquet, pictures, read_shard, record
from metaclip_core.pools.pictures import read_picture

from .builders import assert_bad, assert_bad_file, pair, read_pool, read_strictly


def write(path: Path, columns: dict[str, Any], **settings: Any) -> Path:
    pq.write_table(pa.table(columns), path, **settings)
    return path


def not_utf8(*values: bytes | None) -> pa.Array:
    """Strings that Arrow takes for valid; pyarrow's writer doesn't look."""
    return pa.array(values, pa.binary()).view(pa.string())


def test_a_row_is_a_pair(tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", {"n": [1, 2], "url": ["https://x", None], "caption": ["a dog", ""]})
    rows, errors = read_pool(path)
    assert errors == []
    assert rows == [pair("p.parquet#0", "0", "a dog", "https://x"), pair("p.parquet#1", "1", "")]


@pytest.mark.parametrize(
    ("columns", "options", "identities", "keys"),
    [
        ({"text": ["a", "b"], "uid": ["u", "v"]}, ReadOptions(), ["u", "v"], ["u", "v"]),
        ({"text": ["a", "b"], "uid": ["u", "v"], "key": ["k", None]}, ReadOptions(), ["u", "v"], ["k", "v"]),
        ({"text": ["a", "b"], "key": ["k", None]}, ReadOptions(), ["p.parquet#0", "p.parquet#1"], ["k", "1"]),
        ({"text": ["a", "b"], "key": [7, 8]}, ReadOptions(), ["p.parquet#0", "p.parquet#1"], ["7", "8"]),
        ({"text": ["a", "b"], "key": [[7], [8]]}, ReadOptions(), ["p.parquet#0", "p.parquet#1"], ["0", "1"]),
        ({"text": ["a", "b"], "n": [-7, 2**63 - 1]}, ReadOptions(id_column="n"), ["-7", str(2**63 - 1)], None),
        ({"text": ["a", "b"], "id": ["u", "v"]}, ReadOptions(), ["p.parquet#0", "p.parquet#1"], ["0", "1"]),
        ({"a.b": ["a", "b"], "text": ["c", "d"]}, ReadOptions(id_column="a.b"), ["a", "b"], None),
        ({"text": ["a", "b"]}, ReadOptions(id_column="text"), ["a", "b"], None),
    ],
)
def test_identities_and_keys(
    tmp_path: Path, columns: dict[str, Any], options: ReadOptions, identities: list[str], keys: list[str] | None
) -> None:
    rows, errors = read_pool(write(tmp_path / "p.parquet", columns), options=options)
    assert errors == []
    assert [row["identity"] for row in rows] == identities
    assert [row["key"] for row in rows] == (keys or identities)


TEXT_TYPES = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.binary(),
    pa.large_binary(),
]


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=str)
def test_strings_of_every_layout(tmp_path: Path, kind: pa.DataType) -> None:
    texts = pa.array(["é", "", None, "日本", "é"]).cast(kind)
    path = write(tmp_path / "p.parquet", {"text": texts})
    assert pq.read_schema(path).field("text").type == kind
    assert_bad(path, [("row 2", "no_text")], ["é", "", "日本", "é"])


@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.binary()], ids=str)
def test_a_text_that_is_not_utf8(tmp_path: Path, kind: pa.DataType) -> None:
    texts = not_utf8(b"a", b"caf\xe9", None, b"b")
    texts = texts.dictionary_encode() if pa.types.is_dictionary(kind) else texts.view(kind)
    path = write(tmp_path / "p.parquet", {"text": texts})
    assert_bad(path, [("row 1", "invalid_utf8"), ("row 2", "no_text")], ["a", "b"])


@pytest.mark.parametrize("column", ["url", "key", "uid"])
def test_another_column_that_is_not_utf8(tmp_path: Path, column: str) -> None:
    path = write(tmp_path / "p.parquet", {"text": ["a", "b"], column: not_utf8(b"\xff", b"fine")})
    assert_bad(path, [("row 0", "invalid_utf8")], ["b"])


def test_a_column_that_is_not_read_may_hold_anything(tmp_path: Path) -> None:
    rows, errors = read_pool(
        write(tmp_path / "p.parquet", {"text": ["a"], "thumb": [b"\xff"], "other": not_utf8(b"\xff")})
    )
    assert (rows, errors) == ([pair("p.parquet#0", "0", "a")], [])


def test_rows_without_an_id(tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", {"text": ["a", "b", None, "d"], "uid": ["u", None, None, ""]})
    assert_bad(path, [("row 1", "no_id"), ("row 2", "no_text"), ("row 3", "no_id")], ["a"])


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"n": [1], "body": ["x"]}, ReadOptions(), r"no column .*usual name.*columns are n, body\. .*--text-column"),
        ({"text": ["x"]}, ReadOptions(text_column="body"), r"no column 'body'; its columns are text\. .*--text-column"),
        ({"text": ["x"]}, ReadOptions(id_column="sha"), r"no column 'sha'; its columns are text\. .*--id-column"),
        ({"text": [1]}, ReadOptions(), r"column 'text' holds int64, not strings; .*--text-column"),
        ({"text": [[1]]}, ReadOptions(), r"column 'text' holds list<.*>, not strings"),
        ({"text": ["x"], "uid": [0.5]}, ReadOptions(), r"column 'uid' holds double, neither .*--id-column"),
    ],
)
def test_columns_that_do_not_do(tmp_path: Path, columns: dict[str, Any], options: ReadOptions, message: str) -> None:
    path = write(tmp_path / "p.parquet", columns)
    with pytest.raises(PoolError, match=f"^{re.escape(str(path))}: .*{message}"):
        read_pool(path, options=options)  # also under the policy that skips: it is the settings that are wrong


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "p.parquet")
    with pytest.raises(PoolError, match="it has 2 columns 'text'"):
        open_pool(tmp_path)


def test_row_groups_become_ranges_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "SHARD_ROWS", 25)
    path = tmp_path / "p.parquet"
    schema = pa.schema([("text", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        number = 0
        for n_rows in (10, 10, 10, 40, 5, 20, 1):
            texts = [f"t{number + i}" for i in range(n_rows)]
            writer.write_table(pa.table({"text": texts}, schema=schema))
            number += n_rows
    shards = open_pool(path)
    assert [(shard.start, shard.stop) for shard in shards] == [(0, 20), (20, 30), (30, 70), (70, 95), (95, 96)]
    assert {shard.name for shard in shards} == {"p.parquet"}
    assert sum(shard.size_bytes for shard in shards) == path.stat().st_size
    rows, _ = read_pool(path)
    assert rows == [pair(f"p.parquet#{i}", str(i), f"t{i}") for i in range(96)]
    part = Shard(format="parquet", path=str(path), name="n", size_bytes=0, start=15, stop=33)
    assert [row["text"] for batch in read_shard(part) for row in batch.to_pylist()] == [f"t{i}" for i in range(15, 33)]


@pytest.mark.parametrize("size", [1, 3, 10, 25])
def test_batches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    texts = [None if i % 7 == 0 else f"t{i}" for i in range(25)]
    path = write(tmp_path / "p.parquet", {"text": texts, "url": texts}, row_group_size=10)
    whole = [(row["identity"], row["text"], row["url"]) for row in read_pool(path)[0]]
    places = [error.place for error in read_pool(path)[1]]
    monkeypatch.setattr(record, "BATCH_SIZE", size)
    rows, errors = read_pool(path)
    assert [(row["identity"], row["text"], row["url"]) for row in rows] == whole
    assert whole == [(f"p.parquet#{i}", f"t{i}", f"t{i}") for i in range(25) if i % 7]
    assert [error.place for error in errors] == places == ["row 0", "row 7", "row 14", "row 21"]


@pytest.mark.parametrize("data", [b"PAR1 no parquet PAR1", b"x", bytes(100), b""])
def test_a_file_that_is_no_parquet(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.parquet").write_bytes(data)
    reason = "unreadable_file" if data else "empty_file"
    assert_bad_file(tmp_path, "bad.parquet", "", reason, lambda path: write(path, {"text": ["good"]}))


def test_a_cut_parquet(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.parquet", {"text": ["a"] * 100})
    path.write_bytes(path.read_bytes()[:-10])
    assert_bad_file(tmp_path, "bad.parquet", "", "unreadable_file", lambda path: write(path, {"text": ["good"]}))


def test_a_page_that_is_damaged_ends_the_file(tmp_path: Path) -> None:
    texts = [f"caption number {i}" for i in range(100)]
    path = write(
        tmp_path / "p.parquet",
        {"text": texts},
        row_group_size=50,
        write_page_checksum=True,
        use_dictionary=False,
        compression="none",
    )
    data = bytearray(path.read_bytes())
    data[data.index(b"caption number 70")] ^= 0x20
    path.write_bytes(data)
    rows, (error,) = read_pool(path)
    assert (error.reason, error.place) == ("unreadable_file", "after row 49" if rows else "")
    assert "damaged" in error.detail
    assert [row["text"] for row in rows] == texts[: len(rows)]


def test_a_file_without_rows_has_no_shard(tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", {"text": pa.array([], pa.string())})
    with pytest.raises(PoolError, match="the pool is empty"):
        open_pool(path)
    write(tmp_path / "q.parquet", {"text": ["good"]})
    assert [shard.name for shard in open_pool(tmp_path)] == ["q.parquet"]


def test_a_column_of_nulls_only(tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", {"text": pa.nulls(2), "url": pa.nulls(2)})
    rows, errors = read_pool(path)
    assert (rows, [error.reason for error in errors]) == ([], ["no_text", "no_text"])


def test_the_real_captions(shared_data: Path) -> None:
    path = shared_data / "data/captions.parquet"
    rows, errors = read_pool(path)
    table = pq.read_table(path)
    assert errors == []
    assert len(rows) == 120_049
    assert [row["text"] for row in rows] == table["text"].to_pylist()
    assert [row["url"] for row in rows] == table["url"].to_pylist()
    assert rows[-1]["identity"] == "captions.parquet#120048"
    by_id, _ = read_pool(path, options=ReadOptions(id_column="pair_id"))
    assert [row["identity"] for row in by_id] == [str(i) for i in table["pair_id"].to_pylist()]


def test_a_file_that_is_gone_when_it_is_read(tmp_path: Path) -> None:
    (shard,) = open_pool(write(tmp_path / "p.parquet", {"text": ["a"]}))
    os.remove(shard.path)
    errors: list[Exception] = []
    assert list(read_shard(shard, errors.append)) == []
    assert [getattr(error, "reason", None) for error in errors] == ["unreadable_file"]


def test_several_texts_of_a_picture(tmp_path: Path) -> None:
    texts = [["a", "b"], [], None, ["c", None, "d"], ["e"]]
    path = write(tmp_path / "p.parquet", {"captions": texts, "url": list("vwxyz"), "n": [0, 1, 2, 3, 4]})
    rows, errors = read_pool(path)
    assert [(row["identity"], row["key"], row["text"], row["url"]) for row in rows] == [
        ("p.parquet#0/0", "0/0", "a", "v"), ("p.parquet#0/1", "0/1", "b", "v"), ("p.parquet#3/0", "3/0", "c", "y"),
        ("p.parquet#3/2", "3/2", "d", "y"), ("p.parquet#4/0", "4/0", "e", "z"),
    ]  # fmt: skip
    assert [(error.place, error.reason) for error in errors] == [("row 1", "no_text"), ("row 2", "no_text")]


def test_several_texts_one_of_which_is_not_utf8(tmp_path: Path) -> None:
    values = pa.array([b"a", b"\xff", b"b"], pa.binary()).view(pa.string())
    table = pa.table({"text": pa.ListArray.from_arrays(pa.array([0, 2, 3]), values)})
    pq.write_table(table, tmp_path / "p.parquet")
    rows, errors = read_pool(tmp_path / "p.parquet")
    assert [row["text"] for row in rows] == ["b"]
    assert [(error.place, error.reason) for error in errors] == [("row 0", "invalid_utf8")]


IMG2DATASET = {
    "caption": ["a", "b", "c", "d"],
    "url": ["u/0", "u/1", "u/2", "u/3"],
    "key": ["000", "001", "002", "003"],
    "status": ["success", "failed_to_download", "failed_to_resize", None],
    "error_message": [None, "HTTP 404", "no", None],
    "width": [256, None, None, None],
    "jpg": [b"\xff\xd8\xff first", None, None, None],
}


def test_img2dataset_rows_that_came_to_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "00000.parquet", IMG2DATASET)
    rows, errors = read_pool(path)
    assert [(row["key"], row["text"], row["url"]) for row in rows] == [("000", "a", "u/0")]
    assert read_picture(rows[0]["image_path"]) == b"\xff\xd8\xff first"
    assert [(type(error), error.reason) for error in errors] == [
        (PassedOver, "failed_to_download"), (PassedOver, "failed_to_resize"), (PassedOver, "failed")
    ]  # fmt: skip
    read_strictly(path)


def test_a_status_of_something_else_is_only_a_column(tmp_path: Path) -> None:
    rows, errors = read_pool(write(tmp_path / "p.parquet", {"text": ["a"], "status": ["draft"]}))
    assert (len(rows), errors) == (1, [])


@pytest.mark.parametrize("rows_a_group", [1, 2, 100])
def test_pictures_of_a_hugging_face_data_set(tmp_path: Path, rows_a_group: int) -> None:
    images = [{"bytes": b"picture %d" % i, "path": f"{i}.jpg"} for i in range(5)] + [None]
    folder = tmp_path / "data"
    folder.mkdir()
    table = pa.table({"image": images, "text": [f"text {i}" for i in range(6)]})
    pq.write_table(table, folder / "train-00000-of-00001.parquet", row_group_size=rows_a_group)
    rows, errors = read_pool(tmp_path)
    assert errors == []
    assert [(row["text"], read_picture(row["image_path"])) for row in rows[:5]] == [
        (f"text {i}", b"picture %d" % i) for i in range(5)
    ]
    with pytest.raises(PoolError, match="its picture image/5 is null"):
        read_picture(rows[5]["image_path"])
    with pytest.raises(PoolError, match="its picture image/7 can't be read"):
        read_picture(rows[0]["image_path"].replace("/0", "/7"))


def test_a_very_large_row_group_of_pictures_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_LARGEST_GROUP_BYTES", 10)
    write(tmp_path / "p.parquet", {"text": ["t"] * 40, "image": [b"picture %d" % i for i in range(40)]})
    rows, _ = read_pool(tmp_path)
    assert [read_picture(rows[i]["image_path"]) for i in (0, 39, 17)] == [b"picture 0", b"picture 39", b"picture 17"]


LAION = {
    "SAMPLE_ID": [7],
    "URL": ["u"],
    "TEXT": ["a"],
    "HEIGHT": [9],
    "WIDTH": [8],
    "similarity": [0.3],
    "punsafe": [0.1],
}
DATACOMP = {"uid": ["f" * 32], "url": ["u"], "text": ["a"], "original_width": [8], "clip_b32_similarity_score": [0.3]}
CLIP_RETRIEVAL = {"image_path": ["000"], "caption": ["a"], "NSFW": ["UNLIKELY"], "similarity": [0.3], "url": ["u"]}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (LAION, pair("p.parquet#0", "0", "a", "u")),
        (DATACOMP, pair("f" * 32, "f" * 32, "a", "u")),
        (CLIP_RETRIEVAL, pair("p.parquet#0", "000", "a", "u")),
    ],
)
def test_the_columns_that_people_have(tmp_path: Path, columns: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read_pool(write(tmp_path / "p.parquet", columns)) == ([expected], [])


def test_extra_columns_keep_their_types(tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", LAION)
    (shard,) = open_pool(path, options=ReadOptions(extra_columns=("similarity", "WIDTH", "URL")))
    (batch,) = read_shard(shard)
    assert batch.schema.names[7:] == ["similarity", "WIDTH", "URL"]
    assert batch.schema.types[7:] == [pa.float64(), pa.int64(), pa.string()]
    assert batch.to_pylist()[0]["similarity"] == 0.3


def test_a_long_string_that_comes_again_and_again_costs_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dictionary says it once, and the rows refer to it: 3,000 rows of 100 KB in a file of 10 KB."""
    monkeypatch.setattr(parquet, "MAX_BATCH_BYTES", 1 << 20)
    path = tmp_path / "p.parquet"
    table = pa.table({"text": pa.array(["x" * 100_000] * 3000), "url": ["u"] * 3000})
    pq.write_table(table, path, compression="zstd", dictionary_pagesize_limit=64 << 20)
    assert path.stat().st_size < 20_000
    (shard,) = open_pool(path)
    sizes = [(batch.num_rows, batch.nbytes) for batch in read_shard(shard)]
    assert sum(n_rows for n_rows, _ in sizes) == 3000
    assert max(n_bytes for _, n_bytes in sizes) < 2 << 20


def test_a_text_of_many_bytes_is_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_TEXT_BYTES", 100)
    path = write(tmp_path / "p.parquet", {"text": ["x" * 101, "x" * 100, None]})
    assert_bad(path, [("row 0", "text_too_long"), ("row 2", "no_text")], ["x" * 100])
