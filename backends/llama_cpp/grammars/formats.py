"""Formats of strings that a grammar can hold. Other formats are annotations and not enforced."""

_DAY = '("0" [1-9] | [1-2] [0-9])'  # 29 and more do not exist in every month
_DATE = (
    '[1-2] [0-9]{3} "-" '
    f'( "02" "-" ("0" [1-9] | "1" [0-9] | "2" [0-8]) | ("0" [469] | "11") "-" ({_DAY} | "30")'
    f' | ("0" [13578] | "1" [02]) "-" ({_DAY} | "3" [0-1]) )'
)
_CLOCK = '([0-1] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,6})?'
_ZONE = '("Z" | [+-] ("0" [0-9] | "1" [0-4]) ":" [0-5] [0-9])'
_LABEL = "[a-zA-Z0-9] ([a-zA-Z0-9-]{0,30} [a-zA-Z0-9])?"
_HOST = f'{_LABEL} ("." {_LABEL}){{0,4}}'
_BYTE = '("25" [0-5] | "2" [0-4] [0-9] | "1" [0-9] [0-9] | [1-9]? [0-9])'
_NAME = "[a-zA-Z0-9_+-]{1,30}"
_PATH = "[a-zA-Z0-9._~/?=&+-]{0,200}"

FORMATS = {
    "date": _DATE,
    "time": f"{_CLOCK} {_ZONE}",
    "date-time": f'{_DATE} "T" {_CLOCK} {_ZONE}',
    "uuid": 'hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12}',
    "ipv4": f'{_BYTE} ("." {_BYTE}){{3}}',
    "hostname": _HOST,
    "email": f'{_NAME} ("." {_NAME}){{0,3}} "@" {_LABEL} ("." {_LABEL}){{1,3}}',
    "uri": f'"http" "s"? "://" {_HOST} ("/" {_PATH})?',
}
"""What stands between the quotes, by the format's name."""
