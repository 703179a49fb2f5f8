"""Tables made into figures: functions from a polars frame to a Plotly figure, without Streamlit."""

from dashboard.charts.counts import cumulative, rank_frequency, two_settings
from dashboard.charts.entries import composition, entry_against_t
from dashboard.charts.references import against_reference
from dashboard.charts.search import agreement, embedding_map
from dashboard.charts.sizes import matches_per_pair, size_against_t

__all__ = [
    "against_reference",
    "agreement",
    "composition",
    "cumulative",
    "embedding_map",
    "entry_against_t",
    "matches_per_pair",
    "rank_frequency",
    "size_against_t",
    "two_settings",
]
