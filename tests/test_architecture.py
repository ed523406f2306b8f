"""Laws of the source that no type checker keeps: an object changes itself only, and meaning never travels as prose."""

import ast
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

import assay

SOURCE = Path(assay.__file__).parent
OWN = {"self", "cls"}
PUBLIC_OF_TUPLES = {"_asdict", "_replace", "_fields", "_make"}  # what Python documents of a NamedTuple
CHANGING = {"append", "extend", "insert", "pop", "remove", "clear", "update", "setdefault", "add", "discard", "popitem", "sort", "reverse"}
CUTTING = {"startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "split", "replace", "find", "index"}

Where = Mapping[tuple[str, str], str]  # (file, what stands there) -> why it may

CHANGES: Where = {
    ("__main__.py", "os.environ"): "the process's own",
    ("cli/completion.py", "info.autocompletion"): "typer's: it has no other way to say how a parameter is completed",
    ("models/base.py", "part.training"): "torch's: `train()` would change the modules below as well",
    ("hf/model.py", "self._library.encode_special_tokens"): "a setting of Hugging Face's tokenizers",
    ("jobs/slurm.py", "os.environ"): "the process's own",
    ("nn/mixer/compressor.py", "usage.topk(slots, dim=1).indices.sort"): "torch's: it gives another tensor",
    ("optim/library.py", "copy.tensor.grad"): "torch's: so gradients are given",
    ("optim/library.py", "tensor.grad"): "torch's: so gradients are given",
    ("searches/journal.py", "self.study.sampler"): "Optuna's: so a study is given another sampler",
    ("terminal/console.py", "out.width"): "rich's: the width is known once the console is made",
    ("terminal/streams.py", "sys.stderr"): "Python's: so output cannot end the program",
    ("terminal/streams.py", "sys.stdout"): "Python's: so output cannot end the program",
    ("terminal/tables.py", "out.options.update"): "rich's: it gives other options, and changes none",
    ("text/bpe.py", "tokenizer.pre_tokenizer"): "a setting of Hugging Face's tokenizers",
    ("text/bpe.py", "os.environ.setdefault"): "the process's own",
    ("tracking/console.py", "self.bar.live.transient"): "rich's: whether a display stays is known when it ends",
    ("tracking/wandb_process.py", "run.summary.update"): "wandb's: so the summary is written",
    ("training/precision.py", "module._parameters"): "torch's: a copy of a parameter is none, and can stand in its place only so",
    ("training/loop.py", "state.weight_average.update"): "a method of WeightAverage",
    ("training/loop.py", "left[name].mean.add"): "Mean.add returns a new mean",
    ("training/learner.py", "block.forward"): "torch's: compiled in place, so that the names of parameters stay",
    ("training/learner.py", "torch._dynamo.config.recompile_limit"): "a setting of torch",
    ("core/signals.py", "sys.unraisablehook"): "Python's own, for a while: where it drops an interrupt",
    ("core/signals.py", "timer.daemon"): "Python's own: how a timer is told that nobody waits for it",
}
TREES = {"reports/svg.py": "elements of ElementTree, which are changed in place"}  # files in which anything of a tree may be changed

PRIVATE: Where = {
    ("__main__.py", "os._exit"): "documented in Python's os",
    ("jobs/slurm.py", "os._exit"): "documented in Python's os",
    ("core/torch_internals.py", "torch._subclasses.fake_tensor"): "torch's: documented, though its module is called private",
    ("core/torch_internals.py", "torch.utils._pytree"): "torch's: the only walk over nested tensors",
    ("training/cost.py", "torch.ops.aten._scaled_dot_product_flash_attention_for_cpu"): "the operator's name in torch",
    ("training/cost.py", "torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward"): "the operator's name in torch",
    ("training/cost.py", "parameter.untyped_storage()._cdata"): "torch's: which storage a tensor has, also where it has no memory",
    ("training/cost.py", "storage._cdata"): "torch's: which storage a tensor has, also where it has no memory",
    ("training/precision.py", "module._parameters"): "torch's: a copy of a parameter is none, and can stand in its place only so",
    ("training/precision.py", "torch._C"): "torch's: nothing else switches oneDNN for this process",
    ("training/precision.py", "torch._C._get_mkldnn_enabled"): "torch's: nothing else switches oneDNN for this process",
    ("training/precision.py", "torch._C._set_mkldnn_enabled"): "torch's: nothing else switches oneDNN for this process",
    ("training/precision.py", "torch.cpu._is_avx512_bf16_supported"): "torch's: nothing else asks the CPU",
    ("training/precision.py", "torch.cpu._is_amx_tile_supported"): "torch's: nothing else asks the CPU",
    ("training/learner.py", "torch._dynamo"): "torch's: where its setting lies",
    ("core/signals.py", "_thread"): "Python's own: the module that interrupts the main thread",
}
FOREACH = "torch._foreach_"  # operations on many tensors at once, which torch's own optimisers are made of

MESSAGES: Where = {
    ("core/files.py", "_with_path"): "an error without a number is of a library: what it says is kept, and only the file's name looked for",
    ("errors.py", "is_out_of_memory"): "torch's CPU allocator raises a plain RuntimeError",
    ("errors.py", "is_disk_full"): "safetensors and torch hide the number of the system's error",
    ("jobs/slurm.py", "submit"): "sbatch tells why it refuses by a sentence alone",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every file of the package by its name in it."""
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def is_own(owner: ast.expr) -> bool:
    """Whether an attribute is looked up in the object itself."""
    inherited = isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "super"
    return inherited or (isinstance(owner, ast.Name) and owner.id in OWN)


def foreign_attribute(node: ast.expr) -> bool:
    """Whether it is an attribute of another object."""
    return isinstance(node, ast.Attribute) and not is_own(node.value)


def changed(tree: ast.AST) -> Iterator[str]:
    """What is assigned to, put into or taken out of another object's attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            target = node.value if isinstance(node, ast.Subscript) else node
            if foreign_attribute(target):
                yield ast.unparse(target)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("setattr", "delattr", "object.__setattr__") and not is_own(node.args[0]):
                yield called
            if isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING and foreign_attribute(node.func.value):
                yield called


def private(tree: ast.AST) -> Iterator[str]:
    """Private names of other objects and modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and hidden(node.attr) and not is_own(node.value):
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            module = str(node.module)
            yield from (
                [module] if any(map(hidden, module.split("."))) else [f"{module}.{one.name}" for one in node.names if hidden(one.name)]
            )
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names if any(map(hidden, one.name.split("."))))


def hidden(name: str) -> bool:
    """Whether a name is private."""
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC_OF_TUPLES


def parsed_messages(tree: ast.Module) -> Iterator[str]:
    """The functions that look for words in the message of an error, or cut it."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        errors = {node.name for node in ast.walk(function) if isinstance(node, ast.ExceptHandler) and node.name}
        every = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
        errors |= {one.arg for one in every if one.annotation is not None and ast.unparse(one.annotation).endswith(("Error", "Exception"))}
        said = {f"str({name})" for name in errors} | {f"{name}.{part}" for name in errors for part in ("reason", "args", "msg")}
        for node in ast.walk(function):
            cuts = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CUTTING and bool(node.args)
            looks = isinstance(node, ast.Compare) and any(isinstance(how, ast.In | ast.NotIn | ast.Eq | ast.NotEq) for how in node.ops)
            if (cuts and any(one in ast.unparse(node.func) for one in said)) or (looks and any(one in ast.unparse(node) for one in said)):
                yield function.name


def faults(find: Callable[[ast.Module], Iterator[str]]) -> set[tuple[str, str]]:
    """Every (file, what stands there) of a kind."""
    return {(file, what) for file, tree in modules() for what in find(tree)}


def test_no_object_changes_another_one() -> None:
    found = {(file, what) for file, what in faults(changed) if file not in TREES}
    assert found == CHANGES.keys()


def test_nobody_uses_what_is_private_to_another() -> None:
    found = {(file, what) for file, what in faults(private) if not what.startswith(FOREACH)}
    assert found == PRIVATE.keys()


def test_no_message_of_an_error_is_parsed_but_those_of_libraries_that_say_no_more() -> None:
    assert faults(parsed_messages) == MESSAGES.keys()


@pytest.mark.parametrize(
    ("find", "source"),
    [
        (changed, "def f(other): other.steps = 3"),
        (changed, "def f(other): other.steps += 3"),
        (changed, "def f(other): other.table['a'] = 3"),
        (changed, "def f(other): other.hooks.insert(0, 1)"),
        (changed, "class A:\n def f(self): self.other.steps = 3"),
        (changed, "def f(others):\n for others[0].x in (1, 2): pass"),
        (changed, "def f(other): setattr(other, 'steps', 3)"),
        (private, "def f(other): return other._steps"),
        (private, "from assay.runs import _names"),
        (parsed_messages, "def f():\n try: g()\n except ValueError as wrong: return 'unknown' in str(wrong)"),
        (parsed_messages, "def f():\n try: g()\n except ValueError as wrong: return str(wrong).removeprefix('a: ')"),
        (parsed_messages, "def f():\n try: g()\n except ConfigError as wrong: return 'unknown' in wrong.reason"),
        (parsed_messages, "def f(failed: Exception): return str(failed).startswith('out of')"),
    ],
)
def test_what_breaks_a_law_is_found(find: Callable[[ast.Module], Iterator[str]], source: str) -> None:
    assert list(find(ast.parse(source)))


@pytest.mark.parametrize(
    ("find", "source"),
    [
        (changed, "class A:\n def f(self): self.steps, self.table['a'] = 1, 2; self.hooks.append(3)"),
        (changed, "def f():\n found = []; found.append(1); found[0] = 2"),
        (private, "class A:\n def f(self): return self._steps + super()._steps"),
        (parsed_messages, "def f():\n try: g()\n except ValueError as wrong: raise UserError(f'{wrong}') from None"),
    ],
)
def test_what_keeps_a_law_is_not(find: Callable[[ast.Module], Iterator[str]], source: str) -> None:
    assert not list(find(ast.parse(source)))
