"""What stands below the Python blocks of a page is what they print."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")
WRITTEN = re.compile(r"^> .*$", re.MULTILINE)  # by a model, which rounding changes: a block that prints it puts "> " before it

PAGE = """\
```python
import math
x = 2
```

```python
print("é", x * math.pi)
```

```text
an old line
```

Prose.

```sh
$ false
```
"""


def renewed(page: Path) -> subprocess.CompletedProcess[str]:
    """What docs/python_blocks.py does with a page."""
    command = [sys.executable, str(ROOT / "docs" / "python_blocks.py"), str(page)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_outputs_are_made_anew_by_their_blocks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    assert renewed(page).returncode == 0
    assert page.read_text(encoding="utf-8") == PAGE.replace("an old line", "é 6.283185307179586")


@pytest.mark.parametrize("change", [("x = 2", "print(2)"), ('print("é", x * math.pi)', "x"), ("x = 2", "1 / 0")])
def test_a_page_whose_blocks_fail_or_print_elsewhere_stays_as_it_was(tmp_path: Path, change: tuple[str, str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace(*change), encoding="utf-8")
    assert renewed(page).returncode != 0
    assert page.read_text(encoding="utf-8") == PAGE.replace(*change)


@pytest.mark.parametrize(
    "name", ["docs/check.md", *(pytest.param(name, marks=pytest.mark.slow) for name in ("README.md", "docs/python.md"))]
)
def test_a_page_shows_what_its_blocks_print(name: str, tmp_path: Path) -> None:
    """To the letter, but for what a model wrote; figures may differ as arithmetic differs between machines, which training adds up."""
    page = tmp_path / "page.md"
    page.write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    done = renewed(page)
    assert done.returncode == 0, done.stderr
    text, now = (WRITTEN.sub("> ...", one.read_text(encoding="utf-8")) for one in (ROOT / name, page))
    assert NUMBER.sub("#", now) == NUMBER.sub("#", text)
    found, shown = ([float(number) for number in NUMBER.findall(one)] for one in (now, text))
    assert found == pytest.approx(shown, rel=0.1, abs=0.06)
