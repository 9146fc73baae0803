"""One contestant of hf.py in a process of its own: reads a question a line, answers JSON a line.

    {"do": "decode", "tokens": 72}   seconds to write so many tokens, greedily, after a short prompt
    {"do": "edit", "back": 20}       seconds to the first token of 500, from scratch, then with one word changed

``capot`` goes the whole way of ``capot generate``: scheduler, sampling, text. ``generate`` is
transformers' own loop over the same weights in the same precision.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time

PROMPT, CONTEXT = 16, 500


def ids(count: int, vocabulary: int, seed: int = 0) -> list[int]:
    return random.Random(seed).choices(range(3, vocabulary), k=count)


class Capot:
    def __init__(self, given: argparse.Namespace) -> None:
        import capot

        self.model = capot.open(
            given.model, engine="transformers", device=given.device, dtype=given.dtype, compiled=given.compiled
        )
        self.engine = self.model.scheduler.engine
        self.vocabulary = self.engine.info.vocabulary_size
        self.times = 0

    def decode(self, tokens: int) -> list[float]:
        prompt = ids(PROMPT, self.vocabulary)
        begin = time.perf_counter()
        made = self.model.generate("", ids=prompt, temperature=0, max_new_tokens=tokens)
        assert len(made.tokens) == tokens, made.stop_reason
        return [time.perf_counter() - begin]

    def edit(self, back: int) -> list[float]:
        """A text nobody has read, then the same with one token changed ``back`` tokens before its end."""
        self.times += 1
        text = ids(CONTEXT, self.vocabulary, seed=self.times)
        found = []
        for changed in (text, [*text[:-back], (text[-back] + 1) % self.vocabulary, *text[CONTEXT - back + 1 :]]):
            begin = time.perf_counter()
            self.model.generate("", ids=changed, temperature=0, max_new_tokens=1)
            found.append(time.perf_counter() - begin)
        return found


class Generate:
    def __init__(self, given: argparse.Namespace) -> None:
        import torch
        import transformers

        self.torch = torch
        self.device = given.device
        dtype = given.dtype or "auto"
        model = transformers.AutoModelForCausalLM.from_pretrained(given.model, dtype=dtype).eval()
        self.model = model.to(given.device)
        self.vocabulary = self.model.config.vocab_size

    def decode(self, tokens: int) -> list[float]:
        prompt = self.torch.tensor([ids(PROMPT, self.vocabulary)], device=self.device)
        mask = self.torch.ones_like(prompt)
        begin = time.perf_counter()
        with self.torch.inference_mode():
            made = self.model.generate(
                prompt, attention_mask=mask, do_sample=False, max_new_tokens=tokens, min_new_tokens=tokens
            )
        made.tolist()  # a GPU is waited for
        return [time.perf_counter() - begin]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=["capot", "generate"])
    parser.add_argument("model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype")
    parser.add_argument("--compiled", action="store_true")
    given = parser.parse_args()
    peer = {"capot": Capot, "generate": Generate}[given.peer](given)
    print(json.dumps({"ready": given.peer}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        do = question.pop("do")
        print(json.dumps({"seconds": getattr(peer, do)(**question)}), flush=True)


if __name__ == "__main__":
    main()
