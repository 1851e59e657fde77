"""How much of a passage the model reads: the stretch around its best sentence that fits.

Token counts here are estimates for any language model: such models split figures into digits, so digits and signs
count one each and other characters a quarter, which errs on the safe side for prose.
"""

from collections.abc import Sequence

from ...engine.sentences import best_sentence, sentences


def estimated_tokens(text: str) -> int:
    """About how many tokens a language model makes of `text`, rather too many than too few."""
    letters = sum(1 for character in text if character.isalpha() or character.isspace())
    return letters // 4 + len(text) - letters


def excerpt(text: str, queries: Sequence[str], tokens: int) -> str:
    """`text`, or as many whole sentences around the best one as fit into `tokens`; at least its beginning."""
    text = text.strip()
    if estimated_tokens(text) <= tokens:
        return text
    spans = sentences(text)
    best = spans.index(best_sentence(text, queries))
    first, last = best, best
    while True:
        after = last + 1 < len(spans) and _fits(text, spans[first][0], spans[last + 1][1], tokens)
        last += after
        before = first > 0 and _fits(text, spans[first - 1][0], spans[last][1], tokens)
        first -= before
        if not after and not before:
            break
    found = text[spans[first][0] : spans[last][1]].strip()
    while estimated_tokens(found) > tokens:
        found = found[: len(found) * 9 // 10].rstrip()
    return found


def _fits(text: str, start: int, end: int, tokens: int) -> bool:
    return estimated_tokens(text[start:end]) <= tokens
