"""How fast are the lab's pages, and how much do they weigh?

    python bench/web_page.py [--repeats 15]

A real Chromium on a warm server. First paint and the bytes of a first visit come from the
browser's own account; a slider is moved as a person does, and its time is what the page
computes and lays out before the frame that shows it, on 128,256 synthetic logits. A cell of the network page is
clicked: its time goes on to the end of the frame that shows what was read there, on an answer that is made up.
The first guess of that page is the model's own: from the address to the frame that shows it, nothing in the cache.
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

TOKENS, LAYERS, HEADS = 64, 16, 32
KINDS = ("induction", "previous", "first", "mixed")
CLICK = """async (layer) => {
  const cell = document.querySelector(`.guesses tr[data-layer="${layer}"]`).lastElementChild;
  await new Promise(requestAnimationFrame);
  const began = performance.now();
  cell.click();
  await new Promise((resolve) => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = resolve;  // after the frame is laid out and painted
    port2.postMessage(0);
  }));
  return performance.now() - began;
}"""

GUESSED = """new MutationObserver((_, watcher) => {
  if (!document.querySelector(".guesses tr[data-layer] td")?.textContent.trim()) return;
  watcher.disconnect();
  requestAnimationFrame(() => performance.mark("first-guess"));
}).observe(document, { childList: true, subtree: true, characterData: true })"""
FIRST_GUESS = "performance.getEntriesByName('first-guess')[0].startTime"


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


def first_guesses(browser, root: str, repeats: int) -> list[float]:
    """Seconds from the address of the network page to its first guess; the first visit warms the server."""
    times = []
    for _ in range(repeats + 1):
        page, _ = visit(browser, f"{root}/network", wait=".guesses tr[data-layer] td", before=GUESSED)
        times.append(page.evaluate(FIRST_GUESS) / 1000)
        page.context.close()
    return times[1:]


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


def made_up() -> dict:
    """What ``network`` might answer of a model of a billion weights: each head reads one token above the others."""
    guess = {"id": 1, "text": " word", "probability": 0.4}
    guesses = [guess | {"position": place, "candidates": [guess] * 5} for place in range(TOKENS)]
    layers = [{"layer": layer, "guesses": guesses} for layer in range(LAYERS + 1)]
    places = [(layer, head) for layer in range(1, LAYERS + 1) for head in range(1, HEADS + 1)]
    scores = dict.fromkeys(("itself", "previous", "first", "induction"), 0.5)
    heads = [
        {"layer": layer, "head": head, "kind": KINDS[(layer + head) % len(KINDS)], "scores": scores}
        for layer, head in places
    ]
    shares = [0.5 / TOKENS] * TOKENS
    reads = [
        {
            "layer": layer,
            "head": head,
            "weights": [w + 0.5 * (p == layer * head % TOKENS) for p, w in enumerate(shares)],
        }
        for layer, head in places
    ]
    return {
        "prompt": "a", "tokens": [{"id": 1, "text": " word"}] * TOKENS, "layers": layers, "heads": heads,
        "target": None, "contributions": [], "remainder": None, "attention": None,
        "reads": {"position": TOKENS - 1, "heads": reads},
    }  # fmt: skip


def clicks(browser, root: str, repeats: int) -> list[float]:
    """Cells of the last token, a layer after the other."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.route("**/api/network*", lambda route: route.fulfill(json={"ok": True, "result": made_up(), "view": []}))
    page.goto(f"{root}/network#prompt=a")
    page.locator(".guesses .arc").first.wait_for(state="attached")
    page.locator(".answered .bars li").first.wait_for()
    times = [page.evaluate(CLICK, layer) / 1000 for _ in range(repeats) for layer in range(1, LAYERS + 1)]
    assert page.locator(".guesses .open .arc").count() == TOKENS, "a line for each token that is read"
    context.close()
    return times[LAYERS:]


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
        f"click to arcs, {TOKENS} tokens, {LAYERS} layers, {HEADS} heads (asked: at most)",
        "first guess of the network page, nothing in the cache (asked: at most)",
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
            opened = clicks(browser, root, max(2, given.repeats))
            guessed = first_guesses(browser, root, given.repeats)
            browser.close()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
    tail = statistics.quantiles(times, n=20)[-1]
    values = [statistics.median(paints), statistics.median(drawn), weight / 1e3, heavy / 1e3]
    values += [1e3 * statistics.median(times), 1e3 * tail, 1e3 * statistics.median(opened), statistics.median(guessed)]
    asked = [("s", 0.5), ("s", None), ("kB", 150), ("kB", 1650), ("ms", 1000 / 30), ("ms", 1000 / 30)]
    asked += [("ms", 100), ("s", 1)]
    report("the lab's pages", [(n, v, unit, most) for n, v, (unit, most) in zip(names, values, asked, strict=True)])


if __name__ == "__main__":
    main()
