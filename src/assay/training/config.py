"""The settings under `train`: how long, how exactly and where to train, and how often to log, validate, sample and save."""

from typing import Literal

from assay.core.config import Config, setting
from assay.errors import ConfigError
from assay.training.budget import Amount, Interval
from assay.training.precision import Precision


class TrainConfig(Config):
    """How long, how exactly and where to train, and how often to log, validate, sample and save."""

    budget: Amount = setting(
        "3epochs", "how long: 300steps, 3epochs, 10Mtokens, 2Pflops, 90s, 5min or 2h", alternative="1epoch", affects="report"
    )
    seed: int = setting(0, "decides initial weights, data order, dropout and samples", alternative=1, affects="output", ge=0)
    accumulation: int = setting(1, "micro-batches a step; the update does not depend on it", alternative=2, affects="cost", ge=1, le=2**16)
    clip: float = setting(1.0, "largest norm of the whole gradient; 0: no limit", alternative=0.01, affects="training", ge=0)
    clip_value: float = setting(
        0.0, "largest size of each element of the gradient; 0: no limit", alternative=1e-4, affects="training", ge=0
    )
    precision: Precision | Literal["auto"] = setting(
        "float32", "number format in training: float32, tf32, bf16 (of products), bf16_weights (of activations too), fp16, float64; "
        "auto: bf16 where the device has it, else float32", alternative="bf16", affects="training",
    )  # fmt: skip
    device: str = setting("auto", "cpu, cuda, cuda:1, mps (Apple's), or auto: cuda if there is one", alternative="cpu", affects="report")
    activation_checkpointing: bool = setting(
        False, "compute each block again in the backward pass instead of keeping what it computed: less memory, more time",
        alternative=True, affects="cost",
    )  # fmt: skip
    compile: bool = setting(False, "torch.compile each block; pays on a GPU, seldom on a CPU", alternative=True, affects="cost")
    ema: float | None = setting(
        None, "decay of an exponential moving average of the weights, scored beside the last (absent: none)", alternative=0.9,
        affects="report", gt=0, lt=1,
    )  # fmt: skip
    noise_scale: bool = setting(
        False, "log the gradient noise scale in tokens; needs train.accumulation of 2 or more", alternative=True, affects="report"
    )
    patience: int | None = setting(
        None, "validations in a row without a better score after which a run ends (absent: never)", alternative=1, affects="report", ge=1
    )
    log_every: Interval = setting("50steps", "how often to log metrics", alternative="5steps", affects="report")
    validate_every: Interval = setting("0.5epochs", "how often to score the validation split", alternative="5steps", affects="report")
    validation_bytes: int = setting(
        8_000_000, "a larger split is scored on a spread sample while training", alternative=1000, affects="report", ge=1
    )
    training_bytes: int | None = setting(
        None, "of training text that each validation scores as well, without dropout (absent: none)", alternative=1000, affects="report",
        ge=1,
    )  # fmt: skip
    full_validate_every: Interval | None = setting(
        None, "how often to score the whole validation split too, where validation_bytes makes a sample of it (absent: at the end)",
        alternative="5steps", affects="report",
    )  # fmt: skip
    sample_every: Interval = setting("1epoch", "how often to write samples", alternative="5steps", affects="report")
    samples: int = setting(2, "texts in a sample", alternative=1, affects="report", ge=0)
    save_every: Interval = setting("200steps", "how often to save a checkpoint", alternative="5steps", affects="report")
    keep_every: Interval | None = setting(
        None, "how often to save a checkpoint that is never deleted, to look back at (absent: the last and the best are kept)",
        alternative="5steps", affects="report",
    )  # fmt: skip

    def model_post_init(self, context: object) -> None:
        if self.noise_scale and self.accumulation < 2:
            raise ConfigError("noise_scale", "compares the gradients of micro-batches; set train.accumulation to 2 or more")
        if self.noise_scale and self.precision == "fp16":
            raise ConfigError("noise_scale", "looks at gradients as they arrive, and fp16 scales them; use another train.precision")
