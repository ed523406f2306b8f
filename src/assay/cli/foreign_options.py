"""Explain a refused option that is a setting of another program, such as nanoGPT's `--n_layer=6`."""

import sys
from functools import partial
from typing import Any

from assay.core.config_keys import find_refusal
from assay.core.foreign_settings import load_foreign_settings
from assay.core.recipe import parse_value
from assay.errors import ConfigError


def explain_foreign_option(option: str, context: Any) -> str | None:
    """Say what the option is here, or that it is one of another command; None where no other program has it."""
    setting = load_foreign_settings().get(option.lstrip("-").replace("-", "_"))
    if setting is None:
        return None
    takes_settings = any(parameter.name == "overrides" for parameter in context.command.params)
    ours = f"--{option.lstrip('-').replace('_', '-')}"
    if ours in _list_options(context.find_root().command) and not (setting.keys and takes_settings):
        known = ours in _list_options(context.command)
        return f"no such option: {option}; " + (f"did you mean {ours}?" if known else f"`{context.command_path}` does not take it")
    from assay.experiment.config import ExperimentConfig

    return f"{option} ({setting.of[0]}) {setting.explain(_find_value(option), partial(find_refusal, ExperimentConfig))}"


def _find_value(option: str) -> Any:
    """Find the value in `--option=value`; None where there is none."""
    text = next((word.partition("=")[2] for word in sys.argv if word.startswith(f"{option}=")), None)
    try:
        return None if text is None else parse_value(text)
    except ConfigError:
        return text


def _list_options(command: Any) -> set[str]:
    """List the options of a command and of those inside it."""
    own = {option for parameter in command.params for option in parameter.opts}
    return own.union(*map(_list_options, getattr(command, "commands", {}).values()))
