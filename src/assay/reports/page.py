"""Render a report as one HTML file that needs nothing else: no request, no library, one stylesheet, one small script."""

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

from assay.reports.content import ReportContent
from assay.reports.token_heatmap import LEVELS
from assay.runs.provenance import code_version

TEMPLATES = Path(str(files("assay") / "reports" / "templates"))


def render_page(content: ReportContent) -> str:
    """Return the text of the HTML file. Names and texts are escaped wherever they come from."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 (optional)
    from markupsafe import Markup  # noqa: PLC0415 (comes with jinja2)

    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    panels = {name: panel._replace(charts=tuple(map(Markup, panel.charts))) for name, panel in content.panels.items()}
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        **vars(content) | {"panels": panels},
        sections=list_sections(content),
        levels=LEVELS,
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
