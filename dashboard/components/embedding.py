"""Embedding a run from a page: which model, and how far it is."""

from __future__ import annotations

import streamlit as st

from dashboard.components.jobs import job_list
from dashboard.data.runs import jobs_folder
from metaclip_core.embedding.models import known_models
from metaclip_core.embedding.store import Embeddings
from metaclip_core.jobs import start
from metaclip_core.run import Run

__all__ = ["captions_form", "embed_form"]


def captions_form(run: Run, embeddings: Embeddings) -> None:
    """Offers to add the captions' vectors, without which there is nothing to compare."""
    st.info(
        "Only the pictures of this run are embedded, so far. With the captions, too, it can be seen how well they agree, kept "
        "against dropped.",
        icon=":material/compare:",
    )
    if embeddings.model is None:
        st.text("Which model made these embeddings isn't known; import them again, with their texts or with --model.")
    elif st.button("Embed the captions", key="embed_captions", type="primary", icon=":material/play_arrow:"):
        _start_embedding(run, embeddings.model.name, embeddings.model.pretrained, f"the captions of {run.name}")
    job_list("embed")


def embed_form(run: Run) -> None:
    every = st.toggle("All models of open_clip", key="all_models", help="MetaCLIP's own come first in either list.")
    with st.spinner("Asking open_clip"):
        models = {model.label: model for model in known_models(all_of_open_clip=every)}
    chosen = st.selectbox("Embed the pictures with", list(models), key="embed_with")
    model = models[chosen or next(iter(models))]
    if model.pretrained:
        size = f", about {model.parameters_m * 4 / 1e3:.1f} GB at most," if model.parameters_m else ""
        st.caption(f"Its weights{size} are downloaded when you start it, unless they are on this machine already.")
    if st.button("Embed", key="embed", type="primary", icon=":material/play_arrow:"):
        _start_embedding(run, model.name, model.pretrained, f"{run.name} with {model.label}")
    job_list("embed")


def _start_embedding(run: Run, name: str, pretrained: str | None, what: str) -> None:
    arguments = ["embed", str(run.path), "--model", name, *(["--pretrained", pretrained] if pretrained else [])]
    start(jobs_folder(), arguments, title=f"Embed {what}", out=str(run.path))
    st.rerun()
