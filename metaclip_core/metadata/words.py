"""Words and pairs of neighbouring words of texts, counted.

A word is letters, marks and digits, with an apostrophe or hyphen between two of them (`don't`, `well-known`), its case
kept: what stands between spaces when the text is matched. Two words are neighbours when only spaces lie between.
"""

from __future__ import annotations

import polars as pl

__all__ = ["count_words"]

_WORD = r"[\p{L}\p{M}\p{N}]+(?:['’-][\p{L}\p{M}\p{N}]+)*"
_SPACES = r"[\p{Zs}\t]+"
_RUN = rf"{_WORD}(?:{_SPACES}{_WORD})*"
_TAG = r"<[^<>\n]*>"  # left by markup removers: `<doc id="12">`


def count_words(texts: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(`word, count`) and (`first, second, count`) of the texts, in no order; counts are int64."""
    column = pl.Series("run", texts, dtype=pl.String).str.replace_all(_TAG, "\n").str.extract_all(_RUN)
    runs = column.drop_nulls().explode().drop_nulls().str.replace_all(_SPACES, " ").str.split(" ")
    words = pl.DataFrame({"first": runs}).with_row_index("run").explode("first")
    neighbours = words.with_columns(pl.col("first").shift(-1).alias("second"))
    neighbours = neighbours.filter(pl.col("run") == pl.col("run").shift(-1))
    count = pl.len().cast(pl.Int64).alias("count")
    unigrams = words.group_by(pl.col("first").alias("word")).agg(count)
    return unigrams, neighbours.group_by("first", "second").agg(count)
