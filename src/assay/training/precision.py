"""Choose the number formats of training, and compute in them.

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
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from assay.core.devices import refuse_missing_format
from assay.core.types import Batch, Mean, State, TrainingProgress
from assay.errors import ConfigError
from assay.models.readout import Readout
from assay.nn.linear import Float32Linear
from assay.training.learner import LossOutput

Precision = Literal["float32", "tf32", "bf16", "bf16_weights", "fp16", "float64"]
AMPERE = (8, 0)  # the compute capability from which NVIDIA's GPUs have TF32 and bfloat16
AUTOCAST: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
SMALLEST_SCALE = 1.0  # of the loss in float16: what overflows even so is no matter of scale


def choose_precision(requested: str, device: torch.device) -> Precision:
    """Return the requested format, or for `auto` the device's best. Raises ConfigError where the device does not have it.

    `auto` is bf16 if the device multiplies bfloat16 matrices in hardware, else float32.
    """
    refuse_missing_format(requested, device)
    modern_gpu = device.type == "cuda" and torch.cuda.get_device_capability(device) >= AMPERE
    if requested == "auto":
        return "bf16" if modern_gpu or (device.type == "cpu" and cpu_supports_bf16()) else "float32"
    if requested == "tf32" and not modern_gpu:
        raise ConfigError(
            "train.precision", f"tf32 is a format of NVIDIA's GPUs from Ampere on, not of {device}; use float32, bf16 or auto"
        )
    if requested in ("bf16", "bf16_weights") and device.type == "cuda" and not modern_gpu:
        raise ConfigError(
            "train.precision", f"{device} does not compute in bfloat16 (NVIDIA's GPUs do from Ampere on); use fp16, float32 or auto"
        )
    return cast(Precision, requested)


def cpu_supports_bf16() -> bool:
    """Return whether this CPU has instructions for products of bfloat16 numbers (AVX512-BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def weight_dtype(precision: str) -> torch.dtype:
    """Return the number format of the weights that are learned."""
    return torch.float64 if precision == "float64" else torch.float32


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """Return the context in which a forward pass runs."""
    if precision == "fp16" and device.type == "cpu":
        return _autocast_fp16_on_cpu()
    if precision in AUTOCAST:
        return torch.autocast(device.type, dtype=AUTOCAST[precision])
    return _use_tf32() if precision == "tf32" else nullcontext()


@contextmanager
def _autocast_fp16_on_cpu() -> Iterator[None]:
    """Compute in float16 as on a GPU, a hundred times more slowly: for tests. oneDNN is switched off, as its LSTM has no float16."""
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        with torch.autocast("cpu", dtype=torch.float16):
            yield
    finally:
        torch._C._set_mkldnn_enabled(before)


@contextmanager
def _use_tf32() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class MixedPrecision:
    """Runs the forward and backward passes of a run in its number format; in fp16 it also adapts the scale of the loss."""

    def __init__(self, precision: Precision, device: torch.device) -> None:
        self.precision, self.device = precision, device
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def cast_weights(self, learner: nn.Module) -> AbstractContextManager[None]:
        """Temporarily give the learner the weights that its format computes with, around all passes of a step."""
        return use_bfloat16_copies(learner) if self.precision == "bf16_weights" else nullcontext()

    def forward(self, wrapped: nn.Module, batch: Batch, progress: TrainingProgress, carried: State) -> LossOutput:
        """Run the forward pass of a micro-batch."""
        with autocast(self.precision, self.device):
            output: LossOutput = wrapped(batch, progress, carried)
        return output

    def backward(self, total: Tensor) -> None:
        """Add the gradients of `total` to those of the micro-batches before."""
        with _use_tf32() if self.precision == "tf32" else nullcontext():
            self._scaler.scale(total).backward()

    def unscale(self, parameters: Iterable[nn.Parameter]) -> bool:
        """Bring the gradients to their true size after all micro-batches; return False if they overflowed and the step is to be skipped.

        The scale is then lowered. At the smallest scale, gradients are not finite for another reason: True is returned, and the check for
        every format finds them. Looking at the outcome makes a GPU's host wait.
        """
        if not self._scaler.is_enabled():
            return True
        holder = torch.optim.SGD([p for p in parameters if p.grad is not None], lr=0.0)  # never stepped: the scaler asks for one
        before = self.loss_scale
        self._scaler.unscale_(holder)
        self._scaler.update()
        return self.loss_scale >= before or before <= SMALLEST_SCALE

    @property
    def loss_scale(self) -> float:
        """The factor of the gradients until `unscale`."""
        return self._scaler.get_scale()

    def stats(self, *, in_range: bool) -> dict[str, Mean]:
        """Return statistics of a step, in fp16 alone: the share of skipped steps, and the scale; `in_range` is what `unscale` returned."""
        if not self._scaler.is_enabled():
            return {}
        values = {"skipped": float(not in_range), "loss_scale": self.loss_scale}
        return {name: Mean(torch.tensor(value, device=self.device), torch.ones((), device=self.device)) for name, value in values.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the scale, and how many steps ago it changed."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a saved scale, unless the run was resumed in another format."""
        if state and self._scaler.is_enabled():
            self._scaler.load_state_dict(dict(state))


@contextmanager
def use_bfloat16_copies(learner: nn.Module) -> Iterator[None]:
    """Temporarily compute with bfloat16 copies of the weights; gradients arrive at the weights themselves, in their format."""
    with ExitStack() as undo:
        copies: dict[nn.Parameter, Tensor] = {}
        for module, name, parameter in list(_parameters_to_copy(learner)):
            if parameter not in copies:  # a weight in two places is one copy
                copies[parameter] = parameter.to(torch.bfloat16)
            undo.callback(module._parameters.__setitem__, name, parameter)
            module._parameters[name] = copies[parameter]  # type: ignore[assignment]  # it is a function of the parameter, not one itself
        for module in learner.modules():
            if isinstance(module, nn.Embedding):
                undo.callback(module.register_forward_hook(_to_bfloat16).remove)
        yield


def _parameters_to_copy(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    """Yield every parameter that is computed with in bfloat16: its module, its name in it, and the parameter."""
    if isinstance(module, Float32Linear):
        return
    if not isinstance(module, nn.Embedding | Readout):  # whose own parameters are tables
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.dtype == torch.float32:
                yield module, name, parameter
    for child in module.children():
        yield from _parameters_to_copy(child)


def _to_bfloat16(module: nn.Module, inputs: Any, embedded: Tensor) -> Tensor:
    return embedded.to(torch.bfloat16)
