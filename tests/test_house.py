"""The house: floors, where each heavy package may be imported, sizes, and cheap imports."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.version import Version

from capot import Model

sys.path.insert(0, str(ROOT / "tools"))
import house
from house import SOURCE, imports, imports_upward, modules

ONLY_IN = {
    "torch": {"engines.transformers"},
    "transformers": {"engines.transformers"},
    "accelerate": {"engines.transformers"},
    "fastapi": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "numba": {"engines.native"},
    "llvmlite": {"engines.native"},
    "plotly": {"view"},
    "pandas": {"view"},
    "markdown_it": {"lessons"},
    "jinja2": {"text.templates", "web.worker_process"},  # which tells a child where to find it
    "click": {"cli"},
    "httpx2": {"engines.openai"},
    "huggingface_hub": {"sources.hub"},
}


def packages(path: Path, module: str) -> set[str]:
    """Every package that a file imports, function-level imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module: str) -> None:
    bad = {other for other in imports(module) if imports_upward(module, other)}
    assert not bad, f"{module} imports {bad}, which stand higher or beside it"


def test_the_floor_guard_sees_a_wrong_import() -> None:
    assert imports_upward("errors", "view.html")
    assert imports_upward("engines.scripted", "chapters.generate.loop")
    assert imports_upward("engines.native.llama", "engines.transformers.cache") and imports_upward(
        "engines.native.llama", "text.sampling"
    )
    assert imports_upward("chapters.card.verb", "chapters.memory.verb")
    assert imports_upward("chapters.next.verb", "engines.native") and not imports_upward(
        "chapters.next.verb", "engines.protocol"
    )
    assert imports_upward("sources.hub.checkpoint", "chapters.card.result")
    assert not imports_upward("chapters.generate.loop", "text.sampling")


@pytest.mark.parametrize("module", modules())
def test_heavy_packages_stay_in_their_room(module: str) -> None:
    for package in packages(modules()[module], module) & set(ONLY_IN):
        assert any(house.inside(module, room) for room in ONLY_IN[package]), f"{module} imports {package}"


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other, by taking away what leads nowhere, or is reached from nowhere."""
    left = {node: set(others) for node, others in arrows.items()}
    while True:
        reached = {other for others in left.values() for other in others}
        gone = {node for node, others in left.items() if not others & set(left) or node not in reached}
        if not gone:
            return [sorted(left)] if left else []
        left = {node: others for node, others in left.items() if node not in gone}


def test_no_imports_go_round_deferred_ones_included() -> None:
    assert circles({module: set(imports(module)) for module in modules()}) == []


def test_no_scripts_of_the_pages_go_round() -> None:
    static = SOURCE / "web" / "static"
    arrows = {}
    for path in static.rglob("*.js"):
        named = re.findall(r"""(?:from|import\(?)\s*["'](\.[^"']+)["']""", path.read_text(encoding="utf-8"))
        arrows[str(path)] = {str((path.parent / name).resolve()) for name in named}
    assert len(arrows) > 40 and circles(arrows) == []


def test_the_circle_guard_sees_a_circle() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["b", "c"]]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []


def test_there_are_few_rooms_and_none_stands_empty() -> None:
    entries = [path.name for path in SOURCE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 16, sorted(entries)
    for folder in (path for path in SOURCE.rglob("*") if path.is_dir() and path.name != "__pycache__"):
        assert any(path.is_file() for path in folder.rglob("*") if "__pycache__" not in path.parts), folder


@pytest.mark.parametrize("chapter", house.CHAPTERS)
def test_a_chapter_is_one_folder(chapter: str) -> None:
    folder = SOURCE / "chapters" / chapter
    assert house.answers(chapter) and house.commands(chapter)
    for lang in ("en", "fr"):
        assert list(folder.glob(f"words/{lang}/*.toml")) and house.question(chapter, lang)
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))


def test_no_two_public_classes_have_one_name() -> None:
    found = Counter(
        node.name
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert len(found) > 150 and {name: count for name, count in found.items() if count > 1} == {}


def test_every_event_of_a_stream_says_what_it_is() -> None:
    from capot.chapters.assistant import chat
    from capot.chapters.assistant import events as assistant
    from capot.chapters.generate import result
    from capot.view.event import LastEvent, StreamEvent
    from capot.web import events

    assert [kind.kind for kind in result.Event.__args__] == ["progress", "started", "step", "finished"]
    assert {last.kind for last in (chat.TurnFinished, assistant.AnswersFinished, events.Ended)} == {"finished"}
    family = {*result.Event.__args__, assistant.WayEvent, assistant.Answered, assistant.AnswersFinished}
    family |= {chat.TurnFinished, events.NamedEvent, events.Ended, events.Failed}
    assert all(issubclass(kind, StreamEvent) for kind in family)
    assert all(issubclass(kind, LastEvent) for kind in family if kind.kind == "finished")


def test_nothing_asks_an_event_what_it_has() -> None:
    """What tells or shows a stream reads ``kind``, ``last``, ``outcome`` and ``body()``, or asks for a class."""
    told = ("web/events.py", "web/streams.py", "web/stream_jobs.py", "cli/chat.py", "cli/generate.py", "view/event.py")
    for name in told:
        text = (SOURCE / name).read_text(encoding="utf-8")
        assert not re.search(r"(hasattr|getattr)\((event|result|source|found)|__name__ ==", text), name


@pytest.mark.parametrize(("lang", "page"), [("en", "docs/architecture.md"), ("fr", "docs/fr/architecture.md")])
def test_the_pages_show_the_house_as_it_is(lang: str, page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.count("<!-- made by tools/house.py") == 2
    assert house.with_tables(text, lang) == text, "python tools/house.py"
    floors = [line.split("|")[2] for line in text.splitlines() if line.startswith("|") and line.count("|") == 4]
    told = [name.strip("`/").removesuffix(".py") for cell in floors[2:] for name in re.findall("`[^`]+`", cell)]
    assert sorted(told) == sorted({*house.rooms(), "boxed", "__init__", "__main__"})


@pytest.mark.parametrize(
    "path", [p for top in ("src", "training", "bench", "tools") for p in (ROOT / top).rglob("*.py")], ids=str
)
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= 40, f"{path.name}: {node.name} is {lines} lines long"


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(answer.stdout.splitlines()[-1]))


HEAVY = {"torch", "transformers", "numba", "plotly", "fastapi", "numpy", "tokenizers", "pandas"}
# Of the library and of ours what a list of commands has no use for: together a fifth of its time.
NOT_FOR_HELP = {"secrets", "hmac", "capot.view.result", "capot.view.blocks"}


@pytest.mark.parametrize(
    "statement",
    [
        "import capot",
        "from capot.cli import run\ntry: run(['--help'])\nexcept SystemExit: pass",
    ],
    ids=["import", "help"],
)
def test_importing_costs_nothing(statement: str) -> None:
    assert not loaded_by(statement) & (HEAVY | NOT_FOR_HELP)


def test_a_model_that_is_here_needs_no_client_of_the_hub() -> None:
    """What that client imports, TLS and all, would only keep the first text waiting."""
    chapters = "generate.verb, assistant.chat, next.verb, network.verb, score.verb, tokens.verb"
    loaded = loaded_by("import " + ", ".join(f"capot.chapters.{name}" for name in chapters.split(", ")))
    assert not loaded & {"ssl", "http.client", "capot.sources.hub.checkpoint", "capot.sources.hub.requests"}


def test_a_text_that_is_continued_here_needs_no_template_and_no_server() -> None:
    loaded = loaded_by("import capot.chapters.next.verb, capot.engines.scheduler, capot.engines.native")
    assert not {name for name in loaded if name.startswith(("capot.text.templates", "capot.engines.openai"))}
    assert not loaded & {"capot.engines.seen", "capot.chapters.next.partial", "statistics", "fractions"}


def test_public_names_hide_no_module() -> None:
    import capot

    assert not set(capot.__all__) & set(modules())


def test_chapters_without_a_verb_are_at_hand_after_a_plain_import() -> None:
    code = (
        "import capot, sys\n"
        "assert not any(name.startswith('capot.chapters') for name in sys.modules)\n"
        "assert {'models', 'card', 'open'} <= set(dir(capot))\n"
        "print(type(capot.models.cached()).__name__)\n"
        "from capot.card import describe_known\nfrom capot.models import cached, search\nfrom capot import models\n"
        "print(describe_known.__module__, models.cached is cached)\n"
        "try: capot.models.nothing\nexcept AttributeError as error: print(error)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines() == [
        "Models",
        "capot.chapters.card.verb True",
        "module 'capot.chapters.models.verb' has no attribute 'nothing'",
    ]


def test_every_dependency_is_bounded_and_what_is_locked_is_admitted() -> None:
    """A newest version that nobody tried is not installed by itself; what the tests run on is within the bounds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [
        Requirement(line) for line in [*project["dependencies"], *(one for each in extras.values() for one in each)]
    ]
    unbounded = [str(one) for one in asked if {clause.operator for clause in one.specifier} != {">=", "<"}]
    assert not unbounded, f"from which version, and up to which: {unbounded}"
    locked = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "requirements").glob("*.txt"))
    pinned = dict(line.split("==") for line in locked.split())
    assert {one.name for one in asked} <= set(pinned)
    assert [str(one) for one in asked if Version(pinned[one.name]) not in one.specifier] == []


@pytest.mark.parametrize("page", ["docs/engines.md", "docs/fr/engines.md"])
def test_the_pytorch_that_a_page_names_is_the_locked_one(page: str) -> None:
    """Whoever took a newer one would see it replaced by the build for GPUs, fifteen packages and all."""
    locked = (ROOT / "requirements" / "torch.txt").read_text(encoding="utf-8").strip()
    assert f"`{locked}`" in (ROOT / page).read_text(encoding="utf-8")


def test_types_are_checked_strictly_and_nothing_is_let_off_without_a_name() -> None:
    """``make check`` runs mypy over all that is shipped, trained with or built with; what it lets off is named."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert told["strict"] is True and set(told["files"]) == {"src", "training", "tools"}
    assert '"-m", "mypy"' in (ROOT / "tools" / "dev.py").read_text(encoding="utf-8")
    allowed = {"module", "ignore_missing_imports", "disallow_subclassing_any", "disallow_untyped_decorators"}
    assert {key for override in told["overrides"] for key in override} == allowed
    for override in told["overrides"]:
        ours = {name for name in override["module"] if name.split(".")[0] in ("capot", "training")}
        assert ours <= {"capot.engines.transformers.*", "training.*"}, "only where PyTorch may be missing"
    sources = [path for top in told["files"] for path in (ROOT / top).rglob("*.py")]
    let_off = [line for path in sources for line in path.read_text(encoding="utf-8").splitlines() if "# type:" in line]
    assert len(let_off) <= 12 and [line for line in let_off if not re.search(r"# type: ignore\[[a-z-]+\]", line)] == []


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names(tree: ast.AST) -> set[str]:
    """The private names that a file gives to something of its own."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and of_itself(node):
            found.add(node.attr)
    return set(filter(private, found))


def of_itself(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def foreign_names(tree: ast.AST, elsewhere: set[str]) -> list[str]:
    """The private names of other files of ours that a file reads, writes or imports."""
    own, found = private_names(tree), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr) and node.attr in elsewhere - own:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("capot"):
            found += [alias.name for alias in node.names if private(alias.name)]
    return found


def test_no_file_reads_anothers_private_names() -> None:
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8"))
        for top in ("src", "training", "tools")
        for path in (ROOT / top).rglob("*.py")
    }
    names = {path: private_names(tree) for path, tree in trees.items()}
    assert len(set().union(*names.values())) > 300
    for path, tree in trees.items():
        elsewhere = set().union(*(each for other, each in names.items() if other != path))
        assert foreign_names(tree, elsewhere) == [], path


def test_the_guard_of_private_names_sees_one() -> None:
    theirs = private_names(ast.parse("class A:\n    def _b(self): self._c = 1"))
    assert theirs == {"_b", "_c"}
    read = ast.parse("from capot.model import _said\nticket._c = ticket._b()\nself._d = torch._C")
    assert sorted(foreign_names(read, theirs)) == ["_said", "ticket._b", "ticket._c"]


def test_members_of_protocols_are_read_only() -> None:
    """A protocol whose member may be set is met by nothing that has a property there."""
    kinds = [
        node
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).startswith("Protocol") for base in node.bases)
    ]
    assert len(kinds) >= 10
    may_be_set = [
        f"{kind.name}.{ast.unparse(node)}" for kind in kinds for node in kind.body if type(node) is ast.AnnAssign
    ]
    assert may_be_set == []


def _is_class_name(node: ast.AST) -> bool:
    """Return whether a node is ``type(x).__name__`` or ``x.__class__.__name__``."""
    return isinstance(node, ast.Attribute) and node.attr == "__name__" and not isinstance(node.value, ast.Name)


def _decides_by_class_name(node: ast.AST) -> bool:
    """Return whether a class's name is compared, looked up or changed, which is more than showing it."""
    if isinstance(node, ast.Compare):
        return any(map(_is_class_name, (node.left, *node.comparators)))
    if isinstance(node, ast.Subscript):
        return _is_class_name(node.slice)
    return isinstance(node, ast.Attribute) and _is_class_name(node.value)


def test_nothing_is_decided_by_the_name_of_a_class() -> None:
    """But by that of a library's class which Python cannot import, or which is not imported to look at one value."""
    offences = ["type(a).__name__.lower()", "a.__class__.__name__ == 'A'", "table[type(a).__name__]"]
    assert all(any(map(_decides_by_class_name, ast.walk(ast.parse(text)))) for text in offences)
    found = [
        f"{name}: {ast.unparse(node)}"
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _decides_by_class_name(node)
    ]
    assert found == [
        "chapters.arguments: type(value).__name__ in ('bool', 'bool_')",
        "text.tokenizer.files: type(error).__name__ != 'PanicException'",
        "text.tokenizer.remote: type(backend.model).__name__ != 'Unigram'",
    ]


def test_no_object_is_copied_or_faked() -> None:
    """Nothing is made by copying another's ``__dict__``, and nothing answers for whatever it is asked.

    Modules make a name at its first use; the wrapper of Numba's cache, which has no annotations, hands on the rest.
    """
    for name, path in modules().items():
        text = path.read_text(encoding="utf-8")
        assert "__dict__" not in text, name
        assert "def __getattr__" not in text or name in ("", "engines.native.numba_cache"), name


def _is_replaced_at_once(node: ast.AST) -> bool:
    """Return whether ``replace`` changes what a call has just made."""
    named = isinstance(node, ast.Call) and ast.unparse(node.func) in ("replace", "dataclasses.replace")
    return named and bool(node.args) and isinstance(node.args[0], ast.Call)


def test_a_result_is_made_whole() -> None:
    """Never made empty and replaced. The formulas of a memory are no result: each engine's know no context."""
    assert any(map(_is_replaced_at_once, ast.walk(ast.parse("a = replace(made(b), c=d)"))))
    found = [
        name
        for name, path in modules().items()
        if name.startswith("chapters")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _is_replaced_at_once(node)
    ]
    assert set(found) <= {"chapters.memory.computed"}


def test_no_record_holds_a_result() -> None:
    """The writer of JSON has pydantic write records by their fields; a ``Result`` has a way of its own. An event, which
    holds one, says its body itself.
    """
    kinds = {
        node.name: node
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    bases = {name: {ast.unparse(base) for base in node.bases} for name, node in kinds.items()}
    results, events = {"Result"}, {"StreamEvent"}
    for _ in kinds:
        results |= {name for name in kinds if bases[name] & results}
        events |= {name for name in kinds if bases[name] & events}
    holding = {
        name
        for name, node in kinds.items()
        if any("dataclass" in ast.unparse(each) for each in node.decorator_list)
        for field in node.body
        if isinstance(field, ast.AnnAssign) and set(re.findall(r"\w+", ast.unparse(field.annotation))) & results
    }
    assert len(results) > 20 and "Finished" in holding
    assert holding - results - events == set()


def _is_nested_conditional(node: ast.AST) -> bool:
    """Whether a conditional expression has another one as its condition or as a branch."""
    return isinstance(node, ast.IfExp) and any(
        isinstance(part, ast.IfExp) for part in (node.body, node.test, node.orelse)
    )


def _shape(node: ast.expr) -> str:
    """An expression without its names and its constants: two that are made alike have one shape."""
    copy = ast.parse(ast.unparse(node), mode="eval")
    for each in ast.walk(copy):
        if isinstance(each, ast.Name):
            each.id = "_"
        elif isinstance(each, ast.Constant):
            each.value = 0
    return ast.dump(copy)


def _assigns_unrelated(node: ast.AST) -> bool:
    """Whether a statement assigns a tuple's parts to names at once, though they neither depend on each other
    (as in a swap) nor are made alike (constants, calls of one shape).
    """
    if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)):
        return False
    targets = node.targets[0]
    if not isinstance(targets, ast.Tuple) or any(isinstance(each, ast.Starred) for each in targets.elts):
        return False
    names = {ast.unparse(each).split("[")[0] for each in targets.elts}
    used = {ast.unparse(each) for each in ast.walk(node.value) if isinstance(each, (ast.Name, ast.Attribute))}
    values = node.value.elts
    alike = not any(isinstance(each, (ast.Name, ast.Attribute)) for each in values)
    alike = alike and len({_shape(each) for each in values}) == 1
    return not (names & used or alike or all(isinstance(each, ast.Constant) for each in values))


def _counts(guard: Callable[[ast.AST], bool]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for top in ("src/capot", "training", "tools", "bench"):
        for path in (ROOT / top).rglob("*.py"):
            room = path.relative_to(ROOT / top).parts[0] if top == "src/capot" else top
            found[room] += sum(map(guard, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    return {room: count for room, count in sorted(found.items()) if count}


def test_conditional_expressions_are_not_nested() -> None:
    assert _counts(_is_nested_conditional) == {}


def test_no_tuple_assigns_unrelated_things() -> None:
    assert _counts(_assigns_unrelated) == {}


def test_the_guards_of_style_see_an_offence() -> None:
    nested, plain = ast.parse("a if b else c if d else e").body[0], ast.parse("a if b else f(c)").body[0]
    assert isinstance(nested, ast.Expr) and _is_nested_conditional(nested.value)
    assert isinstance(plain, ast.Expr) and not _is_nested_conditional(plain.value)
    offences = ["a, b = c, f(d)", "self.a, self.b = a, b", "a, b = [], 0"]
    fine = ["a, b = b, a", "a, b = 1, 2", "a, b = f(x), f(y)", "a, b = pair", "a, *b = c, d"]
    assert [_assigns_unrelated(ast.parse(text).body[0]) for text in (*offences, *fine)] == [True] * 3 + [False] * 5


def names_told(docstring: str) -> list[str]:
    """The names of a room's table: indented, and what each is after three spaces or more."""
    return [name for row in re.findall(r"(?m)^    ([a-z_]+(?:, [a-z_]+)*)  +\S", docstring) for name in row.split(", ")]


ROOMS = {
    path.parent.relative_to(SOURCE).as_posix(): names_told(path.read_text()) for path in SOURCE.rglob("__init__.py")
}


@pytest.mark.parametrize("room", sorted(room for room, told in ROOMS.items() if told))
def test_a_room_tells_of_modules_that_it_has(room: str) -> None:
    verbs = {name for name in dir(Model) if not name.startswith("_")}  # a chapter tells of its verbs
    names = set(dir(importlib.import_module(".".join(("capot", *room.split("/"))))))
    there = {path.stem for path in (SOURCE / room).iterdir() if not path.name.startswith("__")}
    assert set(ROOMS[room]) <= there | verbs | names
    if room.startswith("engines/"):  # who reads an engine is told of every file
        assert there <= set(ROOMS[room])
