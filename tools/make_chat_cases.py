#!/usr/bin/env python3
"""Writes tests/data/chat/cases.json: what Jinja, set up as transformers does, makes of templates.

Needs jinja2 >= 3.1; run it from anywhere, without arguments. A case is {"name", "template" (a text, or the name of a
file beside cases.json), "variables", and "expected" or "error": true}; strftime_now() tells NOW.
"""
import datetime
import json
from pathlib import Path

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

FOLDER = Path(__file__).resolve().parent.parent / "tests/data/chat"
NOW = datetime.datetime(2025, 3, 7, 14, 5, 9)


class Generation(jinja2.ext.Extension):
    """{% generation %} marks the assistant's text; it prints its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


TOOL = {
    "type": "function",
    "function": {
        "name": "measure",
        "description": "Distance of two places, \"as the crow flies\" – in km.",
        "parameters": {
            "type": "object",
            "properties": {"to": {"type": "string"}, "from": {"type": "string"}, "exact": {"type": "boolean"}},
            "required": ["to", "from"],
        },
    },
}
PING = {"type": "function", "function": {"name": "ping", "parameters": {}}}
TALK = [
    {"role": "user", "content": "  Hello, who are you?\n"},
    {"role": "assistant", "content": " A model. "},
    {"role": "user", "content": "Späte Grüße 🌍 & <tags>"},
]
SYSTEM = [{"role": "system", "content": " Be brief.\n"}]
CALLS = [
    {"role": "user", "content": "How far is Rome from Oslo?"},
    {
        "role": "assistant",
        "tool_calls": [
            {"type": "function", "function": {"name": "measure", "arguments": {"to": "Rome", "from": "Oslo"}}}
        ],
    },
    {"role": "tool", "name": "measure", "content": "2005 km"},
    {"role": "tool", "name": "measure", "content": {"km": 2005, "exact": None, "list": [1, 2.5, True]}},
    {"role": "assistant", "content": "2005 km."},
    {"role": "user", "content": "Thanks"},
]
TOKENS = {"bos_token": "<|begin|>", "eos_token": "<|end|>", "tools": None, "documents": None}


def conversations():
    for file in ["headers.jinja", "im_blocks.jinja", "thinking.jinja", "steps.jinja", "brackets.jinja", "lines.jinja",
                 "plain.jinja"]:  # fmt: skip
        for name, messages in {"talk": TALK, "system": SYSTEM + TALK, "one": TALK[:1]}.items():
            for prompt in [True, False]:
                yield f"{file} {name} {prompt}", file, {**TOKENS, "messages": messages, "add_generation_prompt": prompt}
    tools = {**TOKENS, "tools": [TOOL, PING], "add_generation_prompt": True}
    for file in ["headers.jinja", "im_blocks.jinja"]:
        yield f"{file} tools", file, {**tools, "messages": SYSTEM + CALLS}
        yield f"{file} tools, nothing said", file, {**tools, "messages": SYSTEM}
        yield f"{file} tools, no system message", file, {**tools, "messages": CALLS[:3]}
    yield "headers.jinja tools apart", "headers.jinja", {**tools, "messages": SYSTEM + CALLS, "tools_up_front": True}
    yield "headers.jinja custom tools", "headers.jinja", {**TOKENS, "more_tools": [PING], "messages": CALLS[:1]}
    yield "headers.jinja built-in tools", "headers.jinja", {
        **TOKENS, "gadgets": ["interpreter", "measure", "search"], "messages": CALLS, "today": "1 May 2024"}
    two = [CALLS[0], {**CALLS[1], "tool_calls": CALLS[1]["tool_calls"] * 2}]
    yield "headers.jinja two calls", "headers.jinja", {**TOKENS, "messages": two}
    yield "im_blocks.jinja two calls", "im_blocks.jinja", {**tools, "messages": [{**m, "content": "x"} for m in two]}
    yield "brackets.jinja wrong order", "brackets.jinja", {**TOKENS, "messages": TALK[1:]}
    thoughts = [
        {"role": "user", "content": "Look"},
        {"role": "assistant", "content": [{"type": "text", "text": "<think>\nHm.\n</think>\n\nA "}, {"type": "image"}]},
        {"role": "user", "content": "Sure?"},
        {"role": "assistant", "content": "<think>\nLet me see.\n\n</think>\n\nYes.\n"},
        {"role": "user", "content": "<result>ok</result>"},
        {"role": "assistant", "content": "Fine.", "thought": "\nDone.\n"},
    ]
    for flag in [True, False]:
        yield f"thinking.jinja {flag}", "thinking.jinja", {
            **TOKENS, "messages": thoughts, "add_generation_prompt": True, "think": flag}
    steps = thoughts[:1] + [{"role": "assistant", "content": None, "thought": None}] + SYSTEM + thoughts[2:]
    yield "steps.jinja thoughts", "steps.jinja", {**TOKENS, "messages": steps, "add_generation_prompt": False}
    yield "steps.jinja list", "steps.jinja", {**TOKENS, "messages": thoughts[:2]}
    bad = [{"role": "assistant", "content": 5}, TALK[0]]
    yield "thinking.jinja number", "thinking.jinja", {**TOKENS, "messages": bad}


DATA = {
    "a": "alpha", "n": 7, "f": 2.5, "t": True, "nothing": None, "empty": "",
    "list": [3, 1, 2], "words": ["x", "Yy", "x", "zZ z"], "d": {"one": 1, "two": {"deep": "value"}, "items": "taken"},
    "people": [{"name": "Ann", "age": 30, "on": True}, {"name": "Bo", "age": 4, "on": False}, {"name": "Cy"}],
    "text": "  Grüße, Welt!\n second line\t", "nested": [[1, "a"], [2, "b"]],
}
SNIPPETS = r"""
{{ a }} {{ n }} {{ f }} {{ t }} {{ nothing }} {{ missing }} {{ list }} {{ d }} {{ words }}
{{ 1 + 2 * 3 - 4 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2.0 * 3 }} {{ 1e3 }} {{ -n }}
{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 1e16 }} {{ 1.5e-7 }} {{ 0.1 + 0.2 }} {{ 100000000000000000000.0 }} {{ 4.0 }}
{{ "a" + "b" ~ 1 ~ none ~ true }} {{ "ab" * 3 }} {{ [1] * 2 + [3] }}
{{ "it's" }} {{ 'say "x"' }} {{ "tab\tnew\nline\\ \u00e9 \x41 \q" }} {{ "one" 'two' }}
{{ ["it's", 'say "x"', "both ' and \"", "\n\t\x01é"] }}
{{ not true }} {{ true and 0 }} {{ "" or "other" }} {{ not (1 and 2) }} {{ 1 if false }} {{ 1 if n > 5 else 2 }}
{{ 1 < 2 < 3 }} {{ 1 < 2 > 5 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ "a" < "b" }} {{ [1, 2] == [1, 2] }} {{ {} == {} }}
{{ "lph" in a }} {{ 3 in list }} {{ "one" in d }} {{ "x" not in words }} {{ 1 in missing }}
{{ list[0] }} {{ list[-1] }} {{ list[7] }} {{ a[1] }} {{ a[-2:] }} {{ list[::-1] }} {{ a[::2] }} {{ text[2:7] }}
{{ list[1:] }}{{ list[:-1] }}{{ list[5:] }}{{ list[-9:2] }}{{ list[2:0:-1] }}{{ a[:99] }}{{ list[:0] }}
{{ d.one }} {{ d['two'].deep }} {{ d.two['deep'] }} {{ d.absent }} {{ d.items() | map('first') | list }} {{ d['items'] }}
{{ d.keys() | list }} {{ d.values() | list }} {{ d.get('one') }} {{ d.get('x', 'y') }} {{ d.get('x') }}
{{ text.strip() }}|{{ text.lstrip() }}|{{ text.rstrip() }}|{{ "xxaxx".strip("x") }}|{{ "abcba".rstrip("ab") }}
{{ "a,b,,c".split(",") }} {{ " a  b c ".split() }} {{ "a b c".split(" ", 1) }} {{ "a b c".split(none, 1) }} {{ "a.b.c".rsplit(".", 1) }}
{{ "a\nb\r\nc\n".splitlines() }} {{ "".split() }} {{ "".split(",") }} {{ "x".join(["1", "2"]) }}
{{ a.startswith("al") }} {{ a.endswith("x") }} {{ a.startswith(("x", "a")) }} {{ a.find("p") }} {{ "grüße".find("e") }} {{ a.count("a") }}
{{ "hello World".upper() }} {{ "ÀÉ".lower() }} {{ "hello big world".title() }} {{ "hELLO".capitalize() }}
{{ "aaa".replace("a", "b") }} {{ "aaa".replace("a", "b", 2) }} {{ "prefix-x".removeprefix("prefix-") }} {{ "12".isdigit() }}
{{ text | trim }}|{{ text | length }}|{{ list | length }}|{{ d | count }}|{{ missing | length }}
{{ a | upper | lower | capitalize }} {{ "a b" | title }} {{ words | join("-") }} {{ words | join }} {{ people | join(",", attribute="name") }}
{{ list | first }} {{ list | last }} {{ [] | first }} {{ missing | default("dflt") }} {{ "" | default("e") }} {{ "" | d("e", true) }}
{{ "12" | int }} {{ "x" | int }} {{ "x" | int(5) }} {{ 3.9 | int }} {{ "2.5" | float }} {{ 3 | float }} {{ -3 | abs }} {{ "3.7" | int }}
{{ "abc" | list }} {{ d | list }} {{ d | items | map('last') | list }} {{ n | string + "x" }} {{ "a-b" | replace("-", "+") }} {{ a | safe }}
{{ people | map(attribute="name") | list }} {{ words | map("upper") | list }} {{ people | map(attribute="age", default=0) | list }}
{{ people | selectattr("on") | map(attribute="name") | list }} {{ people | rejectattr("age", "defined") | list }} {{ people | selectattr("name", "equalto", "Bo") | list }}
{{ list | select("odd") | list }} {{ list | reject("gt", 1) | list }} {{ [0, 1, ""] | select | list }} {{ list | reverse | list }} {{ a | reverse }}
{{ words | unique | list }} {{ "a\n\nb" | indent }}|{{ "a\nb" | indent(2, true) }}|{{ "a\n\nb" | indent(1, blank=true) }}
{{ d | tojson }} {{ d | tojson(indent=2) }} {{ [] | tojson(indent=2) }} {{ [1.0, 2.5, none, true, "é\"\\\n\u0001"] | tojson }}
{{ d | tojson(separators=(",", ":")) }} {{ {"b": 1, "a": [{}]} | tojson(sort_keys=true, indent=1) }} {{ "é🌍" | tojson(ensure_ascii=true) }}
{{ a is defined }} {{ missing is defined }} {{ missing is undefined }} {{ nothing is none }} {{ a is string }} {{ n is number }} {{ t is number }}
{{ n is integer }} {{ f is float }} {{ t is boolean }} {{ d is mapping }} {{ list is iterable }} {{ a is sequence }} {{ n is iterable }} {{ t is true }} {{ t is false }}
{{ n is odd }} {{ n is even }} {{ n is divisibleby 7 }} {{ n is divisibleby(3) }} {{ n is eq 7 }} {{ n is not equalto(7) }} {{ 1 is in list }} {{ n is gt 3 }} {{ a is lower }}
{{ d.two.deep is defined and d.two.deep }} {{ d.x is not defined }} {{ "x" if a is string else "y" }} {{ not a is none }}
{{ range(3) | list }} {{ range(1, 4) | list }} {{ range(5, 0, -2) | list }} {{ dict(a=1, b="x") }} {{ strftime_now("%d %b %Y %H:%M") }}
{% for x in list %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ "," if not loop.last }}{% endfor %}
{% for x in list if x > 1 %}{{ loop.index0 }}{{ loop.first }}{{ loop.revindex }}{{ x }} {% endfor %}
{% for x in [] %}never{% else %}nothing{% endfor %}{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for a, b in nested %}{{ a }}{{ b }}{% endfor %}{{ a }}{% for c in "añ" %}[{{ c }}]{% endfor %}{% for x in missing %}x{% endfor %}
{% for x in list %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% if loop.index == 2 %}{% break %}{% endif %}{% endfor %}
{% for x in list %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}
{% set x = 1 %}{% for i in list %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}
{% set ns = namespace(total=0, seen=[]) %}{% for i in list %}{% set ns.total = ns.total + i %}{% set ns.seen = ns.seen + [i] %}{% endfor %}{{ ns.total }}{{ ns.seen }}
{% set a, b = 1, "two" %}{{ a }}{{ b }}{% set c %}block {{ a }}{% endset %}{{ c }}{% set c | upper | trim %} loud {% endset %}[{{ c }}]
{% if n > 10 %}big{% elif n > 5 %}middle{% else %}small{% endif %}{% if missing %}x{% endif %}{% if not list %}{% else %}ok{% endif %}
{% macro greet(name, mark="!") %}Hi {{ name }}{{ mark }}{% endmacro %}{{ greet("Ann") }} {{ greet("Bo", mark="?") }} {{ greet(mark=".", name=n) }} {{ greet() }}
{% set outer = 5 %}{% macro m(x) %}{{ outer }}{{ x }}{% if x > 0 %}{{ m(x - 1) }}{% endif %}{% endmacro %}{{ m(3) }}
{% filter upper %}shout {{ a }}{% endfilter %} {% raw %}{{ untouched }} {% if %}{% endraw %} {# comment #}end
{% generation %}said {{ a }}{% endgeneration %}|{{ (1, 2)[1] }} {{ () | length }} {{ {"k": [1], "l": {"m": none}} }}
{{ "%" }} {{ "}}" }} {{ {"a": {"b": 1}} }} {{ "{%" }} { { } } %} #}
{{ a|length > 3 and a|length < 9 }} {{ (a ~ "x") | upper }} {{ [a, n][1] }} {{ people[0].name[0] }} {{ people[-1]["name"] | lower }}
{{ nested[0][1] ~ nested.1.0 }} {{ nested | map("first") | list }} {{ (list | map("string") | list) + ["x"] }}
{{ 5 and missing }}|{{ missing == none }}|{{ missing == other }}|{{ nothing == none }}|{{ missing ~ "x" }}|{{ d.absent or "fallback" }}
{{ missing.attribute }}
{{ missing + "x" }}
{{ a + 1 }}
{{ a + none }}
{{ nothing.attribute }}|{{ n.attribute }}|{{ nothing.attribute is defined }}
{{ nothing | length }}
{{ 1 in 5 }}
{{ 1 in nothing }}
{{ 1 // 0 }}
{{ "a" < 1 }}
{{ d.sort() }}
{{ list.append(1) }}
{{ a.nope() }}
{{ a | nope }}
{{ a is nope }}
{{ missing() }}
{{ a() }}
{{ raise_exception("refused: " ~ a) }}
{{ missing | tojson }}
{{ range(100001) | list }}
{% for x in 5 %}{% endfor %}
{% for x in nothing %}{% endfor %}
{% for a, b in list %}{% endfor %}
{% set x.y = 1 %}
{% if a %}
{% endif %}
{% for x in list %}{% endif %}
{% if a %}{% else %}{% endfor %}
{{ a
{{ a }
{% if a
{{ "open }}
{# open
{{ a b }}
{{ }}
{% %}
{% nope %}
{{ (1, 2 }}
{{ [1, 2 }}
{{ {"a" 1} }}
{{ a. }}
{{ a[ }}
{{ 1 + }}
{{ a | }}
{{ a is }}
{{ f(a=1, 2) }}
{{ $ }}
{% break %}
{% set a b = 1 %}
{% raw %}{{ x }}
""".strip().split("\n")
# Blanks and newlines: one snippet each, with its own newlines.
BLANKS = [
    "a\n  {% if t %}\n  b\n  {% endif %}\nc\n",
    "a\n  {%- if t -%}\n  b\n  {%- endif -%}\nc\n",
    "a\n  {%+ if t %}\n  b\n  {%+ endif +%}\nc\n\n",
    "a  {% if t %}  b  {% endif %}  c",
    "  {{ a }}  \n  {{- a }}  \n  {{ a -}}  \n  {{- a -}}  \n x",
    "{# one #}\n  {# two #}  \n  {#- three -#}  \n {# four #} x\n",
    "x {# a #}\n\n{# b #}\ny",
    "\n\n{% for i in list %}\n{{ i }}\n\n{% endfor %}\n\n",
    "{% set x = 1 %}\n{% set y = 2 %}\n\n{{ x + y }}\r\n{% if t %}\r\nq\r\n{% endif %}\r\nr",
    "  {% raw %}\n  {{ a }}\n  {% endraw %}\n  b",
    "a {%- raw -%}  {{ a }}  {%- endraw -%}  b",
    "{%- if t %}\t\n \t{%- endif %} x\n{{ a }}\n",
    "x{{ a }}\n{{ n }}",
    "{% if t %}x\n\n  {% endif %}y",
    "{%for x in list%}{{x}}{%endfor%}",
    "{{a}}{{-a-}}{{+n}}{{- -n}}",
    "{{ a }}\n   \n  {% if t %}{% endif %}  \n{% if t %} \n{% endif %}z",
    "a {#- c #} b\n{#+ d #}\n e {# f +#}\n g",
    "",
    "\n",
    "no tags",
]


def cases():
    env = environment()
    sources = [(name, file, variables) for name, file, variables in conversations()]
    sources += [(f"snippet {i}", text, DATA) for i, text in enumerate(SNIPPETS)]
    sources += [(f"blanks {i}", text, DATA) for i, text in enumerate(BLANKS)]
    for name, template, variables in sources:
        is_file = template.endswith(".jinja")
        text = (FOLDER / template).read_text(encoding="utf-8") if is_file else template
        case = {"name": name, "template": template, "variables": variables if is_file else None}
        try:
            case["expected"] = env.from_string(text).render(**variables)
        except Exception as error:
            case["error"] = f"{type(error).__name__}: {error}"
        yield case


def main():
    document = {"now": NOW.isoformat(), "data": DATA, "cases": list(cases())}
    text = json.dumps(document, ensure_ascii=False, indent=1)
    (FOLDER / "cases.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
