"""The chapter generate: one loop, its events, its ends."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

import capot
from capot.chapters.generate import verb as generation
from capot.chapters.generate.result import Generation
from capot.chapters.generate.text import GrowingText
from capot.chapters.generate.verb import Finished, Progress, Started, Step
from capot.cli import run
from capot.config import Sampling
from capot.engines.protocol import Feed
from capot.engines.scheduler import Scheduler
from capot.engines.scripted import END, ScriptedEngine
from capot.errors import CapotError, ContextError, InputError
from capot.text.tokenizer import Tokenizer

PROMPT = "The capital of"


@pytest.fixture
def model():
    with capot.open("scripted") as opened:
        yield opened


def with_engine(model, **options):
    model.shared.at_work = Scheduler(ScriptedEngine(**options))
    return model


def ids(made: Generation) -> list[int]:
    return [token.id for token in made.tokens]


# What it says.


def test_json_has_the_fields_that_are_promised(model) -> None:
    answer = json.loads(model.generate(PROMPT, seed=1, max_new_tokens=5).to_json())
    promised = {"prompt", "text", "stop_reason", "prompt_tokens", "reused_tokens", "tokens"}
    promised |= {"prefill_s", "decode_s", "tokens_per_s", "seed"}
    assert promised <= set(answer)
    assert all({"id", "text", "probability"} <= set(token) for token in answer["tokens"])
    assert answer["seed"] == 1 and answer["sampling"]["temperature"] == 0.7


def test_greedy_is_exactly_greedy(model) -> None:
    made = model.generate(PROMPT, temperature=0, max_new_tokens=40)
    prompt = model.tokenizer.encode_prompt(PROMPT)
    engine = ScriptedEngine()
    for place, token in enumerate(ids(made)):
        fed = [*prompt, *ids(made)[:place]]
        assert token == int(engine.step([Feed(engine.open_sequence(), fed)])[0].logits.argmax())


def test_a_step_keeps_the_models_own_probability(model) -> None:
    made = model.generate(PROMPT, temperature=2, top_k=3, seed=5, max_new_tokens=8, alternatives=4)
    for place, token in enumerate(made.tokens):
        fed = [*model.tokenizer.encode_prompt(PROMPT), *ids(made)[:place]]
        found = model.next("", ids=fed, k=4, rank=f"id:{token.id}")
        assert token.probability == pytest.approx(found.asked[0].probability, rel=1e-5)
        assert token.logprob == pytest.approx(np.log(token.probability)) and token.rank == found.asked[0].rank
        assert [each.id for each in token.alternatives] == [each.id for each in found.candidates]
        for each, candidate in zip(token.alternatives, found.candidates):
            assert (each.text, each.label) == (candidate.text, candidate.label)
            assert each.probability == pytest.approx(candidate.probability, rel=1e-5)
        assert token.draw == place and 0 < token.chance <= 1 and token.seconds >= 0


def test_a_token_from_far_down_knows_its_rank(model) -> None:
    made = model.generate(PROMPT, temperature=5, seed=2, max_new_tokens=12, alternatives=2)
    assert any(token.rank > 2 for token in made.tokens)
    for token in made.tokens:
        assert (token.rank <= 2) == (token.id in [each.id for each in token.alternatives])
        found = model.next("", ids=[*made.prompt_ids, *ids(made)[: token.draw]], rank=f"id:{token.id}")
        assert token.rank == found.asked[0].rank


def test_times_and_counts(model) -> None:
    made = model.generate(PROMPT, temperature=0)
    assert made.tokens_per_s == pytest.approx((len(made.tokens) - 1) / made.decode_s)
    assert made.decode_s == pytest.approx(sum(token.seconds for token in made.tokens[1:]))
    assert made.tokens[0].seconds == made.prefill_s > 0
    assert model.generate(PROMPT, max_new_tokens=1).tokens_per_s is None
    again = model.generate(PROMPT, temperature=0)
    assert (made.reused_tokens, again.reused_tokens) == (0, made.prompt_tokens - 1)


def test_no_alternatives_where_none_are_asked(model) -> None:
    made = model.generate(PROMPT, temperature=0, alternatives=0)
    assert all(token.alternatives == () for token in made.tokens)
    assert made.tokens[0].probability == pytest.approx(model.next(PROMPT).candidates[0].probability, rel=1e-5)


# Draws.


def test_the_same_seed_gives_the_same_text(model) -> None:
    first, second = (model.generate(PROMPT, temperature=8, seed=11) for _ in range(2))
    other = model.generate(PROMPT, temperature=8, seed=12)
    assert ids(first) == ids(second) != ids(other)
    drawn = model.generate(PROMPT, temperature=8)
    assert ids(model.generate(PROMPT, temperature=8, seed=drawn.seed)) == ids(drawn)


@pytest.mark.parametrize("cut", [1, 7, 20])
def test_a_text_taken_up_again_is_the_same_text(model, cut: int) -> None:
    options = {"temperature": 8, "seed": 11}
    whole = model.generate(PROMPT, max_new_tokens=40, **options)
    begun = [*whole.prompt_ids, *ids(whole)[:cut]]
    rest = model.generate(PROMPT, ids=begun, first_draw=cut, max_new_tokens=40 - cut, **options)
    assert ids(whole)[:cut] + ids(rest) == ids(whole)
    assert rest.tokens[0].draw == cut and rest.reused_tokens == len(begun) - 1


def as_told(events) -> tuple[str, list[int], Generation]:
    """The text that a stream let go, its ids, its result."""
    kept = list(events)
    text = "".join(event.text for event in kept if isinstance(event, (Step, Finished)))
    return text, [event.id for event in kept if isinstance(event, Step)], kept[-1].generation


@pytest.mark.parametrize(
    ("prompt", "options"),
    [
        ("The capital of Japan is", {"temperature": 0, "stop": ["kyo."]}),
        ("The capital of Japan is", {"temperature": 0, "stop": [". ", "xx"]}),
        ("Q: Quelle est la capitale de l'Italie ?", {"temperature": 0, "stop": "Rom", "after_stop": 9}),
        ("RTE est le gestionnaire du r", {"temperature": 0, "max_new_tokens": 12}),
        (PROMPT, {"temperature": 3, "seed": 4, "max_new_tokens": 25}),
    ],
)
def test_a_stream_cut_anywhere_goes_on_as_if_it_had_not_been(model, prompt, options) -> None:
    """Half characters, half stop strings, texts that had ended: what was told and what is still told make the text."""
    kept = list(model.stream(prompt, **options))
    text, whole, made = as_told(kept)
    steps = [event for event in kept if isinstance(event, Step)]
    most = options.get("max_new_tokens", 100)
    for cut in range(1, min(len(whole), most - 1) + 1):
        sampling = {**options, "max_new_tokens": most - cut, "seed": made.seed}
        again = model.stream(prompt, ids=[*made.prompt_ids, *whole[:cut]], first_draw=cut, **sampling)
        rest, more, end = as_told(again)
        assert "".join(step.text for step in steps[:cut]) + rest == text, cut
        assert whole[:cut] + more == whole and end.text == rest
        assert (end.stop_reason, end.stop_string, end.after_stop) == (
            made.stop_reason,
            made.stop_string,
            made.after_stop,
        )


def test_the_boxed_model_goes_on_as_if_it_had_not_been_cut() -> None:
    with capot.open("boxed") as model:
        options = {"temperature": 0.9, "top_p": 0.95, "alternatives": 0}
        drawn = (model.generate("Il était une fois", max_new_tokens=24, seed=seed, **options) for seed in range(20))
        whole = next(made for made in drawn if made.stop_reason == "max_new_tokens")  # none that ended before
        options["seed"] = whole.seed
        for cut in (1, 5, 23):
            begun = [*whole.prompt_ids, *ids(whole)[:cut]]
            rest = model.generate("Il était une fois", ids=begun, first_draw=cut, max_new_tokens=24 - cut, **options)
            assert ids(whole)[:cut] + ids(rest) == ids(whole)


def test_a_branch_starts_from_another_token(model) -> None:
    whole = model.generate(PROMPT, temperature=0)
    place = next(n for n, token in enumerate(whole.tokens) if token.alternatives[1].probability > 0.01)
    other = whole.tokens[place].alternatives[1]
    branch = model.generate(PROMPT, ids=[*whole.prompt_ids, *ids(whole)[:place], other.id], temperature=0)
    assert branch.text != whole.text[place + 1 :] and branch.reused_tokens == len(whole.prompt_ids) + place


def test_a_text_taken_up_in_mid_character_completes_it(model) -> None:
    prompt = "RTE est le gestionnaire du r"
    begun = [*prompt.encode(), "é".encode()[0]]
    made = model.generate(prompt, ids=begun, temperature=0, max_new_tokens=2)
    assert made.text == "és" and made.tokens[0].text == ""


# Ends.


def test_it_ends_with_the_end_token(model) -> None:
    made = model.generate("The capital of Japan is", temperature=0)
    assert made.stop_reason == "end_token" and ids(made)[-1] == END
    assert made.text == " Tokyo."  # the mark itself is no text


def test_an_end_token_that_is_an_ordinary_one_is_no_text_either(model) -> None:
    model.tokenizer.eos_ids = (ord("k"),)
    made = model.generate("The capital of Japan is", temperature=0)
    assert (made.text, made.stop_reason, len(made.tokens)) == (" To", "end_token", 4)


def test_it_ends_after_as_many_tokens_as_asked(model) -> None:
    made = model.generate(PROMPT, max_new_tokens=3, temperature=0)
    assert made.stop_reason == "max_new_tokens" and len(made.tokens) == 3


@pytest.mark.parametrize("length", [17, 19, 20])
def test_it_ends_where_the_context_is_full(model, length: int) -> None:
    made = with_engine(model, context_length=20).generate("x" * length, temperature=0)
    assert made.stop_reason == "context_full" and len(made.tokens) == 21 - length
    with pytest.raises(ContextError):
        model.generate("x" * 21)


@pytest.mark.parametrize("stop", ["Tok", "okyo", "yo.", " ", "Tokyo.", "o"])
def test_a_stop_string_is_found_across_tokens_and_not_printed(model, stop: str) -> None:
    steps = list(model.stream("The capital of Japan is", temperature=0, stop=[stop]))
    made = steps[-1].generation
    assert made.stop_reason == "stop_string" and made.stop_string == stop
    assert made.text == " Tokyo."[: " Tokyo.".find(stop)]
    assert "".join(step.text for step in steps if isinstance(step, (Step, Finished))) == made.text


def test_what_was_held_back_is_told_when_no_stop_string_comes(model) -> None:
    events = list(model.stream("The capital of Japan is", temperature=0, stop=["Tokyo!", "kyoto", ".\n"]))
    made = events[-1].generation
    assert made.text == " Tokyo." and made.stop_reason == "end_token"
    assert events[-1].text == "."  # might have begun ".\n"
    assert "".join(event.text for event in events if isinstance(event, (Step, Finished))) == made.text


def test_what_follows_a_stop_string_is_kept_apart_where_asked(model) -> None:
    prompt = "Q: Quelle est la capitale de l'Italie ?"
    plain = model.generate(prompt, temperature=0, stop="Ro")
    kept = model.generate(prompt, temperature=0, stop="Ro", after_stop=2)
    assert plain.after_stop == "" and kept.after_stop == "me"
    assert (plain.text, ids(plain)) == (kept.text, ids(kept))
    to_the_end = model.generate(prompt, temperature=0, stop="Ro", after_stop=50)
    assert to_the_end.after_stop == "me." and to_the_end.stop_reason == "stop_string"


def test_after_stop_stays_within_the_context(model) -> None:
    made = with_engine(model, context_length=26).generate(
        "The capital of Japan is", temperature=0, stop="o", after_stop=50
    )
    assert (made.text, made.after_stop) == (" T", "k")


class Letters(Tokenizer):
    """Tokens of several letters, so that stop strings begin and end inside them."""

    pieces = ["a", "b", "ab", "ba", "aab", "bb", "é"]

    def __init__(self) -> None:
        self.special_ids, self.named = frozenset(), {}

    def token_bytes(self, token):
        return self.pieces[token].encode()

    def joined(self, tokens):
        return None  # their bytes are the text


@settings(max_examples=300, deadline=None)
@given(
    tokens=st.lists(st.integers(0, 6), max_size=25),
    stops=st.lists(st.text("abé", min_size=1, max_size=5), max_size=3),
)
def test_growing_text_stops_where_a_search_in_the_whole_text_would(tokens, stops) -> None:
    text, released, whole = GrowingText(Letters(), [], stops=stops), "", ""
    for token in tokens:
        whole += Letters.pieces[token]
        released += text.push(token)
        if text.found is not None:
            break
        assert not any(stop in whole for stop in stops)
        assert not any(whole[len(released) :].startswith(stop) for stop in stops)
    released += text.finish()
    places = [whole.find(stop) for stop in stops if stop in whole]
    expected = whole[: min(places)] if places else whole
    assert released == text.text == expected
    if places:
        assert whole == expected + text.found + text.after


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
def test_half_characters_are_held_back(text: str) -> None:
    growing = GrowingText(Tokenizer.bytes(), [])
    for byte in text.encode():
        growing.push(byte)
        assert text.startswith(growing.text)
    assert growing.text == text


# Events.


def test_events_come_in_order(model) -> None:
    events = list(model.stream("word " * 120, max_new_tokens=4, seed=0))
    kinds = [type(event) for event in events]
    assert kinds == [Progress] * 3 + [Started] + [Step] * 4 + [Finished]
    assert [event.done for event in events[:3]] == [256, 512, 600]
    assert events[3].prompt_tokens == 600 and events[3].seed == 0
    assert "".join(event.text for event in events[4:]) == events[-1].generation.text


def test_a_stream_has_its_result_at_the_end(model) -> None:
    with model.stream(PROMPT, temperature=0) as events:
        assert events.result is None
        assert list(events)[-1].generation is events.result
        assert list(events) == []


def test_a_stream_let_go_stops_the_engine(model) -> None:
    events = model.stream("hello world", temperature=0, max_new_tokens=4000)
    next(events)
    ticket = events._ticket
    del events
    assert ticket.wait(30) and ticket.error is not None


def test_cancelling_gives_what_there_was(model) -> None:
    events = model.stream("hello world", temperature=0, max_new_tokens=4000)
    kept = [next(events) for _ in range(4)]
    events.cancel()
    kept += events
    made = kept[-1].generation
    assert made.stop_reason == "interrupted" and 3 <= len(made.tokens) < 4000
    assert "".join(event.text for event in kept if not isinstance(event, Started)) == made.text
    assert made.to_json() and made.summary("fr")


def test_cancelled_before_the_first_token(model) -> None:
    gate = threading.Event()
    with_engine(model, before_step=lambda feeds: gate.wait())
    events = model.stream(PROMPT)
    events.cancel()
    gate.set()
    (finished,) = events
    made = finished.generation
    assert (made.stop_reason, made.text, made.tokens, made.tokens_per_s) == ("interrupted", "", (), None)
    assert made.to_text("fr")


def test_the_engines_error_comes_out_of_the_stream(model) -> None:
    count = itertools.count()

    def fail(feeds):
        if next(count) == 3:
            raise MemoryError("full")

    with_engine(model, before_step=fail)
    with pytest.raises(MemoryError):
        model.generate(PROMPT)
    assert model.generate(PROMPT, max_new_tokens=2).stop_reason == "max_new_tokens"


def test_logits_that_are_no_numbers_are_an_error_of_the_model(model, monkeypatch) -> None:
    step = ScriptedEngine.step

    def broken(self, feeds):
        outputs = step(self, feeds)
        outputs[0].logits[:] = np.nan
        return outputs

    monkeypatch.setattr(ScriptedEngine, "step", broken)
    with pytest.raises(CapotError) as caught:
        model.generate(PROMPT)
    assert caught.value.code == "not_finite"


def test_several_streams_advance_together(model) -> None:
    alone = {seed: model.generate(PROMPT, seed=seed, temperature=1.2).text for seed in range(4)}
    streams = {seed: model.stream(PROMPT, seed=seed, temperature=1.2) for seed in range(4)}
    for stream in streams.values():
        for _ in stream:
            pass
    assert {seed: stream.result.text for seed, stream in streams.items()} == alone


def test_start_needs_no_thread_of_its_own(model) -> None:
    events, over = [], threading.Event()

    def emit(event) -> None:
        events.append((threading.current_thread().name, type(event)))
        if isinstance(event, Finished):
            over.set()

    ticket = generation.start(model, PROMPT, sampling=Sampling(temperature=0, max_new_tokens=3), emit=emit)
    assert over.wait(30) and ticket.wait(30)
    assert {name for name, _ in events} == {"capot-engine"}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"prompt": ""}, "empty_prompt"),
        ({"prompt": "", "ids": []}, "empty_prompt"),
        ({"prompt": "a", "ids": [260]}, "no_such_id"),
        ({"prompt": "a", "ids": [-1]}, "no_such_id"),
        ({"prompt": "a", "first_draw": -1}, "out_of_range"),
        ({"prompt": "a", "ids": [97], "first_draw": 2}, "out_of_range"),
        ({"prompt": "a", "alternatives": 101}, "out_of_range"),
        ({"prompt": "a", "after_stop": "x"}, "not_a_number"),
        ({"prompt": "a", "temperature": float("nan")}, "not_a_number"),
        ({"prompt": "a", "temperature": -0.1}, "out_of_range"),
        ({"prompt": "a", "top_p": -1}, "out_of_range"),
        ({"prompt": "a", "max_new_tokens": 0}, "out_of_range"),
        ({"prompt": "a", "stop": [""]}, "empty_stop"),
    ],
)
def test_what_makes_no_sense_is_refused(model, options, code) -> None:
    with pytest.raises(InputError) as caught:
        model.generate(**options)
    assert caught.value.code == code


# Faces.


def test_the_view_says_the_numbers_of_this_run(model) -> None:
    made = model.generate(PROMPT, temperature=1.3, seed=4)
    english, french = made.to_text("en", width=100), made.to_text("fr", width=100)
    best = sum(token.id == token.alternatives[0].id for token in made.tokens)
    assert f"The most probable token was taken {best} times out of {len(made.tokens)}" in english.replace("\n", " ")
    alone = model.generate(PROMPT, temperature=1.3, seed=4, alternatives=0).to_text("en", width=200)
    assert "The fainter a token" in alone and "The most probable token" not in alone, "nothing else was kept"
    assert "Là où le modèle a hésité" in french and str(made.seed) in french
    assert "<html" in made.to_html("fr")
    long = model.generate("hello world", temperature=0, max_new_tokens=450)
    assert "The first 400 of 450" in long.to_text("en")


@pytest.mark.parametrize("reason", ["stop_string", "end_token", "max_new_tokens", "context_full", "interrupted"])
def test_why_it_stopped_is_said_in_both_languages(model, reason) -> None:
    import dataclasses

    made = dataclasses.replace(model.generate(PROMPT), stop_reason=reason, stop_string="\n\n")
    assert made.why("fr") != made.why("en")
    assert ("⏎⏎" in made.why("en")) == (reason == "stop_string")


def test_the_command_prints_the_text_then_one_line(capsys) -> None:
    arguments = ["generate", "The capital of Japan is", "--model", "scripted", "--temperature", "0"]
    assert run([*arguments, "--seed", "3"]) == 0
    printed = capsys.readouterr()
    assert printed.out == " Tokyo.\n"
    assert printed.err.startswith("the model ended its text · ") and "tokens/s" in printed.err
    assert "0 of 23 prompt tokens reused · seed 3" in printed.err
    assert run([*arguments, "--stop", "ky", "--stop", "xx", "--lang", "fr"]) == 0
    printed = capsys.readouterr()
    assert printed.out == " To\n" and printed.err.startswith(
        "chaîne d’arrêt « ky » atteinte · ".replace("« ", "«\u00a0").replace(" »", "\u00a0»")
    )


def test_the_command_prints_one_result_as_json(capsys, tmp_path) -> None:
    page = tmp_path / "page.html"
    arguments = ["generate", PROMPT, "--model", "scripted", "--seed", "3", "--json", "--html", str(page)]
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 3
    assert "<html" in page.read_text(encoding="utf-8")
    assert run(["generate", PROMPT, "--model", "scripted", "--temperature", "nan", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "not_a_number"


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise there")
def test_ctrl_c_ends_cleanly_with_what_was_generated() -> None:
    code = (
        "import time; from capot.engines import scripted\n"
        "init = scripted.ScriptedEngine.__init__\n"
        "def slow(self): init(self, before_step=lambda feeds: time.sleep(0.02))\n"
        "scripted.ScriptedEngine.__init__ = slow\n"
        "from capot.cli import run; raise SystemExit(run(['generate', 'hello world', '--model', 'scripted',"
        " '--temperature', '0', '--max-new-tokens', '4000']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    first = process.stdout.read(1)  # it streams: there is text long before the end
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert first == " " and out.endswith("\n") and process.returncode == 130
    assert err.startswith("stopped by you · ") and "Traceback" not in err
