"""JSON and TOML that people give: whatever is wrong with them is a ValueError."""

import json
import tomllib

TOO_DEEP = "objects or lists lie too deep within each other"


def from_json(text: str, **options):
    """What JSON says, read with the options of json.loads. Raises ValueError if it is broken or nested too deep."""
    try:
        return json.loads(text, **options)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error


def from_toml(text: str, **options) -> dict:
    """What TOML says, read with the options of tomllib.loads. Raises ValueError if it is broken or nested too deep."""
    try:
        return tomllib.loads(text, **options)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
