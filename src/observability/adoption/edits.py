"""Add text to a file's end and remove it again. Nothing else changes: if the file had no last newline, it gets none.

`plan.py` has the text that is added.
"""


def added_to(data: bytes, text: str) -> bytes:
    """Return the bytes to append to `data`: the lines of `text`, or nothing if `text` is empty.

    The line breaks are those of `data`. The last line has no line break if the last line of `data` has none.
    """
    if not text:
        return b""
    newline = b"\r\n" if b"\r\n" in data else b"\n"
    lines = newline.join(line.encode() for line in text.splitlines())
    return newline + lines if data and not data.endswith(b"\n") else lines + newline


def split_at(data: bytes, added: bytes) -> tuple[bytes, bytes]:
    """Return the parts of `data` before and after `added`.

    If `added` was edited, return `data` without those lines of `added` that it still contains, and an empty part.
    """
    before, there, after = data.rpartition(added)
    if there:
        return before, after
    lines = data.splitlines(keepends=True)
    for line in filter(None, map(bytes.strip, added.splitlines())):
        at = next((at for at in reversed(range(len(lines))) if lines[at].strip() == line), None)
        if at is not None:
            del lines[at]
    return b"".join(lines), b""
