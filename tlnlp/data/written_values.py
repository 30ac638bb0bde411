"""Lists and mappings that a table holds as text: a cell as JSON, Python or numpy writes it.

``Dataset.to_csv`` and pandas put ``str(value)`` into a cell that held a list or a mapping. That
text is JSON (``["a", "b"]``), Python (``['a', 'b']``, ``{'text': ['a']}``) or numpy
(``['a' 'b']``, ``array([1, 2])``), and it is read here by one small grammar. ``ast.literal_eval``
is not enough, and wrong in silence: Python joins the two words of ``['Anna' 'lives']`` into one.
"""

import ast
import json
import re
from typing import Any, NoReturn

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<array>(?:(?:np\.|numpy\.)?array|list|tuple)\()
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<scalar>(?:np|numpy)\.(?:str_|bool_|int\d+|float\d+)\()
    | (?P<name>[A-Za-z_][\w.]*)
    | (?P<dots>\.\.\.)
    | (?P<mark>[\[\](){},:=])
    )""",
    re.VERBOSE | re.DOTALL,
)
_NAMES = {
    "None": None,
    "null": None,
    "True": True,
    "true": True,
    "False": False,
    "false": False,
    "nan": float("nan"),
    "NaN": float("nan"),
}
_CLOSING = {"[": "]", "(": ")"}
_DEEPEST = 32


def looks_written(text: str) -> bool:
    """Whether a cell begins and ends as the text of a list or a mapping does."""
    text = text.strip()
    if text.startswith(("array(", "np.array(", "numpy.array(")):
        return text.endswith(")")
    return len(text) > 1 and (text[0], text[-1]) in {("[", "]"), ("{", "}"), ("(", ")")}


def parse_written(text: str) -> Any:
    """The value that ``text`` writes down in JSON's, Python's or numpy's spelling.

    Returns a list for a list, a tuple and an array, a dict for a mapping, and a string, number,
    bool or None for what stands alone. Raises ``ValueError`` with a reason for anything else;
    also for an array that numpy shortened with ``...``, whose values are lost.
    """
    try:
        return json.loads(text)  # most lists by far, and twenty times as fast
    except (ValueError, RecursionError):
        reader = _Reader(text)
    value = reader.value(0)
    if reader.kind != "end":
        reader.refuse("something follows the value")
    return value


class _Reader:
    """One look ahead over the tokens of a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.end = len(text.rstrip())
        self.at = 0  # where the token that is looked at begins
        self.next_at = 0
        self.kind: str | None = None
        self.token = ""
        self.advance()

    def refuse(self, why: str) -> NoReturn:
        raise ValueError(f"{why}, at character {self.at + 1}")

    def advance(self) -> None:
        self.at = self.next_at
        if self.at >= self.end:
            self.kind, self.token = "end", ""
            return
        found = _TOKEN.match(self.text, self.at)
        if found is None:
            self.refuse("neither a value nor a comma")
        self.kind, self.token = found.lastgroup, found[found.lastgroup or 0]
        self.next_at = found.end()

    def take(self, mark: str) -> None:
        if self.token != mark or self.kind != "mark":
            self.refuse(f'"{mark}" is missing')
        self.advance()

    def value(self, depth: int) -> Any:
        if depth > _DEEPEST:
            self.refuse(f"more than {_DEEPEST} lists in each other")
        kind, token = self.kind, self.token
        if kind == "dots":
            self.refuse('values are missing: numpy shortened the list with "..."')
        if kind == "mark" and token in _CLOSING:
            self.advance()
            return self.items(_CLOSING[token], depth)
        if kind == "mark" and token == "{":
            self.advance()
            return self.pairs(depth)
        if kind in ("array", "scalar"):
            self.advance()
            return self.call(depth)
        if kind not in ("text", "number", "name"):
            self.refuse("a value is missing")
        self.advance()
        if kind == "number":
            return _number(token)
        if kind == "name":
            if token not in _NAMES:
                self.refuse(f"{token} has no quotes and is not a number")
            return _NAMES[token]
        return _text(token, self)

    def call(self, depth: int) -> Any:
        """What stands between the brackets of ``array(...)`` or ``np.int64(...)``."""
        value = self.value(depth + 1)
        while self.token == ",":  # dtype=object
            self.advance()
            self.keyword(depth)
        self.take(")")
        return value

    def keyword(self, depth: int) -> None:
        if self.token == ")":
            return
        self.advance()
        self.take("=")
        if self.kind == "name":  # dtype=object, dtype=np.str_
            self.advance()
        else:
            self.value(depth + 1)

    def items(self, closing: str, depth: int) -> list[Any]:
        """Values with commas between them all (JSON, Python) or between none of them (numpy)."""
        values: list[Any] = []
        commas = 0
        while not (self.kind == "mark" and self.token == closing):
            values.append(self.value(depth + 1))
            if self.kind == "mark" and self.token == ",":
                commas += 1
                self.advance()
            elif commas and not (self.kind == "mark" and self.token == closing):
                self.refuse("a comma is missing")
            elif self.token != closing and not self.text[self.at : self.at + 1].isspace():
                self.refuse("a comma or a blank is missing")
            if commas and commas < len(values) - 1:
                self.refuse("commas between some values only")
        self.advance()
        return values

    def pairs(self, depth: int) -> dict[Any, Any]:
        values: dict[Any, Any] = {}
        while not (self.kind == "mark" and self.token == "}"):
            if self.kind not in ("text", "number", "name"):
                self.refuse("a key is missing")
            key = self.value(depth + 1)
            self.take(":")
            values[key] = self.value(depth + 1)
            if self.kind == "mark" and self.token == ",":
                self.advance()
            elif not (self.kind == "mark" and self.token == "}"):
                self.refuse("a comma is missing")
        self.advance()
        return values


def _number(token: str) -> int | float:
    try:
        return int(token)
    except ValueError:
        return float(token)


def _text(token: str, reader: _Reader) -> str:
    if token[0] == '"' and "\\" in token:  # JSON's \/ and surrogate pairs are not Python's
        try:
            value = json.loads(token, strict=False)
            return str(value)
        except ValueError:
            pass  # Python's \x41 and \' between double quotes
    if "\\" not in token:  # also with line breaks inside, which Python's parser refuses
        return token[1:-1]
    try:
        value = ast.literal_eval(token.replace("\n", "\\n").replace("\r", "\\r"))
    except (SyntaxError, ValueError):
        reader.refuse("the text's escapes cannot be read")
    return str(value)
