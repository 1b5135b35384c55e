"""What the path and the query of a request say, read strictly."""

import re
from datetime import datetime

from tornado.web import RequestHandler

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.times import read_time
from iceprod_tasks.rest.strict_json import bounded, parse

FIELD = re.compile(r'[A-Za-z0-9_-]{1,255}')
"""A plain name of a field, as `keys` and `sort` take it."""

# `int` would also read digits of other scripts, and underscores.
INTEGER = re.compile(r'[+-]?[0-9]{1,19}')

_CONTROL = re.compile(r'[\x00-\x1f\x7f-\x9f]')
_ARGUMENTS_AT_MOST = 64
_LONGEST_VALUE_BYTES = 8192
_LONGEST_IN_PATH = 255


class Arguments(RequestHandler):
    """A handler that reads the arguments of its requests."""

    def check_arguments(self) -> None:
        """Refuse a path or a query that is too much, or not text, whether or not anybody asks for its arguments.

        Raises:
            InvalidRequest: it is.
        """
        if any(len(value) > _LONGEST_IN_PATH for value in self.path_kwargs.values()):
            raise InvalidRequest(f'a name in a path has at most {_LONGEST_IN_PATH} characters')
        found = self.request.query_arguments
        if sum(map(len, found.values())) > _ARGUMENTS_AT_MOST:
            raise InvalidRequest(f'a query has at most {_ARGUMENTS_AT_MOST} arguments')
        for name, values in found.items():
            for text in (name.encode('latin-1'), *values):
                if len(text) > _LONGEST_VALUE_BYTES:
                    raise InvalidRequest(f'an argument has at most {_LONGEST_VALUE_BYTES} bytes')
                self.decode_argument(text)

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        """An argument of the path or the query as text.

        Raises:
            InvalidRequest: it is no UTF-8, or has a control character.
        """
        try:
            text = value.decode()
        except UnicodeDecodeError:
            raise InvalidRequest(f'{name or "an argument"} is not UTF-8') from None
        if _CONTROL.search(text):
            raise InvalidRequest(f'{name or "an argument"} has a control character')
        return text

    def argument(self, name: str) -> str | None:
        """An argument of the query: the first of its name, stripped; or of the body of a GET, as old clients send it.

        Raises:
            InvalidRequest: the body is no JSON object.
        """
        values = self.get_query_arguments(name)
        if values:
            return values[0]
        if self.request.method == 'GET' and self.request.body:
            value = parse(self.request.body).get(name)
            return None if value is None else self.decode_argument(str(value).encode(), name)
        return None

    def integer(self, name: str) -> int | None:
        """An argument that is an integer, None when absent.

        Raises:
            InvalidRequest: it is something else.
        """
        text = self.argument(name)
        if text is None:
            return None
        if not INTEGER.fullmatch(text):
            raise InvalidRequest(f'Bad argument "{name}": must be integer')
        return bounded(int(text))

    def number(self, name: str) -> int:
        """An argument that says how many, 0 when absent, which means all.

        Raises:
            InvalidRequest: it is no integer, or less than 0.
        """
        number = self.integer(name) or 0
        if not 0 <= number < 2**31:
            raise InvalidRequest(f'Bad argument "{name}": must be from 0 to 2147483647')
        return number

    def flag(self, name: str) -> bool:
        """An argument that is true or false, false when absent; in any of the words that old clients use."""
        return (self.argument(name) or '').lower() in ('true', 't', 'yes', 'y', '1')

    def boolean(self, name: str) -> bool | None:
        """An argument that is `true` or `false`, None when absent.

        Raises:
            InvalidRequest: it is something else.
        """
        text = self.argument(name)
        if text not in (None, 'true', 'false'):
            raise InvalidRequest(f'Bad argument "{name}": must be true or false')
        return None if text is None else text == 'true'

    def time(self, name: str) -> datetime | None:
        """An argument that is a time, None when absent.

        Raises:
            InvalidRequest: it is something else.
        """
        text = self.argument(name)
        return read_time(text, name) if text else None

    def words(self, name: str) -> list[str]:
        """An argument that is a list of words with `|` between them; empty when absent."""
        return [word for word in (self.argument(name) or '').split('|') if word]

    def keys(self) -> list[str]:
        """The argument `keys`: plain names of fields.

        Raises:
            InvalidRequest: one is not a plain name.
        """
        return list(dict.fromkeys(plain_name(key, 'keys') for key in self.words('keys')))


def plain_name(text: str, argument: str) -> str:
    """A plain name of a field.

    Args:
        text: the name.
        argument: where it stands, for the error.

    Raises:
        InvalidRequest: it is something else.
    """
    if not FIELD.fullmatch(text):
        raise InvalidRequest(f'"{argument}" takes plain field names, not {text[:100]!r}')
    return text
