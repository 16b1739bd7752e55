from treadle.platform.client.sse import Lines, Message


def read(text: str) -> list[Message]:
    lines = Lines()
    return [message for line in text.split("\n") if (message := lines.take(line)) is not None]


def test_a_message_ends_with_a_blank_line() -> None:
    assert read("event: a\nid: 7\ndata: x\n\ndata: cut") == [Message(type="a", id="7", text="x")]


def test_several_data_lines_are_one_text() -> None:
    assert read("data: one\ndata:two\n\n") == [Message(type="", id="", text="one\ntwo")]


def test_comments_and_empty_messages_are_nothing() -> None:
    assert read(": keep-alive\n\nevent: a\n\nretry: 10\n\n") == []


def test_an_id_belongs_to_its_own_message() -> None:
    assert [message.id for message in read("id: 1\ndata: a\n\ndata: b\n\n")] == ["1", ""]
