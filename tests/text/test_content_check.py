"""What is no plain text is refused by its content, with settings that take it, and what is text of any kind is taken."""

import io
import json
import pickle
import random
import re
from pathlib import Path

import numpy as np
import pytest

from assay.core.recipe import apply_overrides
from assay.errors import DataError
from assay.text.content_check import check_plain_text
from assay.text.decompression import FileContent
from assay.text.text_files import TextConfig

PROSE = "".join(f"The {number} ships came home in the autumn, and the wind was with them.\n" for number in range(50))
GREEK = "Τα πλοία γύρισαν το φθινόπωρο, και ο άνεμος ήταν μαζί τους.\n" * 50
CHINESE = "船在秋天回來了,風與他們同在。\n" * 50
RECORDS = "".join(json.dumps({"id": number, "text": f"ship {number}"}) + "\n" for number in range(20))
CSV = "id,text\n" + "".join(f'{number},"ship ""{number}"", home"\n' for number in range(20))


def saved_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(500.0))
    return buffer.getvalue()


BINARY = {
    "UTF-16LE": (PROSE.encode("utf-16-le"), "iconv -f UTF-16LE"),
    "UTF-16BE": (PROSE.encode("utf-16-be"), "iconv -f UTF-16BE"),
    "UTF-16LE of Chinese": (CHINESE.encode("utf-16-le"), "iconv -f UTF-16LE"),
    "UTF-32LE": (PROSE.encode("utf-32-le"), "iconv -f UTF-32LE"),
    "UTF-32BE": (GREEK.encode("utf-32-be"), "iconv -f UTF-32BE"),
    "five letters of UTF-16": ("ships".encode("utf-16-le"), "iconv -f UTF-16LE"),
    "random bytes": (random.Random(1).randbytes(10_000), "no text"),
    "a megabyte of random bytes": (random.Random(2).randbytes(2**20), "no text"),
    "text before random bytes": (PROSE.encode() * 100 + random.Random(3).randbytes(2**19), "no text"),
    "numbers": (np.arange(1000, dtype="<f4").tobytes(), "no text"),
    "Windows-1251": ("Корабли вернулись осенью, и ветер был с ними.\n".encode("cp1251") * 50, "not in UTF-8"),
    "JSON lines": (RECORDS.encode(), "corpus.format=jsonl corpus.field=FIELD"),
    "JSON lines after a mark": (b"\xef\xbb\xbf" + RECORDS.encode(), "JSON objects"),
    "one JSON object": (b'{"text": "a ship"}', "JSON objects"),
    "a JSON array": (json.dumps([{"text": f"ship {number}"} for number in range(20)]).encode(), "holds JSON"),
    "an indented JSON object": (json.dumps({"texts": PROSE.split("\n")}, indent=1).encode(), "holds JSON"),
    "lines of JSON arrays": (b"".join(b'[%d, "ship"]\n' % number for number in range(20)), "holds JSON"),
    "a text with a tail of random bytes": (PROSE.encode() * 17 + random.Random(4).randbytes(20_000), "a part of it"),
    "UTF-16LE of Chinese in one line": (CHINESE.replace("\n", "").encode("utf-16-le"), "iconv -f UTF-16LE"),
    "UTF-16BE of Chinese in one line": (CHINESE.replace("\n", "").encode("utf-16-be"), "iconv -f UTF-16BE"),
    "a pickle": (pickle.dumps(PROSE.split()), "pickle"),
    "an array": (saved_array(), "numpy"),
}
PLAIN = {
    "prose": PROSE.encode(),
    "Latin-1": "Les bateaux rentrés à l'été étaient très fâchés, où çà.\n".encode("latin-1") * 50,
    "stray bytes": b"\xff" + PROSE.encode() + b"\xfe\x80\x00",
    "a text of stray bytes": b"a\xff\x00",
    "Chinese": CHINESE.encode(),
    "Japanese": "船は秋に帰ってきた、風と共に。\n".encode() * 50,
    "Greek": GREEK.encode(),
    "poetry": b"Shall I compare thee, love, to summer's day,\nThou art more fair, and far more temperate, say,\n" * 30,
    "a comma in each line": b"".join(b"the king, who was %d, went home\n" % number for number in range(50)),
    "large numbers": b"".join(b"in %d it had 1,%03d people\n" % (1000 + number, number) for number in range(50)),
    "source code": Path(__file__).read_bytes(),
    "C": b"int main(void) {\n\tint i = 0;\n\tputs(names[i]);\n\treturn 0;\n}\n" * 30,
    "indented": b"\tone\n\ttwo and more\n\tthree\n" * 30,
    "Markdown": b"| a | b |\n|---|---|\n| 1, 2 | 3; 4 |\n| x | y |\n\nText, as it is.\n" * 20,
    "colours of a terminal": b"\x1b[31mred\x1b[0m and \x1b[1mbold\x1b[0m\n" * 50,
    "footnotes": b"[1] The ships came home.\n[2] In the autumn.\n" * 30,
    "braces": b"{ not json }\n{'python': 1}\n" * 30,
    "an empty object in each line": b"{}\n" * 30,
    "nothing": b"",
}
TABLES = {
    "commas": (CSV.encode(), "csv"),
    "semicolons": (CSV.replace(",", ";").encode(), "csv"),
    "tabs": (b"id\ttext\n" + b"".join(b'%d\tships, "home"\n' % number for number in range(20)), "tsv"),
}


def judge(data: bytes) -> tuple[str, ...]:
    return check_plain_text(FileContent("here/mine", "mine", data), "corpus.format=text")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(*overrides: str, name: str = "mine.txt") -> list[bytes]:
    tree = apply_overrides({"corpus": {"kind": "text", "path": name}}, overrides)
    return list(TextConfig.make(tree["corpus"]).load(None).documents)


@pytest.mark.parametrize("name", BINARY)
def test_what_is_no_text_is_refused_and_taken_as_it_is_where_that_is_said(name: str) -> None:
    data, said = BINARY[name]
    Path("mine.txt").write_bytes(data)
    with pytest.raises(DataError, match=rf"^corpus\.path: mine\.txt .*{re.escape(said)}"):
        load()
    assert load("corpus.format=text", "corpus.document=file") == [data.removesuffix(b"\n")]


@pytest.mark.parametrize("name", PLAIN)
def test_a_text_of_any_kind_is_taken_without_a_word(name: str) -> None:
    assert judge(PLAIN[name]) == ()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_called_a_text_is_kept_and_noted_with_the_setting_that_reads_it(name: str) -> None:
    data, kind = TABLES[name]
    Path("mine.txt").write_bytes(data)
    (note,) = judge(data)
    assert len(load()) == 21
    (setting,) = re.findall(r"corpus\.format=\w+", note)
    assert setting == f"corpus.format={kind}"
    assert len(load(setting)) == len(load(setting, "corpus.field=text")) == 20


def test_json_lines_are_read_as_the_refusal_says() -> None:
    for name in ("mine.txt", "mine.json", "mine"):
        Path(name).write_text(RECORDS)
        with pytest.raises(DataError, match=r"theirs: id and text") as refused:
            load(name=name)
        settings = re.findall(r"corpus\.\w+=\w+", str(refused.value))
        assert load(*(each.replace("FIELD", "text") for each in settings[:2]), name=name)[3] == b"ship 3"
        assert load(settings[2], name=name) == RECORDS.encode().splitlines()
    Path("mine.ndjson").write_text(RECORDS)
    assert load(name="mine.ndjson")[3] == b"ship 3"


def test_a_long_text_is_judged_by_pieces_of_it() -> None:
    half = PROSE.encode() * 2000
    assert judge(half) == ()
    with pytest.raises(DataError, match="UTF-16LE"):
        judge((PROSE * 2000).encode("utf-16-le"))
    Path("mine.txt").write_bytes(b"x" * 10**6)
    assert len(load()) == 1
