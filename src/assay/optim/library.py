"""A bridge to the optimisers of the package `pytorch-optimizer` (Apache-2): SOAP, AdEMAMix, ADOPT, Prodigy, MARS and many more, by name.

    optimizer.kind=library optimizer.name=soap 'optimizer.options={betas=[0.95,0.95], precondition_frequency=5}'

What their own code says holds: equation, defaults of the options, whether weight decay is decoupled (see its option `weight_decouple`).
Groups by role, the schedule's factor on learning rates, clipping and checkpoints are as everywhere in Assay. Before it is used, an
optimiser is rehearsed on small tensors: what it needs that a step here does not give (a closure, second derivatives, the model
itself, groups of its own), or a state that a checkpoint cannot hold, is refused in one sentence, not found out after an hour. Those with
train() and eval(), whose average is the model, are scored, sampled from and saved in eval(); their trained weights are saved in the
state.
"""

import inspect
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from assay.core.config import setting
from assay.core.torch_internals import tree_leaves
from assay.errors import ConfigError, nearest
from assay.nn.linear import Parameter
from assay.optim.base import Optimizer
from assay.optim.groups import GroupedConfig

OURS = ("params", "lr", "weight_decay", "kwargs", "self")  # what is given as settings, or not at all
Made = Callable[..., torch.optim.Optimizer]


class LibraryConfig(GroupedConfig):
    """An optimiser of the package pytorch-optimizer by its name, such as soap, ademamix, adopt, prodigy or mars."""

    kind: Literal["library"] = "library"
    name: str = setting("soap", "the optimiser's name in the package, in small letters", other="ademamix", bites="training")
    lr: float = setting(
        1e-2, "learning rate; what is usual differs between optimisers by orders of magnitude", other=3e-3, bites="training", gt=0
    )
    weight_decay: float = setting(0.1, "weight decay, in the form that the optimiser has", other=0.5, bites="training", ge=0)
    options: dict[str, Any] = setting(
        {}, "further arguments of the optimiser, by the names it gives them", other={"betas": [0.5, 0.5]}, bites="training"
    )

    scales_with_gradient: ClassVar[bool] = True  # some do

    def build(self, parameters: Sequence[Parameter]) -> Optimizer:
        part = self.made(parameters, rehearsed=True)
        return Switched({self.name: part}) if hasattr(part, "eval") else Optimizer({self.name: part})

    def made(self, parameters: Sequence[Parameter], *, rehearsed: bool) -> torch.optim.Optimizer:
        """The package's optimiser of these parameters. Raises ConfigError, also where a rehearsal that is asked for fails."""
        made = load(self.name)
        accepted = list(inspect.signature(made).parameters)
        self._refuse_options(accepted)
        groups, decays = self.groups(parameters), "weight_decay" in accepted
        if not decays:
            groups = [{key: value for key, value in group.items() if key != "weight_decay"} for group in groups]
        options = {name: tuple(value) if isinstance(value, list) else value for name, value in self.options.items()}
        if rehearsed:
            rehearse(self.name, made, {"lr": self.lr, **({"weight_decay": self.weight_decay} if decays else {}), **options})
        return made(groups, lr=self.lr, **options)

    def state_bytes(self, parameters: Sequence[Parameter]) -> int:
        """What a first step leaves, or two numbers a weight where the optimiser looks at values, which a description has not."""
        copies = [each._replace(tensor=nn.Parameter(torch.zeros_like(each.tensor))) for each in parameters]
        part = self.made(copies, rehearsed=False)
        for copy in copies:
            copy.tensor.grad = torch.zeros_like(copy.tensor)
        try:
            part.step()
        except Exception:  # of any sort: it is another package's
            return super().state_bytes(parameters)
        return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(dict(part.state)) if isinstance(leaf, Tensor))

    def _refuse_options(self, accepted: list[str]) -> None:
        free = [name for name in accepted if name not in OURS]
        for name in self.options:
            if name in ("lr", "weight_decay"):
                raise ConfigError(f"optimizer.options.{name}", f"is a setting of its own; write optimizer.{name}")
            if name not in free:
                raise ConfigError(f"optimizer.options.{name}", f"is no option of '{self.name}', which has {', '.join(free)}")
        if accepted[0] != "params":
            raise ConfigError(
                "optimizer.name", f"'{self.name}' wants the {accepted[0]} itself instead of groups of parameters; take another"
            )
        if "weight_decay" not in accepted and self.weight_decay:
            raise ConfigError("optimizer.weight_decay", f"= {self.weight_decay:g}, and '{self.name}' has none; set it to 0")


def package() -> ModuleType:
    """The package. Raises ConfigError with the line that installs it."""
    try:
        import pytorch_optimizer  # noqa: PLC0415  optional, and a second to import
    except ImportError:
        raise ConfigError(
            "optimizer.kind", "= 'library' needs the package pytorch-optimizer; install it with pip install 'assay[optimizers]'"
        ) from None
    return pytorch_optimizer  # type: ignore[no-any-return, unused-ignore]


def load(name: str) -> Made:
    """The class of this name. Raises ConfigError with the nearest one, or the list."""
    known = package().get_supported_optimizers()
    if name not in known:
        raise ConfigError("optimizer.name", f"'{name}' is not in the package pytorch-optimizer; {nearest(name, known)}")
    found: Made = package().load_optimizer(name)
    return found


def rehearse(name: str, made: Made, options: Mapping[str, Any]) -> None:
    """Two steps for two matrices and a vector, with the state saved and loaded between. Raises ConfigError where anything fails."""
    with torch.random.fork_rng(devices=[]):
        tensors = [nn.Parameter(torch.randn(*shape)) for shape in ((8, 6), (6, 16), (8,))]
        try:
            part = made([{"params": tensors[:2]}, {"params": tensors[2:]}], **options)
            for _ in range(2):
                for tensor in tensors:
                    tensor.grad = torch.randn_like(tensor)
                part.step()
                file = io.BytesIO()
                torch.save(part.state_dict(), file)
                file.seek(0)
                part.load_state_dict(torch.load(file, weights_only=True))
        except Exception as failed:  # whatever another package raises becomes one sentence
            reason = str(failed).splitlines()[0] if str(failed) else type(failed).__name__
            raise ConfigError("optimizer.name", f"'{name}' cannot be used here: {because(reason)}") from None


def because(reason: str) -> str:
    """What a failed rehearsal means."""
    known = {
        "closure": "it computes the loss itself, several times a step, and a step here does so once; take another",
        "use_muon": "it wants groups of its own; optimizer=muon does what it does",
        "require grad": "it needs second derivatives, which are not computed here; take another",
        "eights only load": "its state holds more than tensors and numbers, so no checkpoint can keep it safely; take another",
    }
    return next(
        (sentence for word, sentence in known.items() if word in reason),
        f"{reason.rstrip('.')} (change optimizer.options, or take another)",
    )


class Switched(Optimizer):
    """An optimiser with train() and eval(): the weights of eval() are the model."""

    def _tensors(self) -> list[Tensor]:
        return [tensor for part in self.parts.values() for group in part.param_groups for tensor in group["params"]]

    @contextmanager
    def averaged(self) -> Iterator[None]:
        trained = [tensor.detach().clone() for tensor in self._tensors()]
        self._switch("eval")
        try:
            yield
        finally:
            self._switch("train")
            self._put(trained)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "trained": [tensor.detach().clone() for tensor in self._tensors()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._put(state["trained"])

    def _switch(self, mode: Literal["train", "eval"]) -> None:
        for part in self.parts.values():
            if any(part.state.values()):  # before the first step there is no average
                getattr(part, mode)()

    @torch.no_grad()
    def _put(self, weights: Sequence[Tensor]) -> None:
        for tensor, weight in zip(self._tensors(), weights, strict=True):
            tensor.copy_(weight)
