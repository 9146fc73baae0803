"""One contestant in a process of its own: reads a question a line, answers JSON a line.

    {"do": "decode", "tokens": 72}     seconds to decode so many tokens after a short prompt
    {"do": "prefill", "tokens": 512}   seconds from a prompt's ids to the logits of what follows
    {"do": "streams", "tokens": 16}    seconds to decode so many tokens in each of eight texts at once (native)
    {"do": "profile", "tokens": 64}    as ``decode``, with the seconds of each part of the steps (native)

Every contestant computes the same ids, one at a time where it decodes, and all of its
logits. Nothing of capot is imported for another contestant.
"""

from __future__ import annotations

import argparse
import inspect
import json
import random
import sys
import time

PROMPT = 16  # tokens before decoding starts
STREAMS = 8


def ids(count: int, vocabulary: int) -> list[int]:
    return random.Random(0).choices(range(3, vocabulary), k=count)


class Native:
    def __init__(self, path: str, threads: int) -> None:
        from capot.engines.native import open_native
        from capot.engines.protocol import LAST, MAX_CHUNK, NOTHING, Feed
        from capot.sources.checkpoint import Checkpoint

        self.engine = open_native(Checkpoint.open(path))
        self.vocabulary = self.engine.info.vocabulary_size
        self.chunk = MAX_CHUNK
        self.feed = Feed
        self.last = LAST
        self.nothing = NOTHING
        self.sequence = self.engine.open_sequence()

    def reset(self) -> None:
        self.sequence.crop(0)

    def eval(self, tokens: list[int]) -> None:
        for start in range(0, len(tokens), self.chunk):
            chunk = tokens[start : start + self.chunk]
            last = start + self.chunk >= len(tokens)
            want = self.last if last else self.nothing
            self.engine.step([self.feed(self.sequence, chunk, want)])

    def eval_streams(self, texts: list[list[int]]) -> None:
        """Decode all texts together, a token of each in a pass, and let them go."""
        sequences = [self.engine.open_sequence() for _ in texts]
        for tokens in zip(*texts, strict=True):
            pairs = zip(sequences, tokens, strict=True)
            self.engine.step([self.feed(sequence, [token], self.last) for sequence, token in pairs])
        for sequence in sequences:
            sequence.close()


class LlamaCpp:
    def __init__(self, path: str, threads: int) -> None:
        import llama_cpp

        self.model = llama_cpp.Llama(path, n_ctx=1024, n_threads=threads, n_threads_batch=threads, verbose=False)
        self.vocabulary = self.model.n_vocab()

    def reset(self) -> None:
        self.model.reset()

    def eval(self, tokens: list[int]) -> None:
        self.model.eval(tokens)


class Transformers:
    def __init__(self, path: str, threads: int) -> None:
        import torch
        import transformers

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.torch = torch
        self.model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype="auto").eval()
        self.vocabulary = self.model.config.vocab_size
        self.cache = None
        accepted = inspect.signature(type(self.model).forward).parameters
        self.cache_name = "cache" if "cache" in accepted else "past_key_values"  # renamed in transformers 5.24

    def reset(self) -> None:
        self.cache = None

    def eval(self, tokens: list[int]) -> None:
        given = self.torch.tensor([tokens])
        answer = self.model(given, **{self.cache_name: self.cache}, use_cache=True, logits_to_keep=1)
        self.cache = getattr(answer, self.cache_name)


def timed(peer, do: str, tokens: int) -> float:
    text = ids(PROMPT + tokens, peer.vocabulary)
    peer.reset()
    if do == "prefill":
        begin = time.perf_counter()
        peer.eval(text[:tokens])
        return time.perf_counter() - begin
    if do == "streams":
        texts = [text[:tokens]] * STREAMS
        begin = time.perf_counter()
        peer.eval_streams(texts)
        return time.perf_counter() - begin
    peer.eval(text[:PROMPT])
    begin = time.perf_counter()
    for token in text[PROMPT:]:
        peer.eval([token])
    return time.perf_counter() - begin


def profiled(peer, tokens: int) -> dict:
    """Seconds of the parts of so many steps, and of all of it."""
    from _profile import Profile

    text = ids(PROMPT + tokens, peer.vocabulary)
    peer.reset()
    peer.eval(text[:PROMPT])
    profile = Profile(peer.engine)
    for token in text[PROMPT:]:
        with profile.watch():
            peer.eval([token])
    return {"seconds": profile.total, "parts": profile.parts}


def answer(peer, do: str, tokens: int) -> dict:
    return profiled(peer, tokens) if do == "profile" else {"seconds": timed(peer, do, tokens)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=["native", "llama.cpp", "transformers"])
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    peer = {"native": Native, "llama.cpp": LlamaCpp, "transformers": Transformers}[given.peer]
    peer = peer(given.model, given.threads)
    print(json.dumps({"ready": given.peer}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(answer(peer, question["do"], question["tokens"])), flush=True)


if __name__ == "__main__":
    main()
