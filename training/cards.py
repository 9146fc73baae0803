"""Write CARD.md and CARD.fr.md from the figures, so that no number is typed by hand.

Run: python -m training.cards --evaluation training/evaluation.json --run training/run.json --out src/capot/boxed

The words are in `card/CARD.md` and `card/CARD.fr.md`; {{name}} stands for a figure.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from training import corpus

HERE = Path(__file__).parent
TARGETS = [("english", 1.55), ("french", 1.6)]


def words(lang: str) -> dict[str, str]:
    """Return the labels of the tables in one language."""
    labels: dict[str, str] = json.loads((HERE / "card" / "words.json").read_text("utf-8"))[lang]
    return labels


class Numbers:
    """Figures as one language writes them."""

    def __init__(self, lang: str):
        self.lang = lang

    def real(self, value: float, digits: int = 2) -> str:
        """Return 1.55, or 1,55 in French."""
        text = f"{value:.{digits}f}"
        return text if self.lang == "en" else text.replace(".", ",")

    def whole(self, value: float) -> str:
        """Return 12,345, or 12 345 with narrow no-break spaces in French."""
        return f"{round(value):,}".replace(",", "," if self.lang == "en" else "\u202f")

    def share(self, value: float) -> str:
        """Return 61 %, with the space that French wants (English: none)."""
        return f"{round(100 * value)}" + ("%" if self.lang == "en" else "\u00a0%")


def figures(answer: dict[str, Any], size: float, lang: str) -> tuple[str, int]:
    """Return the table of targets and how many of the six are reached."""
    n = Numbers(lang)
    w = words(lang)
    bits = answer["bits_per_byte"]
    top10 = sum(answer["capitals"][k]["top10"] for k in ("en", "fr")) / 2
    top1 = sum(answer["capitals"][k]["top1"] for k in ("en", "fr")) / 2
    form, groups = answer["few_shot"]["mean"], answer["word_groups"]["separation"]
    rows = [(w[k], n.real(target), n.real(bits[k]), bits[k] <= target) for k, target in TARGETS]
    rows += [
        (w["python"], w["none"], n.real(bits["python"]), None),
        (w["capital"], n.share(0.6), n.share(top10), top10 >= 0.6),
        (w["capital1"], w["none"], n.share(top1), None),
        (w["form"], n.share(0.7), n.share(form), form >= 0.7),
        (w["form_sampled"], w["none"], n.share(answer["few_shot_sampled"]["mean"]), None),
        (w["groups"], n.real(0.15), n.real(groups), groups >= 0.15),
        (w["size"], "20", n.real(size, 1), size <= 20),
    ]
    return "\n".join(f"| {a} | {b} | {c} |" for a, b, c, _ in rows), sum(r[3] is True for r in rows)


def tables(answer: dict[str, Any], lang: str) -> dict[str, str]:
    """Return the other tables of measures, a line for each row."""
    n, w = Numbers(lang), words(lang)
    sources = [
        f"| `{name}` | {r['documents']} | {n.whole(r['bytes'])} | {n.real(r['bits_per_byte'])} | {n.real(r['xz'])} "
        f"| {n.share(r['next_token_right'])} |"
        for name, r in answer["sources"].items()
    ]
    bins = [
        f"| {n.share(b['confidence'])} | {n.share(b['right'])} | {n.whole(b['count'])} |"
        for b in answer["calibration"]["bins"]
    ]
    asked = {w[k]: c for k, c in answer["capitals"].items()}
    asked |= {w["known"].format(w[k]): c["known"] for k, c in answer["capitals"].items()}
    capitals = [
        f"| {name} | {c['asked']} | {n.share(c['top1'])} | {n.share(c['top10'])} | {c['median_rank']} |"
        for name, c in asked.items()
    ]
    pronouns = [f"| {r['job']} | {n.real(r['he'], 3)} | {n.real(r['she'], 3)} |" for r in answer["pronouns"]]
    return {
        "sources_table": "\n".join(sources), "bins": "\n".join(bins),
        "capitals": "\n".join(capitals), "pronouns": "\n".join(pronouns),
    }  # fmt: skip


def quoted(answer: dict[str, Any], lang: str) -> dict[str, str]:
    """Return what the model said: samples, answers, guesses."""
    w = words(lang)
    made = answer["variety"]["examples"]
    half = len(made) // 2
    samples = [f"> **{_line(m['opening'])}**{_line(m['continuation'])}\n" for m in made[:3] + made[half : half + 3]]
    shown = answer["few_shot"]["examples"]
    half = len(shown) // 2
    answers = [f"* {e['question']} → {_line(e['answer'])}" for e in shown[:5] + shown[half : half + 5]]
    unseen = [w["guess"].format(r["country"], r["guess"]) for r in answer["capitals"][lang]["unseen"]]
    return {"examples": "\n".join(samples), "answers": "\n".join(answers), "unseen": ", ".join(unseen) + "."}


def _line(text: str) -> str:
    """Return a text on one line, with nothing that Markdown would take for a mark."""
    return re.sub(r"([*_`<|])", r"\\\1", text.replace("\n", " ⏎ "))


def source_lists(run: dict[str, Any], lang: str) -> dict[str, str]:
    """Return the table of sources used, and the list of those left out with the reason."""
    n, w = Numbers(lang), words(lang)
    manifest = json.loads(corpus.SOURCES.read_text("utf-8"))
    drawn = run["drawn"]
    used = [
        f"| `{r['file']}` | {r['licence']} | {n.real(drawn[Path(r['file']).stem], 1)} | {r['source']} |"
        for r in manifest["sources"] if r["use"]
    ]  # fmt: skip
    reason = "left_out_because" if lang == "en" else "left_out_because_fr"
    left = [f"* `{r['file']}`{w['because']}{r[reason]}." for r in manifest["sources"] if not r["use"]]
    return {
        "used": "\n".join(used), "left_out": "\n".join(left),
        "generated": n.real(drawn["generated"], 1),
    }  # fmt: skip


def plain(answer: dict[str, Any], config: dict[str, Any], size: float, lang: str) -> dict[str, str]:
    """Return the figures that stand alone in a sentence or a cell."""
    n = Numbers(lang)
    v = answer["variety"]
    g = answer["word_groups"]
    held = corpus.heldout()
    named = words(lang)["groups_named"]
    groups = ", ".join(f"{named[name]} {n.real(value)}" for name, value in g["groups"].items())
    table = config["vocab_size"] * config["hidden_size"]
    return {
        "layers": str(config["num_hidden_layers"]), "width": str(config["hidden_size"]),
        "heads": str(config["num_attention_heads"]), "head": str(config["head_dim"]),
        "kv_heads": str(config["num_key_value_heads"]), "feed": str(config["intermediate_size"]),
        "context": n.whole(config["max_position_embeddings"]), "file_mb": n.real(size, 1),
        "parameters": n.whole(answer["parameters"]), "table_parameters": n.whole(table),
        "ece": n.real(answer["calibration"]["expected_error"], 3),
        "ece_count": n.whole(answer["calibration"]["predictions"]),
        "samples": str(v["samples"]), "sample_tokens": str(v["tokens"]),
        "d1": n.real(v["distinct_1"]), "d2": n.real(v["distinct_2"]), "d3": n.real(v["distinct_3"]),
        "repeated": n.share(v["repeated_4grams"]), "within": n.real(g["within"]), "between": n.real(g["between"]),
        "groups": groups[:1].upper() + groups[1:] + ".", "countries_held": str(len(held["countries"])),
        "questions": str(sum(map(len, held["few_shot"].values()))),
    }  # fmt: skip


def run_figures(run: dict[str, Any], lang: str) -> dict[str, str]:
    """Return millions of tokens read and minutes of computing."""
    n = Numbers(lang)
    return {"tokens": n.real(run["tokens"] / 1e6, 1), "minutes": n.whole(run["spent_s"] / 60)}


def card(template: str, values: dict[str, str]) -> str:
    """Put the values in their places.

    >>> card("{{a}} and {{b}}", {"a": "1", "b": "2"})
    '1 and 2'
    """
    return re.sub(r"\{\{(\w+)\}\}", lambda m: values[m[1]], template)


def main() -> None:
    """Write both cards; notes that need a person's eye come from `card/notes.json`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--evaluation", type=Path, default=HERE / "evaluation.json")
    parser.add_argument("--run", type=Path, default=HERE / "run.json")
    parser.add_argument("--out", type=Path, default=Path("src/capot/boxed"))
    args = parser.parse_args()
    run = json.loads(args.run.read_text("utf-8"))
    answer = json.loads(args.evaluation.read_text("utf-8"))
    config = json.loads((args.out / "config.json").read_text("utf-8"))
    notes = json.loads((HERE / "card" / "notes.json").read_text("utf-8"))
    size = (args.out / "model.safetensors").stat().st_size / 1e6
    for lang, name in (("en", "CARD.md"), ("fr", "CARD.fr.md")):
        table, reached = figures(answer, size, lang)
        values = notes[lang] | tables(answer, lang) | quoted(answer, lang) | source_lists(run, lang)
        values |= plain(answer, config, size, lang) | run_figures(run, lang)
        values |= {"figures": table, "verdict": words(lang)["reached"].format(reached)}
        text = card((HERE / "card" / name).read_text("utf-8"), values)
        (args.out / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
