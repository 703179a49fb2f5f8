"""Parquet files, read column by column without a row of Python in the good path.

Beside plain tables (LAION's and DataComp's metadata, clip-retrieval's) these are img2dataset's, whose `status` says which
rows came to nothing, and those of Hugging Face data sets, with the pictures in a column: a pair says in which row its is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metaclip_core.errors import PoolError, RecordError
from metaclip_core.inputs import full_path, is_remote, open_input
from metaclip_core.pools import record
from metaclip_core.pools.columns import Columns, find_columns
from metaclip_core.pools.pairs import MAX_TEXT_BYTES, Place
from metaclip_core.pools.pictures import beside, inside
from metaclip_core.pools.record import PAIR_SCHEMA, BadRecord, Shard, pair_batch

EXTENSIONS = (".parquet",)

SHARD_ROWS = 250_000
"""Rows of a shard, about: a second of matching, and few enough that all workers get some of one big file."""

MAX_BATCH_BYTES = 2**30
"""What a batch's strings of one column may come to when each is its dictionary's longest."""

PARQUET_ERRORS = (pa.ArrowException, OSError, ValueError)
"""What pyarrow raises for a file that isn't parquet, or is damaged (ValueError: a name in it that isn't UTF-8)."""


STATUS_COLUMNS = ("status", "error_message")
"""img2dataset's; where both are, rows of another status than `success` are pictures that were not to be had."""

FAILURES = ("failed_to_download", "failed_to_resize")

PICTURE_COLUMNS = ("image", "jpg", "img", "png", "webp")


def recognises(path: str) -> bool:
    return path.lower().endswith(EXTENSIONS)


def split(shard: Shard) -> list[Shard]:
    """Ranges of whole row groups, of about SHARD_ROWS rows: a row group is the least that can be read by itself."""
    with _open(shard.path) as file:
        _find_columns(file, shard)
        groups = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    n_rows = sum(groups)
    stops: list[int] = []
    start = stop = 0
    for n_group_rows in groups:
        if stop > start and stop + n_group_rows - start > SHARD_ROWS:
            stops.append(stop)
            start = stop
        stop += n_group_rows
    stops += [stop] if stop > start else []
    # The file's bytes are shared out by rows, so that the sizes of the shards add up to that of the file.
    return [
        replace(shard, start=a, stop=b, size_bytes=shard.size_bytes * b // n_rows - shard.size_bytes * a // n_rows)
        for a, b in zip([0, *stops], stops, strict=False)
    ]


def read(shard: Shard, bad_record: BadRecord) -> Iterator[pa.RecordBatch]:
    at = Place(shard.path)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_open(shard.path))
        except RecordError as error:
            bad_record(error)
            return
        columns = _find_columns(file, shard)
        picture_column = _picture_column(file.schema_arrow)
        chunks = _chunks(file, shard, columns)
        while True:
            try:
                start, chunk = next(chunks)
            except StopIteration:
                return
            except PARQUET_ERRORS as error:
                bad_record(at.error("unreadable_file", f"the file is damaged: {error}"))
                return
            pairs, bad = _pairs(shard, columns, picture_column, start, chunk)
            for row_error in bad:
                bad_record(row_error)
            at = Place(shard.path, f"after row {start + chunk.num_rows - 1}")
            if pairs.num_rows:
                yield pairs


@contextmanager
def _open(path: str) -> Iterator[pq.ParquetFile]:
    """RecordError `unreadable_file` when it isn't a parquet file."""
    with ExitStack() as stack:
        try:
            source = stack.enter_context(open_input(path)) if is_remote(path) else path
            # Checksums are compared where the writer left some: a flipped bit is an error then, not another caption.
            file = stack.enter_context(pq.ParquetFile(source, page_checksum_verification=True))
        except PARQUET_ERRORS as error:
            raise Place(path).error("unreadable_file", f"the file can't be read as parquet: {error}") from error
        yield file


def _find_columns(file: pq.ParquetFile, shard: Shard) -> Columns:
    """As `find_columns`, and PoolError when the text or the id has a type that it can't have."""
    schema = file.schema_arrow
    columns = find_columns(shard.path, schema.names, shard.options)
    if not (_is_text(kind := schema.field(columns.text).type) or _is_texts(kind)):
        raise PoolError(
            f"{shard.path}: its column {columns.text!r} holds {kind}, not strings; "
            f"name the column of the texts with --text-column."
        )
    if shard.options.id_column is None and columns.id is not None and _is_empty(file.metadata, columns.id):
        columns = replace(columns, id=None)  # found unasked, and of none of the pairs
    if columns.id is not None and not _is_name(kind := schema.field(columns.id).type):
        raise PoolError(
            f"{shard.path}: its column {columns.id!r} holds {kind}, neither strings nor integers; "
            f"name another column of ids with --id-column."
        )
    # Found unasked, so no error: a column of this name that holds something else is not what we look for.
    url_fits = columns.url is not None and _is_text(schema.field(columns.url).type)
    key_fits = columns.key is not None and _is_name(schema.field(columns.key).type)
    failed = STATUS_COLUMNS[:1] if set(STATUS_COLUMNS) <= set(schema.names) else ()
    return replace(
        columns,
        url=columns.url if url_fits else None,
        key=columns.key if key_fits else None,
        file=columns.file if columns.file is not None and _is_text(schema.field(columns.file).type) else None,
        failed=failed[0] if failed and _is_text(schema.field(failed[0]).type) else None,
    )


def _is_empty(metadata: pq.FileMetaData, name: str) -> bool:
    """Whether all values of a column are null, as far as the file's statistics tell."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
    return all(
        chunk.statistics is not None and chunk.statistics.null_count == chunk.num_values
        for chunk in chunks
        if chunk.path_in_schema == name
    )


def _picture_column(schema: pa.Schema) -> str | None:
    """The column of encoded pictures: bytes, or a struct with a field `bytes` as Hugging Face has it."""
    for name in PICTURE_COLUMNS:
        if schema.names.count(name) == 1 and _is_picture(schema.field(name).type):
            return name
    return None


def _is_picture(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_picture(kind.field("bytes").type)
    return kind in (pa.binary(), pa.large_binary(), pa.binary_view())


def _is_texts(kind: pa.DataType) -> bool:
    """Lists of strings: several texts of a picture."""
    return _is_list(kind) and _is_text(kind.value_type)


def _is_text(kind: pa.DataType) -> bool:
    """Strings of any layout; also bytes, which old writers left untagged, and nulls, the type of an empty column."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return kind in (
        *(pa.string(), pa.large_string(), pa.string_view()),
        *(pa.binary(), pa.large_binary(), pa.binary_view(), pa.null()),
    )


def _is_name(kind: pa.DataType) -> bool:
    value_type = kind.value_type if pa.types.is_dictionary(kind) else kind
    return _is_text(kind) or pa.types.is_integer(value_type)


def _chunks(file: pq.ParquetFile, shard: Shard, columns: Columns) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(number of the first row, rows) of the shard's part of the file, in order."""
    metadata = file.metadata
    stop = metadata.num_rows if shard.stop is None else shard.stop
    groups: list[int] = []
    first = row = 0  # of the first group that is read; of the one looked at
    for group in range(metadata.num_row_groups):
        n_rows = metadata.row_group(group).num_rows
        if row < stop and row + n_rows > shard.start and n_rows:
            first = first if groups else row
            groups.append(group)
        row += n_rows
    if not groups:
        return
    n_rows = _rows_at_once(shard.path, groups, columns)
    # No threads: workers divide the cores among shards, and a second layer of threads would only fight them.
    batches = file.iter_batches(n_rows, row_groups=groups, columns=columns.used(), use_threads=False)
    for batch in batches:
        low, high = max(first, shard.start), min(first + batch.num_rows, stop)
        if low < high:
            yield low, batch.slice(low - first, high - low)
        first += batch.num_rows


def _rows_at_once(path: str, groups: list[int], columns: Columns) -> int:
    """Rows of a batch, fewer where long strings of a dictionary could come again and again: a bomb of a few KB."""
    names = columns.used()
    longest = 1
    with ExitStack() as stack:
        source = stack.enter_context(open_input(path)) if is_remote(path) else path
        metadata = pq.read_metadata(source)
        chunks = [metadata.row_group(groups[0]).column(i) for i in range(metadata.num_columns)]
        leaves = [each.path_in_schema for each in chunks if each.physical_type == "BYTE_ARRAY"]
        leaves = [leaf for leaf in leaves if leaf in names or leaf.partition(".")[0] in names]
        file = stack.enter_context(pq.ParquetFile(source, metadata=metadata, read_dictionary=leaves))
        for group in groups:
            first = next(file.iter_batches(1, row_groups=[group], columns=names, use_threads=False))
            for column in first.columns:
                values = pc.list_flatten(column) if _is_list(column.type) else column
                if pa.types.is_dictionary(values.type) and len(values.dictionary):
                    longest = max(longest, pc.max(pc.binary_length(values.dictionary)).as_py() or 0)
    return max(1, min(record.BATCH_SIZE, MAX_BATCH_BYTES // longest))


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _pairs(
    shard: Shard, columns: Columns, picture_column: str | None, start: int, chunk: pa.RecordBatch
) -> tuple[pa.RecordBatch, list[RecordError]]:
    """The pairs of some rows, and an error for each row that gives none."""
    n_rows = chunk.num_rows
    errors: dict[int, RecordError] = {}
    rows = _Rows(shard.path, start, errors)
    if columns.failed is not None:
        _pass_over_failures(chunk.column(columns.failed), rows)
    texts = chunk.column(columns.text)
    several = _is_texts(texts.type)
    if several:
        rows.report(pc.fill_null(pc.equal(pc.list_value_length(texts), 0), True), "no_text", _no_text(columns))
        parents = pc.list_parent_indices(texts).cast(pa.int64())
        text = rows.strings(pc.list_flatten(texts), columns.text, parents.to_numpy())
    else:
        text = rows.strings(texts, columns.text)
        rows.report(pc.is_null(text), "no_text", _no_text(columns))
        too_long = pc.fill_null(pc.greater(pc.binary_length(text), MAX_TEXT_BYTES), False)
        rows.report(too_long, "text_too_long", f"its text has more than {MAX_TEXT_BYTES:,} bytes")
    numbers = pa.array(np.arange(start, start + n_rows)).cast(pa.large_string())
    identity, key = _joined(shard.name + "#", numbers), numbers
    if columns.id is not None:
        identity = key = rows.strings(chunk.column(columns.id), columns.id)
        missing = pc.fill_null(pc.equal(pc.binary_length(identity), 0), True)
        rows.report(missing, "no_id", f"it has no id: {columns.id!r} is null or empty")
    if columns.key is not None:
        key = pc.coalesce(rows.strings(chunk.column(columns.key), columns.key), key)
    nulls = {field.name: pa.nulls(n_rows, field.type) for field in PAIR_SCHEMA}
    url = nulls["url"] if columns.url is None else rows.strings(chunk.column(columns.url), columns.url)
    image = nulls["image_path"]
    if picture_column is not None:
        image = _joined(inside(full_path(shard.path), f"{picture_column}/"), numbers)
    elif columns.file is not None:
        names = rows.strings(chunk.column(columns.file), columns.file).to_pylist()
        image = pa.array([beside(shard.path, name) for name in names], pa.large_string())
    others = [identity, key, url, image, nulls["image_offset"], nulls["image_size"]]
    others += [chunk.column(name) for name in columns.extra]
    good = np.ones(n_rows, bool)
    good[list(errors)] = False
    if several:
        others = [array.take(parents) for array in others]
        empty = pa.scalar("", pa.large_string())
        suffix = _joined("/", pa.array(_places_in_lists(parents.to_numpy())).cast(pa.large_string()))
        others[:2] = [pc.binary_join_element_wise(array, suffix, empty) for array in others[:2]]
        good = good[parents.to_numpy()] & ~pc.is_null(text).to_numpy(zero_copy_only=False)
    arrays = [*others[:2], text, *others[2:]]
    pairs = pair_batch(arrays, columns.extra)
    if not good.all():
        pairs = pairs.filter(pa.array(good))
    return pairs, [errors[row] for row in sorted(errors)]


def _no_text(columns: Columns) -> str:
    return f"it has no text: {columns.text!r} is null"


def _joined(prefix: str, array: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(pa.scalar(prefix, pa.large_string()), array, pa.scalar("", pa.large_string()))


def _places_in_lists(parents: np.ndarray) -> np.ndarray:
    """0, 1, ... for the elements of each list, whose rows `parents` names in ascending order: int64."""
    return np.arange(len(parents)) - np.searchsorted(parents, parents, side="left")


def _pass_over_failures(status: pa.Array, rows: _Rows) -> None:
    values = status.to_pylist()
    for row, value in enumerate(values):
        if value != "success":
            reason = value if value in FAILURES else "failed"
            rows.errors[row] = rows.place(row).passed_over(reason, "img2dataset could not get its picture")


@dataclass
class _Rows:
    """Some rows of a file, the first of which has the number `start`, and what is wrong with them."""

    path: str
    start: int
    errors: dict[int, RecordError]

    def place(self, row: int) -> Place:
        return Place(self.path, f"row {self.start + row}")

    def report(self, mask: pa.BooleanArray, reason: str, detail: str) -> None:
        if mask.true_count:
            for row in np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist():
                self.errors.setdefault(row, self.place(row).error(reason, detail))

    def strings(self, array: pa.Array, name: str, parents: np.ndarray | None = None) -> pa.Array:
        """The column as large_string; values of it that aren't UTF-8 become null, and errors of their rows.

        `parents`: the row of each value, where a row has several.
        """
        if pa.types.is_dictionary(array.type):
            array = array.cast(array.type.value_type)
        if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type) or array.type == pa.binary_view():
            array = array.cast(pa.large_binary()).view(pa.large_string())
        array = array.cast(pa.large_string())
        try:
            array.validate(full=True)  # neither reading nor this cast looks at the bytes
        except pa.ArrowInvalid:
            values = array.view(pa.large_binary()).to_pylist()
            for i, value in enumerate(values):
                try:
                    values[i] = None if value is None else value.decode("utf-8")
                except UnicodeDecodeError as error:
                    row = i if parents is None else int(parents[i])
                    detail = f"its {name!r} is not valid UTF-8 at byte {error.start}"
                    self.errors.setdefault(row, self.place(row).error("invalid_utf8", detail))
                    values[i] = None
            return pa.array(values, pa.large_string())
        return array
