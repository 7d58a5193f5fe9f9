"""The option ``--storage-options``."""

import json
from typing import Any


def parse_storage_options(text: str) -> dict[str, Any]:
    """Return the options of a remote file system from the JSON on the command line.

    Raises:
        ValueError: It is not a JSON object.
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
