"""How a description is shown: layers that are alike are one row."""

from assay.views.configs import ParameterRow, group_layers


def parameter(name: str, count: int = 6) -> dict[str, object]:
    return {"name": name, "role": "matrix", "shape": [2, count // 2], "count": count}


def test_identical_layers_in_a_row_are_folded() -> None:
    listed = [parameter("embedding.weight", 100), *(parameter(f"blocks.{layer}.mixer.weight") for layer in (0, 1))]
    listed += [parameter("blocks.2.mixer.weight"), parameter("blocks.2.feedforward.weight"), parameter("blocks.3.mixer.weight")]
    assert [(fold.name, fold.total) for fold in group_layers(listed)] == [
        ("embedding.weight", 100),
        ("blocks.0-1.mixer.weight", 12),
        ("blocks.2.mixer.weight", 6),
        ("blocks.2.feedforward.weight", 6),
        ("blocks.3.mixer.weight", 6),
    ]
    assert group_layers(listed)[0] == ParameterRow("embedding.weight", "matrix", (2, 50), 100)
