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
TARGETS = {  # at least, aim; a figure that is better small has the larger one first
    "english": (1.35, 1.25), "french": (1.24, 1.15), "python": (1.35, 1.25),
    "capital1": (0.85, 0.95), "capital": (0.96, 0.99), "everyday": (0.5, 0.75), "form": (1.0, None),
    "stays": (0.97, 0.99), "repeats": (0.1, 0.05), "induction": (0.4, 0.7), "groups": (0.22, 0.28), "size": (26, None),
}  # fmt: skip
SHARES = {"capital1", "capital", "everyday", "form", "stays", "repeats"}


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
        """Return 61 %, with the space that French wants (English: none); 99.5 % where it would be rounded to all.

        >>> Numbers("en").share(0.995), Numbers("fr").share(0.6)
        ('99.5%', '60\xa0%')
        """
        text = self.real(100 * value, int(99.5 <= 100 * value < 100))
        return text + ("%" if self.lang == "en" else "\u00a0%")


def measured(answer: dict[str, Any], size: float) -> dict[str, float]:
    """Return the figures that have a target, by name."""
    everyday = answer["everyday"]
    tops = {k: sum(answer["capitals"][lang][k] for lang in ("en", "fr")) / 2 for k in ("top1", "top10")}
    found: dict[str, float] = answer["bits_per_byte"] | {
        "capital1": tops["top1"],
        "capital": tops["top10"],
        "everyday": everyday["seen"]["right"]["all"],
        "form": answer["few_shot"]["mean"],
        "stays": everyday["continuations"]["stays"],
        "repeats": everyday["continuations"]["repeats"],
        "induction": everyday["induction"]["best"],
        "groups": answer["word_groups"]["separation"],
        "size": size,
    }
    return found


def reaches(name: str, value: float, target: float | None) -> bool:
    """True where a figure is at its target or beyond, as it is written in the table.

    >>> reaches("english", 1.3549, 1.35), reaches("everyday", 0.494, 0.5), reaches("form", 1.0, None)
    (True, False, False)
    """
    if target is None:
        return False
    value = round(value, 2) if name != "size" else value
    least, aim = TARGETS[name]
    return value <= target if name in ("repeats", "size") or (aim and aim < least) else value >= target


def figures(answer: dict[str, Any], before: dict[str, Any], lang: str) -> dict[str, str]:
    """Return the table of targets, the model before beside, and how many are reached."""
    n, w = Numbers(lang), words(lang)

    def cell(name: str, value: float | None) -> str:
        if value is None:
            return w["none"]
        return n.share(value) if name in SHARES else n.real(value, 1 if name == "size" else 2)

    now = measured(answer, answer["size_mb"])
    then = measured(before, before["size_mb"])
    rows = [
        f"| {w[k]} | {cell(k, then[k])} | {cell(k, least)} | {cell(k, aim)} | {cell(k, now[k])} |"
        for k, (least, aim) in TARGETS.items()
    ]
    reached = [sum(reaches(k, now[k], t[i]) for k, t in TARGETS.items()) for i in (0, 1)]
    aims = sum(t[1] is not None for t in TARGETS.values())
    return {"figures": "\n".join(rows), "verdict": w["reached"].format(reached[0], len(TARGETS), reached[1], aims)}


def everyday_figures(answer: dict[str, Any], lang: str) -> dict[str, str]:
    """Return shares of everyday questions, every tenth answer in one language, and the best induction head."""
    n = Numbers(lang)
    seen, never, heads = (answer["everyday"][k] for k in ("seen", "never", "induction"))
    half = len(seen["examples"]) // 2
    at_1 = answer["everyday"]["continuations_at_1"]
    drawn = seen["examples"][:half] if lang == "en" else seen["examples"][half:]
    return {
        "everyday_asked": str(seen["asked"]), "never_asked": str(never["asked"]),
        "seen_en": n.share(seen["right"]["en"]), "seen_fr": n.share(seen["right"]["fr"]),
        "never_right": n.share(never["right"]["all"]),
        "repeats": n.share(answer["everyday"]["continuations"]["repeats"]),
        "everyday_said": "\n".join(f"* {e['question']} → {_line(e['said'])}" for e in drawn),
        "induction_head": f"{heads['layer'] + 1}.{heads['head'] + 1}",
        "stays_at_1": n.share(at_1["stays"]), "repeats_at_1": n.share(at_1["repeats"]),
    }  # fmt: skip


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


def stems(file: str) -> set[str]:
    """Return the names of a file's rows among the shards: a file of both languages may be a row for each.

    >>> sorted(stems("bi_country_facts.txt"))
    ['bi_country_facts', 'bi_country_facts_en', 'bi_country_facts_fr']
    """
    stem = Path(file).stem
    return {stem, f"{stem}_en", f"{stem}_fr"}


def source_lists(run: dict[str, Any], lang: str) -> dict[str, str]:
    """Return the table of sources used, and the list of those left out with the reason."""
    n, w = Numbers(lang), words(lang)
    manifest = json.loads(corpus.SOURCES.read_text("utf-8"))
    drawn = run["drawn"]
    shares = {r["file"]: sum(v for k, v in drawn.items() if k in stems(r["file"])) for r in manifest["sources"]}
    used = [
        f"| `{r['file']}` | {r['licence']} | {n.real(shares[r['file']], 1)} | {r['source']} |"
        for r in manifest["sources"] if r["use"]
    ]  # fmt: skip
    reason = "left_out_because" if lang == "en" else "left_out_because_fr"
    left = [f"* `{r['file']}`{w['because']}{r[reason]}." for r in manifest["sources"] if not r["use"]]
    return {
        "used": "\n".join(used), "left_out": "\n".join(left),
        "generated": n.real(sum(v for k, v in drawn.items() if k.startswith("generated")), 1),
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
    """Return millions of tokens read and hours of computing."""
    n = Numbers(lang)
    return {"tokens": n.real(run["tokens"] / 1e6, 1), "hours": n.real(run["spent_s"] / 3600, 1)}


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
    parser.add_argument("--before", type=Path, default=HERE / "evaluation_before.json")
    parser.add_argument("--run", type=Path, default=HERE / "run.json")
    parser.add_argument("--out", type=Path, default=Path("src/capot/boxed"))
    args = parser.parse_args()
    run, answer, before = (json.loads(p.read_text("utf-8")) for p in (args.run, args.evaluation, args.before))
    config = json.loads((args.out / "config.json").read_text("utf-8"))
    notes = json.loads((HERE / "card" / "notes.json").read_text("utf-8"))
    size = answer["size_mb"] = (args.out / "model.safetensors").stat().st_size / 1e6
    for lang, name in (("en", "CARD.md"), ("fr", "CARD.fr.md")):
        values = notes[lang] | tables(answer, lang) | quoted(answer, lang) | source_lists(run, lang)
        values |= plain(answer, config, size, lang) | run_figures(run, lang) | everyday_figures(answer, lang)
        values |= figures(answer, before, lang)
        text = card((HERE / "card" / name).read_text("utf-8"), values)
        (args.out / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
