"""The tokens chapter: the JSON of a text, its comparisons, and views that show no broken character."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import capot
from capot import i18n
from capot.chapters.tokens.result import LISTED, SHOWN, Token, Tokens, groups
from capot.chapters.tokens.verb import PACKAGED, named, packaged_names, to_tokens, tokenize
from capot.cli import run
from capot.errors import InputError, InterruptedByUser, NotFoundError
from capot.sources.hub.events import drain
from capot.text.tokenizer import Tokenizer, recorded
from capot.view import blocks as b

RTE = "RTE est le gestionnaire du réseau de transport d'électricité."


def model(tokenizer: Tokenizer | None = None) -> SimpleNamespace:
    return SimpleNamespace(name="boxed", watch=drain, remote_encoder=None, tokenizer=tokenizer or named("bilingual"))


def words(blocks: Iterable[b.Block]) -> Iterable[str]:
    """Every string that a view shows."""
    for block in blocks:
        for value in vars(block).values():
            yield from strings(value)


def strings(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from strings(item)
    elif hasattr(value, "__dataclass_fields__"):
        yield from words([value])


def test_json_has_the_fields_of_the_contract() -> None:
    answer = json.loads(tokenize(model(), "le cœur 🤗", compare=("gpt2",)).to_json())
    wanted = {"text", "tokenizer", "vocabulary_size", "count", "characters", "bytes", "tokens", "comparisons"}
    assert wanted <= set(answer)
    assert (answer["text"], answer["tokenizer"]) == ("le cœur 🤗", "boxed")
    assert (answer["characters"], answer["bytes"], answer["count"]) == (9, 13, len(answer["tokens"]))
    assert bytes.fromhex("".join(token["bytes"] for token in answer["tokens"])).decode() == "le cœur 🤗"
    assert answer["lossless"] is True
    for token in answer["tokens"]:
        assert {"id", "bytes", "text", "start", "end"} <= set(token)
        raw = "le cœur 🤗".encode()[token["start"] : token["end"]]
        assert raw.hex() == token["bytes"]
        assert token["text"] == raw.decode(errors="ignore") or token["text"] == ""
    own, other = answer["comparisons"]
    assert own == {"tokenizer": "boxed", "vocabulary_size": 16384, "count": answer["count"], "relative": 1.0}
    assert (other["tokenizer"], other["relative"]) == ("gpt2", other["count"] / own["count"])


def test_one_comparison_shows_itself() -> None:
    other = tokenize(model(), "Un œuf", compare=("english",)).comparisons[1]
    assert str(other) == "english\n│Un│·œ 1/2│·œ 2/2│uf│" and "·œ 1/2" in other._repr_html_()


def test_without_a_comparison_there_is_none() -> None:
    assert tokenize(model(), "bonjour").comparisons == []


def test_a_sentence_costs_what_the_lessons_say() -> None:
    answer = tokenize(model(), RTE, compare="english, french, gpt2, gpt-4, gpt-4o, llama3")
    counts = {other.tokenizer: other.count for other in answer.comparisons}
    assert {"gpt2": 20, "gpt-4": 15, "gpt-4o": 13, "llama3": 15}.items() <= counts.items()
    assert counts["french"] < counts["boxed"] < counts["english"]
    english = {name: len(named(name).encode("The capital of Australia is")) for name in PACKAGED}
    assert english["french"] > english["english"]


def test_the_recorded_sentences_are_what_the_vocabulary_gives(shared_tokenizers: Path) -> None:
    llama = Tokenizer.from_file(shared_tokenizers / "llama3")
    assert recorded.vocabulary_size("llama3") == llama.vocabulary_size
    for text in recorded.sentences("llama3"):
        assert recorded.spans("llama3", text) == llama.spans(text)


def test_every_packaged_name_opens() -> None:
    for name in packaged_names():
        assert tokenize(model(), RTE, compare=(name,)).comparisons[1].count > 0


def test_a_path_is_a_tokenizer_too(tmp_path: Path) -> None:
    folder = PACKAGED["french"]
    answer = tokenize(model(), RTE, compare=[str(folder), str(folder / "tokenizer.json"), "french"])
    assert len({other.count for other in answer.comparisons[1:]}) == 1


def test_special_tokens_are_text_unless_allowed() -> None:
    text = "a<|endoftext|>b"
    assert not any(token.special for token in tokenize(model(), text).tokens)
    allowed = tokenize(model(), text, specials="allow")
    assert [token.special for token in allowed.tokens].count(True) == 1
    assert any(piece.kind == "special" for piece in allowed.view("en")[1].pieces)
    for lang in ("en", "fr"):
        alone = tokenize(model(), "<|endoftext|>", specials="allow").view(lang)[1]
        assert "special" in alone.caption or "spécial" in alone.caption


def test_an_empty_text_has_no_tokens() -> None:
    answer = tokenize(model(), "", compare=("gpt2",))
    assert (answer.count, answer.characters_per_token, answer.lossless) == (0, None, True)
    assert [other.relative for other in answer.comparisons] == [1.0, 1.0]
    assert json.loads(answer.to_json())["tokens"] == []
    assert answer.to_text("fr") and answer.to_text("en")


@pytest.mark.parametrize("lang", ["en", "fr"])
@settings(max_examples=40, deadline=None)
@example("a \ufffd\x00\u202e\u0301")
@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=60))
def test_no_view_shows_a_replacement_character(lang: str, text: str) -> None:
    for tokenizer in (named("bilingual"), named("gpt2"), Tokenizer.bytes()):
        answer = tokenize(model(tokenizer), text, compare=("english",))
        for shown in words(answer.view(lang)):
            assert "\ufffd" not in shown
        strip = answer.view(lang)[1]
        assert len(strip.pieces) == min(answer.count, SHOWN)


def test_tokens_of_one_character_share_its_colour() -> None:
    text = "a🤗 e\u0301"
    answer = tokenize(model(Tokenizer.bytes()), text)
    pieces = answer.view("en")[1].pieces
    assert [piece.text for piece in pieces] == [
        "a", "🤗 1/4", "🤗 2/4", "🤗 3/4", "🤗 4/4", "·", "e\u0301 1/3", "e\u0301 2/3", "e\u0301 3/3",
    ]  # fmt: skip
    assert [piece.tone for piece in pieces] == [0, 1, 1, 1, 1, 2, 3, 3, 3]
    assert {piece.kind for piece in pieces[1:5]} == {"bytes"}
    assert [len(group) for group in groups(text, answer.tokens)] == [1, 4, 1, 3]


def test_one_endless_character_does_not_flood_the_view() -> None:
    answer = tokenize(model(Tokenizer.bytes()), "e" + "\u0301" * 5000)
    assert max(len(shown) for shown in words([answer.view("en")[1]])) < 400


def test_long_texts_are_shown_in_part_and_given_whole() -> None:
    answer = tokenize(model(), "le chat dort. " * 2000)
    strip, more, _, table = answer.view("en")[1:5]
    assert len(strip.pieces) == SHOWN and len(table.rows) == LISTED
    assert "8,000" in more.text or str(answer.count) in more.text.replace(",", "")
    assert len(json.loads(answer.to_json())["tokens"]) == answer.count


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize(
    ("text", "other"), [(RTE, "english"), (RTE, "french"), ("The capital of Australia is", "english"), ("🤗", "gpt2")]
)
def test_captions_are_two_sentences_of_this_run(lang: str, text: str, other: str) -> None:
    answer = tokenize(model(), text, compare=(other,))
    for block in answer.view(lang):
        if isinstance(block, (b.Strip, b.Bars)) and block.caption:
            assert block.caption.rstrip().endswith(".") and ". " in block.caption
            assert str(answer.count) in block.caption or answer.count == 1
    assert answer.to_text(lang) and answer.to_html(lang)


def test_what_a_lossy_tokenizer_drops_is_said() -> None:
    answer = tokenize(model(), "a")
    lossy = Tokens(**{**{name: getattr(answer, name) for name in answer.__dataclass_fields__}, "lossless": False})
    assert any(isinstance(block, b.Text) and block.tone == "warning" for block in lossy.view("en"))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nothing", "unknown_tokenizer"),
        ("meta-llama/Llama-3.2-1B", "tokenizer_hub"),
        ("/no/such/tokenizer.json", "tokenizer_missing"),
        ("llama3", "tokenizer_recorded"),
    ],
)
def test_unknown_names_are_explained(name: str, code: str) -> None:
    for lang in ("en", "fr"):
        with i18n.use_language(lang):
            answer = tokenize(model(), "a text that no lesson has", compare=("english", name, "french"))
        assert [other.tokenizer for other in answer.comparisons[1:]] == ["english", "french"], "the others are had"
        (missing,) = answer.missing
        assert (missing.tokenizer, missing.code) == (name, code)
        assert name in missing.message and "\n" in missing.message
        why, hint = missing.message.split("\n")[0], missing.message.split("\n")[-1]
        shown = " ".join(answer.to_text(lang, width=10_000).split())
        assert " ".join(why.split()) in shown and " ".join(hint.split()) in shown
        assert {"tokenizer": name, "code": code, "message": missing.message} == answer.to_dict()["missing"][0]


def test_one_that_is_known_for_some_sentences_alone_is_marked_wherever_it_is_listed() -> None:
    with pytest.raises(NotFoundError) as caught:
        named("nothing")
    for lang, words in (
        ("en", "only for the sentences of the lessons: llama3"),
        ("fr", "phrases des leçons : llama3"),
    ):
        assert words in caught.value.message(lang).replace("\u00a0", " ")
    for lang, words in (("en", "llama3 (the lessons"), ("fr", "llama3 (les phrases")):
        assert words in i18n.tr("tokens.cli.compare", lang)


def test_an_interrupted_download_is_no_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise InterruptedByUser("hub_interrupted", name="org/x", done=1, total=2)

    monkeypatch.setattr("capot.chapters.tokens.verb.from_hub", interrupted)
    with pytest.raises(InterruptedByUser):
        tokenize(model(), "a", compare=("org/x",))


def test_what_stands_before_a_prompt_is_told_where_tokens_are_counted() -> None:
    boxed = capot.open("boxed")
    cut, predicted = boxed.tokens("Le chat"), boxed.next("Le chat", k=1)
    made = boxed.generate("Le chat", max_new_tokens=1, seed=1)
    assert cut.opening == predicted.opening == made.opening == ("<|endoftext|>",)
    assert cut.count + 1 == predicted.prompt_tokens == made.prompt_tokens == 3
    for lang, words in (("en", "included"), ("fr", "compris")):
        assert f"<|endoftext|> {words}" in predicted.to_text(lang) and f"<|endoftext|> {words}" in made.to_text(lang)
        assert "3 tokens" in " ".join(cut.to_text(lang).split()) and "<|endoftext|>" in cut.to_text(lang)
    bare = boxed.next("", ids=[7447], k=1)
    assert bare.opening == () and "<|endoftext|>" not in bare.to_text("en"), "ids are sent as they are"
    assert capot.open("scripted").tokens("a").opening == ()


def test_half_a_character_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        tokenize(model(), "\ud83e")
    assert caught.value.code == "not_unicode"


def test_no_heavy_package_is_read_for_a_text() -> None:
    code = (
        "import sys\nfrom capot.cli import run\nrun(['tokens', 'été', '--compare', 'gpt-4o', '--json'])\n"
        "heavy = ('numpy', 'numba', 'torch', 'transformers', 'plotly', 'fastapi')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"


# --- On the command line -------------------------------------------------------------------------------


def test_the_command_prints_the_bare_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tokens", RTE, "--compare", "gpt2,o200k_base", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [other["count"] for other in answer["comparisons"]][1:] == [20, 13]


def test_the_command_reads_a_file_and_speaks_french(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("été", encoding="utf-8")
    assert run(["tokens", f"@{tmp_path / 'text.txt'}", "--lang", "fr"]) == 0
    assert "Comment ce texte devient-il" in capsys.readouterr().out


@pytest.mark.parametrize("specials", ["text", "strict", "allow"])
def test_the_command_takes_specials(capsys: pytest.CaptureFixture[str], specials: str) -> None:
    assert run(["tokens", "<|endoftext|>", "--specials", specials, "--json"]) == 0
    assert (json.loads(capsys.readouterr().out)["count"] == 1) == (specials == "allow")


def test_an_error_is_json_where_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tokens", "@nowhere", "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["error"]["code"]) == (False, "no_such_file")


def bare(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command prints that succeeds."""
    assert run(["tokens", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("text", ["Le cœur 🤗, déjà.", "", " two\n lines ", "1"])
def test_the_count_and_the_ids_alone_and_back_again(capsys: pytest.CaptureFixture[str], text: str) -> None:
    answer = json.loads(bare(capsys, text, "--json"))
    ids = ",".join(str(token["id"]) for token in answer["tokens"])
    assert bare(capsys, text, "--count") == f"{answer['count']}\n"
    assert bare(capsys, text, "--ids") == f"{ids}\n"
    assert bare(capsys, text, "--count", "--ids") == f"{answer['count']}\t{ids}\n"
    assert bare(capsys, "--decode", ids) == f"{text}\n"
    whole = json.loads(bare(capsys, "--decode", ids, "--json"))
    assert whole["text"] == text and whole["tokens"] == answer["tokens"] and whole["lossless"]


def test_ids_come_from_a_file_however_they_are_parted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ids = bare(capsys, "Le chat", "--ids").strip()
    (tmp_path / "ids").write_text(ids.replace(",", " \n") + "\n")
    assert bare(capsys, "--decode", f"@{tmp_path / 'ids'}") == "Le chat\n"


def test_half_a_character_is_decoded_as_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    ids = json.loads(bare(capsys, "🤗", "--model", "scripted", "--json"))["tokens"]
    told = json.loads(bare(capsys, "--decode", str(ids[0]["id"]), "--model", "scripted", "--json"))
    assert told["text"] == "\ufffd" and not told["lossless"]


def test_bare_figures_of_several_tokenizers_are_lines_with_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tokens", RTE, "--compare", "gpt2,nothing,o200k_base", "--count"]) == 0
    told = capsys.readouterr()
    assert [line.split("\t") for line in told.out.splitlines()][1:] == [["gpt2", "20"], ["o200k_base", "13"]]
    assert "nothing" in told.err and "gpt2" in told.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--decode", "1,x"], "not_ids"),
        (["--decode", "16384"], "no_such_id"),
        (["--decode", "-1"], "no_such_id"),
        (["a", "--decode", "1"], "text_or_ids"),
        ([], "missing_argument"),
    ],
)
def test_what_is_no_id_is_refused(capsys: pytest.CaptureFixture[str], words: list[str], code: str) -> None:
    assert run(["tokens", *words, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code


@pytest.mark.parametrize(
    ("lang", "text", "said"),
    [
        ("en", "é", "1 character becomes 2 tokens"), ("fr", "é", "1 caractère devient 2 tokens"),
        ("en", "a", "1 character becomes a single token."), ("fr", "a", "1 caractère devient un seul token."),
        ("en", "ab", "2 characters become 2 tokens"), ("fr", "ab", "2 caractères deviennent 2 tokens"),
    ],
)  # fmt: skip
def test_one_character_is_not_several(lang: str, text: str, said: str) -> None:
    with capot.open("scripted") as model:
        assert said in model.tokens(text).to_text(lang, width=200)


def test_the_tokens_of_a_comparison_are_made_when_they_are_looked_at() -> None:
    text = "le gestionnaire du réseau 🤗 " * 200
    gc.collect()
    before = sum(type(each) is Token for each in gc.get_objects())
    compared = capot.open("scripted").tokens(text, compare="gpt2,french")
    made = sum(type(each) is Token for each in gc.get_objects()) - before
    assert made == compared.count, "those of the model's own tokenizer, which are written down"
    for name, other in zip(("gpt2", "french"), compared.comparisons[1:]):
        whole = to_tokens(named(name).spans(text))
        assert other.tokens == whole and other.count == len(whole) and other.tokens[-1] == whole[-1]
        assert other.tokens[3:9] == whole[3:9] and other.tokens != whole[:-1] and other.tokens[::-50] == whole[::-50]


def test_a_comparison_knows_special_tokens() -> None:
    other = capot.open("scripted").tokens("a<|endoftext|>", compare="gpt2", specials="allow").comparisons[1]
    assert [token.special for token in other.tokens] == [False, True]
