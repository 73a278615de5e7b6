"""Templates as the pages need them: checked when written, filled when shown. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from portal_api.editing import Refused
from rendering.errors import TemplateError
from rendering.parts import Template
from rendering.preview import preview
from rendering.templates import allowed, check


def check_template(name: str, text: str) -> None:
    """Raises Refused if no lead could ever get this text: it is no Liquid, it names a variable,
    tag or filter that there is not, or it is over a limit."""
    try:
        check(text)
    except TemplateError as error:
        raise Refused(f"{name}: {error.sentence}") from None


def filled(text: str, variables: Mapping[str, str]) -> str:
    """The text with its values in, for showing; the text itself where that fails."""
    try:
        values = allowed(variables)
    except TemplateError:
        return text
    shown = preview(Template(channel="task", subject="", body=text), values, footer=False)
    return text if shown.parts is None else shown.parts.text
