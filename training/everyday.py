"""What a model does with everyday questions, with its language, and with a text that repeats.

Run: python -m training.everyday --corpus FOLDER --model src/capot/boxed --out figures.json
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from training import corpus
from training.facts.fact import normal
from training.language import mixed
from training.model import Llama, apply_rotary
from training.probes import few_shot_prompt
from training.reading import Reader, generate, open_folder

LEADS = set("a an the in on under le la l les du de des d un une dans en sur à au aux".split())  # noqa: SIM905
FIGURES = {
    "no": "0", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "eleven": "11", "twelve": "12", "deux": "2", "trois": "3", "quatre": "4", "cinq": "5", "sept": "7",
    "huit": "8", "douze": "12",
}  # fmt: skip
MOST_WORDS = 12
WITHIN = 30  # tokens


def strip_lead_words(text: str) -> str:
    """Return a text's words without the small words that lead.

    >>> strip_lead_words("In a hive."), strip_lead_words("de l'herbe"), strip_lead_words("The")
    ('hive', 'herbe', 'the')
    """
    words = normal(text).split()
    while len(words) > 1 and words[0] in LEADS:
        words = words[1:]
    return " ".join(words)


def find_words(answer: str, text: str) -> int:
    """Return where an answer stands in a text as whole words, -1 where it does not."""
    return f" {normal(text)} ".find(f" {answer} ")


def is_right(text: str, row: dict[str, Any]) -> bool:
    """True where the first line is short and names an accepted answer before any other that stands to choice.

    >>> row = {"answer": "a bus", "also": [], "others": ["a bicycle"]}
    >>> is_right(" A bus is.", row), is_right("a bicycle, a bus", row), is_right("a busy man", row)
    (True, False, False)
    """
    line = text.strip().split("\n")[0]
    wanted = [row["answer"].split("\n")[0], *row["also"]]
    wanted += [FIGURES[w] for w in map(normal, wanted) if w in FIGURES]
    found = [at for w in wanted if (at := find_words(strip_lead_words(w), line)) >= 0]
    rivals = [at for w in row["others"] if (at := find_words(strip_lead_words(w), line)) >= 0]
    return bool(found) and len(line.split()) <= MOST_WORDS and all(min(found) < at for at in rivals)


def continue_questions(reader: Reader, rows: list[dict[str, Any]]) -> list[str]:
    """Return the most probable continuation of each question, in the few-shot form of the lab."""
    prompts = [reader.ids(few_shot_prompt(r["question"], r["lang"])) for r in rows]
    texts = []
    for at in range(0, len(prompts), 60):
        made = generate(reader, prompts[at : at + 60], count=14, temperature=0, seed=0)
        texts += [reader.tokenizer.decode(ids) for ids in made]
    return texts


def questions(reader: Reader, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the share of questions answered rightly: of all, by language, by kind."""
    texts = continue_questions(reader, rows)
    marks = defaultdict(list)
    for row, text in zip(rows, texts, strict=True):
        for name in ("all", row["lang"], f"{row['lang']}: {row['relation']}"):
            marks[name].append(is_right(text, row))
    shares = {name: sum(m) / len(m) for name, m in marks.items()}
    shown = [
        {"question": r["question"], "answer": r["answer"], "said": t.strip().split("\n")[0][:80]}
        for r, t in zip(rows, texts, strict=True)
    ]
    return {"asked": len(rows), "right": shares, "examples": shown[::10]}


def has_repetition(ids: list[int]) -> bool:
    """True where four tokens come again, in the same order, within 30 tokens.

    >>> has_repetition([1, 2, 3, 4, 5, 1, 2, 3, 4]), has_repetition([1, 2, 3, 4, 5, 6])
    (True, False)
    """
    last: dict[tuple[int, ...], int] = {}
    for at in range(len(ids) - 3):
        four = tuple(ids[at : at + 4])
        if at - last.get(four, -WITHIN - 1) <= WITHIN:
            return True
        last[four] = at
    return False


def continuations(
    reader: Reader, openings: list[tuple[str, str]], *, count: int = 64, temperature: float = 0.7
) -> dict[str, Any]:
    """Return the shares of sampled continuations that keep to their language, and that repeat themselves.

    `openings`: language and first words.
    """
    rows = []
    for at in range(0, len(openings), 50):
        prompts = [reader.ids(text) for _, text in openings[at : at + 50]]
        rows += generate(reader, prompts, count=count, temperature=temperature, seed=3 + at)
    stays = [not mixed(reader.tokenizer.decode(row), lang) for (lang, _), row in zip(openings, rows, strict=True)]
    share = {"stays": sum(stays) / len(stays), "repeats": sum(map(has_repetition, rows)) / len(rows)}
    return {"samples": len(rows), "tokens": count} | share


def first_words(folder: Path, count: int) -> list[tuple[str, str]]:
    """Return the language and the first words of held-out paragraphs, half of each language."""
    from training.evaluate import LANGUAGES, OPENING

    found = []
    for lang, name in (("en", "english"), ("fr", "french")):
        texts = [t for file in LANGUAGES[name] for t in corpus.heldout_documents(folder, file)]
        parts = [p for t in texts for p in t.split("\n\n") if len(p) > OPENING]
        step = max(1, len(parts) // (count // 2))
        found += [(lang, p[:OPENING].rsplit(" ", 1)[0]) for p in parts[::step][: count // 2]]
    return found


@torch.inference_mode()
def attention(model: Llama, ids: torch.Tensor) -> list[torch.Tensor]:
    """Return the attention weights (B, H, T, T) of each layer, computed from what its attention reads."""
    found = []

    def look(module: Any, given: tuple[torch.Tensor, ...]) -> None:
        x, cos, sin = given
        s = module.shape
        B, T, _ = x.shape
        q = apply_rotary(module.q_proj(x).view(B, T, s.heads, s.head).transpose(1, 2), cos, sin)
        k = apply_rotary(module.k_proj(x).view(B, T, s.kv_heads, s.head).transpose(1, 2), cos, sin)
        scores = q @ k.repeat_interleave(s.heads // s.kv_heads, dim=1).mT / s.head**0.5
        later = torch.ones(T, T, dtype=torch.bool).triu(1)
        found.append(scores.masked_fill(later, float("-inf")).softmax(dim=-1))

    layers: Iterable[Any] = model.layers
    hooks = [layer.self_attn.register_forward_pre_hook(look) for layer in layers]
    try:
        model(ids)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def induction(reader: Reader, *, rows: int = 32, length: int = 48) -> dict[str, Any]:
    """Return, for each head, the weight on the token after the earlier copy (Olsson et al. 2022).

    Random ids, drawn evenly, are read twice behind the document mark; the mean is over the second reading.
    """
    rng = torch.Generator().manual_seed(4)
    once = torch.randint(300, reader.model.shape.vocabulary, (rows, length), generator=rng)
    ids = torch.cat([torch.zeros(rows, 1, dtype=torch.long), once, once], dim=1)
    at = torch.arange(length + 1, 2 * length + 1)
    heads = [w[:, :, at, at - length + 1].mean(dim=(0, 2)) for w in attention(reader.model, ids)]
    table = torch.stack(heads)  # (layers, heads)
    layer, head = divmod(int(table.argmax()), table.shape[1])
    return {
        "best": float(table.max()),
        "layer": layer,
        "head": head,
        "heads": [[round(float(v), 4) for v in r] for r in table],
    }


def figures(reader: Reader, folder: Path, *, quick: bool = False) -> dict[str, Any]:
    """Return all figures of this module; `quick` asks a third and samples forty."""
    held = json.loads(corpus.EVERYDAY.read_text("utf-8"))
    step = 3 if quick else 1
    openings = first_words(folder, 40 if quick else 200)
    return {
        "seen": questions(reader, held["seen"][::step]),
        "never": questions(reader, held["never"][::step]),
        "continuations": continuations(reader, openings),
        "continuations_at_1": continuations(reader, openings, temperature=1),  # the model's own distribution
        "induction": induction(reader),
    }


def main() -> None:
    """Write the figures of a model."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus")
    parser.add_argument("--model", type=Path, default=Path("src/capot/boxed"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    answer = figures(open_folder(args.model), corpus.corpus_folder(args.corpus), quick=args.quick)
    args.out.write_text(json.dumps(answer, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
