# ARRAY, STRUCT and JSON
[1, 2, 3], ARRAY<INT64>[], ARRAY_LENGTH([1, 2]), ARRAY_LENGTH(NULL), ARRAY<STRING>['a', 'b']
[1, 2][OFFSET(0)], [1, 2][ORDINAL(2)], [1, 2][SAFE_OFFSET(5)], [1, 2][SAFE_ORDINAL(0)], [1, 2][0], [1, 2][SAFE_OFFSET(-1)]
[1, 2][OFFSET(2)]
[1, 2][ORDINAL(0)]
ARRAY_CONCAT([1], [2, 3]), ARRAY_CONCAT([1], NULL), ARRAY_REVERSE([1, 2, 3]), [1] || [2]
ARRAY_TO_STRING(['a', NULL, 'b'], ','), ARRAY_TO_STRING(['a', NULL, 'b'], ',', '?'), ARRAY_TO_STRING([], ',')
GENERATE_ARRAY(1, 5), GENERATE_ARRAY(1, 10, 3), GENERATE_ARRAY(5, 1), GENERATE_ARRAY(5, 1, -2), GENERATE_ARRAY(NUMERIC '0', NUMERIC '1', NUMERIC '0.25'), GENERATE_ARRAY(0.0, 1.0, 0.5)
GENERATE_ARRAY(1, 5, 0)
ARRAY(SELECT x * 2 FROM UNNEST([3, 1, 2]) x ORDER BY x), ARRAY(SELECT 1 FROM UNNEST([1]) WHERE FALSE)
ARRAY(SELECT AS STRUCT x AS a, x + 1 AS b FROM UNNEST([1, 2]) x)
STRUCT(1 AS a, 'x' AS b), STRUCT(1, 2), STRUCT<x INT64, y STRING>(1, 'a'), (1, 'a')
STRUCT(1 AS a, 'x' AS b).b, STRUCT(STRUCT(5 AS c) AS b).b.c
STRUCT(1 AS a) = STRUCT(1 AS a), (1, NULL) = (1, 2), [1, 2] = [1, 2]
s.a, s.b FROM (SELECT STRUCT(x AS a, y AS b) AS s FROM (SELECT 1 AS x, 'q' AS y))
3 IN UNNEST([1, 2, 3]), 5 IN UNNEST([1, NULL]), 1 IN UNNEST([1, NULL])
EXISTS(SELECT 1 FROM UNNEST([1]) x WHERE x > 1), (SELECT MAX(x) FROM UNNEST([1, 5]) x), 2 IN (SELECT x FROM UNNEST([1, 2]) x)
(SELECT x FROM UNNEST([1, 2]) x)
ARRAY_FIRST([1, 2]), ARRAY_LAST([1, 2])
ARRAY_FILTER([1, 2, 3], e -> e > 1), ARRAY_TRANSFORM([1, 2, 3], e -> e * 10)
x, off FROM UNNEST(['a', 'b']) x WITH OFFSET off ORDER BY off
v.a, v.b FROM UNNEST([STRUCT(1 AS a, 'x' AS b), (2, 'y')]) v ORDER BY 1
JSON_VALUE('{"a": {"b": "c"}}', '$.a.b'), JSON_VALUE('{"a": 1.5}', '$.a'), JSON_VALUE('{"a": true}', '$.a'), JSON_VALUE('{"a": null}', '$.a'), JSON_VALUE('{"a": [1]}', '$.a'), JSON_VALUE('{"a": [1, "x"]}', '$.a[1]'), JSON_VALUE('{"a": 1}', '$.z'), JSON_VALUE('not json', '$.a'), JSON_VALUE('"x"')
JSON_QUERY('{"a": {"b": "c"}}', '$.a'), JSON_QUERY('{"a": [1, 2]}', '$.a'), JSON_QUERY('{"a": "x"}', '$.a'), JSON_QUERY('{"a": null}', '$.a'), JSON_QUERY('{"a": 1}', '$.z')
JSON_EXTRACT_SCALAR('{"a": "x"}', '$.a'), JSON_EXTRACT('{"a": {"b": 1}}', '$.a'), JSON_VALUE('{"a b": 1}', '$."a b"'), JSON_EXTRACT_SCALAR('{"a b": 1}', "$['a b']")
JSON_VALUE_ARRAY('{"a": ["x", 1]}', '$.a'), JSON_QUERY_ARRAY('{"a": [{"b": 1}, 2]}', '$.a'), JSON_VALUE_ARRAY('{"a": 1}', '$.a'), JSON_EXTRACT_STRING_ARRAY('["a", "b"]'), JSON_EXTRACT_ARRAY('[1, 2]')
JSON_VALUE(PARSE_JSON('{"a": {"b": "c"}}'), '$.a.b'), JSON_QUERY(PARSE_JSON('{"a": {"b": "c"}}'), '$.a'), JSON_VALUE(JSON '{"a": 1}', '$.a')
JSON '{"a": {"b": [1, 2]}}'.a.b[1], JSON '{"a": 1}'.z, JSON '[1, 2]'[0], JSON '{"a": 1}'['a']
INT64(JSON '5'), STRING(JSON '"x"'), BOOL(JSON 'true'), FLOAT64(JSON '1.5')
INT64(JSON '"5"')
JSON_TYPE(JSON '{}'), JSON_TYPE(JSON '[]'), JSON_TYPE(JSON '"s"'), JSON_TYPE(JSON '1'), JSON_TYPE(JSON 'null'), JSON_TYPE(JSON 'true')
TO_JSON_STRING(1), TO_JSON_STRING('a"b'), TO_JSON_STRING(NULL), TO_JSON_STRING([1, 2]), TO_JSON_STRING(STRUCT(1 AS a, 'x' AS b)), TO_JSON_STRING(TRUE), TO_JSON_STRING(1.5), TO_JSON_STRING(1.0), TO_JSON_STRING(NUMERIC '1.5')
TO_JSON_STRING(DATE '2020-01-02'), TO_JSON_STRING(TIMESTAMP '2020-01-02 03:04:05+00'), TO_JSON_STRING(DATETIME '2020-01-02 03:04:05.5'), TO_JSON_STRING(9007199254740993), TO_JSON_STRING(-9223372036854775808), TO_JSON_STRING(STRUCT(1, 2)), TO_JSON_STRING([STRUCT(CAST(NULL AS STRING) AS a)]), TO_JSON_STRING(TIME '12:34:56'), TO_JSON_STRING(b'abc')
TO_JSON_STRING('\u0001/é\n\t'), TO_JSON_STRING(NUMERIC '123456789012345678901.5'), TO_JSON_STRING(JSON '{"b": 1, "a": [1, 2]}'), TO_JSON_STRING(CAST('inf' AS FLOAT64))
PARSE_JSON('{"a":1,"b":2}'), PARSE_JSON(' [1, 2 ] '), TO_JSON(STRUCT(1 AS a)), TO_JSON([1, 2])
PARSE_JSON('{bad')
SAFE.PARSE_JSON('{bad')
JSON_VALUE(j, p) FROM (SELECT '{"a": "x"}' AS j, '$.a' AS p)
