"""How much SelectObject takes on: what OSS documents, and what bounds the cost of a statement."""

from __future__ import annotations

from typing import Final

MAX_SQL_BYTES: Final = 16 * 1024
MAX_COLUMNS: Final = 1000
MAX_NAME_BYTES: Final = 1024
MAX_WILDCARDS: Final = 5
MAX_IN_VALUES: Final = 1024
MAX_CONDITIONS: Final = 20
MAX_CONDITION_DEPTH: Final = 10
MAX_AGGREGATIONS: Final = 100
MAX_CSV_BYTES: Final = 256 * 1024
"""Of a line, and of a field."""

MAX_NODE_BYTES: Final = 512 * 1024
MAX_NODE_DEPTH: Final = 10
MAX_ARRAY_ITEMS: Final = 5000

# OSS documents none of these.
MAX_OPERATIONS: Final = 100
MAX_EXPRESSION_DEPTH: Final = 40
MAX_LOOSE_CHARACTERS: Final = 100
"""Of a pattern between two wildcards, where ``?`` is among them: looking for it takes time for each."""

MAX_NUMBER_CHARACTERS: Final = 400
MAX_OUTPUT_BYTES: Final = 1024 * 1024
SPLIT_BYTES: Final = 1024 * 1024
