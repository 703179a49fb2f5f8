"""Search: the pairs of a run that are nearest to a text, a picture or another pair, under filters.

index      the nearest vectors among those that are allowed: exact, or approximate where there are many
filters    which pairs are allowed: kept or dropped at t, an entry, a source, words
searcher   a run, its embeddings, its index and its model together: queries to results
agreement  how well each picture and its caption agree
points     the embeddings in two dimensions
"""

from __future__ import annotations

from metaclip_core.search.agreement import agreement
from metaclip_core.search.filters import Filters
from metaclip_core.search.points import map_density, map_places, map_points
from metaclip_core.search.searcher import Searcher, list_pairs

__all__ = ["Filters", "Searcher", "agreement", "list_pairs", "map_density", "map_places", "map_points"]
