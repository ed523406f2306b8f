"""Characters and words as tokens: what has an id of its own, and what is spelt in bytes."""

from assay.text.char import CharConfig
from assay.text.tokenizer import Tokenizer
from assay.text.word import WordConfig


def spelt(tokenizer: Tokenizer, text: str) -> list[bytes]:
    return [tokenizer.spellings[token] for token in tokenizer.encode([text.encode()])[0].tolist()]


def test_a_character_of_the_training_text_is_one_token_and_any_other_its_bytes() -> None:
    tokenizer = CharConfig().train(["naïve 日本".encode()])
    assert spelt(tokenizer, "aï日語") == [b"a", "ï".encode(), "日".encode(), *(bytes([byte]) for byte in "語".encode())]
    assert tokenizer.size == 256 + 3 + 1


def test_an_ascii_text_has_the_ids_of_its_bytes() -> None:
    tokenizer = CharConfig().train([b"In the beginning"])
    assert tokenizer.size == 257
    assert tokenizer.encode([b"begin"])[0].tolist() == list(b"begin")


def test_a_rare_character_is_spelt_in_bytes() -> None:
    assert CharConfig(min_count=2).train(["ïï日".encode()]).size == 256 + 1 + 1


def test_a_frequent_word_takes_the_space_before_it_along() -> None:
    tokenizer = WordConfig(vocabulary=300).train([b"and God saw, and God said", b"and God made"])
    assert spelt(tokenizer, "and God made") == [b"and", b" God", *(bytes([byte]) for byte in b" made")]
    assert spelt(tokenizer, "God  and") == [*(bytes([byte]) for byte in b"God  "), b"and"]


def test_the_most_frequent_words_have_the_places() -> None:
    tokenizer = WordConfig(vocabulary=258).train([b"one two two three three three"])
    assert tokenizer.spellings[256:-1] == [b" three"]


def test_a_word_that_occurs_once_has_no_place() -> None:
    assert WordConfig(vocabulary=300).train([b"alpha beta gamma"]).size == 257


def test_bytes_that_are_not_utf8_are_never_learnt() -> None:
    text = [b"\xff\xfe \xff\xfe" * 5]
    assert CharConfig().train(text).size == 257
    assert all(b"\xff" not in spelling for spelling in WordConfig(vocabulary=300).train(text).spellings[256:])
