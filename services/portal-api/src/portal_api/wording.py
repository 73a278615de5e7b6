"""Templates as the pages need them: checked when written, filled when shown. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from liquid import Environment
from liquid.exceptions import LiquidError

from portal_api.editing import VARIABLES, Refused

_ENVIRONMENT = Environment()


def check_template(name: str, text: str) -> None:
    """Raises Refused if `text` is no Liquid, or names a variable that nobody has a value for."""
    try:
        template = _ENVIRONMENT.from_string(text)
    except LiquidError as error:
        raise Refused(f"{name}: {error.args[0] if error.args else 'not Liquid'}") from None
    named = {
        variable.segments[0] for each in template.analyze().globals.values() for variable in each
    }
    if unknown := sorted(str(each) for each in named - set(VARIABLES)):
        raise Refused(
            f"{name}: there is no variable {', '.join(unknown)}; there are {', '.join(VARIABLES)}"
        )


def filled(text: str, variables: Mapping[str, str]) -> str:
    """The text with its values in, for showing; the text itself where that fails."""
    try:
        return _ENVIRONMENT.from_string(text).render(**variables)
    except LiquidError:
        return text
