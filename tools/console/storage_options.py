"""What a command line says of a remote file system."""

import json
from typing import Any


def parse_storage_options(text: str) -> dict[str, Any]:
    """Return what a command line says of a remote file system.

    Raises:
        ValueError: It is no JSON object.
    """
    try:
        options = json.loads(text)
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise ValueError(  # noqa: TRY004 - a word on the command line
            f"storage_options must be a JSON object, such as '{{\"anon\": true}}', got {text!r}."
        )
    return options
