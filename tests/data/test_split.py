"""Splits: every document in one part, equal ones together where promised, order kept where promised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.config import FAMILIES
from assay.data.split import PARTS, ContiguousConfig, HashConfig, ShuffleConfig, Split, SplitConfig
from assay.errors import ConfigError

DOCUMENTS = [f"document {number}".encode() for number in range(2000)]
KINDS: list[SplitConfig] = [HashConfig(), ShuffleConfig(), ContiguousConfig()]

each = pytest.mark.parametrize("config", KINDS, ids=lambda config: config.kind)


def owner(split: Split) -> dict[bytes, str]:
    return {document: part for part in PARTS for document in split.documents[part]}


def test_the_test_covers_every_split() -> None:
    assert set(FAMILIES["split"].kinds) == {config.to_dict()["kind"] for config in KINDS}


@each
def test_every_document_is_in_exactly_one_part_and_in_order(config: SplitConfig) -> None:
    split = config.apply(DOCUMENTS)
    assert sorted(index for part in PARTS for index in split.indices[part]) == list(range(len(DOCUMENTS)))
    for part in PARTS:
        assert split.indices[part] == sorted(split.indices[part])
        assert split.documents[part] == [DOCUMENTS[index] for index in split.indices[part]]


@each
def test_the_shares_are_those_asked_for(config: SplitConfig) -> None:
    split = config.replace(validation=0.2, test=0.1).apply(DOCUMENTS)
    assert len(split.documents["validation"]) / len(DOCUMENTS) == pytest.approx(0.2, abs=0.03)
    assert len(split.documents["test"]) / len(DOCUMENTS) == pytest.approx(0.1, abs=0.03)


@each
def test_a_split_is_a_function_of_config_and_text(config: SplitConfig) -> None:
    assert config.apply(DOCUMENTS).sha256() == config.apply(DOCUMENTS).sha256()
    assert config.apply(DOCUMENTS).sha256() != config.replace(validation=0.1).apply(DOCUMENTS).sha256()


@each
def test_no_test_part_can_be_asked_for(config: SplitConfig) -> None:
    split = config.replace(test=0.0).apply(DOCUMENTS)
    assert split.documents["test"] == []
    assert split.documents["validation"]


@pytest.mark.parametrize("config", [HashConfig(), ShuffleConfig()], ids=["hash", "shuffle"])
def test_equal_documents_stay_together(config: SplitConfig) -> None:
    repeated = DOCUMENTS[:300] * 3
    split = config.replace(validation=0.3, test=0.3).apply(repeated)
    contents = [set(split.documents[part]) for part in PARTS]
    assert sum(map(len, contents)) == 300
    assert sum(len(split.documents[part]) for part in PARTS) == 900


def test_a_hashed_document_keeps_its_part_when_others_come_and_go() -> None:
    before, after = owner(HashConfig().apply(DOCUMENTS[:1000])), owner(HashConfig().apply(DOCUMENTS[500:][::-1]))
    common = set(DOCUMENTS[500:1000])
    assert {document: before[document] for document in common} == {document: after[document] for document in common}


def test_the_hash_split_of_a_document_is_pinned() -> None:
    parts = owner(HashConfig(validation=0.3, test=0.3).apply(DOCUMENTS[:12]))
    assert [parts[document] for document in DOCUMENTS[:6]] == [
        "train",
        "validation",
        "train",
        "train",
        "validation",
        "test",
    ]


def test_another_salt_or_seed_is_another_split() -> None:
    assert HashConfig(salt="pepper").apply(DOCUMENTS).sha256() != HashConfig().apply(DOCUMENTS).sha256()
    assert ShuffleConfig(seed=1).apply(DOCUMENTS).sha256() != ShuffleConfig(seed=2).apply(DOCUMENTS).sha256()


def test_a_shuffle_gives_small_texts_one_document_for_each_share() -> None:
    split = ShuffleConfig(validation=0.01, test=0.01).apply(DOCUMENTS[:3])
    assert [len(split.documents[part]) for part in PARTS] == [1, 1, 1]


def test_a_contiguous_split_is_train_then_validation_then_test() -> None:
    split = ContiguousConfig(validation=0.1, test=0.1).apply(DOCUMENTS)
    assert [document for part in PARTS for document in split.documents[part]] == DOCUMENTS
    total = sum(len(document) + 1 for document in DOCUMENTS)
    train = sum(len(document) + 1 for document in split.documents["train"])
    assert train == pytest.approx(0.8 * total, abs=20)


def test_one_long_document_is_cut_where_the_shares_say() -> None:
    split = ContiguousConfig(validation=0.1, test=0.2).apply([b"x" * 999])
    assert [[len(piece) for piece in split.documents[part]] for part in PARTS] == [[700], [100], [199]]
    assert split.indices == {"train": [0], "validation": [0], "test": [0]}


def test_a_cut_moves_to_a_document_boundary_only_when_it_is_near() -> None:
    near = ContiguousConfig(validation=0.2, test=0.0).apply([b"x" * 804, b"y" * 194])
    assert [len(document) for document in near.documents["train"]] == [804]
    far = ContiguousConfig(validation=0.2, test=0.0).apply([b"x" * 849, b"y" * 149])
    assert [len(document) for document in far.documents["train"]] == [800]
    assert [len(document) for document in far.documents["validation"]] == [49, 149]


@given(
    text=st.text(alphabet="aé熊\U0001f9ea", min_size=30, max_size=60),
    validation=st.floats(0.1, 0.4),
    test=st.floats(0.1, 0.4),
)
def test_a_cut_never_falls_inside_a_character(text: str, validation: float, test: float) -> None:
    split = ContiguousConfig(validation=validation, test=test).apply([text.encode()])
    assert "".join(document.decode() for part in PARTS for document in split.documents[part]) == text


@given(documents=st.lists(st.binary(max_size=40), min_size=1, max_size=12))
def test_contiguous_pieces_joined_are_the_documents(documents: list[bytes]) -> None:
    pieces = [b""] * len(documents)
    for _, origin, text in ContiguousConfig(validation=0.3, test=0.2).assign(documents, b"\n"):
        pieces[origin] += text
    assert pieces == documents


def test_shares_that_leave_nothing_for_training_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"validation: 0\.5 and test 0\.5 leave nothing for training"):
        HashConfig(validation=0.5, test=0.5)


def test_an_exact_split_of_a_contiguous_text_is_its_bytes() -> None:
    documents = [b"a" * 61, "é".encode() * 9, b"b" * 21]
    split = ContiguousConfig(validation=0.05, test=0.26, exact=True).apply(documents, b"")
    sizes = {part: sum(map(len, split.documents[part])) for part in ("train", "validation", "test")}
    assert sizes == {"train": 69, "validation": 5, "test": 26}
    assert b"".join(piece for part in ("train", "validation", "test") for piece in split.documents[part]) == b"".join(documents)


def test_an_exact_cut_at_the_end_of_a_document_leaves_no_empty_one_behind() -> None:
    split = ContiguousConfig(validation=0.5, test=0.0, exact=True).apply([b"aaa", b"bbb"], b"")
    assert split.documents["train"] == [b"aaa"]
    assert split.documents["validation"] == [b"bbb"]
