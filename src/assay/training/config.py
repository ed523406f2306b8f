"""How long, how exactly and where to train, and what to do meanwhile: the settings under `train`."""

from typing import Literal

from assay.core.config import Config, setting
from assay.errors import ConfigError
from assay.training.budget import Budget
from assay.training.precision import Precision


class TrainConfig(Config):
    """How long, how exactly and where to train, and what to do meanwhile."""

    budget: str = setting("3epochs", "how long: 300steps, 3epochs, 10Mtokens, 2Pflops or 5min", other="1epoch", bites="report")
    seed: int = setting(0, "decides initial weights, data order, dropout and samples", other=1, bites="output", ge=0)
    accumulation: int = setting(1, "micro-batches a step; the update does not depend on it", other=2, bites="cost", ge=1)
    clip: float = setting(1.0, "largest norm of the whole gradient; 0: no limit", other=0.01, bites="training", ge=0)
    clip_value: float = setting(0.0, "largest size of each element of the gradient; 0: no limit", other=1e-4, bites="training", ge=0)
    precision: Precision | Literal["auto"] = setting(
        "float32", "number format in training: float32, tf32, bf16 (of products), bf16_weights (of activations too), fp16, float64; "
        "auto: what the device is made for", other="bf16", bites="training",
    )  # fmt: skip
    device: str = setting("auto", "cpu, cuda, cuda:1, or auto: a GPU if there is one", other="cpu", bites="report")
    activation_checkpointing: bool = setting(
        False, "compute each block again in the backward pass instead of keeping what it computed: less memory, more time", other=True,
        bites="cost",
    )  # fmt: skip
    compile: bool = setting(False, "torch.compile each block; pays on a GPU, seldom on a CPU", other=True, bites="cost")
    ema: float | None = setting(
        None, "decay of an exponential moving average of the weights, scored beside the last (absent: none)", other=0.9, bites="report",
        gt=0, lt=1,
    )  # fmt: skip
    noise_scale: bool = setting(
        False, "log the gradient noise scale in tokens; wants train.accumulation of 2 or more", other=True, bites="report"
    )
    patience: int | None = setting(
        None, "validations in a row without a better figure after which a run ends (absent: never)", other=1, bites="report", ge=1
    )
    log_every: str = setting("50steps", "rhythm of the metrics", other="5steps", bites="report")
    validate_every: str = setting("0.5epochs", "rhythm of scoring the validation split", other="5steps", bites="report")
    validation_bytes: int = setting(
        8_000_000, "a larger split is scored on a spread sample while training", other=1000, bites="report", ge=1
    )
    sample_every: str = setting("1epoch", "rhythm of the samples", other="5steps", bites="report")
    samples: int = setting(2, "texts in a sample", other=1, bites="report", ge=0)
    save_every: str = setting("200steps", "rhythm of the checkpoints", other="5steps", bites="report")

    def model_post_init(self, context: object) -> None:
        if self.noise_scale and self.accumulation < 2:
            raise ConfigError("noise_scale", "compares the gradients of micro-batches; set train.accumulation to 2 or more")
        if self.noise_scale and self.precision == "fp16":
            raise ConfigError("noise_scale", "looks at gradients as they arrive, and fp16 scales them; use another train.precision")
        for name in ("budget", "log_every", "validate_every", "sample_every", "save_every"):
            try:
                unit = Budget.parse(getattr(self, name)).unit
            except ConfigError as error:
                raise error.under(name) from None
            if unit in ("minutes", "flops") and name != "budget":
                raise ConfigError(name, f"cannot be in {unit}, which are for the budget alone; write steps, epochs or tokens")
