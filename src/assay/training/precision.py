"""In which number formats the arithmetic of training is done.

    format        weights            activations, products                     range and fraction
    float32       float32            float32                                   8 bits, 23 bits
    tf32          float32            float32, products of 10 bits of fraction  8, 10
    bf16          float32            products in bfloat16 (torch.autocast)     8, 7
    bf16_weights  bfloat16, copied   bfloat16                                  8, 7
    fp16          float32            products in float16 (torch.autocast)      5, 10
    float64       float64            float64, for tests                        11, 52

What is learned, saved and scored, the gradients and the optimiser are in float64 with `float64` and in float32 with all others.

`bf16_weights` is what others call bf16 with float32 master weights (Micikevicius et al., arXiv 1710.03740, section 3.1; O2 in Apex, --bf16
in Megatron-LM): every step copies the weights to bfloat16, the passes run on the copies, and the gradients arrive in float32 at the
weights, micro-batch by micro-batch. Statistics of norms and the loss are computed in float32, and two kinds of weights are not copied: the
tables of embeddings and heads, whose gradients are sums over all tokens of a batch (products with them are in bfloat16 all the same), and
every `ExactLinear`, as a router, where a small difference decides.

float16 has a small range, in which gradients vanish. So they are scaled (section 3.2): the loss is multiplied by a power of two, which is
halved when a gradient overflows, whose step is then skipped, and doubled after 2,000 steps without that.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from assay.core.types import Batch, Mean, Progress, State
from assay.errors import ConfigError
from assay.models.readout import Readout
from assay.nn.linear import ExactLinear
from assay.training.learner import Learned

Precision = Literal["float32", "tf32", "bf16", "bf16_weights", "fp16", "float64"]
AMPERE = (8, 0)  # the compute capability from which NVIDIA's GPUs have TF32 and bfloat16
AUTOCAST: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
SMALLEST_SCALE = 1.0  # of the loss in float16: what overflows even so is no matter of scale


def usable(asked: str, device: torch.device) -> Precision:
    """The format that is asked for, or for `auto` the one that the device is made for. Raises ConfigError where it has none such.

    A device is made for bf16 if it multiplies bfloat16 matrices in hardware; else float32 is taken.
    """
    modern_gpu = device.type == "cuda" and torch.cuda.get_device_capability(device) >= AMPERE
    if asked == "auto":
        return "bf16" if modern_gpu or (device.type == "cpu" and cpu_multiplies_bf16()) else "float32"
    if asked == "tf32" and not modern_gpu:
        raise ConfigError(
            "train.precision", f"tf32 is a format of NVIDIA's GPUs from Ampere on, not of {device}; use float32, bf16 or auto"
        )
    if asked in ("bf16", "bf16_weights") and device.type == "cuda" and not modern_gpu:
        raise ConfigError(
            "train.precision", f"{device} does not compute in bfloat16 (NVIDIA's GPUs do from Ampere on); use fp16, float32 or auto"
        )
    known: dict[str, Precision] = {name: name for name in get_args(Precision)}
    return known[asked]


def cpu_multiplies_bf16() -> bool:
    """Whether this CPU has instructions for products of bfloat16 numbers (AVX512-BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def weight_type(precision: str) -> torch.dtype:
    """The number format of the weights that are learned."""
    return torch.float64 if precision == "float64" else torch.float32


def arithmetic(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """What a forward pass runs in."""
    if precision == "fp16" and device.type == "cpu":
        return _fp16_on_a_cpu()
    if precision in AUTOCAST:
        return torch.autocast(device.type, dtype=AUTOCAST[precision])
    return _tf32() if precision == "tf32" else nullcontext()


@contextmanager
def _fp16_on_a_cpu() -> Iterator[None]:
    """As on a GPU, a hundred times more slowly: for tests. oneDNN stays out of it, as its LSTM knows no float16."""
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        with torch.autocast("cpu", dtype=torch.float16):
            yield
    finally:
        torch._C._set_mkldnn_enabled(before)


@contextmanager
def _tf32() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class Arithmetic:
    """How the steps of a run compute. In fp16 it remembers the scale of the loss, else nothing."""

    def __init__(self, precision: Precision, device: torch.device) -> None:
        self.precision, self.device = precision, device
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    @contextmanager
    def weights(self, learner: nn.Module) -> Iterator[None]:
        """Around all passes of a step, forward and backward: inside, the learner's weights are what the format computes with."""
        with bfloat16_copies(learner) if self.precision == "bf16_weights" else nullcontext():
            yield

    def compute(self, wrapped: nn.Module, batch: Batch, at: Progress, begun: State) -> Learned:
        """The forward pass of a micro-batch."""
        with arithmetic(self.precision, self.device):
            learned: Learned = wrapped(batch, at, begun)
        return learned

    def backward(self, total: Tensor) -> None:
        """Add the gradients of `total` to what is there."""
        with _tf32() if self.precision == "tf32" else nullcontext():
            self._scaler.scale(total).backward()

    def unscale(self, parameters: Iterable[nn.Parameter]) -> bool:
        """After all micro-batches: bring the gradients to their true size. False where they have overflowed: the step is to be skipped.

        The scale has then been lowered. Where that does not help any more, the gradients are not finite for another reason: they are left
        as they are, with True, for the check of every format to find. Looking at the outcome makes a GPU's host wait.
        """
        if not self._scaler.is_enabled():
            return True
        holder = torch.optim.SGD([p for p in parameters if p.grad is not None], lr=0.0)  # never stepped: the scaler asks for one
        before = self.scale
        self._scaler.unscale_(holder)
        self._scaler.update()
        return self.scale >= before or before <= SMALLEST_SCALE

    @property
    def scale(self) -> float:
        """What gradients are multiplied by until `unscale`."""
        return self._scaler.get_scale()

    def stats(self, *, fits: bool) -> dict[str, Mean]:
        """What is worth logging of a step, of which `unscale` has said so: in fp16 the share of skipped steps, and the scale."""
        if not self._scaler.is_enabled():
            return {}
        values = {"skipped": float(not fits), "loss_scale": self.scale}
        return {name: Mean(torch.tensor(value, device=self.device), torch.ones((), device=self.device)) for name, value in values.items()}

    def state_dict(self) -> dict[str, Any]:
        """The scale and for how long it has held."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; a run that goes on in another format begins anew."""
        if state and self._scaler.is_enabled():
            self._scaler.load_state_dict(dict(state))


@contextmanager
def bfloat16_copies(learner: nn.Module) -> Iterator[None]:
    """Inside, the learner computes with bfloat16 copies of its weights; gradients arrive at the weights themselves, in their format."""
    with ExitStack() as undo:
        copies: dict[nn.Parameter, Tensor] = {}
        for module, name, parameter in list(_copied(learner)):
            if parameter not in copies:  # a weight in two places is one copy
                copies[parameter] = parameter.to(torch.bfloat16)
            undo.callback(module._parameters.__setitem__, name, parameter)
            module._parameters[name] = copies[parameter]  # type: ignore[assignment]  # it is a function of the parameter, not one itself
        for module in learner.modules():
            if isinstance(module, nn.Embedding):
                undo.callback(module.register_forward_hook(_in_bfloat16).remove)
        yield


def _copied(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    """Every place of a parameter in float32 that is not to stay there: its module, its name in it, and what it is."""
    if isinstance(module, ExactLinear):
        return
    if not isinstance(module, nn.Embedding | Readout):  # whose own parameters are tables
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.dtype == torch.float32:
                yield module, name, parameter
    for child in module.children():
        yield from _copied(child)


def _in_bfloat16(module: nn.Module, inputs: Any, embedded: Tensor) -> Tensor:
    return embedded.to(torch.bfloat16)
