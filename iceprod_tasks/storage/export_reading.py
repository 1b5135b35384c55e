"""How exports are read: line by line, as often as it takes, and checked from the first line to the last."""

import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple, TypeVar

from iceprod_tasks.domain.errors import BrokenExport
from iceprod_tasks.domain.tasks import SCHEMA_VERSION
from iceprod_tasks.storage import export_lines
from iceprod_tasks.storage.client import Document
from iceprod_tasks.storage.export_lines import EXPORTED, FORMAT, FORMAT_VERSION, LONGEST_LINE_BYTES

T = TypeVar('T')

_GZIP_MAGIC = b'\x1f\x8b'


class Line(NamedTuple):
    """A line of an export.

    Args:
        number: the first one is 1.
        raw: what it says.
        id: of its document, where that has been looked for.
    """

    number: int
    raw: bytes
    id: str = ''


class ExportFile:
    """An export that is read.

    Args:
        file: its bytes, compressed or not; it can be read more than once.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)
        self._packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC

    def lines(self) -> Iterator[Line]:
        """All lines.

        Raises:
            BrokenExport: the file is cut off or damaged, in a way that shows before a line is read.
        """
        self._file.seek(0)
        opened: Any = gzip.GzipFile(fileobj=self._file) if self._packed else self._file
        number = 0
        while True:
            number += 1
            try:
                raw = opened.readline(LONGEST_LINE_BYTES)
            except EOFError:
                raise BrokenExport(f'line {number}: the file is cut off') from None
            except (gzip.BadGzipFile, zlib.error) as error:
                raise BrokenExport(f'line {number}: the file is damaged: {error}') from None
            if not raw:
                return
            if not raw.endswith(b'\n'):
                raise BrokenExport(f'line {number}: the file is cut off')
            yield Line(number, raw)

    def header(self) -> Document:
        """The first line: what the file says of itself.

        Raises:
            BrokenExport: it is not an export, or of a later release.
        """
        first = next(self.lines(), None)
        header = _said(first, export_lines.read) if first else None
        if not isinstance(header, dict) or header.get('format') != FORMAT:
            raise BrokenExport('line 1: this is not an export of iceprod-tasks')
        if header.get('version') != FORMAT_VERSION:
            raise BrokenExport(
                f'line 1: the export has version {header.get("version")} of the format, written by release '
                f'{header.get("release")}; this release reads version {FORMAT_VERSION}'
            )
        if header.get('schema', 0) > SCHEMA_VERSION:
            raise BrokenExport(
                f'line 1: the documents have schema {header["schema"]}, written by release {header.get("release")}; '
                f'this release knows schema {SCHEMA_VERSION}'
            )
        return header

    def documents(self, header: Mapping[str, Any]) -> Iterator[Line]:
        """The lines that have a document, with its id, while everything is checked.

        Args:
            header: the first line.

        Raises:
            BrokenExport: at the line where it shows that the file is not as it was written.
        """
        digest, counts = hashlib.sha256(), Counter[str]()
        number, end = 1, None
        for line in self.lines():
            number, raw, _ = line
            if end is not None:
                raise BrokenExport(f'line {number}: there is something behind the end of the export')
            name = export_lines.collection_of(raw)
            if name is not None:
                _check_known(number, name, header)
                counts[name] += 1
                yield line._replace(id=_said(line, export_lines.id_of))
            elif number > 1:
                end = _end(line)
                continue
            digest.update(raw)
        if end is None:
            raise BrokenExport(f'line {number}: the file is cut off behind this line')
        if end.get('sha256') != digest.hexdigest() or end.get('counts') != counts:
            raise BrokenExport(f'line {number}: the checksum is wrong; the file was changed or damaged')


def portions(lines: Iterator[Line], at_most: int, bytes_at_most: int) -> Iterator[tuple[str, list[Line]]]:
    """Lines that have documents, some of one collection at a time, with its name."""
    portion: list[Line] = []
    name, size = '', 0
    for line in lines:
        its_name = export_lines.collection_of(line.raw) or ''
        if portion and (its_name != name or len(portion) == at_most or size > bytes_at_most):
            yield name, portion
            portion, size = [], 0
        portion.append(line)
        name, size = its_name, size + len(line.raw)
    if portion:
        yield name, portion


def document_at(line: Line) -> Document:
    """The document of a line.

    Raises:
        BrokenExport: it has none.
    """
    return _said(line, export_lines.document_of)


def _said(line: Line, read: Callable[[bytes], T]) -> T:
    try:
        return read(line.raw)
    except ValueError as error:
        raise BrokenExport(f'line {line.number}: this is no line of an export: {error}') from None


def _end(line: Line) -> Document:
    end = _said(line, export_lines.read)
    if not isinstance(end, dict) or end.get('end') is not True:
        raise BrokenExport(f'line {line.number}: this is no line of an export')
    return end


def _check_known(number: int, name: str, header: Mapping[str, Any]) -> None:
    if name not in EXPORTED:
        raise BrokenExport(
            f'line {number}: this release knows no collection {name}; the export was written by release '
            f'{header.get("release")}'
        )
