"""A message without what changes from run to run: numbers, ids, dates, addresses, paths and what stands in quotes.

Every alternative below begins at the start of a word or at a character of its own and ends within a fixed distance, so
that no text takes more than linear time.
"""

from __future__ import annotations

import re

#: So much of a message is looked at; the ledger keeps half of it.
LOOKED_AT = 1_000
#: Longest result, in characters.
LONGEST = 200

_VOLATILE = re.compile(
    r"""
    (?P<text>
        (?<!\w)'(?:[^'\n]|'(?=\w)){0,400}(?:'(?!\w)|$)
        | "(?:[^"\n]){0,400}(?:"|$)
        | `[^`\n]{1,400}(?:`|$) | «[^»\n]{0,400}(?:»|$) | “[^”\n]{0,400}(?:”|$) | „[^“”\n]{0,400}(?:[“”]|$)
    )
    | (?P<url> \b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s'"<>`)\]}]+ )
    | (?P<address> (?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8} )
    | (?P<date>
        \d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:\s?(?:Z\b|UTC\b|[+-]\d\d:?\d\d))?)?
        | \b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},?\ )?
          (?:\d{1,2}\ (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}
            |(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\ \d{1,2}\b)
          (?:,?\ \d{4})?
    )
    | (?P<ip> (?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:]) )
    | (?P<path> (?<![\w)>])(?:[A-Za-z]:|~|\.{1,2})?(?:[\\/][\w.@+~%=-]+)+[\\/]? )
    | (?P<parts> (?<![\w./-])[\w.-]+(?:/[\w.-]+)+ )
    | (?P<file>
        (?<![\w./-])[\w-]{1,80}\.(?:csv|tsv|json|xml|pdf|xlsx?|docx?|txt|zip|gz|png|jpe?g|log|tmp|html?|py|sql)\b
    )
    | (?P<uuid> (?<!\w)[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}(?!\w) )
    | (?P<number> (?<![\w.])[+-]?\d+(?:[.,:/_-]\d+)*(?:[eE][+-]?\d+)?(?!\w) )
    | (?P<word> (?<!\w)(?=\w*\d)\w+(?:[-.](?=\w*\d)\w+)* | \b[0-9A-Fa-f]{8,}\b )
    """,
    re.VERBOSE,
)
#: How the reaper's own sentence begins: a worker's name, `pre@vm`, reads like somebody's address.
_VANISHED = re.compile(r"\S{1,255} (?=stopped answering while it ran this\b)")
_ONE_LETTERS_THEN_DIGITS = re.compile(r"([^\W\d_]+[_-]?)\d+")
_DIGITS_THEN_UNIT = re.compile(r"\d+([^\W\d_]{1,3})")
_HEX = re.compile(r"[0-9A-Fa-f]{4,}")
_HAS_DIGIT_OR_SUFFIX = re.compile(r"\d|\.[A-Za-z]{1,5}$")
_ROW = re.compile(r"(<\w+>)(?:[,;]? ?\1)+")
_MARK = re.compile(r"<\w+>…?")


def normalise(message: str) -> str:
    """The first line of `message` as people read it: `row <n>: <text> is not valid`."""
    lines = message[:LOOKED_AT].strip().splitlines()
    line = " ".join(lines[0].split()) if lines else ""
    if (worker := _VANISHED.match(line)) is not None:
        line = f"A worker {line[worker.end() :]}"
    marked = _VOLATILE.sub(_mark, line)
    return _ROW.sub(r"\1…", marked)[:LONGEST]


def comparable(normal: str) -> str:
    """The result of `normalise` for comparing: an id may happen to hold digits only, and is a number then."""
    return _MARK.sub("<>", normal)


def _mark(found: re.Match[str]) -> str:
    kind, text = found.lastgroup, found[0]
    if kind == "number":
        return "<n>"
    if kind == "word":
        return _word(text)
    if kind == "parts":
        # "and/or" says something; "import/2026/clients.csv" is a path.
        return "<path>" if _HAS_DIGIT_OR_SUFFIX.search(text) else text
    return {"file": "<path>", "uuid": "<id>"}.get(str(kind), f"<{kind}>")


def _word(word: str) -> str:
    """`sku<n>`, `<n>ms`, and `<id>` for what is neither a name with a number nor a number with a unit."""
    if _HEX.fullmatch(word):
        return "<n>" if word.isdigit() else "<id>"
    if (named := _ONE_LETTERS_THEN_DIGITS.fullmatch(word)) is not None:
        return f"{named[1]}<n>"
    if (measured := _DIGITS_THEN_UNIT.fullmatch(word)) is not None:
        return f"<n>{measured[1]}"
    return "<id>"
