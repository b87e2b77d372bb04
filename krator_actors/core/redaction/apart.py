"""Values that stand apart from their names: in tables, under a line of code, in color."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from krator_actors.core.redaction import named
from krator_actors.core.redaction.fields import Field, field_of, is_left_alone
from krator_actors.core.redaction.linear import compiled
from krator_actors.core.redaction.values import argument, is_done

BAR: Final = "\N{BOX DRAWINGS LIGHT VERTICAL}".encode()
_CORNER: Final = "\N{BOX DRAWINGS LIGHT UP AND RIGHT} ".encode()
_MAX_HEADING_BYTES = 2_000
_MIN_CELLS = 2
_MIN_NUMBER_DIGITS = 6

_STYLE: Final = compiled(rb"(?:\x1b|\\+u001[bB]|\\+x1[bB]|[\\#]+033)\[[0-9;?]*[A-Za-z]")
_END: Final = compiled(rb"\r?\n|\\r\\n|\\+n")
_RULE_LINE: Final = compiled(
    rb"[\s|+:=\xe2\x94\x80-\xbf-]*(?:--|==|\xe2\x94\x80)[\s|+:=\xe2\x94\x80-\xbf-]*"
)
_TITLE: Final = compiled(rb"[\s\"'`*]*([0-9]?[A-Za-z_][A-Za-z0-9_ .-]{0,40})[\s\"'`*]*")
_LAST_WORD: Final = compiled(rb"[\s\"'`*]([A-Za-z_][A-Za-z0-9_.-]{0,40})$")
_CELL: Final = {
    b",": compiled(rb"(?:^|,)(\s*\"(?:[^\"]|\"\")*\"\s*|[^,]*)"),
    b";": compiled(rb"(?:^|;)(\s*\"(?:[^\"]|\"\")*\"\s*|[^;]*)"),
}
_WITHIN: Final = compiled(rb"([\s\"'`*]*)(.*?)([\s\"'`*}\]]*)")
_MARKED: Final = compiled(rb"([\s|]|" + BAR + rb")*" + _CORNER + rb"(.*)")
_IDENTIFIER: Final = compiled(rb"[A-Za-z_][A-Za-z0-9_]*")
_PHRASED: Final = frozenset((b"<phrase>", b"<name>", b"<address>", b"<iban>", b"<phone>"))
"""kinds whose value may hold a blank"""


class _Heading(NamedTuple):
    """The first line of a table: what parts its cells, how many, what the telling ones hold."""

    separator: bytes
    cells: int
    fields: dict[int, Field]


def unstyled(data: bytes) -> bytes:
    """Return the text without a terminal's colors, which part a name from its value."""
    return bytes(_STYLE.sub(b"", data))


def apart(data: bytes) -> bytes:
    """Return the text with the values redacted that a table or a report puts apart."""
    if b"input_value=" in data:
        data = named.INPUT.sub(argument, data)
    if _CORNER in data:
        data = _under_code(data)
    is_cells = b"|" in data or BAR in data
    if is_cells or ((b"\n" in data or b"\\n" in data) and named.TITLES.search(data) is not None):
        data = b"".join(_tables(data))
    return data


def _tables(data: bytes) -> Iterator[bytes]:
    heading: _Heading | None = None
    lines = list(_lines(data))
    for number, (line, end) in enumerate(lines):
        following = lines[number + 1][0] if number + 1 < len(lines) else b""
        is_rule = _RULE_LINE.fullmatch(line) is not None
        row = None if heading is None or is_rule else _row(line, heading)
        if row is None and not is_rule:
            heading = _heading(line, following)
            row = _keyed(line) if heading is None else line
        yield (line if row is None else row) + end


def _lines(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each line and what ends it, be it written out as in a text within JSON."""
    at = 0
    for end in _END.finditer(data):
        yield data[at : end.start()], end.group()
        at = end.end()
    yield data[at:], b""


def _heading(line: bytes, following: bytes) -> _Heading | None:
    separator = _separator(line)
    if separator is None or len(line) > _MAX_HEADING_BYTES:
        return None
    is_drawn = separator in {b"|", BAR}
    if not (_RULE_LINE.fullmatch(following) if is_drawn else separator in following):
        return None
    begun = line.rpartition(b': "')[2]  # a table within a field of JSON
    cells = _cells(begun, separator)
    fields = {}
    for at, cell in enumerate(cells):
        title = _TITLE.fullmatch(cell)
        if title is None and cell.strip():
            return None
        field = None if title is None else field_of(title.group(1).rstrip())
        if field is not None:
            fields[at] = field
    return _Heading(separator, len(cells), fields) if fields and len(cells) >= _MIN_CELLS else None


def _separator(line: bytes) -> bytes | None:
    return next((one for one in (BAR, b"|", b"\t", b";", b",") if one in line), None)


def _cells(line: bytes, separator: bytes) -> list[bytes]:
    if separator in _CELL and b'"' in line:
        return [match.group(1) for match in _CELL[separator].finditer(line)]
    return line.split(separator)


def _row(line: bytes, heading: _Heading) -> bytes | None:
    """Return a row of the table redacted; None when it is none."""
    cells = _cells(line, heading.separator)
    if len(cells) != heading.cells:
        return None
    for at, field in heading.fields.items():
        cells[at] = _cell(cells[at], field)
    return heading.separator.join(cells)


def _cell(cell: bytes, field: Field) -> bytes:
    before, value, after = _WITHIN.fullmatch(cell).group(1, 2, 3)
    if is_left_alone(value, field.doubt) or is_done(value):
        return cell
    return bytes(before + field.kind + after)


def _keyed(line: bytes) -> bytes:
    """Return a line ``| name | value |`` redacted, and any other as it is."""
    separator = _separator(line)
    if separator not in {b"|", BAR}:
        return line
    cells = line.split(separator)
    filled = sum(bool(cell.strip()) for cell in cells)
    for at, cell in enumerate(cells[:-1]):
        title = _TITLE.fullmatch(cell) or _LAST_WORD.search(cell)
        field = None if title is None else field_of(title.group(1).rstrip())
        if field is None:
            continue
        value = cells[at + 1].strip()
        if _is_alone(value, field, is_pair=filled == _MIN_CELLS):
            cells[at + 1] = _cell(cells[at + 1], field)
    return separator.join(cells)


def _is_alone(value: bytes, field: Field, *, is_pair: bool) -> bool:
    """True for what a cell holds and no sentence does."""
    if not is_pair and is_left_alone(value, "word"):
        return False
    if b" " not in value or (is_pair and field.kind in _PHRASED):
        return True
    return len(value) - len(value.translate(None, b"0123456789")) >= _MIN_NUMBER_DIGITS


def _under_code(data: bytes) -> bytes:
    """Redact what loguru writes under a line of code: ``└ value``, below the name's letters."""
    lines = data.split(b"\n")
    code = b""
    for number, line in enumerate(lines):
        marked = _MARKED.fullmatch(line)
        if marked is None:
            code = code if line.strip(b" |" + BAR) == b"" else line
            continue
        column = len(line[: line.index(_CORNER)].decode("utf-8", "replace"))
        field = _named_at(code, column)
        if field is not None:
            lines[number] = line[: marked.start(2)] + _cell(marked.group(2), field)
    return b"\n".join(lines)


def _named_at(code: bytes, column: int) -> Field | None:
    code = code[:_MAX_HEADING_BYTES]
    for name in _IDENTIFIER.finditer(code.decode("utf-8", "replace").encode("latin-1", "replace")):
        if name.start() <= column < name.end():
            return field_of(name.group())
    return None
