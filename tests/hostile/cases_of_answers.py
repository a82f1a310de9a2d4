"""The part of the table (`cases.py`) that is about answers on the wire: framing, heads, slowness, size."""

from __future__ import annotations

from typing import Final

from ends import BAD_HTTP, FETCHED, HTTP_ERROR, TIMEOUT, TOO_LARGE, TRUNCATED, Case, again, web

ANSWER: Final = "tests/unit/fetch/test_fetch_answer.py::"
WIRE: Final = "tests/wire/test_fetch_connections.py::"
MUTATED: Final = "tests/hostile/test_mutated_answers.py::"
HOSTILE: Final = "tests/hostile/"

FRAMING: Final = {
    1: Case(
        "The connection closes before Content-Length is reached",
        (web("/short", TRUNCATED, status=200, bytes=None), again("/short", TRUNCATED, attempts=3)),
    ),
    2: Case("No length: the close is the end", (web("/nolength", FETCHED, title="A page", bytes=92),)),
    3: Case(
        "Content-Length twice: different, equal",
        (web("/twolengths", BAD_HTTP, detail="Content-Length"), web("/samelengths", FETCHED, title="A page")),
    ),
    4: Case(
        "Content-Length beside Transfer-Encoding: chunked",
        (web("/lengthandchunked", FETCHED, title="A page", bytes=92),),
        (f"{ANSWER}test_a_connection_is_used_again_only_after_what_was_strictly_right",),
    ),
    5: Case(
        "Transfer-Encoding of other kinds",
        (web("/tegzip", BAD_HTTP, detail="gzip, chunked"), web("/teidentity", FETCHED, title="A page")),
    ),
    6: Case(
        "Chunk sizes that are none: zz, 0_2, negative, beyond 2^63, empty, with 20 kB of extension",
        (web("/badchunk /chunkunderscore /chunknegative /chunkhuge /chunkempty /chunklongline", BAD_HTTP, detail="[Cc]hunk"),),
    ),
    7: Case("Cut before the last chunk", (web("/cutchunk", TRUNCATED, bytes=None), again("/cutchunk", TRUNCATED, attempts=3))),
    8: Case(
        "Closed without a byte, or within the head",
        (
            web("/nobytes", TRUNCATED, detail="without an answer"),
            web("/halfhead", TRUNCATED),
            again("/nobytes /halfhead", TRUNCATED, attempts=3),
        ),
    ),
    9: Case(
        "Not HTTP/1: HTTP/0.9, ICY, SSH, HTTP/2 frames, broken status lines",
        (web("/http09 /icy /nothttp /http2 /statusabc /statusline", BAD_HTTP), again("/nothttp", BAD_HTTP, attempts=1)),
    ),
    10: Case(
        "Status 999, 299, 000",
        (
            web("/status999", HTTP_ERROR, status=999),
            web("/status299", FETCHED, status=299, title="A page"),
            web("/status000", BAD_HTTP, detail="status 0"),
        ),
    ),
    11: Case("Bare LF, no reason phrase, folded fields", (web("/barelf /noreason /obsfold", FETCHED, title="A page"),)),
    12: Case(
        "Control characters in a field",
        (web("/nulheader", FETCHED, title="A page"), web("/terminal", FETCHED)),
        note="No control character reaches an output, the database's records or the terminal: the crawl's texts are searched for them.",
    ),
    13: Case(
        "First field indented, no colon, a blank before the colon, no name",
        (web("/leadingspace /nocolon /spacename /badheader", BAD_HTTP, detail="field"),),
    ),
    14: Case(
        "Header lines of 20 kB and of 1 MB",
        (web("/longline", FETCHED, title="A page"), web("/megaline", BAD_HTTP, detail="head is larger than 65536")),
    ),
    15: Case("200 000 fields", (web("/manyheaders /headerflood", BAD_HTTP, detail="head is larger than 65536"),)),
    16: Case(
        "103 Early Hints: one, one with a length, one with a body, 50 000 of them",
        (
            web("/onehint /hintlength", FETCHED, title="A page", bytes=92),
            web("/hintbody", BAD_HTTP, detail="status line"),
            web("/hints", BAD_HTTP, detail="informational"),
        ),
    ),
    17: Case(
        "204 and 304 with a body, 101 unasked",
        (
            web("/empty204", FETCHED, status=204, bytes=0),
            web("/surprise304", HTTP_ERROR, status=304),
            web("/switch101", BAD_HTTP, detail="101"),
        ),
        (f"{ANSWER}test_an_answer_to_head_has_no_body",),
    ),
    18: Case(
        "A second answer behind the first; an answer before the request",
        (web("/glued", FETCHED, title="A page"),),
        (
            f"{WIRE}test_an_answer_nobody_asked_for_is_nobodys",
            f"{WIRE}test_an_answer_given_before_the_request_leaves_a_connection_that_is_not_used_again",
            f"{WIRE}test_what_follows_an_answer_is_not_the_answer_to_what_is_asked_at_once",
            f"{MUTATED}test_no_byte_goes_to_another_url",
        ),
        note="The forged answer links to /never/, which is never asked for.",
    ),
    19: Case(
        "A kept connection closes under the next request",
        (web("/keep[0-4]", FETCHED, attempts=1, title="A page"),),
        (f"{WIRE}test_a_dead_kept_connection_costs_a_second_sending",),
    ),
    20: Case(
        "HTTP/1.0 without keep-alive, 10 000 times",
        (web("/oldhttp[0-4]", FETCHED, title="A page"),),
        (f"{HOSTILE}test_endurance.py::test_ten_thousand_connections_leave_no_descriptor",),
    ),
}

SLOWNESS: Final = {
    21: Case(
        "No answer to the connection, or none to the request",
        (
            web("http://127.0.0.199:SILENT/", TIMEOUT, detail="connect", label="a port that answers no SYN"),
            web("/hang /stall[0-7]", TIMEOUT, detail="^head"),
            again("/hang", TIMEOUT, attempts=3),
        ),
    ),
    22: Case("A byte now and then", (web("/drip", TIMEOUT, detail="body"),)),
    23: Case(
        "Bodies without end: plain, chunked, multipart",
        (web("/endless /endlesschunks /endlessparts /toolarge", TOO_LARGE, bytes=None),),
        note="What was read up to the limit is not kept: a part of a page is no page.",
    ),
    24: Case("A head that drips for ever", (web("/driphead", TIMEOUT, detail="^head"),)),
    25: Case("10 GB announced", (web("/hugelength", TOO_LARGE, detail="10737418240 bytes announced"),)),
    26: Case(
        "2 000 hosts that stall, drip or bomb at once",
        tests=(f"{HOSTILE}test_crowd.py::test_healthy_hosts_keep_their_rate_beside_two_thousand_evil_ones",),
    ),
    27: Case(
        "A reset within the head or the body, every time",
        (
            web("/resethead /resetbody", TRUNCATED, detail="reset"),
            web("/hangbody", TIMEOUT, detail="body.*11 bytes received"),
            again("/resethead /resetbody", TRUNCATED, attempts=3),
        ),
    ),
    28: Case(
        "A fast server: 64 pages of a megabyte at once",
        (web("/flood /flood/[0-63]", FETCHED, title="Flood"),),
        (
            "tests/unit/fetch/test_fetch_response.py::test_a_slow_receiver_holds_the_server_up_but_not_the_next_answer",
            "tests/wire/test_engine.py::test_back_pressure_from_a_slow_disk_and_few_places",
        ),
        note="Memory of the process is bounded in the same run.",
    ),
}

ANSWERS: Final = {**FRAMING, **SLOWNESS}
