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
    "export": "export?format=webdataset",
}


def main() -> None:
    with served([]) as (address, _), chromium() as browser:
        for scheme in ("light", "dark"):
            page = browser.new_context(color_scheme=scheme, viewport={"width": 1400, "height": 1000}).new_page()
            for name, path in PAGES.items():
                page.goto(f"{address}/{path}")
                page.get_by_role("heading").first.wait_for(timeout=60_000)
                page.wait_for_timeout(1000)
                page.wait_for_function(
                    "!document.querySelector('[data-testid=stStatusWidget], [data-testid=stSpinner]')", timeout=120_000
                )
                page.wait_for_timeout(2000)
                page.screenshot(path=DOCS / f"pictures/{name}-{scheme}.jpg", type="jpeg", quality=85)
                print(name, scheme)


if __name__ == "__main__":
    main()
