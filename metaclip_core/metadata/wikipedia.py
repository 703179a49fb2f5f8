"""Articles of a Wikipedia dump (`pages-articles` XML), streamed, and the text that their markup leaves."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from metaclip_core.errors import MetadataError
from metaclip_core.inputs import input_errors, open_unpacked

__all__ = ["articles", "plain_text"]

_BLOCK_BYTES = 1 << 20
_LARGEST_PAGE_BYTES = 64 << 20
"""MediaWiki ends a page at 2 MB; a longer one is no dump, and would only fill the memory."""

_NO_TEXT = re.compile(r"(?:file|image|media|category)\s*:", re.IGNORECASE)
_MAGIC_WORD = re.compile(r"__[A-Z]+__")


def articles(path: str | Path, on_bytes: Callable[[int], Any] | None = None) -> Iterator[str]:
    """The markup of each article: pages of namespace 0 that are no redirects.

    The dump is plain, gzip or bzip2 by its content. Raises MetadataError when it is cut off or no dump.
    """
    parser: ET.XMLPullParser = ET.XMLPullParser(["start", "end"])
    root: ET.Element | None = None
    pending = 0
    with input_errors(path, MetadataError), _broken_xml(path), open_unpacked(path, on_bytes) as stream:
        while block := stream.read(_BLOCK_BYTES):
            parser.feed(block)
            pending += len(block)
            for event, element in cast("Iterator[tuple[str, ET.Element]]", parser.read_events()):
                if root is None:
                    root = element
                    if _tag(root) != "mediawiki":
                        raise MetadataError(f"{path}: not a MediaWiki dump, its root is <{_tag(root)}>")
                if event == "end" and _tag(element) == "page":
                    if (markup := _markup(element)) is not None:
                        yield markup
                    root.clear()
                    pending = 0
            if pending > _LARGEST_PAGE_BYTES:
                raise MetadataError(f"{path}: a page of more than {_LARGEST_PAGE_BYTES:,} bytes; is it a dump?")
        parser.close()


@contextmanager
def _broken_xml(path: str | Path) -> Iterator[None]:
    try:
        yield
    except ET.ParseError as error:
        raise MetadataError(f"{path}: the XML is broken or cut off ({error}); fetch the file again") from error


def _tag(element: ET.Element) -> str:
    """The tag without the namespace, which has the version of the dump's schema in it."""
    return element.tag.rpartition("}")[2]


def _markup(page: ET.Element) -> str | None:
    fields = {_tag(child): child for child in page}
    if "redirect" in fields or "revision" not in fields or (fields["ns"].text if "ns" in fields else "0") != "0":
        return None
    return next((child.text for child in fields["revision"] if _tag(child) == "text"), None)


def plain_text(markup: str) -> str:
    """The markup's visible text: no templates, references, comments, pictures, categories; a link's words stay."""
    import mwparserfromhell

    code = mwparserfromhell.parse(markup)
    for link in code.filter_wikilinks(recursive=True, matches=lambda link: bool(_NO_TEXT.match(str(link.title)))):
        try:
            code.remove(link)
        except ValueError:  # it went with a link around it
            continue
    return _MAGIC_WORD.sub("", code.strip_code())
