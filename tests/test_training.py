"""How the boxed model is made: typography, facts, held-out text, budget, a run that resumes."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from training import corpus, make_everyday  # noqa: E402
from training.facts import common, forms, stream  # noqa: E402
from training.facts.countries import capitals, table  # noqa: E402
from training.facts.fact import Fact, Guard, fixed, normal  # noqa: E402
from training.facts.numbers import comparisons, conversions, sums  # noqa: E402
from training.facts.verbs import conjugated  # noqa: E402
from training.schedule import PAUSE_S, PHASES, Budget, phase, rate  # noqa: E402
from training.typography import NBSP, NNBSP, set_line, set_text  # noqa: E402

COUNTRIES = """Ruritania

Ruritania is a country in Europe (Central Europe). Its capital is Strelsau. The capital of Ruritania is Strelsau.
<|endoftext|>
Portugal

Portugal is a country in Europe (Southern Europe). Its capital is Lisbon. The capital of Portugal is Lisbon.
<|endoftext|>
Ruritanie

La Ruritanie est un pays situé en Europe. La capitale de la Ruritanie est Strelsau. Sa superficie est petite.
<|endoftext|>
Hongrie

La Hongrie est un pays situé en Europe. La capitale de la Hongrie est Budapest.
<|endoftext|>
"""


@pytest.fixture(scope="module")
def real_corpus() -> Path:
    place = os.environ.get("CAPOT_CORPUS", "")
    if not place or not Path(place).is_dir():
        pytest.skip("the corpus is not here: CAPOT_CORPUS names no folder")
    return Path(place)


@pytest.fixture
def small_corpus(tmp_path: Path) -> Path:
    (tmp_path / "bi_country_facts.txt").write_text(COUNTRIES, "utf-8")
    return tmp_path


# Typography


@pytest.mark.parametrize(
    ("plain", "set_"),
    [
        ("L'eau, d'où vient-elle ?", f"L’eau, d’où vient-elle{NNBSP}?"),
        ('Il dit : "oui".', f"Il dit{NBSP}: «{NBSP}oui{NBSP}»."),
        ("« Salut ! » dit-il ; puis il partit.", f"«{NBSP}Salut{NNBSP}!{NBSP}» dit-il{NNBSP}; puis il partit."),
        ("print('été')", "print('été')"),
        ("    x = 'a'", "    x = 'a'"),
        ("à 10:30 précises", "à 10:30 précises"),
        ("la page http://capot.fr : oui !", "la page http://capot.fr : oui !"),
    ],
)
def test_french_is_set_as_in_books_and_code_is_left_alone(plain: str, set_: str) -> None:
    assert set_line(plain) == set_


def test_setting_twice_changes_nothing() -> None:
    text = "« Qu'est-ce ? » demanda-t-elle : « L'eau ! »\nOui ; non."
    assert set_text(set_text(text)) == set_text(text)


# Facts


def test_sums_conversions_and_comparisons_are_right() -> None:
    signs = {"+": int.__add__, "-": int.__sub__, "×": int.__mul__}
    found = 0
    for lang in ("en", "fr"):
        for fact in itertools.islice(sums(random.Random(1), lang), 500):
            if m := re.fullmatch(r"(\d+) ([-+×]) (\d+) = (\d+)", fact.sentence):
                assert signs[m[2]](int(m[1]), int(m[3])) == int(m[4])
                found += 1
        for fact in itertools.islice(comparisons(random.Random(1), lang), 200):
            numbers = [int(n) for n in re.findall(r"\d+", fact.question)]
            assert int(fact.answer) == (max(numbers) if len(numbers) == 2 else numbers[0] + 1)
        answers = {f.question: f.answer for f in itertools.islice(conversions(random.Random(1), lang), 500)}
        asked = (
            "How many minutes are there in 3 hours?" if lang == "en" else "Combien y a-t-il de minutes dans 3 heures ?"
        )
        assert answers[asked].startswith("180 ")
    assert found > 300


def test_verbs_follow_the_rule_and_the_table() -> None:
    assert conjugated("parler", "imparfait")[3] == "nous parlions"
    assert conjugated("aimer", "futur") == [
        "j'aimerai", "tu aimeras", "il aimera", "nous aimerons", "vous aimerez", "elles aimeront",
    ]  # fmt: skip
    assert conjugated("faire", "présent")[4] == "vous faites"


def test_countries_are_read_in_both_languages(small_corpus: Path) -> None:
    found = table(small_corpus)
    assert [(c.subject, c.capital) for c in found["en"]] == [("Ruritania", "Strelsau"), ("Portugal", "Lisbon")]
    french = next(c for c in found["fr"] if c.title == "Ruritanie")
    assert (french.after, french.capital, french.region) == ("de la Ruritanie", "Strelsau", "en Europe")
    facts = list(itertools.islice(capitals(random.Random(0), "fr", [french]), 40))
    assert all("Strelsau" in f.answer and "Ruritanie" in f.question for f in facts)
    assert len({f.sentence for f in facts}) > 8


def test_few_shot_documents_have_the_form_of_the_lab() -> None:
    facts = [Fact("Which day comes after Monday?", "Tuesday", ""), Fact("What is 1 plus 1?", "2", "")]
    assert forms.dialogue(facts, forms.CHAPTER) == (
        "USER: Which day comes after Monday?\nASSISTANT: Tuesday\nFIN\nUSER: What is 1 plus 1?\nASSISTANT: 2\nFIN"
    )


# What is held out


@pytest.mark.parametrize("at_end", [False, True])
def test_nothing_that_evaluation_asks_is_generated(small_corpus: Path, at_end: bool) -> None:
    guard, held = Guard(), corpus.heldout()
    texts = list(itertools.islice(stream.documents(small_corpus, 5, at_end=at_end), 3000))
    plain = [normal(t) for t in texts]
    for phrasing in itertools.chain.from_iterable(held["capital_phrasings"].values()):
        assert not any(fixed(phrasing) in t for t in plain), phrasing
    assert not any(guard.countries.search(t) for t in texts)
    lines = {normal(re.sub(r"^\w+ ?: ", "", line)) for t in texts for line in t.split("\n")}
    assert not lines & guard.questions
    assert any("Strelsau" in t for t in texts)  # the guard lets the others through


def test_french_sums_leave_the_first_words_of_a_tale_alone(small_corpus: Path) -> None:
    """A model that read « deux fois trois » in words went on from « Il était une fois » with « deux »."""
    texts = list(itertools.islice(stream.documents(small_corpus, 8, only="fr"), 2000))
    assert not [text for text in texts if re.search(r"(?i)\b\w+ fois \w+ font\b", text)]
    assert any("multiplié par" in text for text in texts)


def test_the_end_of_a_run_says_capitals_plainly_more_often(small_corpus: Path) -> None:
    said = []
    for at_end in (False, True):
        texts = itertools.islice(stream.documents(small_corpus, 6, only="en", at_end=at_end), 2000)
        said.append(sum(len(re.findall(r"(?m)^The capital of [^.\n]+? is [A-Z]", text)) for text in texts))
    assert said[1] > 2 * said[0] > 0


def test_everyday_wordings_and_facts_that_are_held_out_are_not_generated(small_corpus: Path) -> None:
    held, said = json.loads(corpus.EVERYDAY.read_text("utf-8")), {}
    for lang in ("en", "fr"):
        texts = itertools.islice(stream.documents(small_corpus, 9, only=lang), 3000)
        said[lang] = [f" {normal(t)} " for t in texts]
    for lang, texts in said.items():
        whole = "\n".join(texts)
        for relation in common.relations(lang):
            for fact in (f for f in relation.facts if relation.key(f) in held["facts"]):
                told = [normal(common.say(w, fact, lang)) for w in relation.sentences + relation.questions]
                assert not [t for t in told if f" {t} " in whole and len(t.split()) > 3], fact
    for wording in held["wordings"]:
        lang, _, form = wording.split("|", 2)
        open_ = [q for r in common.relations(lang) for q in common.wordings(r)]
        assert form not in open_, form
    asked = {normal(row["question"]) for row in held["seen"] + held["never"]}
    lines = {normal(re.sub(r"^\w+ ?: ", "", line)) for texts in said.values() for t in texts for line in t.split("\n")}
    assert not lines & asked


def test_the_held_out_questions_are_chosen_by_their_hashes() -> None:
    held = json.loads(corpus.EVERYDAY.read_text("utf-8"))
    assert held == make_everyday.everyday()
    assert [len(held[k]) for k in ("seen", "never", "facts")] == [300, 60, 60]
    assert {r["lang"] for r in held["seen"]} == {"en", "fr"} and len({r["relation"] for r in held["seen"]}) > 30


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_wording_of_every_fact_can_be_said(lang: str) -> None:
    for relation in common.relations(lang):
        assert len(common.wordings(relation)) >= 3 and len(relation.sentences) >= 3, relation.name
        for fact, wording in itertools.product(relation.facts, relation.questions + relation.sentences):
            said = common.say(wording, fact, lang)
            assert not re.search(r"[{}]", said.replace(fact["a"], "")), said
            wrong = r"\b(de|à) les?\b" if lang == "fr" else r"\ba [aeio]"
            assert not re.search(wrong, said) or relation.name == "python", said


def test_the_guard_drops_hidden_everyday_facts() -> None:
    guard = Guard()
    assert not guard.allows(Fact("What eats cheese?", "a mouse", "Mice and a mouse eat cheese."))
    assert guard.allows(Fact("What eats nuts?", "a squirrel", "A squirrel eats nuts."))


def test_a_text_is_parted_by_its_language() -> None:
    pytest.importorskip("numpy")
    pytest.importorskip("tokenizers")
    from training.shards import by_language

    parts = by_language(iter(["Le chat est sur la table.", "The cat is on the table.", "Kenya: 7"]))
    assert [len(parts[k]) for k in ("_en", "_fr")] == [2, 1]


def test_the_guard_drops_what_is_asked() -> None:
    guard = Guard()
    assert guard.allows(Fact("What is the capital of Spain?", "Madrid", "The capital of Spain is Madrid."))
    assert not guard.allows(Fact("What is the capital of Kenya?", "Nairobi", ""))
    assert not guard.allows(Fact("What do bees make?", "honey", ""))
    assert not guard.allows(Fact("?", "", "The city that serves as the capital of Spain is called Madrid."))


def test_the_list_holds_thirteen_groups_and_every_document_hash() -> None:
    held = corpus.heldout()
    assert len(held["word_groups"]) == 13
    assert {k: held[k] for k in corpus.evaluation_questions()} == corpus.evaluation_questions()
    for name, digests in held["documents"].items():
        bound = held["raised_bounds"].get(name, 1)
        assert all(corpus.bucket(d) < bound for d in digests), name


def test_kinds_do_not_name_the_words_of_the_groups() -> None:
    words = {w for group in corpus.heldout()["word_groups"].values() for w in group}
    kinds = json.loads((ROOT / "training/facts/tables/en.json").read_text("utf-8"))["kinds"]
    assert not words & {w for group in kinds.values() for w in group.split()}


def test_country_lines_are_dropped_whole() -> None:
    drop = corpus.CountryFilter([{"names": ["Kenya"], "capitals": ["Nairobi"]}])
    assert drop.filtered("Kenya\n\nA country.") == ""
    assert drop.filtered("Q: What is the capital of Kenya?\nA: Nairobi\n\nQ: And of Spain?\nA: Madrid") == (
        "Q: And of Spain?\nA: Madrid"
    )
    assert drop.filtered("Uganda\n\nBorders: Kenya\nArea: large") == "Uganda\n\nArea: large"


def test_paragraphs_shared_with_held_out_text_are_dropped() -> None:
    shared = corpus.sentence_keys("The quick brown fox jumped over the lazy dog and ran.")
    text = "A first paragraph.\n\nAnd then: the quick brown fox jumped over the lazy dog, and ran."
    assert corpus.drop_shared_paragraphs(text, shared) == text  # "and then" makes it another sentence
    assert (
        corpus.drop_shared_paragraphs("Keep.\n\nThe quick brown fox jumped over the lazy dog, and ran!", shared)
        == "Keep."
    )


def test_sources_that_may_not_be_used_are_left_out() -> None:
    left_out = {r["file"] for r in corpus.sources(used_only=False)} - {r["file"] for r in corpus.sources()}
    assert left_out == {
        "fr_manuels_logiciels.txt", "fr_cours_programmation.txt", "fr_administration.txt", "en_wikipedia_questions.txt",
    }  # fmt: skip
    for record in corpus.sources():
        assert "GPL" not in record["licence"] and "GFDL" not in record["licence"]
        assert "from memory" not in record["licence"] or record["file"] == "en_python_questions.txt"


def test_unproven_python_questions_are_cut() -> None:
    text = "Question: What does the Python function `len` do?\nAnswer: x\n\nQuestion: Write a function.\nAnswer: y"
    assert corpus.clean(text, "en_python_questions.txt") == text.split("\n\n")[0]


def test_no_training_document_of_the_corpus_is_held_out(real_corpus: Path) -> None:
    record = next(r for r in corpus.sources() if r["file"] == "en_childrens_stories.txt")
    shared = corpus.heldout_sentences(real_corpus)
    hidden = set().union(*map(corpus.sentence_keys, corpus.heldout_documents(real_corpus, record["file"])))
    trained = set().union(*(corpus.sentence_keys(t) for t in corpus.training_documents(real_corpus, record, shared)))
    assert hidden and not hidden & trained


def test_the_corpus_is_the_one_of_the_manifest(real_corpus: Path) -> None:
    import hashlib

    for record in corpus.sources(used_only=False):
        digest = hashlib.sha256((real_corpus / record["file"]).read_bytes()).hexdigest()
        assert digest == record["sha256"], record["file"]


# Budget and schedule


def test_a_pause_does_not_count() -> None:
    budget = Budget(minutes=1)
    for seconds in (1.0, 1.0, 600.0, 1.0):
        budget.add(seconds)
    assert budget.spent_s == pytest.approx(4.0)
    first = Budget(minutes=1)
    first.add(PAUSE_S + 1)  # compilation, before any step is known
    assert first.spent_s == 0


def test_the_rate_rises_holds_and_falls_to_zero() -> None:
    rates = [rate(i / 100) for i in range(101)]
    assert max(rates) == 1.0 and rates[-1] == 0.0
    assert rates[25:] == sorted(rates[25:], reverse=True)


@pytest.mark.parametrize("recipe", list(PHASES))
def test_every_fraction_has_a_phase(recipe: str) -> None:
    assert all(phase(recipe, i / 50) for i in range(51))


# A run


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    np = pytest.importorskip("numpy")
    folder = tmp_path / "shards"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for name, weight in (("first", 3.0), ("second", 1.0)):
        ids = rng.integers(1, 512, 4000).astype(np.uint16)
        starts = np.arange(0, 4000, 100)
        ids[starts] = 0
        ids.tofile(folder / f"{name}.00.bin")
        np.save(folder / f"{name}.00.starts.npy", starts)
        rows.append({"name": name, "shards": [f"{name}.00"], "weight_cpu": weight, "weight_gpu": weight})
    (folder / "index.json").write_text(json.dumps(rows))
    return folder


def test_batches_are_the_same_for_the_same_seed_and_even(shards: Path) -> None:
    from training.batches import Batches

    one, two = Batches(shards, seed=3), Batches(shards, seed=3)
    drawn = [one.next(4, 32) for _ in range(10)]
    assert all((a == two.next(4, 32)).all() for a in drawn)
    three = Batches(shards, seed=3)
    for _ in range(5):
        three.next(4, 32)
    resumed = Batches(shards, seed=3)
    resumed.restore(three.state())
    assert (resumed.next(4, 32) == drawn[5]).all()
    starts = [one.sources[0].sequence(k, 32, 0.0)[0] for k in range(100)]
    assert sum(s == 0 for s in starts) > 90  # most begin with the document mark
    assert drawn[0].shape == (4, 33)


def tiny_run(shards: Path, out: Path, steps: int):
    torch = pytest.importorskip("torch")
    from training.train import Settings, restore, start, train

    torch.set_num_threads(1)
    out.mkdir(exist_ok=True)
    run = start(Settings("tiny", minutes=1e9, compiled=False), shards, torch.device("cpu"))
    if (out / "checkpoint.pt").exists():
        restore(run, out / "checkpoint.pt")
    train(run, out, steps=steps)
    return run


def test_a_compiled_model_is_taken_as_it_is(shards: Path) -> None:
    """PyTorch's compiled modules raise when they are asked whether they are true."""
    torch = pytest.importorskip("torch")
    from training.train import Settings, loss_of, start

    run = start(Settings("tiny", minutes=1e9, compiled=False), shards, torch.device("cpu"))
    ids = torch.arange(12).reshape(2, 6)
    plain = loss_of(run, ids)
    run.forward = torch.compile(run.model, backend="eager")  # compiled as to Python, without a C++ compiler
    assert loss_of(run, ids).item() == pytest.approx(plain.item(), rel=1e-6)


def test_an_interrupted_run_ends_bit_for_bit_as_a_whole_one(shards: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    whole = tiny_run(shards, tmp_path / "whole", 20)
    tiny_run(shards, tmp_path / "parts", 9)
    parts = tiny_run(shards, tmp_path / "parts", 20)
    assert parts.step == whole.step == 20
    for (name, a), b in zip(whole.model.state_dict().items(), parts.model.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    for one, two in zip(whole.optimisers, parts.optimisers, strict=True):
        held, again = one.state_dict()["state"], two.state_dict()["state"]
        assert all(torch.equal(held[i][k], again[i][k]) for i in held for k in held[i])


def steady_run(shards: Path, out: Path, steps: int, **first):
    torch = pytest.importorskip("torch")
    from training import train as training

    torch.set_num_threads(1)
    out.mkdir(exist_ok=True)
    run = training.start(
        training.Settings("tiny", minutes=1e9, compiled=False, steady=True), shards, torch.device("cpu")
    )
    given = {"out": out, "branch": None, "fall": None, "peak": 1, "weights": None} | first
    training.resume_or_start(run, argparse.Namespace(**given))
    training.train(run, out, steps=steps)
    return run


def test_a_steady_run_is_ended_by_a_branch_that_resumes_bit_for_bit(shards: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from training.train import Settings, resume_or_start, start

    main = steady_run(shards, tmp_path / "main", 8)
    assert main.plan.decay_from_s is None
    ends = {"branch": tmp_path / "main" / "checkpoint.pt", "fall": 1e7}
    whole = steady_run(shards, tmp_path / "whole", 14, **ends)
    steady_run(shards, tmp_path / "parts", 11, **ends)
    parts = steady_run(shards, tmp_path / "parts", 14, **ends)  # its own checkpoint comes before the branch's
    assert parts.plan == whole.plan and whole.plan.decay_from_s == pytest.approx(main.budget.spent_s)
    assert whole.step == 14 and whole.budget.minutes == pytest.approx(whole.plan.end_s / 60)
    with pytest.raises(SystemExit, match="steady"):
        unsteady = argparse.Namespace(out=tmp_path / "none", branch=ends["branch"], fall=1, weights=None)
        resume_or_start(start(Settings("tiny", compiled=False), shards, torch.device("cpu")), unsteady)
    on = steady_run(shards, tmp_path / "main", 14)
    assert on.plan.decay_from_s is None  # the steady run goes on beside its end
    assert whole.rate() < on.plan.rate(1e6)
    assert all(torch.isfinite(w).all() for w in whole.model.parameters())


def test_a_branch_takes_the_same_steps_whether_or_not_it_is_interrupted(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr("training.train.Budget.add", lambda self, _: setattr(self, "spent_s", self.spent_s + 1.0))
    ends = {"branch": tmp_path / "main" / "checkpoint.pt", "fall": 0.1, "peak": 0.25}
    steady_run(shards, tmp_path / "main", 8)
    whole = steady_run(shards, tmp_path / "whole", 99, **ends)
    steady_run(shards, tmp_path / "parts", 11, **ends)
    parts = steady_run(shards, tmp_path / "parts", 99, **ends)
    assert whole.step == parts.step == 14 and whole.rate() == 0.0  # six seconds of one step each
    for run in (whole, parts):
        assert run.optimisers[0].param_groups[0]["peak"] == 0.25 * run.settings.matrix_rate
    for a, b in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_run_goes_on_from_exported_weights_with_a_fresh_optimiser(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from training import export
    from training.train import loss_of

    monkeypatch.setattr("training.train.Budget.add", lambda self, _: setattr(self, "spent_s", self.spent_s + 10.0))
    run = steady_run(shards, tmp_path / "run", 30)
    given = tmp_path / "given"
    export.export(tmp_path / "run" / "checkpoint.pt", "tiny", given)
    export.write_json(given / "run.json", export.run_facts(tmp_path / "run" / "checkpoint.pt", shards))
    again = steady_run(shards, tmp_path / "again", 30, weights=given)
    assert (again.step, again.tokens, again.budget.spent_s) == (run.step, run.tokens, run.budget.spent_s)
    assert run.rate() == 1.0 and again.rate() == 0.05  # the rate rises again
    ids = torch.from_numpy(run.batches.next(8, 32))
    with torch.no_grad():
        assert loss_of(again, ids).item() == pytest.approx(loss_of(run, ids).item(), abs=0.01)  # bfloat16
    on = steady_run(shards, tmp_path / "again", 50)
    assert on.step == 50 and on.plan.warm_from_s == run.budget.spent_s
    with torch.no_grad():
        assert loss_of(on, ids) < loss_of(run, ids) + 0.1
    ended = steady_run(shards, tmp_path / "ended", 1000, weights=given, fall=5, peak=0.5)
    rise_s, fall_s = 120, 300  # at ten seconds a step
    assert ended.step == run.step + (rise_s + fall_s) // 10 and ended.rate() == 0.0
    assert [g["lr"] / g["peak"] for o in ended.optimisers for g in o.param_groups] == pytest.approx(
        [1 - ((fall_s - 10) / fall_s) ** 0.5] * 3
    )
    assert ended.optimisers[0].param_groups[0]["peak"] == run.optimisers[0].param_groups[0]["peak"] / 2
    with torch.no_grad():
        assert loss_of(ended, ids) < loss_of(run, ids) + 0.1


def test_the_budget_counts_what_the_clock_of_computing_says(shards: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from training.train import Settings, start, train

    run, ticks = start(Settings("tiny", minutes=0.2, compiled=False), shards, torch.device("cpu")), itertools.count()
    train(run, tmp_path, clock=lambda _: 1.5 * next(ticks))
    assert run.step == 8 and run.budget.spent_s == 12.0  # of one and a half seconds each
    slow, ticks = start(Settings("tiny", minutes=5, compiled=False), shards, torch.device("cpu")), itertools.count()
    train(slow, tmp_path, clock=lambda _: 60.0 * next(ticks))
    assert slow.step == 5  # no step of a slow processor is taken for a pause


def test_the_blocked_loss_is_the_plain_one(shards: Path) -> None:
    torch = pytest.importorskip("torch")
    from training.model import HeadLoss

    torch.manual_seed(0)
    hidden = torch.randn(300, 16, dtype=torch.float64).float().requires_grad_()
    table_ = torch.randn(40, 16).requires_grad_()
    targets = torch.randint(0, 40, (300,))
    ours = HeadLoss.apply(hidden, table_, targets)
    gradients = torch.autograd.grad(ours, (hidden, table_))
    plain = torch.nn.functional.cross_entropy(hidden @ table_.T, targets)
    expected = torch.autograd.grad(plain, (hidden, table_))
    assert torch.allclose(ours, plain, atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(gradients, expected, strict=True))


def test_the_spans_of_the_loss_add_up_in_bfloat16_and_under_a_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from training.model import HeadLoss

    monkeypatch.setattr(HeadLoss, "ROWS", 64)
    monkeypatch.setattr(HeadLoss, "SPAN", 150)  # neither divides the other nor the 301 rows
    torch.manual_seed(0)
    hidden = (torch.randn(301, 32) / 4).bfloat16().requires_grad_()
    table_ = torch.randn(90, 32).bfloat16().float().requires_grad_()
    targets = torch.randint(0, 90, (301,))
    ours = torch.autograd.grad(HeadLoss.apply(hidden, table_, targets) / 4, (hidden, table_))
    plain = torch.nn.functional.cross_entropy(hidden.float() @ table_.T, targets) / 4
    expected = torch.autograd.grad(plain, (hidden, table_))
    for a, b in zip(ours, expected, strict=True):
        assert (a.float() - b.float()).norm() < 0.01 * b.float().norm()  # bfloat16 keeps eight bits


def test_attention_in_blocks_is_the_plain_one_and_its_gradients_too() -> None:
    torch = pytest.importorskip("torch")
    from training.model import BLOCK, blockwise_attention

    torch.manual_seed(0)
    q, k, v = (torch.randn(2, heads, 3 * BLOCK, 16, requires_grad=True) for heads in (4, 2, 2))
    above = torch.randn(2, 4, 3 * BLOCK, 16)
    plain = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    ours = blockwise_attention(q, k, v)
    assert torch.allclose(ours, plain, atol=1e-5)
    ours, plain = (torch.autograd.grad(y, (q, k, v), above) for y in (ours, plain))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(ours, plain, strict=True))


def test_muon_makes_matrices_nearly_orthogonal() -> None:
    torch = pytest.importorskip("torch")
    from training.muon import orthogonalize

    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(3, 48, 32)))
    assert values.min() > 0.5 and values.max() < 1.35
    assert orthogonalize(torch.randn(1, 32, 48)).shape == (1, 32, 48)


def test_the_larger_recipe_fits_its_forty_megabytes() -> None:
    pytest.importorskip("torch")
    from training.model import SHAPES, Llama

    assert 2 * Llama(SHAPES["gpu"]).count() < 40e6 and 2 * Llama(SHAPES["cpu"]).count() < 20e6


def test_the_lesson_turns_a_text_into_a_folder_that_opens(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from training.own import make, texts_of
    from training.reading import generate, open_folder

    torch.set_num_threads(1)
    rng, text = random.Random(0), tmp_path / "text.txt"
    text.write_text("Too little.")
    with pytest.raises(SystemExit, match="200,000"):
        texts_of(text)
    words = ["the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "tree", "and", "then"]
    text.write_text("\n".join(" ".join(rng.choices(words, k=12)) + "." for _ in range(5000)))
    make(text, tmp_path / "mine", minutes=0.02, compiled=False)
    reader = open_folder(tmp_path / "mine")
    (made,) = generate(reader, [reader.ids("the cat")], count=5, temperature=0, seed=0)
    assert 1 <= len(made) <= 5
    assert (tmp_path / "mine" / "work" / "loss.csv").read_text().startswith("step,")


# Evaluation's own rules


def test_in_form_means_an_answer_then_the_mark_alone_on_its_line() -> None:
    pytest.importorskip("torch")
    from training.probes import in_form

    assert in_form(" Paris\nFIN\nUSER: next")
    assert not in_form("\nFIN\n") and not in_form(" FINAL\n") and not in_form(" Paris")
    assert not in_form(" Paris\nUSER: again\nFIN\n")


def test_a_right_answer_is_named_first_and_in_few_words() -> None:
    pytest.importorskip("torch")
    import doctest

    from training import everyday
    from training.everyday import is_right

    failed, tried = doctest.testmod(everyday)
    assert tried >= 4 and not failed
    honey = {"answer": "honey", "also": [], "others": []}
    assert is_right(" Bees make honey.\nFIN", honey) and not is_right(" the capital\nhoney", honey)
    assert not is_right(" " + "so " * 12 + "honey", honey)
    hive = {"answer": "dans une ruche", "also": ["dans un tronc"], "others": []}
    assert (
        is_right("une ruche", hive) and is_right("dans un vieux tronc", hive) and not is_right("dans une maison", hive)
    )
    assert is_right("It has 8.", {"answer": "eight", "also": [], "others": []})
    code = {"answer": 'for line in open("file.txt"):\n    print(line)', "also": [], "others": []}
    assert is_right('for line in open("file.txt"):', code) and not is_right("for line in f:", code)
    for held in json.loads(corpus.EVERYDAY.read_text("utf-8"))["seen"]:
        assert is_right(held["answer"], held) and not is_right("quite another thing", held)


def test_the_attention_that_is_looked_at_is_the_attention_that_is_used() -> None:
    torch = pytest.importorskip("torch")
    from training.everyday import attention
    from training.model import SHAPES, Llama

    torch.manual_seed(0)
    model = Llama(SHAPES["tiny"]).eval()
    used = model.layers[0].self_attn
    with torch.no_grad():
        used.o_proj.weight.copy_(torch.eye(32))
    ids, made = torch.randint(0, 512, (2, 20)), []
    hook = used.register_forward_hook(lambda _m, given, out: made.append((given[0], out)))
    first, *_ = attention(model, ids)
    hook.remove()
    x, out = made[0]
    with torch.inference_mode():
        values = used.v_proj(x).view(2, 20, 1, 16).transpose(1, 2)
    assert torch.allclose((first @ values).transpose(1, 2).reshape(2, 20, 32), out, atol=1e-5)


def test_an_induction_head_is_found_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from training import everyday
    from training.model import SHAPES, Llama
    from training.reading import Reader

    seen = []

    def ideal(_model, ids):
        seen.append(ids)
        B, T = ids.shape
        weights = torch.full((3, B, 2, T, T), 1 / T)
        half = (T - 1) // 2
        for t in range(half + 1, T):
            weights[1, :, 1, t] = 0.0
            weights[1, :, 1, t, t - half + 1] = 1.0
        return list(weights)

    monkeypatch.setattr(everyday, "attention", ideal)
    found = everyday.induction(Reader(Llama(SHAPES["tiny"]), None))
    assert (found["best"], found["layer"], found["head"]) == (1.0, 1, 1)
    ids, half = seen[0], (seen[0].shape[1] - 1) // 2
    assert (ids[:, 1 : half + 1] == ids[:, half + 1 :]).all() and (ids[:, 0] == 0).all()


def test_a_tale_keeps_its_hero_and_fills_every_place() -> None:
    from training.facts.tales import _table, tale

    for lang in ("en", "fr"):
        rng = random.Random(3)
        made = [tale(rng, lang) for _ in range(300)]
        assert len(set(made)) > 290
        assert not [text for text in made if re.search(r"[{}]", text)]
        heroes = [hero[0] for hero in _table(lang)["heroes"]]
        # The longest name, as "a king" stands in "a kingfisher" too.
        named = [[h for h in heroes if re.search(rf"\b{h}\b", text)] for text in made]
        assert all(len(found) == 1 for found in named)
        assert all(re.search(r"[.!?”»]$", text) for text in made)


def test_the_end_of_a_run_tells_tales(small_corpus: Path) -> None:
    for lang, first in (("en", "Once upon a time"), ("fr", "Il était une fois")):
        ends = itertools.islice(stream.documents(small_corpus, 7, only=lang, at_end=True), 400)
        steady = itertools.islice(stream.documents(small_corpus, 7, only=lang), 400)
        assert sum(text.startswith(first) for text in ends) > 20
        assert not any(text.startswith(first) for text in steady)


def tiny_model():
    """Return a tiny model whose blocks write something: they start with nothing to say."""
    torch = pytest.importorskip("torch")
    from training.model import SHAPES, Llama

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Llama(SHAPES["tiny"])
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.normal_(std=0.2)
    return model


def test_what_is_kept_of_tokens_read_gives_the_logits_of_reading_them_all() -> None:
    torch = pytest.importorskip("torch")
    from training.unlikelihood import Cached, write_on

    model = tiny_model().eval()
    ids = torch.randint(0, 512, (3, 12))
    cached = Cached(model, 3, 12)
    steps = [cached.logits(ids[:, :5])] + [cached.logits(ids[:, t : t + 1]) for t in range(5, 12)]
    with torch.inference_mode():
        whole = model.logits(ids)
    assert all(torch.allclose(step, whole[:, 4 + n], atol=1e-4) for n, step in enumerate(steps))
    rng = torch.Generator().manual_seed(0)
    greedy = write_on(model, ids, 4, temperature=1e-6, rng=rng)
    assert (greedy[:, 12] == whole[:, -1].argmax(dim=-1)).all() and (greedy[:, :12] == ids).all()


def test_second_copies_are_what_the_measure_of_repetition_finds() -> None:
    torch = pytest.importorskip("torch")
    import doctest

    from training import unlikelihood
    from training.everyday import has_repetition
    from training.unlikelihood import second_copies

    assert doctest.testmod(unlikelihood).failed == 0
    ids = torch.randint(0, 4, (400, 60), generator=torch.Generator().manual_seed(0))
    ids[:, 20:] += torch.arange(20, 60)[None] * 4 * (torch.arange(400)[:, None] % 2)  # half repeat early or never
    marks = second_copies(ids).any(dim=1).tolist()
    assert marks == [has_repetition(row) for row in ids.tolist()]
    assert 0 < sum(marks) < 400
    far = torch.cat([torch.arange(4), torch.arange(10, 37), torch.arange(4)])[None]
    assert not second_copies(far).any()  # the same four, 31 tokens after


def test_unlikelihood_is_the_formula_and_lowers_what_was_said_twice() -> None:
    torch = pytest.importorskip("torch")
    from training.unlikelihood import second_copies, unlikelihood

    model = tiny_model()
    ids = torch.tensor([[9, 9, 1, 2, 3, 4, 1, 2, 3, 4, 8, 7], [9, 9, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11]])
    loss, marks = unlikelihood(model, ids, 10)
    assert (marks == second_copies(ids[:, 2:])).all() and marks.sum() == 4
    chances = model.logits(ids).softmax(dim=-1)
    said = torch.stack([chances[0, t - 1, ids[0, t]] for t in range(6, 10)])
    assert loss.item() == pytest.approx(-torch.log(1 - said).sum().item() / 20, rel=1e-4)
    loss.backward()
    with torch.no_grad():
        for weight in model.parameters():
            weight -= 0.5 * weight.grad
        assert model.logits(ids).softmax(dim=-1)[0, 6, 2] < chances[0, 6, 2]


def test_a_model_that_goes_round_is_led_out_of_it(tmp_path: Path) -> None:
    """It is taught a circle of four first; half of what it reads afterwards is that circle still."""
    torch = pytest.importorskip("torch")
    np = pytest.importorskip("numpy")
    from training.unlikelihood import Settings, likelihood, steps

    ids = np.random.default_rng(0).integers(1, 512, 4000).astype(np.uint16)
    ids[:2000] = np.tile([1, 2, 3, 4], 500)
    ids.tofile(tmp_path / "fr_romans.00.bin")
    np.save(tmp_path / "fr_romans.00.starts.npy", np.zeros(1, dtype=np.int64))
    row = {"name": "fr_romans", "shards": ["fr_romans.00"], "weight_long": 1.0}
    (tmp_path / "index.json").write_text(json.dumps([row]))

    def repeats(strength: float) -> float:
        model = tiny_model()
        circle = torch.tensor([1, 2, 3, 4]).repeat(8)[None].repeat(4, 1)
        optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(40):
            optimiser.zero_grad()
            likelihood(model, circle).backward()
            optimiser.step()
        sizes = {"rows": 8, "opening": 8, "count": 24, "likelihood_rows": 1, "likelihood_length": 16}
        settings = Settings(minutes=1e9, rate=3e-3, strength=strength, **sizes)
        found = list(itertools.islice(steps(model, tmp_path, settings), 40))
        return sum(step.repeats for step in found[-20:]) / 20

    assert repeats(30) < repeats(0) / 2


def test_nothing_to_go_on_from_is_said(shards: Path) -> None:
    pytest.importorskip("torch")
    from training.unlikelihood import prose

    rows = json.loads((shards / "index.json").read_text())
    (shards / "index.json").write_text(json.dumps([row | {"weight_long": 1.0} for row in rows]))
    with pytest.raises(SystemExit, match="fr_romans"):
        prose(shards, 0)


def test_windows_score_every_token_once() -> None:
    pytest.importorskip("torch")
    from training.measures import windows

    for length in (1, 7, 8, 9, 30):
        scored = [i for _, first, end in windows(length, 8) for i in range(first, end)]
        assert scored == list(range(length))
        assert all(end - start <= 8 for start, _, end in windows(length, 8))


@pytest.mark.parametrize(
    "name",
    [
        "corpus",
        "typography",
        "schedule",
        "language",
        "facts.common",
        "facts.fact",
        "facts.tables",
        "facts.tales",
        "facts.words",
        "facts.verbs",
        "facts.forms",
        "cards",
        "picture",
    ],
)
def test_the_examples_of_the_docstrings_are_true(name: str) -> None:
    import doctest
    import importlib

    failed, tried = doctest.testmod(importlib.import_module(f"training.{name}"))
    assert tried and not failed
