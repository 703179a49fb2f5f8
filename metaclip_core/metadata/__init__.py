"""Where entries come from: the table of entries, and the files it is read from."""

from metaclip_core.metadata.files import load_metadata, metadata_argument
from metaclip_core.metadata.table import KNOWN_SOURCES, Dropped, Metadata, MetadataFile

__all__ = ["KNOWN_SOURCES", "Dropped", "Metadata", "MetadataFile", "load_metadata", "metadata_argument"]
