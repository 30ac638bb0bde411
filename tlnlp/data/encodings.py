"""Texts in other encodings than UTF-8: found by their first bytes, or named by `--encoding`; never guessed."""

from __future__ import annotations

import codecs
import contextlib
import re

from tlnlp.data.table import show
from tlnlp.errors import InputError, did_you_mean

# The first bytes of a text, longest first: UTF-16's are the start of UTF-32's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_USUAL = ("utf-8", "utf-16", "utf-32", "cp1252", "cp1250", "cp1251", "latin1", "gbk", "shift_jis", "big5", "euc_kr")
# Bytes 0x80 to 0x9f are characters in Windows' encodings and invisible control characters in ISO's.
_CONTROL = re.compile("[\x80-\x84\x86-\x9f]")
_SHOWN_BYTES = 40


def check_encoding(name: str | None) -> str | None:
    """Returns the name of a text encoding unchanged.

    Raises:
        InputError: there is no such encoding.
    """
    try:
        if name is not None:
            with contextlib.suppress(UnicodeError):
                bytes(4).decode(name)
    except LookupError as error:
        raise InputError(
            expected=f"--encoding: the name of a text encoding, such as {', '.join(_USUAL[:5])}",
            found=f"{name}{did_you_mean(name or '', _USUAL)}",
            change="the name after --encoding",
        ) from error
    return name


def in_utf8(data: bytes, origin: str, encoding: str | None) -> tuple[bytes, str | None]:
    """Returns the same text in UTF-8, and what to say about it (None if it is in UTF-8 anyway).

    Args:
        encoding: `--encoding`; a mark in the first bytes of the file wins over it.

    Raises:
        InputError: the text is not in that encoding, or reads as if it was not.
    """
    known = mark_of(data)
    chosen = known or check_encoding(encoding)
    if chosen is None or codecs.lookup(chosen).name in ("utf-8", "utf-8-sig"):
        return data, None
    try:
        text = data.decode(chosen)
    except UnicodeDecodeError as error:
        raise InputError(
            expected=f"text in {chosen}, as {'its first bytes say' if known else '--encoding says'}",
            found=f"{origin}, line {_line_of(data, error.start)}: byte 0x{data[error.start]:02x}, which it lacks",
            change="the file, which is damaged or cut off" if known else "the name after --encoding",
        ) from error
    if known is None:
        _check_reads_well(data, text, origin, chosen)
    return text.encode("utf-8"), f"{origin}: encoding {chosen.upper() if known else chosen}"


def mark_of(data: bytes) -> str | None:
    """Returns the encoding that the first bytes name, if they do."""
    return next((name for mark, name in _MARKS if data.startswith(mark)), None)


def _check_reads_well(data: bytes, text: str, origin: str, encoding: str) -> None:
    """Refuses an encoding that can read the bytes, but not as they were meant."""
    if found := _CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise InputError(
            expected=f"text in {encoding}, without control characters",
            found=f"{origin}, line {line}: U+{ord(found[0]):04X} in {show(_around(text, found.start()))}",
            change="--encoding cp1252 (Windows), in which these bytes are quotes, dashes and the euro sign",
        )
    if "\0" in text:
        raise InputError(
            expected=f"text in {encoding}",
            found=f"{origin}: binary data, or text in UTF-16",
            change="--encoding utf-16-le, if Windows wrote it without its mark",
        )
    if not data.isascii() and _has_one_byte_each(encoding) and _is_utf8(data):
        place = next(i for i, byte in enumerate(data) if byte > 0x7F)
        shown = data[data.rfind(b"\n", 0, place) + 1 :].split(b"\n", 1)[0].decode("utf-8").strip()
        raise InputError(
            expected=f"text in {encoding}",
            found=f"{origin}, line {_line_of(data, place)}: it is UTF-8, {show(shown)}",
            change="leave --encoding out for this file (save all files of a run in one encoding)",
        )


def _has_one_byte_each(encoding: str) -> bool:
    return len(bytes(range(256)).decode(encoding, errors="replace")) == 256


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def no_utf8(data: bytes, origin: str, error: UnicodeDecodeError) -> InputError:
    """Returns the refusal of a file that is not in UTF-8. It shows how the place reads in Windows' encoding, so that
    nobody has to believe it, and names no other: latin1 would read every byte, and some of them wrongly."""
    found = f"{origin}, line {_line_of(data, error.start)}: byte 0x{data[error.start]:02x}"
    # Characters of several bytes occur by chance where an encoding has two bytes for one (Shift JIS, GBK), but then in
    # lines with others that are none.
    lines = [line for line in data.decode("utf-8", errors="replace").split("\n") if not line.isascii()]
    damaged = sum("\ufffd" in line for line in lines)
    good = sum(len(re.findall(r"[^\x00-\x7f\ufffd]", line)) for line in lines)
    if good and len(lines) >= 2 * damaged:
        return InputError(
            expected="text in UTF-8",
            found=f"{found}, while {good:,} other characters beyond ASCII are in UTF-8",
            change="this line, in which a character is damaged, or which comes from another file",
        )
    begin = max(data.rfind(b"\n", 0, error.start) + 1, error.start - _SHOWN_BYTES)
    piece = data[begin : error.start + _SHOWN_BYTES].split(b"\n", 1)[0].strip()
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return InputError(
            expected="text in UTF-8",
            found=f"{found} in {show(piece)}",
            change="--encoding NAME with the encoding that it was saved in, or save it as UTF-8",
        )
    return InputError(
        expected="text in UTF-8",
        found=f"{found}; in cp1252 it reads {show(piece.decode('cp1252'))}",
        change="--encoding cp1252 (Windows, Excel), if that is how it should read; otherwise --encoding NAME with the"
        " encoding that it was saved in, or save it as UTF-8",
    )


def _around(text: str, place: int) -> str:
    return text[max(text.rfind("\n", 0, place) + 1, place - 20) : place + 20].split("\n", 1)[0].strip()


def _line_of(data: bytes, place: int) -> int:
    return data.count(b"\n", 0, place) + 1
