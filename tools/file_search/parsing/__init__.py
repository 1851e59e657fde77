"""From the bytes of an uploaded file to its text, with pages and headings."""
