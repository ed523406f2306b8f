"""The optimisers of the package `pytorch-optimizer` (Apache-2) by name: SOAP, AdEMAMix, ADOPT, Prodigy, MARS and many more.

    optimizer.kind=library optimizer.name=soap 'optimizer.options={betas=[0.95,0.95], precondition_frequency=5}'

Equation, defaults of the options, and whether weight decay is decoupled (see the option `weight_decouple`) are those of their own code.
Groups by role, the schedule's factor on learning rates, clipping and checkpoints are as everywhere in Assay. Before it is used, an
optimiser makes trial steps on small tensors: what it needs and a step here does not give (a closure, second derivatives, the model itself,
groups of its own), or a state that a checkpoint cannot hold, is refused in one sentence, not after an hour. Those with train() and eval(),
whose average is the model, are scored, sampled from and saved in eval(); their trained weights are saved in the state.
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
from assay.core.install import write_assay_line
from assay.core.torch_internals import tree_leaves
from assay.errors import ConfigError, suggest
from assay.nn.linear import ParameterInfo
from assay.optim.base import Optimizer
from assay.optim.groups import GroupedConfig

RESERVED_ARGUMENTS = ("params", "lr", "weight_decay", "kwargs", "self")  # settings of their own, or never given
OptimizerFactory = Callable[..., torch.optim.Optimizer]


class LibraryConfig(GroupedConfig):
    """An optimiser of the package pytorch-optimizer by its name, such as soap, ademamix, adopt, prodigy or mars."""

    kind: Literal["library"] = "library"
    name: str = setting("soap", "the optimiser's name in the package, in small letters", alternative="ademamix", affects="training")
    lr: float = setting(1e-2, "learning rate; usual ones differ by orders of magnitude", alternative=3e-3, affects="training", gt=0)
    weight_decay: float = setting(0.1, "weight decay, in the form that the optimiser has", alternative=0.5, affects="training", ge=0)
    options: dict[str, Any] = setting(
        {}, "further arguments of the optimiser, by the names it gives them", alternative={"betas": [0.5, 0.5]}, affects="training"
    )

    scales_with_gradient: ClassVar[bool] = True  # some do

    def build(self, parameters: Sequence[ParameterInfo]) -> Optimizer:
        part = self.build_torch_optimizer(parameters, check=True)
        return TrainEvalOptimizer({self.name: part}) if hasattr(part, "eval") else Optimizer({self.name: part})

    def build_torch_optimizer(self, parameters: Sequence[ParameterInfo], *, check: bool) -> torch.optim.Optimizer:
        """Build the package's optimiser of these parameters. Raises ConfigError, with `check` also where trial steps fail."""
        factory = load_optimizer_class(self.name)
        accepted = list(inspect.signature(factory).parameters)
        self._check_options(accepted)
        groups, decays = self.param_groups(parameters), "weight_decay" in accepted
        if not decays:
            groups = [{key: value for key, value in group.items() if key != "weight_decay"} for group in groups]
        options = {name: tuple(value) if isinstance(value, list) else value for name, value in self.options.items()}
        if check:
            check_by_trial_steps(self.name, factory, {"lr": self.lr, **({"weight_decay": self.weight_decay} if decays else {}), **options})
        return factory(groups, lr=self.lr, **options)

    def state_bytes(self, parameters: Sequence[ParameterInfo]) -> int:
        """Measure the state after a first step of zeros; two numbers a weight where that fails, as tensors without values may let it."""
        copies = [each._replace(tensor=nn.Parameter(torch.zeros_like(each.tensor))) for each in parameters]
        part = self.build_torch_optimizer(copies, check=False)
        for copy in copies:
            copy.tensor.grad = torch.zeros_like(copy.tensor)
        try:
            part.step()
        except Exception:  # of any sort: it is another package's
            return super().state_bytes(parameters)
        return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(dict(part.state)) if isinstance(leaf, Tensor))

    def _check_options(self, accepted: list[str]) -> None:
        """Raise ConfigError for options that the optimiser does not accept, and for one that cannot be used with groups."""
        free = [name for name in accepted if name not in RESERVED_ARGUMENTS]
        for name in self.options:
            if name in ("lr", "weight_decay"):
                raise ConfigError(f"optimizer.options.{name}", f"is a setting of its own; write optimizer.{name}")
            if name not in free:
                raise ConfigError(f"optimizer.options.{name}", f"is no option of '{self.name}', which has {', '.join(free)}")
        if accepted[0] != "params":
            reason = f"'{self.name}' wants the {accepted[0]} itself instead of groups of parameters; choose another"
            raise ConfigError("optimizer.name", reason)
        if "weight_decay" not in accepted and self.weight_decay:
            raise ConfigError("optimizer.weight_decay", f"= {self.weight_decay:g}, and '{self.name}' has none; set it to 0")


def import_pytorch_optimizer() -> ModuleType:
    """Import the package. Raises ConfigError with the line that installs it."""
    try:
        import pytorch_optimizer  # noqa: PLC0415  optional, and a second to import
    except ImportError:
        raise ConfigError(
            "optimizer.kind", f"= 'library' needs the package pytorch-optimizer; install it with: {write_assay_line('optimizers')}"
        ) from None
    return pytorch_optimizer  # type: ignore[no-any-return, unused-ignore]


def load_optimizer_class(name: str) -> OptimizerFactory:
    """Load the class of this name. Raises ConfigError with the nearest name, or the list."""
    known = import_pytorch_optimizer().get_supported_optimizers()
    if name not in known:
        raise ConfigError("optimizer.name", f"'{name}' is not in the package pytorch-optimizer; {suggest(name, known)}")
    factory: OptimizerFactory = import_pytorch_optimizer().load_optimizer(name)
    return factory


def check_by_trial_steps(name: str, factory: OptimizerFactory, options: Mapping[str, Any]) -> None:
    """Make two steps for two matrices and a vector, with the state saved and loaded after each. Raises ConfigError if anything fails."""
    with torch.random.fork_rng(devices=[]):
        tensors = [nn.Parameter(torch.randn(*shape)) for shape in ((8, 6), (6, 16), (8,))]
        try:
            part = factory([{"params": tensors[:2]}, {"params": tensors[2:]}], **options)
            for _ in range(2):
                for tensor in tensors:
                    tensor.grad = torch.randn_like(tensor)
                part.step()
                file = io.BytesIO()
                torch.save(part.state_dict(), file)
                file.seek(0)
                part.load_state_dict(torch.load(file, weights_only=True))
        except Exception as error:  # whatever another package raises becomes one sentence
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ConfigError("optimizer.name", f"'{name}' cannot be used here: {explain_failure(reason)}") from None


def explain_failure(reason: str) -> str:
    """Explain the error of a failed trial step."""
    known = {
        "closure": "it computes the loss itself, several times a step, and a step here does so once; choose another",
        "use_muon": "it wants groups of its own; optimizer=muon does what it does",
        "require grad": "it needs second derivatives, which are not computed here; choose another",
        "eights only load": "its state holds more than tensors and numbers, so no checkpoint can keep it safely; choose another",
    }
    return next(
        (sentence for word, sentence in known.items() if word in reason),
        f"{reason.rstrip('.')} (change optimizer.options, or choose another)",
    )


class TrainEvalOptimizer(Optimizer):
    """An optimiser with train() and eval(): the weights of eval() are the model."""

    def _tensors(self) -> list[Tensor]:
        return [tensor for part in self.parts.values() for group in part.param_groups for tensor in group["params"]]

    @contextmanager
    def use_averaged_weights(self) -> Iterator[None]:
        trained = [tensor.detach().clone() for tensor in self._tensors()]
        self._switch("eval")
        try:
            yield
        finally:
            self._switch("train")
            self._set_weights(trained)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "trained": [tensor.detach().clone() for tensor in self._tensors()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._set_weights(state["trained"])

    def _switch(self, mode: Literal["train", "eval"]) -> None:
        for part in self.parts.values():
            if any(part.state.values()):  # before the first step there is no average
                getattr(part, mode)()

    @torch.no_grad()
    def _set_weights(self, weights: Sequence[Tensor]) -> None:
        for tensor, weight in zip(self._tensors(), weights, strict=True):
            tensor.copy_(weight)
