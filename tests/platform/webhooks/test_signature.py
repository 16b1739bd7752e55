"""Standard Webhooks: what a signature says, and what it does not."""

import pytest

from treadle.platform.webhooks.signature import is_recent, is_signed, new_secret, sign

# The example of the specification.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_specifications_example() -> None:
    assert sign(SECRET, message=MESSAGE, timestamp=1614265330, body=BODY) == SIGNATURE
    assert is_signed(SECRET, SIGNATURE, message=MESSAGE, timestamp="1614265330", body=BODY)


def test_one_right_signature_of_several_is_enough() -> None:
    several = f"v1,AAAA v1a,xx {SIGNATURE} v2,{SIGNATURE[3:]}"
    assert is_signed(SECRET, several, message=MESSAGE, timestamp="1614265330", body=BODY)


@pytest.mark.parametrize("signature", ["", "v1", "v1,", "v1,???", f"v2,{SIGNATURE[3:]}", "v1,AAAA"])
def test_a_wrong_signature_is_none(signature: str) -> None:
    assert not is_signed(SECRET, signature, message=MESSAGE, timestamp="1614265330", body=BODY)


def test_every_part_is_signed() -> None:
    parts = {"message": MESSAGE, "timestamp": "1614265330"}
    for changed in ({"message": "other"}, {"timestamp": "1614265331"}):
        assert not is_signed(SECRET, SIGNATURE, body=BODY, **(parts | changed))
    assert not is_signed(SECRET, SIGNATURE, body=BODY + b" ", **parts)
    assert not is_signed(new_secret(), SIGNATURE, body=BODY, **parts)


@pytest.mark.parametrize(
    ("timestamp", "is_fine"),
    [("1000", True), ("700", True), ("1300", True), ("699", False), ("1301", False), ("x", False)],
)
def test_a_message_is_recent_for_five_minutes(timestamp: str, is_fine: bool) -> None:
    assert is_recent(timestamp, now=1000.0) is is_fine
