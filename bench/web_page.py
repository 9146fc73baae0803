"""How fast are the lab's pages, and how much do they weigh?

    python bench/web_page.py [--repeats 15]

A real Chromium on a warm server. First paint and the bytes of a first visit come from the
browser's own account; a slider is moved as a person does, and its time is what the page
computes and lays out before the frame that shows it, on 128,256 synthetic logits.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys

from _common import ROOT, arguments, report

LOGITS = 128_256
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
# Logits as a model's: most tokens far below a few; the page asks for them and gets these.
SYNTHETIC = f"""(() => {{
  const real = fetch;
  globalThis.fetch = async (path, options) => {{
    if (!String(path).includes("logits=1")) return real(path, options);
    const logits = new Float32Array({LOGITS});
    let seed = 7;
    const uniform = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
    for (let i = 0; i < logits.length; i += 1) {{
      logits[i] = 2.5 * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    }}
    return new Response(logits);
  }};
}})()"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
DRAWN = "performance.getEntriesByName('capot-shown')[0].startTime"
# From the event to the end of layout: the page's own frame callback runs before the one asked for here.
MOVE = """async ([name, value]) => {
  const range = document.querySelector(`capot-slider[name=${name}] input[type=range]`);
  await new Promise(requestAnimationFrame);
  const began = performance.now();
  range.value = value;
  range.dispatchEvent(new Event("input", { bubbles: true }));
  const handled = performance.now() - began;
  const frame = await new Promise((resolve) => requestAnimationFrame((start) => {
    document.querySelector("capot-bars").getBoundingClientRect();
    resolve(performance.now() - start);
  }));
  return handled + frame;
}"""
MOVES = [("temperature", 0.7), ("top_p", 0.9), ("top_k", 40), ("min_p", 0.05), ("temperature", 1.6), ("top_p", 0.99)]


def server() -> tuple[subprocess.Popen, str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", "CAPOT_LANG": "en"}
    command = [sys.executable, "-m", "capot", "serve", "--no-open", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    for line in process.stdout:
        if link := re.search(r"http://\S+", line):
            return process, link.group().rstrip("/")
    raise RuntimeError("the server did not start")


def visit(browser, address: str, *, wait: str, before: str = ""):
    """A first visit: nothing in the cache. The page, and the bytes that came over the wire."""
    context = browser.new_context(locale="fr-FR", viewport={"width": 1280, "height": 800})
    page = context.new_page()
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    came: list[int] = []
    wire.on("Network.loadingFinished", lambda event: came.append(int(event["encodedDataLength"])))
    if before:
        page.add_init_script(before)
    page.goto(address)
    page.locator(wait).first.wait_for()
    page.wait_for_timeout(300)
    return page, sum(came)


def first_visits(browser, root: str, repeats: int) -> tuple[list[float], list[float], int]:
    paints, drawn, weights = [], [], []
    for turn in range(repeats + 1):
        page, weight = visit(browser, f"{root}/", wait=".stop .bars li")
        if turn:
            paints.append(page.evaluate(PAINT) / 1000)
            drawn.append(page.evaluate(DRAWN) / 1000)
            weights.append(weight)
        page.context.close()
    return paints, drawn, max(weights)


def slider(browser, root: str, repeats: int) -> list[float]:
    page, _ = visit(browser, f"{root}/next#prompt=a", wait="capot-bars li", before=SYNTHETIC)
    times = []
    seen = {page.inner_text("capot-bars")}
    for turn in range(repeats + 1):
        for move in MOVES:
            seconds = page.evaluate(MOVE, move) / 1000
            if turn:
                times.append(seconds)
            else:
                seen.add(page.inner_text("capot-bars"))
    assert len(seen) > len(MOVES) // 2, "the bars did not move"
    page.context.close()
    return times


def main() -> None:
    given = arguments(__doc__, repeats=15)
    chromium = shutil.which("chromium")
    names = [
        "first paint of the lab, server warm (asked: at most)",
        "the whole road drawn, server warm",
        "first page, without Plotly (asked: at most)",
        "first page that draws with Plotly (asked: at most)",
        f"slider to bars, {LOGITS:,} logits, median (asked: at most)",
        f"slider to bars, {LOGITS:,} logits, 95 of 100 within (asked: at most)",
    ]
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        report("the lab's pages", [(name, None, "", None) for name in names], missing=["chromium and playwright"])
        return
    process, root = server()
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
            paints, drawn, weight = first_visits(browser, root, given.repeats)
            _, heavy = visit(browser, f"{root}/embeddings", wait="capot-figure .main-svg")
            times = slider(browser, root, given.repeats)
            browser.close()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
    tail = statistics.quantiles(times, n=20)[-1]
    values = [statistics.median(paints), statistics.median(drawn), weight / 1e3, heavy / 1e3]
    values += [1e3 * statistics.median(times), 1e3 * tail]
    asked = [("s", 0.5), ("s", None), ("kB", 150), ("kB", 1650), ("ms", 1000 / 30), ("ms", 1000 / 30)]
    report("the lab's pages", [(n, v, unit, most) for n, v, (unit, most) in zip(names, values, asked, strict=True)])


if __name__ == "__main__":
    main()
