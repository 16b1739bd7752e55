"""What may not be done with members."""

from treadle.platform.errors import Conflict, Forbidden


class MemberExists(Conflict):
    """The workspace has a member with this address."""

    def __init__(self, email: str) -> None:
        super().__init__(f"{email!r} is a member already", code="member_exists")


class LastOwner(Conflict):
    """Without an owner nobody could appoint one."""

    def __init__(self, email: str) -> None:
        super().__init__(
            f"{email!r} is the only owner: make somebody else an owner first", code="last_owner"
        )


class RankTooLow(Forbidden):
    """Nobody appoints, removes or acts for who stands above them."""

    def __init__(self, role: str, other: str) -> None:
        super().__init__(f"a key of role {role!r} may not act on {other!r}", code="rank_too_low")
