"""Search the pictures by text, by picture or by another pair; a map of all of them; and how well captions fit."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboard import charts
from dashboard.components.captions import cut
from dashboard.components.figures import chart_with_table, csv_download
from dashboard.components.jobs import job_list
from dashboard.components.page import show
from dashboard.components.pictures import pair_wall
from dashboard.data.balances import Settings, balance_of
from dashboard.data.pairs import pair_table, sampled
from dashboard.data.runs import jobs_folder
from dashboard.data.searches import agreement_shares, embeddings_of, found, found_like, found_picture, positions
from dashboard.state import go_to
from metaclip_core.embedding.models import known_models
from metaclip_core.embedding.store import Embeddings
from metaclip_core.errors import SettingsError
from metaclip_core.inspection import entry_id_of, pairs_of_entry
from metaclip_core.jobs import start
from metaclip_core.run import Run
from metaclip_core.search import Filters

_NUMBERS = (12, 24, 48, 96)
_LASSOED = 24


def page(run: Run, settings: Settings) -> None:
    made = embeddings_of(run)
    if not made:
        st.info(
            "The pictures of this run are not embedded yet, so they can't be searched. The model that ships knows the world of "
            "the embedded sample only; for photographs choose one of MetaCLIP's, which is downloaded when you start it.",
            icon=":material/image_search:",
        )
        embed_form(run)
        return
    labels = [embeddings.label for embeddings in made]
    number = (
        st.selectbox("Model", range(len(made)), format_func=lambda i: labels[i], key="model") if len(made) > 1 else 0
    )
    embeddings = made[number or 0]
    search_tab, map_tab, agreement_tab, models_tab = st.tabs(
        ["Search", "Map", "Agreement", "Models"], key="view", on_change="rerun"
    )
    if search_tab.open:
        with search_tab:
            search(run, embeddings, settings)
    if map_tab.open:
        with map_tab:
            picture_map(run, embeddings, settings)
    if agreement_tab.open:
        with agreement_tab:
            agreement(run, embeddings, settings)
    if models_tab.open:
        with models_tab:
            st.text(f"Embedded by {embeddings.label}: {embeddings.n_images:,} pictures, {embeddings.dim} dimensions.")
            embed_form(run)


def search(run: Run, embeddings: Embeddings, settings: Settings) -> None:
    text = st.text_input(
        "Search", key="q", bind="query-params", placeholder="what the picture should show, then Enter", max_chars=2_000
    )
    status_place, entry_place, words_place, number_place, upload_place = st.columns(
        [2.4, 2, 2, 1, 1.6], vertical_alignment="bottom"
    )
    status = status_place.pills("Status at t", ["kept", "dropped"], key="show", bind="query-params")
    entry = entry_place.text_input("Carries the entry", key="entry_is", bind="query-params", placeholder="exactly")
    words = words_place.text_input("Caption has the words", key="has", bind="query-params")
    k = number_place.selectbox("Results", _NUMBERS, index=1, key="k", bind="query-params")
    with upload_place.popover("By picture", icon=":material/upload:", width="stretch"):
        upload = st.file_uploader(
            "A picture to search by", key="upload", help="It stays here: the address can't hold it."
        )
    filters = Filters(status=status or "all", entry=entry or None, words=words or None)
    like = st.query_params.get("like", "")
    if upload is not None:
        results = found_picture(run, embeddings, settings, upload.getvalue(), int(k or 24), filters)
        st.caption("Nearest to the picture you gave; take it away to search by text again.")
    elif like:
        results = found_like(run, embeddings, settings, _pair_number(like), int(k or 24), filters)
        left, right = st.columns([5, 1], vertical_alignment="center")
        left.caption(f"More like pair {int(like):,}")
        right.button("Back to the text", key="unlike", on_click=_forget_like, width="stretch")
    elif text.strip():
        results = found(run, embeddings, settings, text, int(k or 24), filters)
    else:
        st.info(
            "Type what a picture should show: “a red apple”, “two dogs”, “a boat at night”.", icon=":material/search:"
        )
        return
    if entry:
        cost(run, settings, entry)
    left, right = st.columns([5, 1], vertical_alignment="center")
    kept = int((results["status"] == "kept").sum())
    left.caption(
        f"{len(results):,} results, {kept:,} of them kept at this t. The score is the cosine of query and picture."
    )
    with right:
        csv_download(results, name="results")
    if len(results):
        pair_wall(results, run.fingerprint, key="found", similar=True)
    else:
        st.info("No picture passes these filters: change them, or t.", icon=":material/search_off:")


def _pair_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise SettingsError(f"there is no pair {cut(text, 30)!r}")
    return int(text)


def _forget_like() -> None:
    st.query_params.pop("like", None)


def cost(run: Run, settings: Settings, entry: str) -> None:
    """What t costs an entry, in a sentence."""
    balance = balance_of(run, settings)
    pairs = pairs_of_entry(balance.matches, entry_id_of(run, entry))
    kept = int((balance.keep_t[pairs] < settings.t).sum())
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.text(
        f"“{cut(entry, 80)}”: {kept:,} of its {len(pairs):,} pairs are kept at this t, {len(pairs) - kept:,} are dropped."
    )
    if right.button("This entry", key="to_entry", width="stretch"):
        go_to("entries", entry=entry)


def picture_map(run: Run, embeddings: Embeddings, settings: Settings) -> None:
    by = st.segmented_control(
        "Colour by", ["status", "source", "entry"], default="status", key="by", bind="query-params"
    )
    entry = st.text_input("Entry", key="by_entry", bind="query-params") if by == "entry" else ""
    points = positions(embeddings).rename({"row": "pair"})
    pairs = points["pair"].to_numpy()
    table = points.with_columns(pair_table(run, settings, pairs).select("text", "status", "decided_by"))
    if by == "source":
        sources = run.entries.select("entry", pl.col("sources").list.first().alias("group"))
        table = table.join(
            sources, left_on="decided_by", right_on="entry", how="left", maintain_order="left"
        ).with_columns(pl.col("group").fill_null("unmatched"))
    elif by == "entry" and entry:
        carriers = pl.Series(pairs_of_entry(balance_of(run, settings).matches, entry_id_of(run, entry)))
        table = table.with_columns(
            pl.when(pl.col("pair").is_in(carriers.implode()))
            .then(pl.lit("carries it"))
            .otherwise(pl.lit("others"))
            .alias("group")
        )
    else:
        table = table.with_columns(pl.col("status").alias("group"))
    text = st.session_state.get("q", "")
    hits = table.clear()
    if text.strip():
        best = found(run, embeddings, settings, text, 96, Filters())
        hits = table.filter(pl.col("pair").is_in(best["pair"].implode()))
    chosen = chart_with_table(
        charts.embedding_map(table, hits),
        table,
        name="map",
        how_to_read=f"{len(table):,} pairs by chance; pictures that CLIP finds alike are near each other (t-SNE). Directions and "
        "distances between groups mean nothing. Draw a lasso to see its pairs; the address can't hold it."
        + (f" Rings: {len(hits):,} of the best 96 results for the search." if text.strip() else ""),
        lasso=True,
    )
    if chosen:
        shown = sampled(pl.Series(sorted(set(chosen)), dtype=pl.Int64).to_numpy(), _LASSOED, 1)
        st.markdown(f"**{len(set(chosen)):,} pairs in the lasso**")
        pair_wall(pair_table(run, settings, shown), run.fingerprint, key="lassoed", similar=True)


def agreement(run: Run, embeddings: Embeddings, settings: Settings) -> None:
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


def embed_form(run: Run) -> None:
    models = {model.label: model for model in known_models()}
    chosen = st.selectbox("Embed the pictures with", list(models), key="embed_with")
    model = models[chosen or next(iter(models))]
    if st.button("Embed", key="embed", type="primary", icon=":material/play_arrow:"):
        arguments = ["embed", str(run.path), "--model", model.name]
        arguments += ["--pretrained", model.pretrained] if model.pretrained else []
        start(jobs_folder(), arguments, title=f"Embed {run.name} with {model.label}", out=str(run.path))
        st.rerun()
    job_list("embed")


show("Search", page, intro="CLIP embeddings, nearest first. Moving t changes what is kept, not what is near.")
