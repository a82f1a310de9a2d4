import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.parse import charset

CYRILLIC = "Съешь же ещё этих мягких французских булок, да выпей чаю. Широкая электрификация южных губерний даст мощный толчок."
JAPANESE = "これは日本語の文章です。文字コードを判定するための十分な長さが必要です。吾輩は猫である。名前はまだ無い。"


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("utf-8", "UTF-8"),
        ("UTF8", "UTF-8"),
        (" utf-8\t", "UTF-8"),
        ("iso-8859-1", "windows-1252"),
        ("latin1", "windows-1252"),
        ("us-ascii", "windows-1252"),
        ("ISO-8859-9", "windows-1254"),
        ("iso-8859-11", "windows-874"),
        ("gb2312", "GBK"),
        ("ks_c_5601-1987", "EUC-KR"),
        ("sjis", "Shift_JIS"),
        ("big5-hkscs", "Big5"),
        ("unicode", "UTF-16LE"),
        ("utf-16", "UTF-16LE"),
        ("koi8-ru", "KOI8-U"),
        ("hz-gb-2312", "replacement"),
        ("x-user-defined", "x-user-defined"),
        ("logical", "ISO-8859-8-I"),
    ],
)
def test_labels_of_the_standard(label, name):
    assert charset.from_label(label) == name


@pytest.mark.parametrize(
    "label",
    [
        "utf-7",
        "idna",
        "punycode",
        "rot13",
        "unicode_escape",
        "raw_unicode_escape",
        "zlib",
        "bz2",
        "hex",
        "base64",
        "undefined",
        "mbcs",
        "utf-32",
        "cp037",
        "utf_8_sig",
        "",
        "utf-8\0",
        "é",
        "u" * 1_000_000,
    ],
)
def test_what_the_standard_does_not_know_is_no_label(label):
    assert charset.from_label(label) is None
    assert charset.from_content_type(f"text/html; charset={label}") is None
    body = b'<meta charset="' + label.encode() + b'">plain'
    assert charset.determine(body, f"text/html; charset={label}")[0] in ("UTF-8", "windows-1252")


def test_every_name_of_the_table_can_be_decoded():
    sample = bytes(range(256)) * 2
    names = {charset.from_label(label) for label in charset._LABELS}
    assert len(names) == 40
    assert len(charset._LABELS) == 228
    for name in names:
        text, _ = charset.to_utf8(sample, name)
        text.decode()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("text/html; charset=utf-8", "UTF-8"),
        ('text/html;charset="windows-1251"', "windows-1251"),
        ("text/html; charset='koi8-r'", "KOI8-R"),
        ("text/html; Charset = GBK ; x=y", "GBK"),
        ("text/html; charset=", None),
        ("text/html; xcharset=utf-8", None),
        ("text/html", None),
        ("", None),
        (None, None),
    ],
)
def test_the_header(value, name):
    assert charset.from_content_type(value) == name


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"<meta charset=gbk>", "GBK"),
        (b'<META CHARSET="Shift_JIS" />', "Shift_JIS"),
        (b"<meta name=x content='a>b' charset='koi8-r'>", "KOI8-R"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">', "windows-1251"),
        (b"<meta content='text/html; charset=\"gbk\"' http-equiv=content-type>", "GBK"),
        (b"<!-- <meta charset=gbk> --><meta charset=big5>", "Big5"),
        (b"<meta charset=nonsense><meta charset=euc-kr>", "EUC-KR"),
        (b"<meta charset=utf-16>", "UTF-8"),
        (b"<meta charset=x-user-defined>", "windows-1252"),
        (b'<?xml version="1.0" encoding="koi8-r"?><html>', "KOI8-R"),
        (b"\xef\xbb\xbf<meta charset=gbk>", "UTF-8"),
        (b"\xff\xfe<\0a\0", "UTF-16LE"),
        (b"\xfe\xff\0<\0a", "UTF-16BE"),
    ],
)
def test_the_document_itself(start, name):
    assert charset.determine(start + b"text \xe4", None)[0] == name


def test_precedence():
    both = b"<meta charset=gbk>" + "ü".encode("gbk", "replace")
    assert charset.determine(codecs.BOM_UTF8 + both, "text/html; charset=koi8-r") == ("UTF-8", "bom")
    assert charset.determine(both, "text/html; charset=koi8-r") == ("KOI8-R", "header")
    assert charset.determine(both, "text/html; charset=nonsense") == ("GBK", "meta")


@pytest.mark.parametrize(
    "start",
    [
        b" " * 1024 + b"<meta charset=gbk>",  # beyond what is scanned
        b"<!-- <meta charset=gbk>",
        b"<metacharset=gbk>",
        b"<meta name=description content='charset=gbk'>",
        b"<meta charset",
        b"<meta charset='gbk",
    ],
)
def test_what_is_no_declaration(start):
    assert charset.determine(start, None) == ("UTF-8", "content")


@pytest.mark.parametrize(
    ("text", "codec", "name"),
    [
        (CYRILLIC, "cp1251", "windows-1251"),
        (CYRILLIC, "koi8-r", "KOI8-R"),
        (JAPANESE * 3, "cp932", "Shift_JIS"),
        (JAPANESE * 3, "euc-jp", "EUC-JP"),
        (CYRILLIC, "utf-8", "UTF-8"),
        ("plain", "ascii", "UTF-8"),
    ],
)
def test_undeclared_text_is_recognised_by_its_bytes(text, codec, name):
    data = text.encode(codec)
    assert charset.determine(data, "text/html") == (name, "content")
    assert charset.to_utf8(data, name) == (text.encode(), True)


def test_nothing_recognised_is_windows_1252():
    assert charset.determine(b"a\xe4", None) == ("windows-1252", "default")
    assert charset.to_utf8(b"\x80 \x81 \xe4", "windows-1252") == ("€ \x81 ä".encode(), True)


def test_transcoding():
    assert charset.to_utf8(codecs.BOM_UTF8 + b"a", "UTF-8") == (b"a", True)
    assert charset.to_utf8(b"a\xffb\xed\xa0\x80", "UTF-8")[1] is False
    assert charset.to_utf8("\ufeffä€".encode("utf-16-le"), "UTF-16LE") == ("ä€".encode(), True)
    assert charset.to_utf8("ä".encode("utf-16-be"), "UTF-16BE") == ("ä".encode(), True)
    assert charset.to_utf8(b"<a href=x>", "replacement") == ("\ufffd".encode(), False)
    assert charset.to_utf8(b"a\x80\xff", "x-user-defined") == ("a\uf780\uf7ff".encode(), True)
    assert charset.to_utf8(b"\x00\xd8", "UTF-16LE") == ("\ufffd".encode(), False)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(sorted(set(charset._LABELS.values()))))
def test_any_bytes_become_valid_utf8(data, name):
    text, _ = charset.to_utf8(data, name)
    text.decode("utf-8", "strict")
    charset.determine(data, None)
