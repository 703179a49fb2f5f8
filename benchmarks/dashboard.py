"""How long a reader waits: from a click to the picture, in a real browser; and the server's memory.

    python benchmarks/dashboard.py                  the embedded sample
    python benchmarks/dashboard.py RUN              any run; make_pool.py and `metaclip curate` make one of ten million
    python benchmarks/dashboard.py [RUN] --search   only the search page

A new t is each time another one, so that nothing is at hand already. Prints medians; the first value is the first page of a
fresh server.
"""

from __future__ import annotations

import argparse
import base64
import re
import statistics
import time
from collections.abc import Callable
from typing import Any

from browser import chromium, memory_bytes, processor_seconds, served
from common import describe_machine

WAIT_MS = 120_000
QUERIES = ["a red apple", "two dogs", "a cat", "on the beach", "a boat", "at night", "a green background", "a bird"]
_PICTURES = "[...document.querySelectorAll('[class*=st-key-pictures_found] img')]"
_FIGURES = "[...document.querySelectorAll('[data-testid=stMetricValue]')].map(figure => figure.textContent).join()"
_WATCH = """condition => {
    const holds = new Function('return ' + condition)
    window.drawn = new Promise(done => {
        let asked = false
        const look = () => { asked = false; if (holds()) { stop(); done() } }
        const ask = () => { if (!asked) { asked = true; requestAnimationFrame(look) } }
        const watcher = new MutationObserver(ask)
        watcher.observe(document, {subtree: true, childList: true, characterData: true, attributes: true})
        document.addEventListener('load', ask, {capture: true})  // of pictures
        const stop = () => { watcher.disconnect(); document.removeEventListener('load', ask, {capture: true}) }
    })
}"""
"""Looks once a frame, and only when something changed: looking all the time would take a core from the server."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", help="a run directory (the sample)")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--search", action="store_true", help="only the search page, of a run that is embedded")
    options = parser.parse_args()
    print(describe_machine("streamlit", "plotly", "polars", "torch", "open_clip_torch"))
    arguments = [options.run] if options.run else []
    if not options.search:
        measure_pages(arguments, options.repeats)
    if options.search or not options.run:
        measure_search(arguments)
        measure_answers(options.run)


def measure_pages(arguments: list[str], repeats: int) -> None:
    with served(arguments) as (address, group), chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(WAIT_MS)
        show("first page, fresh server", [timed(lambda: opened(page, address))])
        show("the page again", [timed(lambda: opened(page, address)) for _ in range(repeats)])
        show("a new t", [timed(lambda t=t: new_t(page, t)) for t in other_ts(repeats)])
        show("a new set of sources", sources_switched(page))
        for name in ("Balance", "Entries", "Pairs", "Compare"):
            show(f"page {name}, first time", [timed(lambda name=name: other_page(page, name))])
        print(f"{'memory of the server':32}{memory_bytes(group) / 2**20:10,.0f} MB")


def measure_search(arguments: list[str]) -> None:
    """The query is typed as soon as there is a field for it. Processor time is of script, pictures and wire together."""
    with served(arguments) as (address, group), chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(WAIT_MS)
        answers = server_times(page)
        show("page Search, fresh server", [timed(lambda: search_page(page, address))])
        show("first search, cold", [timed(lambda: search(page, QUERIES[0]))])
        before = processor_seconds(group)
        answers.clear()
        show("another search", [timed(lambda text=text: search(page, text)) for text in QUERIES[1:]])
        show("  of it until the answer's end", answers)
        print(
            f"{'  processor time of the server':32}{(processor_seconds(group) - before) / (len(QUERIES) - 1):10.2f} s"
        )
        print(f"{'memory, the model loaded':32}{memory_bytes(group) / 2**20:10,.0f} MB")


def measure_answers(path: str | None) -> None:
    """Encoding a query, searching and filtering, in this process: what the server does of a search beside the page."""
    from metaclip_core.cli.dashboard import app_folder, sample_run
    from metaclip_core.run import open_run
    from metaclip_core.search import Filters, Searcher

    run = open_run(path or sample_run(app_folder()))
    searcher, balance = Searcher.open(run), run.balance()

    def answer(text: str) -> None:
        vector = searcher.text_vector(text)
        searcher.search(vector, balance=balance, t=20.0, k=24, filters=Filters(status="kept"))

    answer("a tree")
    seconds = [timed(lambda text=text: answer(text)) for text in QUERIES]
    print(f"{'an answer, kept pairs only':32}{statistics.median(seconds) * 1000:10.1f} ms  (of {len(seconds)})")


def timed(action: Callable[[], None]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def show(what: str, seconds: list[float]) -> None:
    print(
        f"{what:32}{statistics.median(seconds):10.2f} s   (of {len(seconds)}, {min(seconds):.2f} to {max(seconds):.2f})"
    )


def server_times(page: Any) -> list[float]:
    """Grows by the seconds from each question on the wire to the end of its answer, by the browser's own clock."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    seconds: list[float] = []
    asked: list[float] = []

    def sent(event: dict[str, Any]) -> None:
        if BackMsg.FromString(_payload(event)).WhichOneof("type") == "rerun_script":
            asked.append(event["timestamp"])

    def received(event: dict[str, Any]) -> None:
        if ForwardMsg.FromString(_payload(event)).WhichOneof("type") == "script_finished" and asked:
            seconds.append(event["timestamp"] - asked[0])
            asked.clear()

    wire = page.context.new_cdp_session(page)
    wire.on("Network.webSocketFrameSent", sent)
    wire.on("Network.webSocketFrameReceived", received)
    wire.send("Network.enable")
    return seconds


def _payload(event: dict[str, Any]) -> bytes:
    return base64.b64decode(event["response"]["payloadData"])


def search_page(page: Any, address: str) -> None:
    page.goto(f"{address}/search")
    page.get_by_role("textbox", name="Search").wait_for()


def until_drawn(page: Any, action: Callable[[], None], condition: str) -> None:
    """Until the page is drawn so that `condition`, JavaScript, holds after `action`."""
    page.evaluate(_WATCH, condition)
    action()
    page.evaluate("window.drawn")


def search(page: Any, text: str) -> None:
    """Until other pictures than before are drawn, all of them."""
    field = page.get_by_role("textbox", name="Search")
    sources = f"{_PICTURES}.map(picture => picture.src).join()"
    before = page.evaluate(sources)
    field.fill(text)
    complete = f"{_PICTURES}.length == 24 && {_PICTURES}.every(picture => picture.complete)"
    until_drawn(page, lambda: field.press("Enter"), f"{complete} && {sources} != '{before}'")


def opened(page: Any, address: str) -> None:
    page.goto(address)
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 8", timeout=WAIT_MS)


def other_ts(n: int) -> list[int]:
    return [20 + 7 * i for i in range(n)]


def new_t(page: Any, t: int) -> None:
    field = page.get_by_role("spinbutton", name="t, as a number")
    field.fill(str(t))
    marks = f"[...document.querySelectorAll('.annotation-text')].filter(mark => mark.textContent.endsWith('t = {t}'))"
    until_drawn(page, lambda: field.press("Enter"), f"{marks}.length >= 3")


def sources_switched(page: Any) -> list[float]:
    """Each of the first three sources off, one after the other: until the figures are others. Button 0 is the help."""
    buttons = page.get_by_test_id("stSidebar").get_by_test_id("stButtonGroup").get_by_role("button")
    seconds = []
    for number in range(1, 4):
        before = page.evaluate(_FIGURES)
        switch = buttons.nth(number).click
        seconds.append(
            timed(lambda switch=switch, before=before: until_drawn(page, switch, f"{_FIGURES} != '{before}'"))
        )
    return seconds


def other_page(page: Any, name: str) -> None:
    page.get_by_test_id("stSidebarNavLink").filter(has_text=name).click()
    page.get_by_role("heading", name=name, exact=True).wait_for()
    page.get_by_text(re.compile(r"How flat|click a row|shown, the first ones|Entries that changed")).first.wait_for()


if __name__ == "__main__":
    main()
