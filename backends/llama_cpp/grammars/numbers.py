"""Numbers within bounds, as grammars: digit by digit."""

from dataclasses import dataclass
from decimal import Decimal

from .gbnf import SchemaRefused, one_of

_DIGITS = 15  # of a number without a bound; more are not exact in most programs
_MOST = Decimal(10**_DIGITS - 1)
_FRACTION = '("." [0-9]{1,15})?'


def integers(low: int | None, high: int | None) -> str:
    """A grammar of the integers from `low` to `high`, both included.

    Raises:
        SchemaRefused: there are none.
    """
    low, high = _limited(low, high)
    parts: list[str] = []
    if high >= 0:
        parts.append(_naturals(max(low, 0), high))
    if low < 0:
        parts.append(f'"-" {_naturals(max(-high, 1), -low)}')
    return one_of(parts)


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound of a number; `open`: the number itself is out."""

    value: Decimal
    open: bool = False


def decimals(low: Bound | None, high: Bound | None) -> str:
    """A grammar of the decimal numbers from `low` to `high`, without exponents.

    Raises:
        SchemaRefused: there are none.
    """
    first, last = low or Bound(min(-_MOST, _value(high))), high or Bound(max(_MOST, _value(low)))
    if first.value > last.value or (first.value == last.value and (first.open or last.open)):
        raise SchemaRefused("it has bounds that leave no number")
    parts: list[str] = []
    if last.value >= 0:
        parts += _positives(max(first, _ZERO, key=_value), last)
    if first.value < 0:
        ends = Bound(-last.value, last.open), Bound(-first.value, first.open)
        parts += [f'"-" {one_of(_positives(max(ends[0], _ZERO, key=_value), ends[1]))}']
    return one_of(part for part in parts if part)


_ZERO = Bound(Decimal(0))


def _value(bound: Bound | None) -> Decimal:
    return bound.value if bound else Decimal(0)


def _limited(low: int | None, high: int | None) -> tuple[int, int]:
    most = 10**_DIGITS - 1
    low = min(-most, high if high is not None else 0) if low is None else low
    high = max(most, low) if high is None else high
    if low > high:
        raise SchemaRefused("it has bounds that leave no number")
    return low, high


def _positives(low: Bound, high: Bound) -> list[str]:
    """Numbers between two that are not negative."""
    places = max(_places(low.value), _places(high.value))
    whole, fraction = _halves(low.value, places)
    top, most = _halves(high.value, places)
    zeros, nines = "0" * places, "9" * places
    end = f'"{top}" {_exactly(most)}' if not high.open else ""
    if whole == top:
        return [*_fractions(whole, fraction, _before(most), low.open), *([end] if end else [])]
    starts_whole = fraction == zeros and not low.open
    parts = [] if starts_whole else _fractions(whole, fraction, nines, low.open)
    start = int(whole) + (not starts_whole)
    parts += [f"{_naturals(start, int(top) - 1)} {_FRACTION}"] if start < int(top) else []
    if int(most or 0):
        parts += [f'"{top}"', *_fractions(top, zeros, _before(most), low_open=False)]
    return [*parts, end] if end else parts


def _fractions(whole: str, low: str, high: str | None, low_open: bool) -> list[str]:
    """Numbers with this whole part whose fraction's first digits are from `low` to `high`."""
    point = f'"{whole}." '
    first = low if not low_open else str(int(low or 0) + 1).zfill(len(low))
    parts = [f'{point}"{low}" [0-9]{{0,9}} [1-9]'] if low_open and high is not None else []
    if high is None or not low or len(first) > len(low) or first > high:
        return parts
    return [*parts, f"{point}{one_of(_same_length(first, high))} [0-9]{{0,9}}"]


def _before(digits: str) -> str | None:
    """The digits one lower, None when there are none or they are zero."""
    return str(int(digits) - 1).zfill(len(digits)) if int(digits or 0) else None


def _exactly(fraction: str) -> str:
    return f'".{fraction}" "0"{{0,3}}' if int(fraction or 0) else '("." "0"{1,3})?'


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _halves(value: Decimal, places: int) -> tuple[str, str]:
    """The digits before the point and, `places` of them, behind it."""
    whole, _, fraction = f"{value:f}".partition(".")
    return whole, fraction[:places].ljust(places, "0")


def _naturals(low: int, high: int) -> str:
    """Naturals without leading zeros, one length after another."""
    parts: list[str] = []
    for length in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 10 ** (length - 1) if length > 1 else 0)
        last = min(high, 10**length - 1)
        parts += _same_length(str(first), str(last))
    return one_of(parts)


def _same_length(low: str, high: str) -> list[str]:
    """Digit strings from `low` to `high`, which are equally long."""
    if not low:
        return ['""']
    if set(low) == {"0"} and set(high) == {"9"}:
        return [f"[0-9]{{{len(low)}}}"]
    if low[0] == high[0]:
        rest = one_of(_same_length(low[1:], high[1:]))
        return [f'"{low[0]}" {rest}']
    nines, zeros = "9" * (len(low) - 1), "0" * (len(low) - 1)
    first, last = int(low[0]), int(high[0])
    parts: list[str] = []
    if low[1:] != zeros:
        parts.append(f'"{first}" {one_of(_same_length(low[1:], nines))}')
        first += 1
    if high[1:] != nines:
        parts.append(f'"{last}" {one_of(_same_length(zeros, high[1:]))}')
        last -= 1
    if first <= last:
        parts.append(f"[{first}-{last}]" + (f" [0-9]{{{len(zeros)}}}" if zeros else ""))
    return parts
