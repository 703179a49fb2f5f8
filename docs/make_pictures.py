"""Make the pictures of docs/pictures anew: every page on the embedded sample, light and dark.

python docs/make_pictures.py
"""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "benchmarks"))

from browser import chromium, served  # noqa: E402

PAGES = {
    "overview": "",
    "balance": "balance",
    "entries": "entries?entry=wild+boar",
    "pairs": "pairs?pair=17",
    "search": "search?q=a+red+apple",
    "compare": "compare",
    "sql": "sql",
    "data": "data",
    "metadata": "metadata",
    "export": "export?format=webdataset",
}

HEIGHTS = {"export": 690}  # above the command, which names folders of this machine


def main() -> None:
    with served([]) as (address, _), chromium() as browser:
        for scheme in ("light", "dark"):
            page = browser.new_context(color_scheme=scheme, viewport={"width": 1400, "height": 1000}).new_page()
            for name in sys.argv[1:] or PAGES:
                path = PAGES[name]
                page.goto(f"{address}/{path}")
                page.get_by_role("heading").first.wait_for(timeout=60_000)
                page.wait_for_timeout(1000)
                page.wait_for_function(
                    "!document.querySelector('[data-testid=stStatusWidget], [data-testid=stSpinner]')", timeout=120_000
                )
                page.wait_for_timeout(2000)
                clip = {"x": 0, "y": 0, "width": 1400, "height": HEIGHTS.get(name, 1000)}
                page.screenshot(path=DOCS / f"pictures/{name}-{scheme}.jpg", type="jpeg", quality=85, clip=clip)
                print(name, scheme)


if __name__ == "__main__":
    main()
