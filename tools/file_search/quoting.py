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


def excerpt(text: str, queries: Sequence[str], tokens: int) -> tuple[int, int]:
    """(start, end) of `text` without blanks around it, or of as many whole sentences around the best as fit.

    At least the beginning of the best sentence, whatever `tokens` is.
    """
    start = len(text) - len(text.lstrip())
    end = max(start, len(text.rstrip()))
    if estimated_tokens(text[start:end]) <= tokens:
        return start, end
    spans = sentences(text)
    first = last = spans.index(best_sentence(text, queries))
    while True:
        after = last + 1 < len(spans) and _fits(text, spans[first][0], spans[last + 1][1], tokens)
        last += after
        before = first > 0 and _fits(text, spans[first - 1][0], spans[last][1], tokens)
        first -= before
        if not after and not before:
            break
    return _shortened(text, spans[first][0], spans[last][1], tokens)


def _shortened(text: str, start: int, end: int, tokens: int) -> tuple[int, int]:
    found = text[start:end]
    start += len(found) - len(found.lstrip())
    end -= len(found) - len(found.rstrip())
    while estimated_tokens(text[start:end]) > tokens and end - start > 1:
        shorter = text[start : start + (end - start) * 9 // 10]
        end = start + len(shorter.rstrip())
    return start, end


def _fits(text: str, start: int, end: int, tokens: int) -> bool:
    return estimated_tokens(text[start:end]) <= tokens
