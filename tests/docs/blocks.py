"""The Python in pages of the documentation."""

import re


def python_blocks(text: str) -> list[str]:
    """Return the blocks of Python of a page in Markdown, in their order."""
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
