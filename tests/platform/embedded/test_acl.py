from treadle.platform.embedded.acl import Entry, Tag, with_passage

CLOSED = [Entry(Tag.OWNER, 7), Entry(Tag.GROUP_OWNER, 0), Entry(Tag.OTHER, 0)]


def test_one_user_may_pass_and_nobody_else_gains() -> None:
    assert with_passage(CLOSED, uid=1001) == [
        Entry(Tag.OWNER, 7),
        Entry(Tag.USER, 1, 1001),
        Entry(Tag.GROUP_OWNER, 0),
        Entry(Tag.MASK, 1),
        Entry(Tag.OTHER, 0),
    ]


def test_granting_twice_is_granting_once() -> None:
    once = with_passage(CLOSED, uid=1001)
    assert with_passage(once, uid=1001) == once


def test_what_another_user_may_stays() -> None:
    shared = sorted([*CLOSED, Entry(Tag.USER, 4, 7), Entry(Tag.MASK, 4)])
    granted = with_passage(shared, uid=1001)
    assert Entry(Tag.USER, 4, 7) in granted
    assert Entry(Tag.MASK, 5) in granted
