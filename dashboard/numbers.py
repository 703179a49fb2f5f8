"""Numbers as text: grouped, shares with one decimal, t so that it can be read."""

from __future__ import annotations

__all__ = ["counted", "share_text", "t_text"]


def counted(n: int, one: str, many: str = "") -> str:
    """`1 shard`, `2 shards`; `many` where it isn't `one` with an s."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def share_text(share: float) -> str:
    """A share (0 to 1) as percent, with enough digits not to read 0% or 100% where it isn't."""
    if 0 < share < 0.0005:
        return "< 0.1%"
    if 0.9995 <= share < 1:
        return "> 99.9%"
    return f"{share:.1%}"


def t_text(t: float) -> str:
    """t for reading, grouped and without needless digits; the address has it exactly."""
    return f"{t:,.6g}" if t < 1e6 else f"{t:,.0f}"
