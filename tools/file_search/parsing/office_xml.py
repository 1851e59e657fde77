"""The XML inside Office documents, so that a text is never half of what it was: what both libraries leave to us.

Both keep entities, comments and processing instructions as nodes of their own, and a text element's `text` ends at the
first of them. What no reader sees is taken out; a document that declares entities is refused, as Word refuses it:
the format's standard (ISO/IEC 29500-2) forbids declarations, and an entity may stand for any text or for a bomb.
"""

from importlib import import_module
from typing import Any

from .refusals import invalid


def prepare(package: Any) -> None:
    """Make the XML of all parts of a package that python-docx or python-pptx opened ready to be read.

    Raises:
        InvalidRequest: one of them declares entities.
    """
    for part in package.iter_parts():
        root = getattr(part, "_element", None)
        if root is not None:
            _prepare(root)


def parsed(data: bytes) -> Any:
    """The root element of a part that the libraries do not parse, made ready to be read.

    Raises:
        InvalidRequest: it declares entities.
        lxml.etree.XMLSyntaxError: no XML.
    """
    etree = _etree()
    root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
    _prepare(root)
    return root


def _etree() -> Any:
    """lxml's, which has no types."""
    return import_module("lxml.etree")


def _prepare(root: Any) -> None:
    etree = _etree()
    if root.getroottree().docinfo.internalDTD is not None:
        raise invalid(
            "it declares XML entities, which no Office program writes or opens; open the document"
            " where it was made and save it anew"
        )
    etree.strip_elements(root, etree.Comment, etree.ProcessingInstruction, with_tail=False)
