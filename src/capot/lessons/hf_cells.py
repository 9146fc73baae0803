"""The same as an instrument with plain ``transformers``, for those who want to see the library's own way.

Each program begins by naming what the instrument is given; the rest is the same whatever the lesson. Between two signs
"@" stands the name of words (``notebook.hf``): what a cell prints and explains is in the notebook's language.
"""

from __future__ import annotations

import re

from capot.i18n import tr
from capot.lessons.calls import InstrumentCall

SETUP = '''
try:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
except ImportError as missing:
    hf = None
    print("@skipped@".format(missing.name))
else:
    folder = model.checkpoint.path
    hf_tokenizer = AutoTokenizer.from_pretrained(folder)
    # @precision@
    dtype = torch.float32 if model.engine_name == "native" else "auto"
    hf = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def hf_states(text):
    """@states@"""
    ids = hf_tokenizer(text, return_tensors="pt").input_ids
    with torch.no_grad():
        out = hf(ids, output_hidden_states=True)
    return [state[0].float() for state in out.hidden_states], out.logits[0].float()


def hf_generate(text, max_new_tokens, temperature=0, seed=0):
    """@generate@"""
    torch.manual_seed(seed)
    inputs = hf_tokenizer(text, return_tensors="pt")
    chosen = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
    end = hf_tokenizer.eos_token_id
    made = hf.generate(
        input_ids=inputs.input_ids, attention_mask=inputs.attention_mask,
        max_new_tokens=max_new_tokens, pad_token_id=end, **chosen
    )
    return hf_tokenizer.decode(made[0][inputs.input_ids.shape[1]:])
'''
_GUESSES = """
    states, logits = hf_states(prompt)
    norm = getattr(hf.base_model, "norm", torch.nn.Identity())
    for layer, state in enumerate(states):
        read = state[-1] if layer == len(states) - 1 else norm(state[-1].to(hf.dtype))
        scores = hf.get_output_embeddings()(read.to(hf.dtype))
        print(layer, repr(hf_tokenizer.decode(scores.argmax())))
"""
_NEXT = """
    probabilities = torch.softmax(hf_states(prompt)[1][-1], dim=-1)
    for share, token in zip(*(part.tolist() for part in probabilities.topk(10))):
        print(f"{share:7.3f}", repr(hf_tokenizer.decode(token)))
"""
_TOKENS = """
    for token in hf_tokenizer(text, add_special_tokens=False).input_ids:
        print(token, repr(hf_tokenizer.decode(token)))
"""
_EMBED = """
    table = hf.get_input_embeddings().weight.detach().float()
    rows = [table[hf_tokenizer(" " + word, add_special_tokens=False).input_ids].mean(0) for word in words]
    rows = torch.nn.functional.normalize(torch.stack(rows), dim=-1)
    print((rows @ rows.T).numpy().round(2))
"""
_CONTEXT = """
    texts = [hf_states(sentence)[0] for sentence in sentences]
    for layer, states in enumerate(zip(*texts)):
        first, second = (state[-1] for state in states[:2])
        print(layer, round(torch.cosine_similarity(first, second, dim=0).item(), 2))
"""
_CARD = """
    print(hf.config)
    print(hf.num_parameters(), "@parameters@")
"""
_MEMORY = """
    config = hf.config
    queries = getattr(config, "num_attention_heads", 0)  # @no_attention@
    heads = getattr(config, "num_key_value_heads", None) or queries
    size = getattr(config, "head_dim", None) or config.hidden_size // max(queries, 1)
    per_token = 2 * config.num_hidden_layers * heads * size * hf.dtype.itemsize
    for count in (1, 2048, 8192):
        print(count, "@tokens@", count * per_token, "@cache@")
"""
_MEASURED = """
    import time

    for count in (1, 64):
        ids = torch.full((1, count), hf_tokenizer.eos_token_id or 0)
        begun = time.perf_counter()
        with torch.no_grad():
            hf(ids)
        print(count, "@tokens@", round(1000 * (time.perf_counter() - begun), 1), "ms")
"""
_SCORE = """
    ids = hf_tokenizer(text, return_tensors="pt").input_ids
    with torch.no_grad():
        loss = hf(ids, labels=ids).loss.item()  # @mean@
    print(round(loss * (ids.shape[1] - 1) / 0.6931, 2), "bits")
"""
_GENERATE = """
    print(hf_generate(prompt, max_new_tokens, temperature, seed))
"""
_ASSISTANT = """
    for prompt in (question, f"USER: {question}\\nASSISTANT:"):
        print(repr(hf_generate(prompt, max_new_tokens)))
    if hf_tokenizer.chat_template:
        turns = [{"role": "user", "content": question}]
        print(repr(hf_tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)))
"""
_CHAT = """
    talk = ""
    for message in messages:
        talk += f"USER: {message}\\nASSISTANT:"
        print(len(hf_tokenizer(talk).input_ids), "@sent@")
        talk += hf_generate(talk, max_new_tokens).split("USER:")[0].rstrip() + "\\n"
"""
# For each verb: what its program takes, with what it has where the instrument says nothing, and the program.
PROGRAMS: dict[str, tuple[dict[str, object], str]] = {
    "card": ({}, _CARD),
    "tokens": ({"text": ""}, _TOKENS),
    "embed": ({"words": []}, _EMBED),
    "context": ({"sentences": []}, _CONTEXT),
    "network": ({"prompt": ""}, _GUESSES),
    "lens": ({"prompt": ""}, _GUESSES),
    "next": ({"prompt": ""}, _NEXT),
    "score": ({"text": ""}, _SCORE),
    "generate": ({"prompt": "", "max_new_tokens": 100, "temperature": 0.7, "seed": 0}, _GENERATE),
    "assistant": ({"question": "", "max_new_tokens": 100}, _ASSISTANT),
    "chat": ({"messages": [], "max_new_tokens": 100}, _CHAT),
}


def setup(lang: str) -> str:
    """Return the cell that opens the model in transformers, or says by name what is not installed."""
    return _worded(SETUP, lang).strip()


def program(call: InstrumentCall, lang: str) -> str | None:
    """Return the same as an instrument in plain transformers, or None where it is arithmetic on a published shape."""
    if call.verb == "memory":
        if "known" in call.given:
            return None
        named: dict[str, object] = {}
        body = _MEMORY if call.given.get("simulate") else _MEASURED
    elif call.verb in PROGRAMS:
        named, body = PROGRAMS[call.verb]
    else:
        return None
    lines = [f"    {name} = {call.given.get(name, usual)!r}" for name, usual in named.items()]
    return "\n".join(["if hf is not None:", *lines, *_worded(body, lang).strip("\n").split("\n")])


def _worded(code: str, lang: str) -> str:
    """Return a program with its words in a language; a quote in them would end the text they stand in."""
    return re.sub(r"@(\w+)@", lambda name: tr(f"notebook.hf.{name[1]}", lang, name="{}").replace('"', "'"), code)
