"""
SelectObject without I/O: SQL over the records of CSV and JSON objects whose bytes are handed in.

`statement` is parsed from SQL, bound to the columns of an object by `query`, and carried out by `scan`
over what `csv_records` and `json_nodes` make of the bytes.
"""
