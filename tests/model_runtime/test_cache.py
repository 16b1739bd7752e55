"""Blocks are shared by content, and the one unused for longest is given up first."""

from treadle.model_runtime.cache import BlockPool, next_name


def names(*letters: str) -> list[bytes]:
    return [letter.encode() for letter in letters]


def filled(pool: BlockPool, *letters: str) -> list[int]:
    """Take a block for each letter and name it so."""
    blocks = pool.take(len(letters))
    assert blocks is not None
    for block, name in zip(blocks, names(*letters), strict=True):
        pool.name(block, name)
    return blocks


def test_a_released_beginning_is_found_again() -> None:
    pool = BlockPool(4, block_size=8)
    blocks = filled(pool, "a", "b")
    pool.release(blocks)
    assert pool.free == 4
    assert pool.find(names("a", "b", "c")) == blocks
    assert pool.free == 2


def test_a_gap_ends_the_beginning() -> None:
    pool = BlockPool(4, block_size=8)
    filled(pool, "a", "c")
    assert len(pool.find(names("a", "b", "c"))) == 1


def test_a_shared_block_is_free_when_the_last_holder_lets_go() -> None:
    pool = BlockPool(2, block_size=8)
    first = filled(pool, "a")
    second = pool.find(names("a"))
    pool.release(first)
    assert pool.free == 1
    pool.release(second)
    assert pool.free == 2


def test_too_few_blocks_are_none() -> None:
    pool = BlockPool(2, block_size=8)
    assert pool.take(3) is None
    assert pool.free == 2


def test_the_end_of_a_text_is_given_up_before_its_beginning() -> None:
    pool = BlockPool(3, block_size=8)
    pool.release(filled(pool, "a", "b", "c"))
    pool.take(1)
    assert len(pool.find(names("a", "b", "c"))) == 2


def test_the_block_unused_for_longest_is_given_up() -> None:
    pool = BlockPool(2, block_size=8)
    old, new = filled(pool, "old"), filled(pool, "new")
    pool.release(old)
    pool.release(new)
    pool.release(pool.find(names("old")))
    pool.take(1)
    assert pool.find(names("new")) == []
    assert pool.find(names("old")) == old


def test_a_name_depends_on_everything_before() -> None:
    assert next_name(b"", [1, 2]) != next_name(next_name(b"", [0]), [1, 2])
    assert next_name(b"", [1, 2]) == next_name(b"", (1, 2))
    assert next_name(b"x", [1, 2]) != next_name(b"y", [1, 2])
