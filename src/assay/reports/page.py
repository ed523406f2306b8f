"""Render a report as one HTML file that needs nothing else: no request, no library, one stylesheet, one small script."""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from assay.reports.content import ReportContent
from assay.reports.svg import prefix_ids
from assay.reports.token_heatmap import LEVELS
from assay.runs.provenance import code_version

TEMPLATES = Path(str(files("assay") / "reports" / "templates"))


def render_page(*contents: ReportContent, preface: Sequence[str] = ()) -> str:
    """Return the text of the HTML file: each text after the other, below what is said of all. Names and texts are escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 (optional)
    from markupsafe import Markup  # noqa: PLC0415 (comes with jinja2)

    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    bodies, titles = [], {content.title for content in contents}  # a study has one question, runs of several texts have a base each
    for number, content in enumerate(contents, 1):
        prefix = f"text{number}-" if len(contents) > 1 else ""
        panels = {
            name: panel._replace(charts=tuple(Markup(prefix_ids(chart, prefix)) for chart in panel.charts))
            for name, panel in content.panels.items()
        }
        text = environment.get_template("text.html")
        body = text.render(**vars(content) | {"panels": panels}, sections=list_sections(content), levels=LEVELS, prefix=prefix)
        bodies.append((prefix, content, list_sections(content), Markup(body)))
    return environment.get_template("page.html").render(
        contents=bodies,
        title=contents[0].title if len(titles) == 1 else f"{contents[0].kind} on {len(contents)} texts",
        kind=contents[0].kind,
        summary=contents[0].summary if len(contents) == 1 else "; ".join(content.text for content in contents),
        preface=preface,
        version=code_version(),
        style=Markup(style),
        script=Markup(script),
        script_digest=digest,
    )


def list_sections(content: ReportContent) -> dict[str, str]:
    """List the sections that this report has, in their order: id and heading."""
    every = {
        "verdict": ("Verdict", True),
        "warnings": ("Before you rely on it", bool(content.warnings)),
        "results": ("Results", True),
        "baselines": ("What good looks like", bool(content.baselines)),
        **{name: (panel.heading, True) for name, panel in content.panels.items()},
        "reading": ("Where the bits go", bool(content.heatmap.documents or content.heatmap.missing)),
        "samples": ("What the models write", bool(content.samples)),
        "changes": ("What was changed", bool(content.changes)),
        "protocol": ("Protocol", True),
        "machine": ("Machine and versions", True),
        "runs": ("Runs", True),
    }
    return {name: heading for name, (heading, there) in every.items() if there}
