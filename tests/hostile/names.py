"""Names that formats, spreadsheets, terminals and pages stumble over, each with the one thing a reader must see.

Every test of names draws on this list: files, groups, attributes, classes and models carry them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NAMES", "Name", "named", "texts"]

ESC, BEL, CSI, LOST = "\x1b", "\x07", "\x9b", "\ufffd"


@dataclass(frozen=True)
class Name:
    """A name and what must become of it.

    Attributes
    ----------
    label : str
        What it tries.
    text : str
        The name.
    shown : str
        What a document shows of it, runs of white space apart, which every format may fold.
    formula : bool
        Whether a spreadsheet would compute it, so that its cell in a CSV begins with an apostrophe.
    """

    label: str
    text: str
    shown: str
    formula: bool = False


def _as_it_is(label: str, text: str, *, formula: bool = False) -> Name:
    return Name(label, text, text, formula)


NAMES = (
    # Pages
    _as_it_is("script", "<script>fetch('http://x.invalid/a')</script>"),
    _as_it_is("script-end", "</script></style></title><script>alert(1)</script>"),
    _as_it_is("handler", "\"><img src=x onerror=fetch('//x.invalid/b')>"),
    _as_it_is("attribute", "a' onmouseover='alert(1)\" onload=\"alert(2)"),
    _as_it_is("svg", "<svg/onload=alert(3)><a href='javascript:alert(4)'>x</a>"),
    _as_it_is("javascript-url", "javascript:alert(5)//"),
    _as_it_is("data-url", "data:text/html,<iframe src=//x.invalid/c></iframe>"),
    _as_it_is("css", "</style><style>@import url(//x.invalid/d);*{background:url(//x.invalid/e)}"),
    _as_it_is("comment", "<!-- --><b>b</b> <![CDATA[ x ]]> <?php echo 1 ?>"),
    _as_it_is("entity", "&lt;b&gt; &amp;amp; &#60;script&#62; &undefined;"),
    # Spreadsheets
    _as_it_is("formula-equals", '=HYPERLINK("http://x.invalid","click")', formula=True),
    _as_it_is("formula-plus", "+1+cmd|' /C calc'!A0", formula=True),
    _as_it_is("formula-minus", "-2+3+cmd|' /C calc'!A0", formula=True),
    _as_it_is("formula-at", "@SUM(1+1)*cmd|' /C calc'!A0", formula=True),
    _as_it_is("formula-tab", "\t=1+1", formula=True),
    Name("formula-return", "\r=2+2", f"{LOST}=2+2", formula=True),
    _as_it_is("formula-feed", "\n=5+5", formula=True),
    _as_it_is("formula-wide", "\uff1d6+6", formula=True),
    _as_it_is("cell-break", 'a","b;c\t=3+3\n=4+4'),
    # Markdown, Streamlit, LaTeX, templates
    _as_it_is("markdown-link", "[l](http://x.invalid) ![i](http://x.invalid/f.png) [r][1]"),
    _as_it_is("autolink", "<http://x.invalid> http://x.invalid www.x.invalid me@x.invalid @user #12"),
    _as_it_is("markdown-table", "a | b\n| --- | --- |\n| c | d |"),
    _as_it_is("markdown-marks", "**b** _i_ ~~s~~ `c` \\* ```"),
    _as_it_is("markdown-blocks", "# heading\n---\n> quote\n1. item\n- item"),
    _as_it_is("fence", "```\n# out\n```"),
    _as_it_is("front-matter", "first\n---\nlast: {a: 1}"),
    _as_it_is("streamlit", ":red[r] :material/home: :smile: :blue-background[x] :streamlit:"),
    _as_it_is("latex", "$x^2$ $$\\input{/etc/passwd}$$ \\def\\x{1}"),
    _as_it_is("template", "{{ 7 * 7 }} {% include '/etc/passwd' %} ${7*7} %{x} #{7*7}"),
    _as_it_is("plotly", '<extra>%{x}</extra><br><a href="http://x.invalid">a</a>'),
    # Typst, XML, YAML
    _as_it_is("typst", '#read("/etc/passwd") #import "@preview/x:1.0.0" #panic()'),
    _as_it_is("typst-marks", "= h <label> @ref $x$ \\u{41} *b* _i_ //c /*d*/", formula=True),
    _as_it_is("xml", "]]> <!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]> &y;"),
    _as_it_is("yaml", "!!python/object/apply:os.system ['id'] &a *a # c"),
    _as_it_is("claim", "a=b;model=other:100% of %3D"),
    # Terminals
    Name("ansi-colour", f"{ESC}[31mred{ESC}[0m", f"{LOST}[31mred{LOST}[0m"),
    Name("ansi-clear", f"{ESC}[2J{ESC}[H{ESC}cgone", f"{LOST}[2J{LOST}[H{LOST}cgone"),
    Name("osc-title", f"{ESC}]0;owned{BEL}x", f"{LOST}]0;owned{LOST}x"),
    Name(
        "osc-link",
        f"{ESC}]8;;http://x.invalid{ESC}\\l{ESC}]8;;{ESC}\\",
        f"{LOST}]8;;http://x.invalid{LOST}\\l{LOST}]8;;{LOST}\\",
    ),
    Name("c1", f"{CSI}2Jx\x85y\x90z\x9c", f"{LOST}2Jx{LOST}y{LOST}z{LOST}"),
    Name("controls", "a\x00b\x01c\x08\x08\x7fd", f"a{LOST}b{LOST}c{LOST}{LOST}{LOST}d"),
    _as_it_is("rich", "[bold red]b[/bold red] [/] [link=http://x.invalid]l[/link]"),
    # Scripts and signs
    Name("bidi", "abc\u202egpj.exe\u202c", f"abc{LOST}gpj.exe{LOST}"),
    _as_it_is("isolates", "abc\u2066def\u2069\u2067ghi\u2069"),
    _as_it_is("zero-width", "pay\u200bpal\u200d\u2060\ufeffx\u00ad"),
    _as_it_is("right-to-left", "مرحبا שלום"),
    _as_it_is("emoji", "🧑🏽‍🚀🇨🇭 肤色：深 e\u0301"),
    Name("breaks", "next\u2028line\u2029end\x0bx\x0cy", f"next line end{LOST}x{LOST}y"),
    _as_it_is("long", "x" * 300),
    _as_it_is("path", "../../etc/passwd\\..\\C:\\x file:///etc/passwd ~/.ssh/id_rsa"),
    _as_it_is("verdict", "dim\n✓ pass: every required rule passed"),
    # What a spreadsheet or YAML takes for something else, and no more than that
    _as_it_is("number", "1e3"),
    _as_it_is("null", "null"),
)


def texts() -> list[str]:
    """Every name, as it is."""
    return [name.text for name in NAMES]


def named(label: str) -> str:
    """The name with this label."""
    [found] = [name.text for name in NAMES if name.label == label]
    return found
