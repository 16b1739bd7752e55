"""What other packages' functions take, read out of their sources, beside what is called here.

Nothing is imported or run: the packages need a GPU to be imported at all.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import Path as ZipPath

from treadle.model_runtime.errors import BadConfig

CALLER = Path(__file__).with_name("installed.py")
# Where each package has the functions that are called, by the suffix of a file's path.
FLASHMLA = "flash_mla/flash_mla_interface.py"
FLASHINFER = ("flashinfer/mla/_batch_mla/_wrapper.py", "flashinfer/mla/_batch_mla/_contracts.py")
DEEPGEMM = "csrc/apis/gemm.hpp"
VERSION = re.compile(r"""__version__ = ["']([^"']+)["']""")
DEFINED = re.compile(r'm\.def\("(\w+)",(.*?)\);', re.DOTALL)
ARGUMENT = re.compile(r'py::arg\("(\w+)"\)( =)?')
ALIAS = re.compile(r'm\.attr\("(\w+)"\) = m\.attr\("(\w+)"\)')


@dataclass(frozen=True, slots=True)
class Signature:
    """The names of a function's arguments."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    takes_any: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """One version of a package."""

    package: str
    version: str
    functions: Mapping[str, Signature]

    def to_json(self) -> str:
        """One line per function."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Sources":
        """What `to_json` wrote."""
        found = json.loads(text)
        functions = {
            name: Signature(tuple(each["required"]), tuple(each["optional"]), each["takes_any"])
            for name, each in found["functions"].items()
        }
        return cls(found["package"], found["version"], functions)


def read_sources(where: Path) -> Sources:
    """FlashInfer's wheel, or a checkout of FlashMLA or DeepGEMM.

    Raises:
        BadConfig: It is none of them, or laid out otherwise.
    """
    try:
        if where.suffix == ".whl":
            wheel = ZipPath(where)
            functions = _of_python([wheel.joinpath(path).read_text() for path in FLASHINFER])
            return Sources("flashinfer", where.name.split("-")[1], functions)
        if (where / FLASHMLA).exists():
            version = (where / "flash_mla" / "__init__.py").read_text()
            functions = _of_python([(where / FLASHMLA).read_text()])
            return Sources("flash_mla", VERSION.findall(version)[0], functions)
        version = (where / "deep_gemm" / "__init__.py").read_text()
        functions = _of_bindings((where / DEEPGEMM).read_text())
        return Sources("deep_gemm", VERSION.findall(version)[0], functions)
    except (OSError, KeyError, IndexError) as error:
        raise BadConfig(f"{str(where)!r} cannot be read as one of the packages: {error}") from error


def problems(sources: Sources, calls: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What the package would refuse of the calls that are its own."""
    for name in sorted(calls.keys() & sources.functions.keys()):
        taken, given = sources.functions[name], set(calls[name])
        if missing := set(taken.required) - given:
            yield f"{name} wants {', '.join(sorted(missing))}"
        unknown = given - {*taken.required, *taken.optional}
        if unknown and not taken.takes_any:
            yield f"{name} knows no {', '.join(sorted(unknown))}"


def calls_here(source: str | None = None) -> dict[str, tuple[str, ...]]:
    """The functions of other packages that `installed` calls, with the arguments' names.

    They are the calls whose arguments all have names; a call of a package that gives one by its
    place has the name "?" for it.
    """
    tree = ast.parse(CALLER.read_text(encoding="utf-8") if source is None else source)
    found: dict[str, tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        path = ast.unparse(node.func)
        if path.startswith(("self._package.", "wrapper.")):
            names = [keyword.arg or "?" for keyword in node.keywords]
            found[node.func.attr] = (*names, *("?" for _ in node.args))
    return found


def _of_python(sources: Sequence[str]) -> dict[str, Signature]:
    """Functions by name, a class by its constructor's; of overloads, the last has the body."""
    found: dict[str, Signature] = {}
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                found[node.name] = _signature(node)
            elif isinstance(node, ast.ClassDef):
                own = [part for part in node.body if isinstance(part, ast.FunctionDef)]
                made = next((part for part in own if part.name == "__init__"), None)
                if made is not None:
                    found[node.name] = _signature(made)
    return found


def _signature(node: ast.FunctionDef) -> Signature:
    arguments = node.args
    plain = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    count = len(plain) - len(arguments.defaults)
    pairs = list(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
    required = [*plain[:count], *(each.arg for each, default in pairs if default is None)]
    optional = [*plain[count:], *(each.arg for each, default in pairs if default is not None)]
    own = {"self", "cls"}
    return Signature(
        tuple(name for name in required if name not in own),
        tuple(optional),
        takes_any=arguments.kwarg is not None,
    )


def _of_bindings(source: str) -> dict[str, Signature]:
    """Functions that pybind11 makes known, under all their names."""
    found: dict[str, Signature] = {}
    for name, body in DEFINED.findall(source):
        arguments = ARGUMENT.findall(body)
        found[name] = Signature(
            tuple(argument for argument, default in arguments if not default),
            tuple(argument for argument, default in arguments if default),
        )
    found |= {name: found[known] for name, known in ALIAS.findall(source) if known in found}
    return found
