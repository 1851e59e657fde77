"""Office documents are zip archives: what is checked before a library opens one.

A bomb says its size itself: zip's directory holds what each member unpacks to, and Python reads no more than that.
"""

from typing import BinaryIO
from zipfile import BadZipFile, LargeZipFile, ZipFile, ZipInfo

from .limits import ParseLimits
from .refusals import damaged, encrypted, invalid
from .sniffing import check_office, misnamed

_MEMBERS = 20_000
_RATIO = 200  # XML packs to a twentieth; deflate cannot do better than 1 : 1,032
_SMALL = 8 << 20  # bytes that may be packed however tightly
_MAIN = {".docx": "word/", ".pptx": "ppt/"}
_KINDS = {
    "word/": "a Word document",
    "ppt/": "a PowerPoint presentation",
    "xl/": "an Excel workbook",
}
_ENCRYPTED = 1  # bit of a member's flags


def check_archive(file: BinaryIO, suffix: str, limits: ParseLimits) -> None:
    """Be sure that an open file is an Office document of the kind that its name says, and no bomb.

    Raises:
        InvalidRequest: it is not; the message says what it is.
    """
    check_office(file, suffix)
    try:
        with ZipFile(file) as archive:
            members = archive.infolist()
    except (BadZipFile, LargeZipFile, ValueError, NotImplementedError, OSError):
        raise damaged(f"the {suffix} file", "its archive is cut off or broken") from None
    _check_kind(members, suffix)
    _check_sizes(members, limits)
    file.seek(0)


def _check_kind(members: list[ZipInfo], suffix: str) -> None:
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise encrypted(f"the {suffix} file")
    folders = {member.filename.partition("/")[0] + "/" for member in members}
    if _MAIN[suffix] in folders:
        return
    held = next((kind for folder, kind in _KINDS.items() if folder in folders), "a zip archive")
    raise misnamed(suffix, held)


def _check_sizes(members: list[ZipInfo], limits: ParseLimits) -> None:
    unpacked = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if len(members) > _MEMBERS:
        raise invalid(f"its archive has more than {_MEMBERS:,} parts")
    if unpacked > limits.memory_bytes // 2:
        raise invalid(f"it unpacks to {unpacked >> 20} MB, more than can be read; split it")
    if unpacked > _SMALL and unpacked > _RATIO * packed:
        raise invalid("its archive unpacks to more than 200 times its size, as no document does")
