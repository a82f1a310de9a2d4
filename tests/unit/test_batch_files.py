"""The files of `crawl batch`: the list it reads, the records and pages it writes, and their names."""

from __future__ import annotations

import os

import pytest

from crawler.batch import Page, record_of
from crawler.cli.batch_files import MAX_LINE, PageFolder, RecordFile, UrlList, file_name
from crawler.errors import StoreError, UsageError
from crawler.model import Outcome


def page(url="http://example.com/", content_type="text/html", body=b"x"):
    return Page(url, url, Outcome.FETCHED, content_type=content_type, body=body)


def read_all(listed):
    found = []
    while (some := listed.read()) is not None:
        found += some
    return found


def write(path, data):
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"http://a/\nhttp://b/\n", ["http://a/", "http://b/"]),
        (b"http://a/\r\nhttp://b/", ["http://a/", "http://b/"]),
        (b"\xef\xbb\xbfhttp://a/\n", ["http://a/"]),
        (b"# one\n\n  http://a/  \n#http://b/\n", ["http://a/"]),
        ("http://ü/\n".encode(), ["http://ü/"]),
        (b"http://\xff/\n", ["http://\udcff/"]),
        (b"", []),
        (b"x" * (3 * MAX_LINE) + b"\nhttp://a/\n", ["x" * MAX_LINE, "http://a/"]),
    ],
)
def test_a_list_is_read_line_by_line(tmp_path, data, lines):
    assert read_all(UrlList([], write(tmp_path / "list", data))) == lines


def test_the_command_line_comes_before_the_file(tmp_path):
    assert read_all(UrlList(["http://b/"], write(tmp_path / "list", b"http://a/\n"))) == ["http://b/", "http://a/"]


def test_lines_are_whole_wherever_the_reads_cut(tmp_path):
    wanted = [f"http://example.com/{number}" for number in range(20_000)]
    assert read_all(UrlList([], write(tmp_path / "list", "\n".join(wanted).encode()))) == wanted


def test_a_read_that_would_block_gives_nothing_just_now():
    ours, theirs = os.pipe()
    try:
        listed = UrlList([], f"/dev/fd/{ours}")
        assert listed.read() == []
        os.write(theirs, b"http://a/\nhttp://")
        assert listed.read() == ["http://a/"]
    finally:
        os.close(theirs)
    assert listed.read() == ["http://"]
    assert listed.read() is None
    os.close(ours)


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_list_that_cannot_be_read_is_refused_by_name(tmp_path, name):
    with pytest.raises(UsageError, match=f"--urls-file {tmp_path / name}"):
        UrlList([], str(tmp_path / name))


@pytest.mark.parametrize(
    ("url", "content_type", "name"),
    [
        ("http://example.com/", "text/html", "00007-example.com-index.html"),
        ("http://example.com:81/a/b.html?x=1", "text/html", "00007-example.com-81-b.html"),
        ("http://example.com/b.php", "text/html", "00007-example.com-b.html"),
        ("http://example.com/pic.JPG", "image/x-odd", "00007-example.com-pic.jpg"),
        ("http://example.com/data", "image/x-odd", "00007-example.com-data.bin"),
        ("http://example.com/data", None, "00007-example.com-data.bin"),
        ("http://example.com/..%2Fetc%2Fpasswd", "text/html", "00007-example.com-2Fetc-2Fpasswd.html"),
        ("http://example.com/.bashrc", "text/plain", "00007-example.com-bashrc.txt"),
        ("http://example.com/a;rm%20-rf", "text/plain", "00007-example.com-a-rm-20-rf.txt"),
        ("http://[::1]:8080/", "text/html", "00007-1-8080-index.html"),
        ("http://example.com/" + "a" * 1900, "text/html", f"00007-example.com-{'a' * 60}.html"),
        ("http://" + "b" * 63 + ".com/", "text/html", f"00007-{'b' * 60}-index.html"),
    ],
)
def test_file_names_are_safe_and_bounded(url, content_type, name):
    assert file_name(7, page(url, content_type)) == name


def test_no_two_pages_share_a_name():
    names = {file_name(number, page()) for number in (1, 2, 99_999, 100_000, 1_000_000)}
    assert len(names) == 5


def test_pages_are_saved_whole(tmp_path):
    folder = PageFolder(str(tmp_path / "new" / "pages"), overwrite=False)
    folder.save(1, page(body=b"one"))
    folder.save(2, page(body=b"two"))
    found = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    assert found == {"00001-example.com-index.html": b"one", "00002-example.com-index.html": b"two"}


def test_a_folder_with_something_in_it_is_used_only_when_asked(tmp_path):
    (tmp_path / "00001-example.com-index.html").symlink_to("/dev/full")
    with pytest.raises(UsageError, match="not empty"):
        PageFolder(str(tmp_path), overwrite=False)
    PageFolder(str(tmp_path), overwrite=True).save(1, page(body=b"one"))
    saved = tmp_path / "00001-example.com-index.html"
    assert not saved.is_symlink()  # replaced, not written through
    assert saved.read_bytes() == b"one"


def test_a_page_that_cannot_be_saved_leaves_nothing(tmp_path):
    folder = PageFolder(str(tmp_path), overwrite=False)
    (tmp_path / "00001-example.com-index.html").mkdir()
    with pytest.raises(StoreError, match=r"--save .*00001-example.com-index.html"):
        folder.save(1, page())
    assert [path.name for path in tmp_path.iterdir()] == ["00001-example.com-index.html"]


def test_a_record_file_has_its_name_only_when_complete(tmp_path):
    target = tmp_path / "out.jsonl"
    file = RecordFile(str(target), overwrite=False)
    file.write([record_of(page())])
    assert not target.exists()
    file.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    assert target.read_bytes().count(b"\n") == 1
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


def test_csv_has_a_header_line(tmp_path):
    file = RecordFile(str(tmp_path / "out.csv"), overwrite=False)
    file.write([record_of(page())])
    file.finish()
    assert (tmp_path / "out.csv").read_text().splitlines()[0].startswith("url,outcome,reason")


def test_what_was_written_of_an_interrupted_list_is_kept_and_an_empty_file_is_not(tmp_path):
    file = RecordFile(str(tmp_path / "out.csv"), overwrite=False)
    assert file.leave() is False
    assert list(tmp_path.iterdir()) == []
    file = RecordFile(str(tmp_path / "out.csv"), overwrite=False)
    file.write([record_of(page())])
    assert file.leave() is True
    assert list(tmp_path.iterdir()) == [file.part]


def test_an_existing_file_is_replaced_only_when_asked(tmp_path):
    target = tmp_path / "out.jsonl"
    target.write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        RecordFile(str(target), overwrite=False)
    RecordFile(str(target), overwrite=True).finish()
    assert target.read_bytes() == b""


def test_a_file_that_came_to_exist_meanwhile_is_not_replaced(tmp_path):
    file = RecordFile(str(tmp_path / "out.jsonl"), overwrite=False)
    (tmp_path / "out.jsonl").write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        file.finish()
    assert (tmp_path / "out.jsonl").read_text() == "precious"


@pytest.mark.parametrize("name", ["out.xlsx", "absent/out.csv", "."])
def test_an_output_that_cannot_be_is_refused(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match="--output"):
        RecordFile(str(tmp_path / (name if name != "." else "folder.csv")), overwrite=True)
