# STRING and BYTES functions
UPPER('aé'), LOWER('AÉ'), LENGTH('aé'), BYTE_LENGTH('aé'), CHAR_LENGTH('aé'), LENGTH(b'a\xff')
'a' || 'b' || 'c'
CONCAT('a', 'b', NULL), CONCAT('a', 'b')
TRIM('  a '), LTRIM('  a '), RTRIM('  a '), TRIM('xxaxx', 'x'), LTRIM('abca', 'ab'), TRIM('\t\n a \r'), RTRIM('a\u00a0')
TRIM('a'), TRIM('a '), TRIM('\ta'), TRIM('~\u2003'), TRIM('\u3000é'), TRIM('é'), TRIM(''), TRIM(' '), TRIM(CAST(NULL AS STRING))
LTRIM('a '), LTRIM('\u2003a '), RTRIM(' a'), RTRIM('a é '), TRIM('\u0001a\u007f'), TRIM(CONCAT(' a', ' b '))
SUBSTR('hello', 2), SUBSTR('hello', 2, 3), SUBSTR('hello', 0), SUBSTR('hello', 0, 2), SUBSTR('hello', -3), SUBSTR('hello', -3, 2)
SUBSTR('hello', -10), SUBSTR('hello', -10, 3), SUBSTR('hello', 10), SUBSTR('hello', 5, 10), SUBSTR('hello', 1, 0), SUBSTR('hello', -5, 2)
SUBSTR('hello', 2, -1)
SUBSTR(b'hello', 2, 3), SUBSTR(b'hello', -2), SUBSTR(b'hello', 0, 2)
LEFT('hello', 2), RIGHT('hello', 2), LEFT('a', 5), RIGHT('hello', 0)
REPLACE('banana', 'a', 'o'), REPLACE('banana', '', 'x'), REPLACE('aaa', 'aa', 'b')
SPLIT('a,b,c'), SPLIT('a--b', '--'), SPLIT('', ','), SPLIT('abc', ''), SPLIT('a,,b', ','), SPLIT(NULL, ',')
STARTS_WITH('hello', 'he'), ENDS_WITH('hello', 'lo'), STARTS_WITH('a', ''), STRPOS('hello', 'l'), STRPOS('hello', 'z'), INSTR('hello', 'l')
REVERSE('aéb'), REPEAT('ab', 3), REPEAT('a', 0)
REPEAT('a', -1)
LPAD('7', 3, '0'), RPAD('7', 3, '0'), LPAD('hello', 3), LPAD('a', 5, 'xy'), RPAD('a', 5), LPAD('hello', 3, 'x'), LPAD('', 0, 'x')
INITCAP('hello world'), INITCAP('HELLO-wORLD foo_bar'), INITCAP('a b|c'), INITCAP('')
TRANSLATE('hello', 'el', 'ip'), ASCII('a'), UNICODE('é'), CHR(97), ASCII(''), CHR(233)
'abc' LIKE 'a%', 'abc' LIKE '_b_', 'a%c' LIKE 'a\\%c', 'abc' LIKE 'a\\%c', 'ABC' LIKE 'abc', 'a_b' LIKE 'a\\_b', 'axb' LIKE 'a\\_b'
'a\nb' LIKE 'a%b', '' LIKE '', '' LIKE '%'
x LIKE y FROM (SELECT 'a%c' AS x, 'a\\%%' AS y)
REGEXP_CONTAINS('abc123', r'\d+'), REGEXP_CONTAINS('abc', r'^b'), REGEXP_CONTAINS('ABC', r'(?i)abc'), REGEXP_CONTAINS('', '')
REGEXP_EXTRACT('abc123', r'\d+'), REGEXP_EXTRACT('abc123', r'([a-z]+)\d'), REGEXP_EXTRACT('abc', r'\d+'), REGEXP_EXTRACT('abc', r'(\d*)'), REGEXP_EXTRACT('foo@bar.com', r'@(?:.*\.)?(\w+)$')
REGEXP_EXTRACT('a(b)', r'\((.)\)'), REGEXP_EXTRACT('x[1]', r'[(]?\[(\d)\]'), REGEXP_EXTRACT('key=val', r'(?P<k>\w+)=')
REGEXP_EXTRACT('ab', r'(a)(b)')
REGEXP_EXTRACT_ALL('a1b2c3', r'\d'), REGEXP_EXTRACT_ALL('a1b2c3', r'([a-z])\d'), REGEXP_EXTRACT_ALL('abc', r'\d')
REGEXP_REPLACE('abc123', r'\d', 'x'), REGEXP_REPLACE('abc', r'(a)(b)', r'\2\1'), REGEXP_REPLACE('aaa', 'a', ''), REGEXP_REPLACE('hello', r'l+', r'[\0]')
TO_HEX(MD5('abc')), TO_HEX(SHA256('abc')), TO_HEX(SHA1('abc')), MD5('é')
TO_HEX(b'\x00\xff'), FROM_HEX('00fF'), FROM_HEX('123'), TO_BASE64(b'abc'), FROM_BASE64('YWJj')
FORMAT('%s-%d', 'a', 5), FORMAT('%05d', 42), FORMAT('100%%'), FORMAT('%t', DATE '2020-01-02'), FORMAT('%.2f', 3.14159), FORMAT('%t', NUMERIC '1.50'), FORMAT('%3d|', 7)
FORMAT('%t', TIMESTAMP '2020-01-02 03:04:05+00'), FORMAT('%t', 1.0), FORMAT('%s', CAST(NULL AS STRING))
'a' < 'b', 'a' < 'B', 'é' > 'z', '' < 'a', 'a' = 'A', b'a' < b'b'
SAFE.SUBSTR('hello', 2, -1)
NORMALIZE('é')
"it's", 'a"b', 'back\\slash', 'tab\t', r'raw\n'
TO_CODE_POINTS('aé'), CODE_POINTS_TO_STRING([97, 233])
# Each length has its own way of hashing.
FARM_FINGERPRINT(s), FARM_FINGERPRINT(CAST(s AS BYTES)), SHA512(s), SHA512(CAST(s AS BYTES)) FROM UNNEST(ARRAY(SELECT LEFT(REPEAT('Grüße, 世界! a0\\n', 20), n) FROM UNNEST(GENERATE_ARRAY(0, 280)) AS n)) AS s
FARM_FINGERPRINT(s), FARM_FINGERPRINT(CAST(s AS BYTES)), SHA512(s), SHA512(b) FROM UNNEST([STRUCT('a' AS s, CAST(NULL AS BYTES) AS b), (NULL, b'\xff'), ('', b''), ('\x00', b'\x00')])
TO_HEX(MD5(s)), TO_HEX(SHA1(s)), TO_HEX(SHA256(CAST(s AS BYTES))), TO_HEX(CONCAT(MD5(s), SHA1(s))), TO_HEX(SAFE.MD5(s)), TO_JSON_STRING(STRUCT(s AS s, MD5(s) AS `a"b\\`)) FROM UNNEST(['', 'a"\\\n', 'Grüße', NULL]) AS s
