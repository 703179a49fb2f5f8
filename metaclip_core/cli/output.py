"""What commands print for other programs."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["json_text"]

_STRING_OR_INFINITY = re.compile(r'"(?:[^"\\]|\\.)*"|Infinity')


def json_text(value: Any) -> str:
    """The value on one line of JSON; infinity is 1e999, a JSON number that every reader takes for infinity."""
    text = json.dumps(value, ensure_ascii=False)
    return _STRING_OR_INFINITY.sub(lambda found: "1e999" if found[0] == "Infinity" else found[0], text)
