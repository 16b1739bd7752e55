"""Average-linkage clustering of short texts by their character n-grams. Pure Python.

A library for this costs each process 120 MB and 250 MB of disk; some hundreds of keywords need
neither. Tests check it against the textbook definition.
"""

import math
from collections import Counter
from collections.abc import Sequence

from treadle.integrations.seo.lexicon import GENERIC
from treadle.integrations.seo.vocabulary import vocabulary

_GRAMS = (3, 4, 5)  # characters; shorter ones join words that only sound alike
_PREFIXES = vocabulary(
    """
    multi sub pre post non auto self co open semi
    """
)
Vector = dict[str, float]


def vectors(texts: Sequence[str]) -> list[Vector]:
    """TF-IDF over character n-grams inside words and over whole words, each of length 1.

    Words that stand in any phrase (`lexicon.GENERIC`) weigh a third.
    """
    bags = [_grams(text) for text in texts]
    seen = Counter(gram for bag in bags for gram in bag)
    count = len(texts)
    result: list[Vector] = []
    for bag in bags:
        raw = {g: n * math.log((1 + count) / (1 + seen[g]) + 1) for g, n in bag.items()}
        norm = math.sqrt(sum(value * value for value in raw.values())) or 1.0
        result.append({gram: value / norm for gram, value in raw.items()})
    return result


def cosine(a: Vector, b: Vector) -> float:
    """Similarity of two vectors of length 1."""
    if len(b) < len(a):
        a, b = b, a
    return sum(value * b[gram] for gram, value in a.items() if gram in b)


def similarities(texts: Sequence[str]) -> list[list[float]]:
    """Every pair's similarity, 0 to 1."""
    points = vectors(texts)
    matrix = [[1.0] * len(points) for _ in points]
    for i, a in enumerate(points):
        for j in range(i):
            matrix[i][j] = matrix[j][i] = cosine(a, points[j])
    return matrix


def agglomerate(matrix: Sequence[Sequence[float]], *, threshold: float) -> list[list[int]]:
    """Merge the two most similar groups again and again while their average is at the threshold.

    Returns:
        Groups of indexes, each ascending, ordered by their first index.
    """
    groups: dict[int, list[int]] = {i: [i] for i in range(len(matrix))}
    links = {i: {j: row[j] for j in range(len(matrix)) if j != i} for i, row in enumerate(matrix)}
    nearest = {i: _nearest(row) for i, row in links.items()}
    while True:
        a = max(nearest, key=lambda i: (nearest[i][0], -i), default=None)
        if a is None or nearest[a][0] < threshold:
            return sorted(sorted(group) for group in groups.values())
        b = nearest[a][1]
        _merge(groups, links, a, b)
        del nearest[b]
        for i in groups:
            if i == a or nearest[i][1] in {a, b} or links[i].get(a, 0.0) > nearest[i][0]:
                nearest[i] = _nearest(links[i])


def _merge(
    groups: dict[int, list[int]], links: dict[int, dict[int, float]], a: int, b: int
) -> None:
    """Put group b into a; the link of a union is the mean weighted by size."""
    size_a, size_b = len(groups[a]), len(groups[b])
    for i in groups:
        if i not in {a, b}:
            value = (size_a * links[a][i] + size_b * links[b][i]) / (size_a + size_b)
            links[a][i] = links[i][a] = value
            del links[i][b]
    del links[a][b], links[b]
    groups[a] += groups.pop(b)


def _nearest(row: dict[int, float]) -> tuple[float, int]:
    if not row:
        return (-1.0, -1)
    index = max(row, key=lambda j: (row[j], -j))
    return (row[index], index)


def _grams(text: str) -> Counter[str]:
    bag: Counter[str] = Counter()
    for word in text.split():
        padded = f" {word} "
        weight = (
            1 if word in GENERIC or word in _PREFIXES else 3
        )  # "integration", "strategies": little in common
        bag[f"={word}"] += 2 * weight  # a whole word in common says more than its pieces
        for size in _GRAMS:
            for i in range(len(padded) - size + 1):
                bag[padded[i : i + size]] += weight
    return bag
