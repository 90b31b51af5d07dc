"""The errors of SelectObject and CreateSelectObjectMeta, as OSS documents them; most have the status 400."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SELECT_ERRORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # The request
        "InvalidSqlParameter": "The SQL statement is empty, too long, or not Base64-encoded.",
        "InvalidInputFieldDelimiter": "The field delimiter of the input is invalid.",
        "InvalidInputRecordDelimiter": "The record delimiter of the input is invalid.",
        "InvalidInputQuote": "The quote character of the input is invalid.",
        "InvalidOutputFieldDelimiter": "The field delimiter of the output is invalid.",
        "InvalidOutputRecordDelimiter": "The record delimiter of the output is invalid.",
        "InvalidCommentCharacter": "The comment character is invalid.",
        "UnsupportedCompressionFormat": "The compression format is not supported.",
        "InvalidMaxSkippedRecordsAllowed": "MaxSkippedRecordsAllowed is not a whole number.",
        "InvalidOSSSelectParameters": "The parameters of the request contradict each other.",
        "SelectCsvMetaUnavailable": "The meta data for SelectObject is not available.",
        # The statement
        "SqlSyntaxError": "The syntax of the SQL statement is invalid.",
        "SqlExceedsMaxInCount": "IN has too many values.",
        "SqlExceedsMaxColumnNameLength": "The name of a column is too long.",
        "SqlInvalidColumnIndex": "The index of a column is out of range.",
        "SqlInvalidColumnName": "There is no column of this name.",
        "SqlAggregationOnNonNumericType": "An aggregation needs numbers.",
        "SqlInvalidAggregationOnTimestamp": "SUM and AVG cannot be applied to timestamps.",
        "SqlValueTypeOfInMustBeSame": "The values of IN have different types.",
        "SqlInvalidEscapeChar": "The escape character cannot be a wildcard.",
        "SqlOnlyOneEscapeCharIsAllowed": "Only one escape character is allowed.",
        "SqlNoCharAfterEscapeChar": "Nothing follows the escape character.",
        "SqlInvalidLimitValue": "LIMIT needs a number of at least 1.",
        "SqlExceedsMaxWildCardCount": "LIKE has too many wildcards.",
        "SqlExceedsMaxConditionCount": "WHERE has too many conditions.",
        "SqlExceedsMaxConditionDepth": "The conditions of WHERE are nested too deeply.",
        "SqlOneColumnCastToDifferentTypes": "A column is cast to different types.",
        "SqlOperationAppliedToDifferentTypes": "An operator is applied to different types.",
        "SqlNotSupportedTimestampFormat": "The format of timestamps is not supported.",
        "SqlNotMatchTimestampFormat": "The timestamp does not match its format.",
        "SqlInvalidTimestampValue": "The value is not a timestamp.",
        "SqlInvalidLikeOperand": "LIKE compares a column of text with a literal.",
        "SqlInvalidMixOfAggregationAndColumn": "Aggregations and columns cannot be selected together.",
        "SqlExceedsMaxAggregationCount": "There are too many aggregations.",
        "SqlInvalidMixOfStarAndColumn": "* and columns cannot be selected together.",
        "SqlInvalidKeepAllColumnsWithAggregation": "KeepAllColumns does not go with aggregations.",
        "SqlInvalidKeepAllColumnsWithDuplicateColumn": "KeepAllColumns does not go with repeated columns.",
        "SqlInvalidSqlAfterAnalysis": "The SQL statement is too complex.",
        "InvalidArithmeticOperand": "Arithmetic needs numbers.",
        "SqlInvalidAndOperand": "AND connects conditions.",
        "SqlInvalidOrOperand": "OR connects conditions.",
        "SqlInvalidNotOperand": "NOT negates a condition.",
        "SqlInvalidIsNullOperand": "IS NULL cannot be asked of a constant.",
        "SqlComparerOperandTypeMismatch": "Values of different types are compared.",
        "SqlInvalidConcatOperand": "|| connects columns of text.",
        "SqlUnsupportedSql": "The SQL statement is too complex.",
        "NegativeRowIndex": "The index of an array is negative.",
        "ExceedsMaxNestedColumnDepth": "A JSON path has too many levels.",
        "NestedColumnNotSupportInCsv": "CSV objects have no nested columns.",
        "TableRootNodeOnlySupportInJson": "Only JSON objects have a root node.",
        "WildCardNotAllowed": "A wildcard stands in the path after FROM only.",
        # The object
        "DecompressFailure": "The object cannot be decompressed.",
        "InvalidTextEncoding": "The object is not UTF-8.",
        "HeaderInfoExceedsMaxSize": "The header is too long.",
        "OutputExceedsMaxSize": "A record of the output is too long.",
        "InvalidCsvLine": "A line is not valid CSV.",
        "InvalidJsonData": "The object is not valid JSON.",
        "JsonNodeExceedsMaxSize": "A JSON node is too large.",
        "JsonNodeExceedsMaxDepth": "A JSON node is nested too deeply.",
        "ExceedsMaxJsonArraySize": "A JSON array has too many elements.",
    }
)
"""What OSS says, by code."""
