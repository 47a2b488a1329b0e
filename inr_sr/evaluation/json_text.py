"""Measures as JSON that any reader takes."""

import json
import math
from typing import Any

import numpy as np


def json_text(value: Any) -> str:
    """Text of mappings, sequences, arrays and numbers; what is not finite is null."""
    return json.dumps(_plain(value), indent=2, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
