"""Templates of the report's pages, filled with escaped text."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from markupsafe import Markup

from nas_peft.report.palette import variables
from nas_peft.run.version import __version__


def rendered(template: str, **content: Any) -> str:
    """The page of a template. Every text in ``content`` is escaped unless it is `Markup`.

    A name that a template uses and ``content`` lacks is an error.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("nas_peft.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (files("nas_peft.report") / "templates" / "style.css").read_text(encoding="utf-8")
    page = environment.get_template(template).render(
        style=Markup(style),
        light=Markup(variables(dark=False)),
        dark=Markup(variables(dark=True)),
        version=__version__,
        **content,
    )
    return page
