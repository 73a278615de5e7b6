"""Templates and values that mean harm, always the same; run, it renders all of them.

    python hostile.py       one JSON line a case: what came out, why not, and its CPU seconds

A process of its own, that the kernel ends after a minute of work: no case may stall it.
"""

# ruff: noqa: E501
from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator
from itertools import product
from typing import Any

from rendering.errors import TemplateError
from rendering.parts import Template, render
from rendering.templates import allowed

CPU_SECONDS = 60
FULL = 20_000
Case = dict[str, Any]
OURS = {
    "tenant_name": "Acme Roofing",
    "booking_link": "https://book.example.com/acme",
    "unsubscribe_url": "https://leads.example.com/unsubscribe/abc",
    "postal_address": "Acme Roofing, 400 Congress Ave, Austin, TX 78701",
}


def case(name: str, body: str = "Hi {{ first_name }}", **more: Any) -> Case:
    values = {"first_name": "Ann", "city": "Austin", **OURS, **more.pop("values", {})}
    return {"name": name, "subject": "Hello", "body": body, "html": "", **more, "values": values}


# --- text that a reader of templates could lose itself in ------------------------------------

REPEATED = (
    "{{", "{%", "{", "}}", "%}", "{{-", "{%-", "{{ ", "{% ", "{{}}", "{%%}", "{#", "{% raw %}",
    "{%raw%}", "{% doc %}", "{% comment %}", "{% comment %}{% endcomment %}", "{% if city %}",
    "{% if city %}{% endif %}", "{% case city %}", "{% when city %}", "{% else %}", "{% endif %}",
    "{% assign a = city %}", "{{ city }}", "{{ city", "city }}", '{{ "', "{{ '", "{{ city | ",
    "{{ [", "{{ (", "{{ city[", "{{ city.", "{% liquid ", "{% # ", "{{ 9", "{{ -", "{{ \\",
    "{{ city | default: '", "{% if city and ", "{% if city == ", "{{ city }}{%", "\n{{", "{{\n",
    "{% endcomment %}", "{{ \u202e", "{{{", "}}}", "{%{{", "{{%}",
)  # fmt: skip
STRETCHED = (
    ("{{ ", " ", " }}"), ("{% ", " ", " %}"), ("{% if", " ", "city %}{% endif %}"),
    ("{{ ", "a", " }}"), ("{% ", "a", " %}"), ("{{ ", "9", " }}"), ("{{ -", "9", " }}"),
    ("{{ 1.", "9", " }}"), ("{{ '", "a", "' }}"), ('{{ "', "\\", '" }}'), ("{{ ", "(", " }}"),
    ("{{ ", "[", " }}"), ("{{ city", "|", " }}"), ("{{ city", ".a", " }}"),
    ("{{ city", "[0]", " }}"), ("{{ city", " | upcase", " }}"), ("{{ city", " | squish", " }}"),
    ("{% if city", " and city", " %}{% endif %}"), ("{% if city", " or city", " %}{% endif %}"),
    ("{% if ", "(", " %}{% endif %}"), ("{% if ", "not ", "city %}{% endif %}"),
    ("{% if city ", "=", " city %}{% endif %}"), ("{% case city %}{% when city", ", city", " %}{% endcase %}"),
    ("{{ city | replace: 'a'", ", 'a'", " }}"), ("{{ city | default: 'a'", ", a: 'a'", " }}"),
    ("{{ city | ", "a", " }}"), ("{{ '", "\\u0041", "' }}"), ("{% # ", "a\n", " %}"),
    ("{% assign ", "a", " = city %}"), ("{% assign a = ", "(1..9)", " %}"),
)  # fmt: skip


def lost() -> Iterator[Case]:
    for number, text in enumerate(REPEATED):
        yield case(f"repeated {number}", (text * FULL)[:FULL])
        yield case(f"repeated in html {number}", "", html=(text * FULL)[:FULL])
    for number, (start, text, end) in enumerate(STRETCHED):
        for size in (300, FULL - len(start) - len(end)):
            middle = text * (size // len(text))
            yield case(f"stretched {number} to {size}", start + middle + end)


# --- what would do more than write ----------------------------------------------------------

TAGS = (
    "for i in (1..1000000000)", "for i in city", "tablerow i in (1..9)", "include 'settings'",
    "render 'settings'", "raw", "doc", "liquid echo city", "echo city", "increment a",
    "decrement a", "cycle 'a', 'b'", "capture a", "ifchanged", "break", "continue", "extends 'a'",
    "block a", "macro a", "call a", "with a: city", "translate", "import os", "layout none",
    "section 'a'", "style", "javascript", "schema", "form 'a'", "paginate city by 5", "", "-", "!",
)  # fmt: skip
FILTERS = (
    "base64_decode", "base64_encode", "compact", "concat: city", "date: '%s'", "divided_by: 0",
    "escapejs", "escape_once", "eval", "exec", "find: 'a'", "first", "floor", "index: 'a'", "join",
    "json", "last", "lstrip", "map: 'a'", "minus: 1", "modulo: 0", "money", "newline_to_br",
    "plus: 1", "reject: 'a'", "reverse", "round", "rstrip", "safe", "size", "slice: 0, 999999999",
    "sort", "split: ''", "stylesheet_tag", "sum", "t", "times: 1000000000", "uniq",
    "unit", "url_decode", "where: 'a'", "__class__", "upcase.__globals__", "currency", "ceil", "abs",
)  # fmt: skip
REACHES = (
    ".__class__", ".__class__.__mro__", ".upper", ".format", ".size", ".first", ".last", "[0]",
    "[-1]", "['__class__']", "['__globals__']", "[city]", "[first_name]", ".a.b.c.d", "[city[0]]",
)  # fmt: skip
UNKNOWN = (
    "password", "config", "self", "request", "settings", "os", "now", "today", "forloop", "env",
    "__builtins__", "_", "message", "received", "extra", "tenant_id", "lead_id", "event_id",
    "attribution", "gclid", "consent", "budget", "owner", "address", "template", "content_for_header",
)  # fmt: skip
COSTLY = (
    "{% assign a = 'xxxxxxxxxx' %}" + "{% assign a = a | append: a %}" * 40 + "{{ a }}",
    "{% assign a = 'xxxxxxxxxx' %}" + "{% assign a = a | append: a | append: a %}" * 100,
    "{% assign a = '" + "x" * 400 + "' %}" + "{{ a | replace: 'x', '" + "y" * 400 + "' }}" * 30,
    "{{ city | replace: '', '" + "y" * 450 + "' }}" * 30,
    "{{ city | replace: '', city | replace: '', city }}" * 50,
    "{% assign a = city | replace: '', city | replace: '', city | replace: '', city %}" * 50,
    "{% assign a = '" + "<a>" * 150 + "' %}" + "{% assign a = a | append: a %}" * 5
    + ("{{ a" + "|strip_html" * 40 + "}}") * 30,
    "{% assign a = '" + "x " * 230 + "' %}" + "{% assign a = a | append: a %}" * 5
    + ("{{ a" + "|squish|truncatewords:9999" * 17 + "}}") * 35,
    ("{{ city" + "|upcase" * 65 + "}}") * 40,
    "{{ city | truncate: 99999999999999999999 }}", "{{ city | truncate: -99999999999999999999 }}",
    "{{ city | truncatewords: 99999999999999999999 }}", "{{ city | truncate: 1e309 }}",
    "{{ city | truncate: 'x' }}", "{{ 1e999999999 }}", "{{ 1e999999999 | append: 'x' }}",
    "{{ (1..1000000000) }}", "{{ (1..1000000000) | append: 'x' }}",
    "{% if (1..1000000000) contains 'x' %}{% endif %}", "{% assign a = (1..1000000000) %}{{ a }}",
    "{% if city contains city contains city %}{% endif %}",
    "{% if city %}" * 40 + "{% endif %}" * 40, ("{% if city %}" * 9 + "{% endif %}" * 9) * 40,
    "{% unless city %}" * 11 + "{% endunless %}" * 11,
    "{% case city %}" * 11 + "{% endcase %}" * 11,
    "{{ '" + "x" * 30_000 + "' }}", "x" * 20_001, "x" * 20_000, "\n" * 20_000, " " * 20_000,
    "{{ first_name }}" * 401, "{{ first_name }}" * 400,
    "{% assign first_name = 'x' %}" * 300, "{% assign city = nil %}{{ city }}",
    "{% assign a = b %}{{ a }}", "{{ nil }}", "{{ empty }}", "{{ blank }}", "{{ true }}", "{{ 'a' 'b' }}",
)  # fmt: skip


def reaching() -> Iterator[Case]:
    for tag in TAGS:
        name = tag.split(" ")[0]
        yield case(f"tag {tag}", "{% " + tag + " %}x{% end" + name + " %}")
        yield case(f"tag {tag} tight", "{%-" + tag + "-%}")
    for each in FILTERS:
        yield case(f"filter {each}", "{{ city | " + each + " }}")
    for each in REACHES:
        yield case(f"reach {each}", "{{ city" + each + " }}")
        yield case(f"reach of a text {each}", "{{ 'a'" + each + " }}")
        yield case(f"reach in a condition {each}", "{% if city" + each + " %}a{% endif %}")
    for each in UNKNOWN:
        yield case(f"unknown {each}", "{{ " + each + " }}")
        yield case(f"unknown with a fallback {each}", "{{ " + each + " | default: 'x' }}")
    for number, text in enumerate(COSTLY):
        yield case(f"costly {number}", text, values={"first_name": "x" * 1_999})
        yield case(f"costly in html {number}", "", html=text, values={"first_name": "<" * 1_999})


# --- lines and letters ------------------------------------------------------------------------

BREAKS = (
    "\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\x00",
    "\r\n\r\n", "\r\n\t", "\n ", "%0d%0a", "\\r\\n", "=?utf-8?q?=0d=0a?=",
)  # fmt: skip
UNSEEN = (
    "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069",
    "\u200e", "\u200f", "\u061c", "\u200b", "\u2060", "\ufeff", "\u00ad", "\u180e", "\u3164",
    "\U000e0041", "\ud800", "\udfff", "\ufffe", "\uffff", "\ufdd0", "\x1b[2J", "\x08", "\x7f",
    "\x9b", "\ufff9", "\u2064",
)  # fmt: skip
BOMBS = (
    "a" + "\u0301" * 1_999, "\u0e49" * 2_000, "ﷺ" * 2_000, "ﬃ" * 2_000, "ΐ" * 2_000, "İ" * 2_000,
    "𝔞" * 2_000, "👩‍🚀" * 600, "а" * 1_000, "\u202e" * 2_000, "\U0001f1e6" * 2_000, "x" * 2_001,
    "<" * 2_000, "&" * 2_000, "&amp;" * 400, "'\"" * 1_000, "\t" * 2_000, "pаypal.com", "аррӏе.com",
)  # fmt: skip


def lettering() -> Iterator[Case]:
    for each in BREAKS:
        injected = f"Ann{each}Bcc: all"
        yield case(f"break {each!r} in a value", subject="Hello {{ first_name }}",
                   values={"first_name": injected})  # fmt: skip
        yield case(f"break {each!r} in a subject", subject=f"Hello{each}Bcc: {{{{ city }}}}")
        yield case(f"break {each!r} in a literal", subject="{{ 'a" + each + "b' }}")
    for each in UNSEEN:
        yield case(f"unseen {each!r} in a value", subject="{{ first_name }}",
                   values={"first_name": f"gp{each}j exe"})  # fmt: skip
        yield case(f"unseen {each!r} in a template", f"a{each}b", subject=f"a{each}b")
    for number, each in enumerate(BOMBS):
        yield case(f"bomb {number}", "{{ first_name | upcase | downcase | capitalize }}" * 20,
                   values={"first_name": each})  # fmt: skip
        yield case(f"bomb in a subject {number}", subject="{{ first_name }}",
                   values={"first_name": each})  # fmt: skip


# --- HTML -------------------------------------------------------------------------------------

SCRIPTS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>", "<a href=javascript:alert(1)>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>", "<a href=' javascript:alert(1)'>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>", "<a href='JaVaScRiPt:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>", "<a href=vbscript:x>x</a>",
    "<a href='file:///etc/passwd'>x</a>", "<a href='//evil.example'>x</a>", "<a href='/x'>x</a>",
    "<a href='https://user@evil.example'>x</a>", "<a href='https://ok.example\\@evil.example'>x</a>",
    "<a href='https:evil.example'>x</a>", "<a href='blob:https://x'>x</a>", "<a href='#' onclick=x>x</a>",
    "<iframe src=https://evil.example></iframe>", "<object data=x></object>", "<embed src=x>",
    "<form action=https://evil.example><input name=a></form>", "<button formaction=javascript:x>x</button>",
    "<base href=https://evil.example>", "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<link rel=stylesheet href=https://evil.example>", "<style>*{background:url(javascript:x)}</style>",
    "<p style='background:url(https://evil.example)'>x</p>", "<p style='position:fixed'>x</p>",
    "<div style=width:expression(alert(1))>x</div>", "<table background=javascript:x><tr><td>x</table>",
    "<math><mi xlink:href=javascript:x>x</mi></math>", "<svg><a xlink:href=javascript:x>x</a></svg>",
    "<svg><use href='data:image/svg+xml,x'/></svg>", "<image src=x onerror=x>", "<video src=x onerror=x>",
    "<audio src=x>", "<details ontoggle=x open>x</details>", "<body onload=x>", "<html manifest=x>",
    "<!--<img src=x onerror=x>-->", "<!--><script>x</script>-->", "<!--!><script>x</script>",
    "<![CDATA[<script>x</script>]]>", "<?php x ?>", "<!DOCTYPE html><script>x</script>",
    "<noscript><p title='</noscript><img src=x onerror=x>'>", "<textarea><img title='</textarea><script>x'>",
    "<title></title><script>x</script>", "<xmp><p title='</xmp><img src=x onerror=x>'>",
    "<select><template><style></select><script>x</script>", "<template><script>x</script></template>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=x>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=x&gt;'>",
    "<svg></p><style><a id='</style><img src=1 onerror=x>'>", "<p id=x class=y name=z>x</p>",
    "<script", "<img src=x onerror=x", "<a href='", "<<script>x//<</script>", "</p></div></td>",
    "<p><b><i><u>x</p>", "\x00<scr\x00ipt>x</script>", "<scr<script>ipt>x</scr</script>ipt>",
    "＜script＞x＜/script＞", "&lt;script&gt;x&lt;/script&gt;", "<a href='https://ok.example' target=_blank ping=https://evil.example>x</a>",
    "<img src='https://ok.example/a.png' srcset='https://evil.example 1x' alt=x>",
    "<img src=data:image/svg+xml;base64,PHN2Zz4=>", "<img src=mailto:x>", "<a href=mailto:a@b.example>x</a>",
    "<a href='tel:+15125550100'>x</a>", "<td colspan=99999999999>x</td>", "<img width=1e9 height='1;x' src=https://ok.example>",
)  # fmt: skip
PLACES = (
    "<p>{{ first_name }}</p>", '<a href="{{ first_name }}" title="{{ first_name }}">x</a>',
    "<a href={{ first_name }}>x</a>", "<{{ first_name }}>x", "<!-- {{ first_name }} --><p>x",
    "<style>{{ first_name }}</style><p>x", "<script>{{ first_name }}</script><p>x",
    "<p {{ first_name }}>x</p>",
)  # fmt: skip
HTML_BOMBS = (
    "<p>" + "".join(f"<b id={n}>" for n in range(900)) + "</p>" + "<p>x" * 2_700,
    "<p>" + "".join(f"<b id={n}>" for n in range(60)) + "</p>" + "<p>x</p>" * 400,
    "<div>" * 4_000, "<div>" * 1_999 + "x", "<table>" * 1_999, "<table><tr><td>" * 600,
    "<svg>" * 1_999, "<math><mi>" * 900, "<select>" * 1_999, "<font size=1>" * 1_500,
    "<p " + " ".join(f"a{n}=1" for n in range(2_500)) + ">x</p>", "<a " + "href=//x " * 2_000 + ">x",
    "<!--" * 5_000, "<!" * 10_000, "<" * 20_000, "&" * 20_000, "&#x" * 6_000, "&amp" * 5_000,
    "<a href='https://e.example/" + "x" * 19_000 + "'>x</a>", "<p title='" + "x" * 19_000 + "'>x</p>",
    "<ul><li>" * 900, "<ol>" * 1_999 + "<li>x", "<blockquote>" * 1_500 + "x", "<nobr>" * 1_999,
    "<b><p>" * 900 + "</b>" * 900, "<a><div>" * 900 + "</a>" * 900, "<pre>" + "\n" * 19_000,
    "<![CDATA[" * 2_000, "<textarea>" * 1_900, "<plaintext>" + "<b>" * 1_000, "<hr>" * 1_900,
)  # fmt: skip
# What a receiver is to read as it was typed, and what puts it there.
MARKUP = (
    "<b>Ann</b>", "<h1>Ann", "Ann</p><p>Lee", "<a>Ann</a>", "Ann &amp; Lee", "&lt;b&gt;Ann",
    "<u title='x'>Ann</u>", "<!-- Ann -->", "<img alt='Ann'>", "R&D <3",
)  # fmt: skip
SHOWING = (
    "Hi {{ first_name }}.", "Hi {{ first_name | strip }}.", "Hi {{ first_name | append: '' }}.",
    "{% assign a = first_name %}Hi {{ a }}.", "Hi {{ last_name | default: first_name }}.",
)  # fmt: skip
# A host that comes about only once the value is put in.
HOSTS = (
    ("evil", "https://{{ company }}.example/"), ("evil", "https://{{ company }}/"),
    ("evil", "https://{{ company }}.leads.example.com/"), ("evil", "https://leads.example.com.{{ company }}/"),
    ("evil(dot)example", "https://{{ company | replace: '(dot)', '.' }}/x"),
    ("evil", "{{ company | append: '.example' | prepend: 'https://' }}"),
    ("-evil", "https://leads.example.com{{ company }}"),
)  # fmt: skip
TEMPLATES_IN_VALUES = (
    "{{ city }}", "{% if city %}x{% endif %}", "{{ '{{ city }}' }}", "{% raw %}{{ city }}{% endraw %}",
    "{{", "}}", "{%", "%}", "{{ first_name }}", "{{ tenant_name | upcase }}", "${city}", "#{city}",
    "<%= city %>", "{{{city}}}", "[[city]]", "{city}", "%(city)s", "{0.__class__}", "`id`", "$(id)",
)  # fmt: skip


def marking() -> Iterator[Case]:
    for number, script in enumerate(SCRIPTS):
        yield case(f"html {number}", "", html=f"<p>Hi {{{{ first_name }}}}</p>{script}<p>x</p>")
        yield case(f"html in a text {number}", script)
        for place, around in enumerate(PLACES):
            yield case(f"html {number} in a value at {place}", "", html=f"<p>Hi</p>{around}",
                       values={"first_name": script})  # fmt: skip
    for number, (typed, around) in enumerate(product(MARKUP, SHOWING)):
        yield case(f"markup in a value {number}", around, html=f"<p>{around}</p>",
                   values={"first_name": typed})  # fmt: skip
        yield case(f"markup of a text in a value {number}", around, values={"first_name": typed})
    for number, (typed, url) in enumerate(HOSTS):
        yield case(f"host {number} in a value of a text", f"Hi {url}", values={"company": typed})
        yield case(f"host {number} in a value of a link", "", html=f'<p>Hi <a href="{url}">x</a>',
                   values={"company": typed})  # fmt: skip
        yield case(f"host {number} in a value of a picture", "", html=f'<p>Hi <img src="{url}">',
                   values={"company": typed})  # fmt: skip
    for number, bomb in enumerate(HTML_BOMBS):
        yield case(f"html bomb {number}", "", html=bomb)
        yield case(f"html bomb in a literal {number}", "",
                   html="{% assign a = '" + bomb[:400].replace("'", '"') + "' %}" + "{{ a }}" * 45)  # fmt: skip
    for each in TEMPLATES_IN_VALUES:
        yield case(f"template in a value {each}", "Hi {{ first_name }}.", subject="{{ first_name }}",
                   html="<p>Hi {{ first_name }}.</p>", values={"first_name": each})  # fmt: skip


def corpus() -> list[Case]:
    """Every case; their names are all different."""
    return [*lost(), *reaching(), *lettering(), *marking()]


def outcome(given: Case) -> dict[str, Any]:
    started = time.process_time()
    told: dict[str, Any] = {"name": given["name"], "values": given["values"]}
    try:
        template = Template(
            channel="email",
            subject=given["subject"],
            body=given["body"],
            body_html=given["html"],
        )
        parts = render(template, allowed(given["values"]), footer=True)
        told |= {"subject": parts.subject, "text": parts.text, "html": parts.html}
    except TemplateError as error:
        told |= {"rule": error.rule, "sentence": error.sentence}
    return {**told, "cpu": time.process_time() - started}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    for each in corpus():
        print(json.dumps(outcome(each)), flush=True)
