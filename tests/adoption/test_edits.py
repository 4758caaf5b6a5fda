"""Text added to a file's end is removed again, byte for byte, whatever the file's content."""

from src.observability import settings
from src.observability.adoption import plan
from src.observability.adoption.edits import added_to, split_at
from tests.cases import cases

LINES = "-r one.txt\nNAME=value"


@cases("data", [b"", b"a", b"a\n", b"a\n\n", b"a\r\nb\r\n", b"a\r\nb", b"# -r one.txt\nNAME=value2\n"])
def test_an_addition_is_reversible(data: bytes) -> None:
    """An addition is removed completely: with and without a last newline, with Windows line ends, in an empty file."""
    added = added_to(data, LINES)
    assert (data + added).decode().split("\n")[-3:] != data.decode().split("\n")[-3:]
    assert split_at(data + added, added) == (data, b"")
    assert split_at(data + added + b"later\n", added) == (data, b"later\n")


def test_an_addition_has_the_line_ends_of_the_file() -> None:
    """Added lines end in LF or CRLF like the file's. If the file lacks a last newline, the added text lacks one too."""
    assert added_to(b"a\n", LINES) == b"-r one.txt\nNAME=value\n"
    assert added_to(b"a\r\nb", LINES) == b"\r\n-r one.txt\r\nNAME=value"
    assert added_to(b"a\n", "") == b""


def test_an_edited_line_stays() -> None:
    """If a file already had one of the added lines, removal leaves one copy; an added line that was edited stays."""
    added = added_to(b"NAME=value\n", LINES)
    edited = (b"NAME=value\n" + added).replace(b"-r one.txt", b"-r one.txt  # ours")
    assert split_at(edited, added) == (b"NAME=value\n-r one.txt  # ours\n", b"")


def test_settings_that_the_file_has_are_not_added() -> None:
    """A `.env_example` gets the settings that it lacks; if it has them all, nothing is added, not even a comment."""
    ours = (settings.REPO_ROOT / ".env_example").read_text(encoding="utf-8")
    lines = plan._env_block("LANGFUSE_SECRET_KEY=x\n").splitlines()
    assert [line for line in lines if line.startswith("LANGFUSE_")]
    assert "LANGFUSE_SECRET_KEY=" not in "".join(lines)
    assert plan._env_block(ours) == ""
