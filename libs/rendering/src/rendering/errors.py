"""Why a template gives no message."""

from __future__ import annotations

from collections.abc import Mapping

# What people read, by rule; the names in braces are those of `inputs`.
SENTENCES: Mapping[str, str] = {
    "template_value_missing": "there is no value for {value}, and no fallback",
    "template_variable_unknown": "there is no variable {value}; there are {known}",
    "template_tag_unknown": "there is no tag {tag}; there are {known}",
    "template_filter_unknown": "there is no filter {filter}; there are {known}",
    "template_limit": "it is over a limit: {limit}",
    "template_error": "it cannot be read: {error}",
    "template_empty": "nothing comes out of it",
    "compliance_footer_missing": "an e-mail of a sequence needs {missing}",
    "recipient_malformed": "the address for {channel} is malformed",
}


class TemplateError(Exception):
    """A template that cannot be rendered; `rule` is why the message is held.

    `inputs` name the place, never a person's data.
    """

    def __init__(self, rule: str, **inputs: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.inputs: Mapping[str, str] = inputs

    @property
    def sentence(self) -> str:
        """The same for people."""
        return SENTENCES.get(self.rule, self.rule).format_map(_Named(self.inputs))


class _Named(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"the {name}"
