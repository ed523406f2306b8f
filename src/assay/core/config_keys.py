"""Look up keys in the classes of configs: which dotted keys there can be at all, with any choice of kinds."""

from assay.core.config import Config, config_class, is_family


def has_key(config: type[Config], key: str) -> bool:
    """Whether a config, or one of the kinds of its family, has such a key; what is in a list or a table is not looked into."""
    head, _, rest = key.partition(".")
    kinds = [] if config.family is None or not is_family(config) else [*config.family.kinds.values()]
    fields = [candidate.model_fields[head] for candidate in (config, *kinds) if head in candidate.model_fields]
    if not rest or not fields:
        return bool(fields)
    inner = [config_class(field.annotation) for field in fields]
    return any(part is None or has_key(part, rest) for part in inner)
