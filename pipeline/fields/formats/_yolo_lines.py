"""YOLO's text files: one line for each object, its class first."""

from foveal.pipeline.fields._members import parse_content


def yolo_lines(member: str, content: bytes) -> list[list[str]]:
    """Return the words of each line that has any.

    Raises:
        MemberError: It is not text.
    """
    text: str = parse_content(member, content)
    return [words for line in text.splitlines() if (words := line.split())]
