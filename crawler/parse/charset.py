"""Which encoding a text is in (WHATWG Encoding and HTML standards), and its transcoding to UTF-8.

The order is the standard's: byte order mark, HTTP header, the first 1024 bytes of the document; then what browsers do by
locale is done by looking: valid UTF-8 is UTF-8, then a statistical guess, then windows-1252. A label from the web is only ever
looked up in the table below, never handed to Python's codec registry, which knows ``rot13``, ``idna`` and ``zlib`` too.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

import cchardet

_NAMES: Final = """
UTF-8: unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8
IBM866: 866 cp866 csibm866 ibm866
ISO-8859-2: csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2
ISO-8859-3: csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3
ISO-8859-4: csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4
ISO-8859-5: csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988
ISO-8859-6: arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e iso-8859-6-i iso-ir-127
ISO-8859-6: iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987
ISO-8859-7: csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7
ISO-8859-7: iso_8859-7:1987 sun_eu_greek
ISO-8859-8: csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8
ISO-8859-8: iso_8859-8:1988 visual
ISO-8859-8-I: csiso88598i iso-8859-8-i logical
ISO-8859-10: csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6
ISO-8859-13: iso-8859-13 iso8859-13 iso885913
ISO-8859-14: iso-8859-14 iso8859-14 iso885914
ISO-8859-15: csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9
ISO-8859-16: iso-8859-16
KOI8-R: cskoi8r koi koi8 koi8-r koi8_r
KOI8-U: koi8-ru koi8-u
macintosh: csmacintosh mac macintosh x-mac-roman
windows-874: dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874
windows-1250: cp1250 windows-1250 x-cp1250
windows-1251: cp1251 windows-1251 x-cp1251
windows-1252: ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1
windows-1252: iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252
windows-1253: cp1253 windows-1253 x-cp1253
windows-1254: cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5
windows-1254: windows-1254 x-cp1254
windows-1255: cp1255 windows-1255 x-cp1255
windows-1256: cp1256 windows-1256 x-cp1256
windows-1257: cp1257 windows-1257 x-cp1257
windows-1258: cp1258 windows-1258 x-cp1258
x-mac-cyrillic: x-mac-cyrillic x-mac-ukrainian
GBK: chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk
gb18030: gb18030
Big5: big5 big5-hkscs cn-big5 csbig5 x-x-big5
EUC-JP: cseucpkdfmtjapanese euc-jp x-euc-jp
ISO-2022-JP: csiso2022jp iso-2022-jp
Shift_JIS: csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis
EUC-KR: cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949
replacement: csiso2022kr hz-gb-2312 iso-2022-cn iso-2022-cn-ext iso-2022-kr replacement
UTF-16BE: unicodefffe utf-16be
UTF-16LE: csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le
x-user-defined: x-user-defined
"""  # https://encoding.spec.whatwg.org/#names-and-labels

_LABELS: Final = {
    label: name for line in _NAMES.strip().splitlines() for name, _, labels in [line.partition(":")] for label in labels.split()
}
_CODECS: Final = {
    "UTF-8": "utf-8",
    "IBM866": "cp866",
    **{f"ISO-8859-{part}": f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    "ISO-8859-8-I": "iso8859-8",
    "KOI8-R": "koi8-r",
    "KOI8-U": "koi8-u",
    "macintosh": "mac-roman",
    "windows-874": "cp874",
    **{f"windows-{page}": f"cp{page}" for page in (1250, 1251, 1253, 1254, 1255, 1256, 1257, 1258)},
    "x-mac-cyrillic": "mac-cyrillic",
    "GBK": "gb18030",
    "gb18030": "gb18030",
    "Big5": "big5hkscs",
    "EUC-JP": "euc-jp",
    "ISO-2022-JP": "iso2022-jp",
    "Shift_JIS": "cp932",
    "EUC-KR": "cp949",
    "UTF-16BE": "utf-16-be",
    "UTF-16LE": "utf-16-le",
}
_CHARMAPS: Final = {
    # Python's cp1252 leaves five bytes undefined; the standard gives them the C1 controls of the same value.
    "windows-1252": "".join(
        chr(byte) if byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([byte]).decode("cp1252", "replace") for byte in range(256)
    ),
    "x-user-defined": "".join(chr(byte) if byte < 0x80 else chr(0xF700 + byte) for byte in range(256)),
}
_DETECTED: Final = {"uhc": "EUC-KR", "johab": None, "utf-8-sig": "UTF-8"}  # names of the detector that are no labels

_MAX_LABEL: Final = 64
_PRESCAN: Final = 1024
_DETECT: Final = 20_000
_CONFIDENCE: Final = 0.5

_HEADER_CHARSET: Final = re.compile(r";\s*charset\s*=\s*[\"']?\s*([^\s;\"']+)", re.I)
_COMMENT: Final = re.compile(rb"<!--.*?(?:-->|\Z)", re.S)
_META: Final = re.compile(rb"<meta[\s/]((?:[^>\"']|\"[^\"]*\"|'[^']*')*)", re.I)
_ATTRIBUTE: Final = re.compile(rb"([^\s/>=\"'][^\s/>=]*)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+))")
_META_CHARSET: Final = re.compile(rb"charset\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s;\"']+))", re.I)
_XML_ENCODING: Final = re.compile(rb"<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([^\"']{1,64})[\"']")


def from_label(label: str) -> str | None:
    """Return the standard's name of an encoding label, or None when the standard does not know it."""
    if len(label) > _MAX_LABEL:
        return None
    return _LABELS.get(label.strip("\t\n\f\r ").lower())


def from_content_type(value: str | None) -> str | None:
    """Return the encoding that a Content-Type header names, if it is one."""
    if value is None:
        return None
    match = _HEADER_CHARSET.search(value[:1024])
    return from_label(match[1]) if match else None


def determine(data: bytes, content_type: str | None) -> tuple[str, str]:
    """Return the encoding's name and how it was found: ``bom``, ``header``, ``meta``, ``content`` or ``default``."""
    marked = _from_mark(data)
    if marked:
        return marked, "bom"
    named = from_content_type(content_type)
    if named:
        return named, "header"
    declared = _prescan(data[:_PRESCAN])
    if declared:
        return declared, "meta"
    if is_utf8(data):
        return "UTF-8", "content"
    detected = _detect(data[:_DETECT])
    return (detected, "content") if detected else ("windows-1252", "default")


def is_utf8(data: bytes) -> bool:
    """Say whether `data` is valid UTF-8 throughout."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def to_utf8(data: bytes, name: str) -> tuple[bytes, bool]:
    """Return `data` as valid UTF-8 without byte order mark, and whether every byte of it made sense in encoding `name`."""
    if name == "UTF-8":
        data = data.removeprefix(codecs.BOM_UTF8)
        if is_utf8(data):
            return data, True
        return data.decode("utf-8", "replace").encode(), False
    if name == "replacement":  # encodings that hide markup from those who read ASCII: nothing of them is decoded
        return ("\N{REPLACEMENT CHARACTER}".encode() if data else b""), not data
    if name in _CHARMAPS:
        text, _ = codecs.charmap_decode(data, "replace", _CHARMAPS[name])
    else:
        text = data.decode(_CODECS[name], "replace").removeprefix("\ufeff")
    # A few decoders let lone surrogates through: they must not reach UTF-8.
    return text.encode("utf-8", "replace"), "\ufffd" not in text


def _from_mark(data: bytes) -> str | None:
    if data.startswith(codecs.BOM_UTF8):
        return "UTF-8"
    if data.startswith(codecs.BOM_UTF16_BE):
        return "UTF-16BE"
    if data.startswith(codecs.BOM_UTF16_LE):
        return "UTF-16LE"
    return None


def _prescan(start: bytes) -> str | None:
    """Find what the document's first bytes say of its encoding (HTML standard, "prescan a byte stream")."""
    if b"<!--" in start:
        start = _COMMENT.sub(b"", start)
    for match in _META.finditer(start):
        name = _meta_charset(match[1])
        if name:
            return _as_prescanned(name)
    match_xml = _XML_ENCODING.match(start)
    name = from_label(match_xml[1].decode("latin-1")) if match_xml else None
    return _as_prescanned(name) if name else None


def _meta_charset(attributes: bytes) -> str | None:
    values: dict[bytes, bytes] = {}
    for match in _ATTRIBUTE.finditer(attributes):
        values.setdefault(match[1].lower(), match[2] or match[3] or match[4] or b"")
    if b"charset" in values:
        return from_label(values[b"charset"].decode("latin-1"))
    if values.get(b"http-equiv", b"").strip().lower() == b"content-type":
        found = _META_CHARSET.search(values.get(b"content", b""))
        if found:
            return from_label((found[1] or found[2] or found[3] or b"").decode("latin-1"))
    return None


def _as_prescanned(name: str) -> str:
    """What could be read as ASCII is not UTF-16; the standard also takes x-user-defined for windows-1252 here."""
    if name.startswith("UTF-16"):
        return "UTF-8"
    return "windows-1252" if name == "x-user-defined" else name


def _detect(start: bytes) -> str | None:
    guess = cchardet.detect(start)
    encoding, confidence = guess.get("encoding"), guess.get("confidence")
    if not encoding or not confidence or confidence < _CONFIDENCE:
        return None
    label = str(encoding).lower()
    return _DETECTED[label] if label in _DETECTED else from_label(label)
