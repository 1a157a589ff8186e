"""Nothing goes on in the background of which nobody would hear that it has failed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import kuaimei

SOURCE = Path(kuaimei.__file__).parent

ELSEWHERE = {
    # file and function: who hears of its failure
    ("dialogue/task_set.py", "start"): "its own callback logs it",
    ("engines/llm/generation.py", "__init__"): "its requests get the error",
    ("engines/tts/openai.py", "drop_voice"): "it logs its failure and ends; closing waits for it",
    ("rendering/engine_selection.py", "changed"): "whoever needs what it finds awaits it",
    ("rendering/model_cache.py", "_load"): "whoever waits for the model gets the error; closing waits for it",
    ("server/readiness.py", "checks"): "whoever asks whether it is ready awaits it",
    ("server/webrtc/call.py", "_listen"): "closing the call waits for it",
    ("server/webrtc/calls.py", "begin"): "it logs its failure and ends; closing waits for it",
    ("store/utterance_ingest.py", "enqueue"): "it tries again, and logs, whatever happens",
    ("voices/training/job.py", "__init__"): "closing waits for it; what it cannot tell it logs",
    ("system/supervision.py", "start"): "this is what hears of the failures of all others",
}
"""Tasks that outlive the function that starts them."""


def _calls(tree: ast.AST) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, ast.Call]]:
    """Calls that start a task, with the innermost function that they are in."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        functions = [f for f in ast.walk(function) if f is not function and _is_function(f)]
        inner = {id(node) for f in functions for node in ast.walk(f)}
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and id(node) not in inner and _starts(node):
                yield function, node


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _starts(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in {"ensure_future", "create_task"}


def _awaited_names(function: ast.AST) -> set[str]:
    """Names in what the function awaits, or in the `finally` of which it does."""
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Await | ast.AsyncWith | ast.AsyncFor | ast.For):
            source = node.value if isinstance(node, ast.Await) else node
            found |= {name.id for name in ast.walk(source) if isinstance(name, ast.Name)}
        if isinstance(node, ast.Call) and "push_async_callback" in ast.dump(node.func):
            found |= {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    return found


def _targets(function: ast.AST, call: ast.Call) -> set[str]:
    """Names that the new task gets, and those of what it is put into."""
    names: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.AnnAssign) and any(n is call for n in ast.walk(node)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "append"
            and any(n is call for n in ast.walk(node))
        ):
            names |= {n.id for n in ast.walk(node.func) if isinstance(n, ast.Name)}
    return names - {"self"}


def _unheard() -> Iterator[tuple[str, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function, call in _calls(tree):
            owner = call.func.value if isinstance(call.func, ast.Attribute) else None
            if isinstance(owner, ast.Name) and owner.id in {"group", "opening", "preparing"}:
                continue  # of a TaskGroup
            if not _targets(function, call) & _awaited_names(function):
                yield path.relative_to(SOURCE).as_posix(), function.name


def test_every_task_has_somebody_who_hears_of_its_failure() -> None:
    unheard = set(_unheard())
    assert unheard - ELSEWHERE.keys() == set(), "start it by kuaimei.system.supervision.Supervisor"
    assert ELSEWHERE.keys() - unheard == set(), "these are no more"


def test_what_never_ends_is_supervised() -> None:
    """What is not awaited and loops for ever is started by the wiring's supervisor, under a name."""
    wiring = ast.parse((SOURCE / "runtime.py").read_text(encoding="utf-8"))
    started = {
        call.args[0].value
        for call in ast.walk(wiring)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == "tasks.start"
        and isinstance(call.args[0], ast.Constant)
    }
    assert started >= {"jobs", "keeping", "voices", "analysis"}


def test_the_scan_finds_what_nobody_awaits() -> None:
    tree = ast.parse(
        "async def f():\n"
        "    lost = asyncio.ensure_future(work())\n"
        "    kept = asyncio.create_task(work())\n"
        "    await kept\n"
    )
    (function, lost), (_, kept) = _calls(tree)
    assert not _targets(function, lost) & _awaited_names(function)
    assert _targets(function, kept) & _awaited_names(function)
