"""Search over uploaded files: parsing, chunks with pages, embedding, citations."""
