"""Search the pictures by text, by picture or by another pair; a map of all of them; and how well captions fit."""

from __future__ import annotations

import shlex

import numpy as np
import polars as pl
import streamlit as st

from dashboard import charts
from dashboard.components.captions import cut
from dashboard.components.embedding import captions_form, embed_form
from dashboard.components.figures import chart_with_table, csv_download
from dashboard.components.page import show
from dashboard.components.pictures import pair_wall
from dashboard.components.query import query_controls
from dashboard.data.balances import Settings, balance_of
from dashboard.data.pairs import pair_table, sampled
from dashboard.data.searches import (
    Query,
    agreement_shares,
    answer,
    command,
    density,
    embeddings_of,
    no_pictures,
    on_map,
    positions,
    warm_up,
)
from dashboard.state import go_to
from metaclip_core.embedding.models import SAMPLE_MODEL
from metaclip_core.embedding.store import Embeddings
from metaclip_core.inspection import entry_id_of, pairs_of_entry
from metaclip_core.run import Run

_LASSOED = 24


def page(run: Run, settings: Settings) -> None:
    made = embeddings_of(run)
    if not made:
        without_embeddings(run)
        return
    labels = [embeddings.label for embeddings in made]
    number = (
        st.selectbox("Model", range(len(made)), format_func=lambda i: labels[i], key="model", bind="query-params")
        if len(made) > 1
        else 0
    )
    embeddings = made[number or 0]
    query = query_controls(run)
    pictures_tab, map_tab, agreement_tab, models_tab = st.tabs(
        ["Pictures", "Map", "Agreement", "Models"], key="view", bind="query-params"
    )
    with pictures_tab:
        if pictures_tab.open:
            results(run, embeddings, settings, query)
    with map_tab:
        if map_tab.open:
            picture_map(run, embeddings, settings, query)
    with agreement_tab:
        if agreement_tab.open:
            agreement(run, embeddings, settings)
    with models_tab:
        if models_tab.open:
            st.text(f"Embedded by {embeddings.label}: {embeddings.n_images:,} pictures, {embeddings.dim} dimensions.")
            if embeddings.model is not None and embeddings.model.name == SAMPLE_MODEL:
                st.caption(
                    "It knows the drawn world of the embedded sample: what it finds among photographs means little."
                )
            embed_form(run)
    if embeddings.model is not None:
        warm_up()  # last, so that what is drawn here does not wait for it


def without_embeddings(run: Run) -> None:
    if reason := no_pictures(run):
        st.info("This run can't be searched:", icon=":material/hide_image:")
        st.text(reason)
        return
    st.info(
        "The pictures of this run are not embedded yet, so they can't be searched. The model that ships knows the world of "
        "the embedded sample only; for photographs choose one of MetaCLIP's, which is downloaded when you start it.",
        icon=":material/image_search:",
    )
    embed_form(run)


def results(run: Run, embeddings: Embeddings, settings: Settings, query: Query) -> None:
    if query.empty:
        st.info(
            "Type what a picture should show: “a red apple”, “two dogs”, “a boat at night”. Without a text, the filters list "
            "pairs: an entry's that are dropped, for instance.",
            icon=":material/search:",
        )
        return
    if query.filters.entry:
        cost(run, settings, query.filters.entry)
    found = answer(run, embeddings, settings, query)
    if not len(found):
        st.info("No picture passes these filters: change them, or t.", icon=":material/search_off:")
        return
    kept = int((found["status"] == "kept").sum())
    what = "The score is the cosine of query and picture." if query.scored else "The first ones that pass the filters."
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{len(found):,} results, {kept:,} of them kept at this t. {what}")
        csv_download(found, name="results")
    pair_wall(found.rename({"row": "pair", "entry": "decided_by"}), run.fingerprint, key="found", similar=True)
    with st.expander("The same on the command line"):
        st.code(shlex.join(command(run, embeddings, settings, query)), language="bash", wrap_lines=True)


def cost(run: Run, settings: Settings, entry: str) -> None:
    """What t costs an entry, in a sentence."""
    balance = balance_of(run, settings)
    pairs = pairs_of_entry(balance.matches, entry_id_of(run, entry))
    kept = int((balance.keep_t[pairs] < settings.t).sum())
    name, dropped = cut(entry, 80), len(pairs) - kept
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(pairs):
            st.text(f"“{name}”: {kept:,} of its {len(pairs):,} pairs are kept at this t, {dropped:,} are dropped.")
        else:
            st.text(f"“{name}” matches none of the pool's pairs.")
        if st.button("This entry", key="to_entry"):
            go_to("entries", entry=entry)


def picture_map(run: Run, embeddings: Embeddings, settings: Settings, query: Query) -> None:
    if not embeddings.n_images:
        st.info("None of the pictures could be embedded, so there is no map.", icon=":material/search_off:")
        return
    by = st.segmented_control(
        "Colour by", ["status", "source", "entry"], default="status", key="by", bind="query-params"
    )
    entry = st.text_input("Entry", key="by_entry", bind="query-params") if by == "entry" else ""
    points = positions(embeddings).rename({"row": "pair"})
    table = points.with_columns(
        pair_table(run, settings, points["pair"].to_numpy()).select("text", "status", "decided_by")
    )
    table = table.with_columns(group=_groups(run, settings, table, by, entry))
    hits = None if query.empty else on_map(embeddings, answer(run, embeddings, settings, query))
    chosen = chart_with_table(
        charts.embedding_map(table, hits, density(embeddings)),
        table,
        name="map",
        how_to_read=f"{len(table):,} pairs by chance, over the density of all; pictures that CLIP finds alike are near each "
        "other (t-SNE). Directions and distances between groups mean nothing. Draw a lasso or a box to see its pairs, "
        "double-click to let go of them; the address can't hold it."
        + (f" Rings: the {len(hits):,} results of the search." if hits is not None else ""),
        lasso=True,
    )
    if chosen:
        shown = sampled(pl.Series(sorted(set(chosen)), dtype=pl.Int64).to_numpy(), _LASSOED, 1)
        st.markdown(f"**{len(set(chosen)):,} pairs chosen on the map**")
        pair_wall(pair_table(run, settings, shown), run.fingerprint, key="lassoed", similar=True)


def _groups(run: Run, settings: Settings, table: pl.DataFrame, by: str | None, entry: str) -> pl.Series:
    """What the map's points are coloured by."""
    if by == "source":
        first = run.entries.select("entry", pl.col("sources").list.first())
        joined = table.join(first, left_on="decided_by", right_on="entry", how="left", maintain_order="left")
        return joined["sources"].fill_null("unmatched")
    if by == "entry" and entry:
        carriers = pairs_of_entry(balance_of(run, settings).matches, entry_id_of(run, entry))
        carries = pl.Series(np.isin(table["pair"].to_numpy(), carriers))
        return pl.select(pl.when(carries).then(pl.lit("carries it")).otherwise(pl.lit("others"))).to_series()
    return table["status"]


def agreement(run: Run, embeddings: Embeddings, settings: Settings) -> None:
    if not embeddings.has_texts:
        captions_form(run, embeddings)
        return
    scores = agreement_shares(run, embeddings, settings)
    middle = ((scores["from"] + scores["to"]) / 2).to_numpy()
    numbers = {name: scores[name].to_numpy() for name in ("kept", "dropped")}
    means = {name: float(middle @ number / max(int(number.sum()), 1)) for name, number in numbers.items()}
    st.text(f"Mean CLIP score: {means['kept']:.3f} of the kept pairs, {means['dropped']:.3f} of the dropped ones.")
    chart_with_table(
        charts.agreement(scores),
        scores,
        name="agreement",
        how_to_read="Balancing looks at captions only. Where the two curves lie on each other, it doesn't change how well "
        "pictures and captions agree.",
    )


show("Search", page, intro="CLIP embeddings, nearest first. Moving t changes what is kept, not what is near.")
