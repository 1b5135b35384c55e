"""Texts that are no proper JSON, or mean two things."""

from tests.attacks.case import Case

_PLAY = '/tasks/@play_task@'

_TEXTS: dict[str, bytes] = {
    'empty': b'', 'blanks': b'  \t\r\n ', 'a brace': b'{', 'half': b'{"note":', 'half a text': b'{"note":"', 'list': b'[]',
    'list of objects': b'[{"note":1}]', 'text': b'"note"', 'number': b'5', 'null': b'null', 'true': b'true',
    'single quotes': b"{'note':1}", 'no quotes': b'{note:1}', 'trailing comma': b'{"note":1,}', 'leading comma': b'{,"note":1}',
    'comment': b'{"note":1/*x*/}', 'line comment': b'{"note":1}//x', 'trailing text': b'{"note":1}x',
    'two objects': b'{"note":1}{"note":2}', 'lines of objects': b'{"note":1}\n{"note":2}', 'record separator': b'\x1e{"note":1}',
    'NaN': b'{"note":NaN}', 'infinity': b'{"note":Infinity}', 'minus infinity': b'{"note":-Infinity}',
    'nan in small letters': b'{"note":nan}', 'a number too large': b'{"note":1e999}', 'one too small': b'{"note":-1e999}',
    'a deep number too large': b'{"note":[[1e400]]}', '2**63': b'{"note":9223372036854775808}',
    '-2**63-1': b'{"note":-9223372036854775809}', '2**64': b'{"note":18446744073709551616}',
    '-2**64': b'{"note":-18446744073709551616}', 'an integer of 20 digits': b'{"note":12345678901234567890}',
    'an integer of 400 digits': b'{"note":' + b'9' * 400 + b'}', 'an integer of 10 000 digits': b'{"note":' + b'9' * 10_000 + b'}',
    'a large integer in a list': b'{"note":[1,[99999999999999999999999]]}', 'hexadecimal': b'{"note":0x10}',
    'octal': b'{"note":010}', 'plus': b'{"note":+1}', 'no digit before the point': b'{"note":.5}',
    'no digit after the point': b'{"note":1.}', 'minus alone': b'{"note":-}', 'digits of other scripts': '{"note":٣}'.encode(),
    'underscore in a number': b'{"note":1_0}', 'NUL in a text': b'{"note":"a\\u0000b"}', 'NUL in a key': b'{"no\\u0000te":1}',
    'NUL deep in a text': b'{"note":[{"a":"\\u0000"}]}', 'NUL byte': b'{"note":"a\x00b"}', 'NUL byte behind': b'{"note":1}\x00',
    'control character': b'{"note":"a\x01b"}', 'line break in a text': b'{"note":"a\nb"}', 'lone surrogate': b'{"note":"\\ud800"}',
    'lone low surrogate': b'{"note":"\\udc00"}', 'swapped surrogates': b'{"note":"\\udc00\\ud800"}',
    'surrogate in a key': b'{"\\ud800":1}', 'surrogate and a letter': b'{"note":"\\ud800x"}',
    'cut off surrogate': b'{"note":"\\ud83d\\u"}', 'bad escape': b'{"note":"\\x41"}', 'short escape': b'{"note":"\\u12"}',
    'byte order mark': b'\xef\xbb\xbf{"note":1}', 'UTF-16': '{"note":1}'.encode('utf-16'), 'UTF-16LE': '{"note":1}'.encode('utf-16-le'),
    'UTF-16BE': '{"note":1}'.encode('utf-16-be'), 'UTF-32': '{"note":1}'.encode('utf-32'), 'UTF-7': b'+AHsAIg-note+ACI-:1}',
    'Latin-1': '{"note":"é"}'.encode('latin-1'), 'overlong UTF-8': b'{"note":"\xc0\xaf"}', 'overlong NUL': b'{"note":"\xc0\x80"}',
    'overlong UTF-8 of three bytes': b'{"note":"\xe0\x80\xaf"}', 'surrogate in UTF-8': b'{"note":"\xed\xa0\x80"}',
    'CESU-8': b'{"note":"\xed\xa0\xbd\xed\xb8\x80"}', 'cut off UTF-8': b'{"note":"\xe2\x82"}', 'lone continuation': b'{"note":"\x80"}',
    'beyond Unicode': b'{"note":"\xf4\x90\x80\x80"}', '0xff': b'{"note":"\xff"}', 'bad UTF-8 in a key': b'{"\xff":1}',
    'the same key twice': b'{"note":1,"note":2}', 'the same key twice, escaped': b'{"note":1,"n\\u006fte":2}',
    'a key twice, deep': b'{"note":{"a":1,"b":{},"a":2}}', 'a key twice, in a list': b'{"note":[{"a":1},{"a":1,"a":2}]}',
    'a key twice, with a colon in a text': b'{"note":"a:b:c","x":1,"x":":"}',
    'status twice': b'{"status":"waiting","status":"suspended"}', '33 levels': b'{"note":' + b'[' * 33 + b']' * 33 + b'}',
    '33 levels of objects': b'{"note":' + b'{"a":' * 33 + b'1' + b'}' * 34, '1000 levels': b'{"note":' + b'[' * 1000 + b']' * 1000 + b'}',
    '100 000 levels': b'{"note":' + b'[' * 100_000 + b']' * 100_000 + b'}',
    '100 000 levels of objects': b'{"a":' * 100_000 + b'1' + b'}' * 100_000, '100 000 open levels': b'[' * 100_000,
    'form': b'note=1&status=complete', 'XML': b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    'YAML': b'!!python/object/apply:os.system ["true"]', 'BSON': b'\x0f\x00\x00\x00\x10note\x00\x01\x00\x00\x00\x00',
    'MessagePack': b'\x81\xa4note\x01', 'pickle': b'\x80\x04\x95\x0f\x00\x00\x00.', 'gzip': b'\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03',
    'multipart': b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\n1\r\n--x--\r\n', 'JSONP': b'cb({"note":1})',
    'prefix against scripts': b")]}',\n{\"note\":1}", 'line separator outside': '{"note":1}\u2028'.encode(),
    'form feed': b'{"note":\x0c1}', 'no-break space': '{"note":\u00a01}'.encode(), '20 000 keys': b'{' + b','.join(
        b'"k%d":1' % n for n in range(20_000)) + b'}', 'a key of 100 kB': b'{"' + b'k' * 100_000 + b'":1}', 'empty key': b'{"":1}',
    'empty key, deep': b'{"note":{"":1}}',
}  # fmt: skip
_LEGAL: dict[str, tuple[bytes, str]] = {
    'pair of surrogates': (b'{"note":"\\ud83d\\ude00"}', '😀'),
    'blanks around': (b' \r\n\t{ "note" : "blank" }\n ', '"note":"blank"'),
    'the largest integer': (b'{"note":9223372036854775807}', '9223372036854775807'),
    'the smallest integer': (b'{"note":-9223372036854775808}', '-9223372036854775808'),
    'line separator in a text': ('{"note":"a\u2028b"}'.encode(), 'a\u2028b'),
    'a tiny number': (b'{"note":1e-999}', '"note":0.0'),
    'the same key on two levels': (b'{"note":{"note":"twice"}}', '"note":{"note":"twice"}'),
    'colons in texts': (b'{"note":"a:b","note2":"\\":{\\"x\\":"}', '"note":"a:b"'),
    'a text that looks like a number': (b'{"note":"99999999999999999999999"}', '"99999999999999999999999"'),
    'a fraction with many digits': (b'{"note":0.12345678901234567890123}', '"note":0.1234567'),
    'non-characters': ('{"note":"\ufffe\uffff"}'.encode(), '\uffff'),
}
_ELSEWHERE = (
    ('POST', '/tasks'), ('POST', '/task_actions/process'), ('POST', '/tasks/@play_task@/task_actions/complete'),
    ('PUT', '/config/@play@'), ('POST', '/tasks/@play_task@/task_stats'), ('POST', '/logs'), ('POST', '/auths'),
)  # fmt: skip
_PROBES = ('NaN', 'the same key twice', '33 levels', '2**64', 'lone surrogate', 'NUL in a text')

CASES = (
    *(Case(f'JSON: {name}', (400,), 'PATCH', _PLAY, body=text) for name, text in _TEXTS.items()),
    *(
        Case(f'legal JSON: {name}', (200,), 'PATCH', _PLAY, body=text, then=(_PLAY, stored))
        for name, (text, stored) in _LEGAL.items()
    ),
    *(
        Case(f'JSON: {name} to {method} {path}', (400,), method, path, body=_TEXTS[name], says=('bod',) if name == 'NaN' else ())
        for name in _PROBES
        for method, path in _ELSEWHERE
    ),
)  # fmt: skip
