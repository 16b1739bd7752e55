"""Reads the flags of vLLM and SGLang out of their own source, without running it.

Both build their parsers from annotated fields: `max_model_len: int` becomes `--max-model-len N`.
So the fields are read, with the few arguments that are added by hand. What is not understood is
taken as a flag with one value.
"""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from zipfile import Path as ZipPath

from treadle.model_runtime.engines.flags import Flag, FlagSet, Takes
from treadle.model_runtime.errors import EngineRefused

Root = Path | ZipPath  # an installed package's folder, or a wheel opened as a folder
Named = tuple[str, Flag]
COLLECTIONS = frozenset({"list", "List", "tuple", "set"})


def read_flags(engine: str, root: Root, version: str) -> FlagSet:
    """The flags of the package whose folder is `root`.

    Raises:
        EngineRefused: It is no such package, or its source is laid out in another way.
    """
    readers: dict[str, Callable[[Root], Iterator[Named]]] = {"vllm": _vllm, "sglang": _sglang}
    try:
        flags = dict(readers[engine](root))
        keys = _speculation_keys(root) if engine == "vllm" else {}
    except (KeyError, OSError, SyntaxError, StopIteration) as error:
        raise EngineRefused(
            f"the flags of {engine} {version} cannot be read from {str(root)!r}: {error!r}"
        ) from error
    return FlagSet(engine, version, flags, keys)


def _vllm(root: Root) -> Iterator[Named]:
    engine = _parsed(root / "engine" / "arg_utils.py")
    front = _parsed(root / "entrypoints" / "common" / "cli_args.py")
    known = _Names([engine, front, *_folder(root / "config")])
    tools = _registered(_parsed(root / "tool_parsers" / "__init__.py"))
    reasoning = _registered(_parsed(root / "reasoning" / "__init__.py"))
    for name in ("EngineArgs", "AsyncEngineArgs"):
        yield from _added(known.classes[name], known)
    yield from _added(_function(front, "make_arg_parser"), known)
    for name in ("BaseFrontendArgs", "FrontendArgs"):
        for field, annotation in _fields(known.classes[name]):
            yield from _switchable(_flag_name(field), _flag(annotation, known))
    yield "--tool-call-parser", Flag(choices=tuple(tools))
    yield "--reasoning-parser", Flag(choices=tuple(reasoning))


def _sglang(root: Root) -> Iterator[Named]:
    groups = root / "srt" / "arg_groups"
    server = _parsed(root / "srt" / "server_args.py")
    parsers = [
        _parsed(root / "srt" / "parser" / "reasoning_parser_names.py"),
        _parsed(root / "srt" / "function_call" / "parser_names.py"),
    ]
    fields = _folder(groups / "fields")
    known = _Names([server, *fields, _parsed(groups / "choices.py"), *parsers])
    for tree in fields:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield from chain.from_iterable(
                    _annotated(name, annotation, known) for name, annotation in _fields(node)
                )
    yield from _added(known.classes["ServerArgs"], known)
    yield "--reasoning-parser", Flag(choices=("auto", *known.lists["REASONING_PARSER_NAMES"]))
    yield "--tool-call-parser", Flag(choices=("auto", *known.lists["TOOL_CALL_PARSER_NAMES"]))


class _Names:
    """What the modules define: classes, aliases of `Literal`, lists of texts."""

    def __init__(self, trees: Iterable[ast.Module]) -> None:
        self.classes: dict[str, ast.ClassDef] = {}
        self.lists: dict[str, tuple[str, ...]] = {}
        self._aliases: dict[str, ast.expr] = {}
        for tree in trees:
            for node in tree.body:
                match node:
                    case ast.ClassDef(name=name):
                        self.classes[name] = node
                    case ast.Assign(targets=[ast.Name(id=name)], value=value):
                        self._aliases[name] = value
                        self.lists[name] = tuple(_texts(value))
                    case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                        self._aliases[name] = value
                        self.lists[name] = tuple(_texts(value))
                    case _:
                        pass

    def plain(self, annotation: ast.expr) -> ast.expr:
        """An alias' meaning."""
        if isinstance(annotation, ast.Name) and annotation.id in self._aliases:
            return self._aliases[annotation.id]
        return annotation

    def field(self, name: str, field: str) -> ast.expr | None:
        """The annotation of a class's field, its bases included."""
        if (found := self.classes.get(name)) is None:
            return None
        own = dict(_fields(found))
        if field in own:
            return own[field]
        bases = [base.id for base in found.bases if isinstance(base, ast.Name)]
        return next((note for base in bases if (note := self.field(base, field))), None)

    def choices(self, value: ast.expr | None) -> tuple[str, ...]:
        """The texts of a list that stands there or is named."""
        if isinstance(value, ast.Name):
            return self.lists.get(value.id, ())
        return tuple(_texts(value)) if isinstance(value, ast.List) else ()


def _flag(annotation: ast.expr, known: _Names) -> Flag:
    """What a field's type makes of its flag."""
    kinds = [known.plain(part) for part in _parts(annotation)]
    heads = {_head(kind) for kind in kinds} - {"None"}
    if "bool" in heads:
        return Flag(Takes.OPTIONAL if "str" in heads else Takes.NOTHING)
    if heads & COLLECTIONS:
        return Flag(Takes.VALUES)
    literals = [kind for kind in kinds if _head(kind) == "Literal"]
    if literals and heads == {"Literal"}:
        return Flag(choices=tuple(chain.from_iterable(_texts(kind) for kind in literals)))
    return Flag()


@dataclass(frozen=True, slots=True)
class _Argument:
    """One call of `add_argument`."""

    names: tuple[str, ...]
    keywords: Mapping[str, ast.expr]
    spread: ast.expr | None  # what follows `**`


def _added(scope: ast.AST, known: _Names) -> Iterator[Named]:
    """Flags of every `add_argument` below `scope`."""
    owners: dict[str, str] = {}
    for node in ast.walk(scope):
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(func=ast.Name(id="get_kwargs"), args=[ast.Name(id=owner), *_]),
            ):
                owners[name] = owner
            case _:
                pass
    for call in _calls(scope):
        flag = _flag_of(call, owners, known)
        for name in call.names:
            # `--no-…` comes with argparse.BooleanOptionalAction, which fields of type bool get.
            switch = call.spread is not None or "BooleanOptional" in _source(call, "action")
            yield from _switchable(name, flag) if switch else [(name, flag)]


def _flag_of(call: _Argument, owners: Mapping[str, str], known: _Names) -> Flag:
    action = _source(call, "action")
    deprecated = "Deprecated" in action
    if action and any(word in action for word in ("store_true", "StoreTrue", "BooleanOptional")):
        return Flag(Takes.NOTHING, deprecated=deprecated)
    match call.spread:
        case ast.Subscript(value=ast.Name(id=held), slice=ast.Constant(value=str(field))):
            annotation = known.field(owners.get(held, ""), field)
            return Flag() if annotation is None else _flag(annotation, known)
        case _:
            several = "nargs" in call.keywords and "None" not in _source(call, "nargs")
            takes = Takes.VALUES if several and "?" not in _source(call, "nargs") else Takes.VALUE
            return Flag(takes, known.choices(call.keywords.get("choices")), deprecated)


def _calls(scope: ast.AST) -> Iterator[_Argument]:
    for node in ast.walk(scope):
        match node:
            case ast.Call(func=ast.Attribute(attr="add_argument")):
                names = [part.value for part in node.args if isinstance(part, ast.Constant)]
                options = [name for name in names if str(name).startswith("--")]
                keywords = {word.arg: word.value for word in node.keywords if word.arg}
                spread = next((word.value for word in node.keywords if word.arg is None), None)
                yield _Argument(tuple(str(name) for name in options), keywords, spread)
            case _:
                pass


def _annotated(name: str, annotation: ast.expr, known: _Names) -> Iterator[Named]:
    """SGLang's `A[type, "help"]` and `A[type, Arg(…)]`; other fields make no flags."""
    match annotation:
        case ast.Subscript(value=ast.Name(id="A"), slice=ast.Tuple(elts=[kind, *rest])):
            settings = next((part for part in rest if _head(part) == "Arg"), None)
        case _:
            return
    if any(_head(part) == "Derived" for part in rest):
        return
    words = {} if not isinstance(settings, ast.Call) else _keywords(settings)
    if "no_cli" in words:
        return
    flag = _flag(kind, known)
    if "type_parser" in words and flag.takes is Takes.VALUES:
        flag = Flag()
    if choices := known.choices(words.get("choices")):
        flag = Flag(flag.takes, choices)
    if "Deprecated" in ast.unparse(words.get("action", ast.Constant(""))):
        flag = Flag(flag.takes, flag.choices, deprecated=True)
    own = next(iter(_texts(words["cli_name"])), "") if "cli_name" in words else _flag_name(name)
    for spelling in [own, *(_texts(words["aliases"]) if "aliases" in words else [])]:
        yield spelling, flag


def _speculation_keys(root: Root) -> dict[str, tuple[str, ...]]:
    """What the JSON object of `--speculative-config` may hold."""
    known = _Names([_parsed(root / "config" / "speculative.py")])
    keys = tuple(name for name, _ in _fields(known.classes["SpeculativeConfig"]))
    return {"--speculative-config": keys}


def _registered(tree: ast.Module) -> list[str]:
    """The names of lazily loaded parsers: the keys of the module's dictionary."""
    tables = [node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    found = next(table for table in tables if isinstance(table, ast.Dict))
    return [text for key in found.keys if key is not None for text in _texts(key)]


def _parsed(file: Root) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _folder(folder: Root) -> list[ast.Module]:
    files: list[Root] = [*folder.iterdir()]
    files.sort(key=lambda file: file.name)
    return [_parsed(file) for file in files if file.name.endswith(".py")]


def _function(tree: ast.Module, name: str) -> ast.FunctionDef:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return next(node for node in functions if node.name == name)


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            yield part.target.id, part.annotation


def _parts(annotation: ast.expr) -> list[ast.expr]:
    """The members of a union, through `Optional`, `Union` and `|`."""
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return [*_parts(left), *_parts(right)]
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return _parts(inner)
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=members)):
            return [part for member in members for part in _parts(member)]
        case ast.Constant(value=str(text)):
            return _parts(ast.parse(text, mode="eval").body)
        case _:
            return [annotation]


def _head(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Constant(value=None):
            return "None"
        case ast.Subscript(value=value) | ast.Call(func=value):
            return _head(value)
        case _:
            return ""


def _texts(node: ast.expr) -> Iterator[str]:
    """Every text literal below a node, in order."""
    return (str(part.value) for part in _constants(node) if isinstance(part.value, str))


def _constants(node: ast.AST) -> Iterator[ast.Constant]:
    if isinstance(node, ast.Constant):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _constants(child)


def _keywords(call: ast.Call) -> dict[str, ast.expr]:
    return {word.arg: word.value for word in call.keywords if word.arg}


def _source(call: _Argument, keyword: str) -> str:
    return ast.unparse(call.keywords[keyword]) if keyword in call.keywords else ""


def _flag_name(field: str) -> str:
    return "--" + field.replace("_", "-")


def _switchable(name: str, flag: Flag) -> list[Named]:
    """A switch of vLLM can be turned off, too."""
    if flag.takes is not Takes.NOTHING:
        return [(name, flag)]
    return [(name, flag), ("--no-" + name.removeprefix("--"), flag)]
