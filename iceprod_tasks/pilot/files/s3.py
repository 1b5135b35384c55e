"""`s3://bucket/key` names: boto3 signs URLs and puts parts together, the bytes go as with any HTTP server.

So a transfer that is cancelled is over at once: boto3 itself is used from threads, which wait on sockets.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from iceprod_tasks.pilot.files.contents import Departure
from iceprod_tasks.pilot.files.errors import NotThere, Trouble, WrongEntry
from iceprod_tasks.pilot.files.http import HttpFetch, HttpSend, put
from iceprod_tasks.pilot.files.pieces import in_thread
from iceprod_tasks.pilot.files.rules import FileRules
from iceprod_tasks.pilot.files.web import Web

_MOST_PARTS = 10_000
_URL_SECONDS = 3600
_ABANDON_SECONDS = 10.0
_DEFAULT_REGION = 'us-east-1'
_MISSING = frozenset({'NoSuchBucket', 'NoSuchKey', 'NoSuchUpload', '404'})


class S3:
    """The object store that the pilot's environment names.

    Args:
        rules: how long to wait.
    """

    def __init__(self, rules: FileRules) -> None:
        self._rules = rules
        self._making = asyncio.Lock()
        self._client: Any = None

    async def fetch(self, web: Web, url: str) -> HttpFetch:
        """A file that is fetched."""
        bucket, key = place_of(url)
        # S3 knows no If-Range.
        return HttpFetch(web, await self._signed('get_object', Bucket=bucket, Key=key), condition='If-Match')

    async def send(self, web: Web, url: str, size: int) -> 'HttpSend | _Parts':
        """A file that is sent, in parts where it is large.

        Args:
            web: the connections.
            url: where to.
            size: of the file, bytes.
        """
        bucket, key = place_of(url)
        if size > self._rules.part_bytes:
            return _Parts(web, await self.client(), bucket, key, max(self._rules.part_bytes, -(-size // _MOST_PARTS)))
        return HttpSend(web, await self._signed('put_object', Bucket=bucket, Key=key))

    async def client(self) -> Any:
        """The client of boto3.

        Raises:
            Trouble: boto3 is not installed, or does not like the pilot's environment.
        """
        async with self._making:
            if self._client is None:
                self._client = await in_thread(_new_client, self._rules)
        return self._client

    async def _signed(self, call: str, **given: object) -> Callable[[], Any]:
        client = await self.client()
        return lambda: in_thread(signed, client, call, **given)


class _Parts:
    """A large file that is sent in parts. After a break only those go again that have not arrived."""

    def __init__(self, web: Web, client: Any, bucket: str, key: str, part_bytes: int) -> None:
        self._web, self._client = web, client
        self._where = {'Bucket': bucket, 'Key': key}
        self._part_bytes = part_bytes
        self._upload_id: str | None = None
        self._etags: dict[int, str] = {}

    async def go(self, departure: Departure) -> None:
        """Send the parts that are missing, and have them put together."""
        if self._upload_id is None:
            await in_thread(self._begin)
        try:
            for number, start in enumerate(range(0, departure.size, self._part_bytes), 1):
                if number not in self._etags:
                    end = min(start + self._part_bytes, departure.size)
                    self._etags[number] = await self._put(number, departure, start, end)
            await in_thread(self._finish)
        except NotThere as error:
            # Somebody has cleaned up, or an answer was lost and all is well; sent again it is right in any case.
            self._upload_id, self._etags = None, {}
            raise Trouble(f'the parts are gone: {error}') from error

    async def _put(self, number: int, departure: Departure, start: int, end: int) -> str:
        given = {**self._where, 'UploadId': self._upload_id, 'PartNumber': number}
        etag = await put(
            self._web, await in_thread(signed, self._client, 'upload_part', **given), departure, start, end
        )
        if not etag:
            raise Trouble(f'no ETag for part {number}', again=False)
        return etag

    def _begin(self) -> None:
        # Kept here and not returned: a cancelled caller gets no answer, and the upload has to be aborted.
        with _words():
            self._upload_id = self._client.create_multipart_upload(**self._where)['UploadId']

    def _finish(self) -> None:
        parts = [{'PartNumber': number, 'ETag': etag} for number, etag in sorted(self._etags.items())]
        with _words():
            self._client.complete_multipart_upload(
                **self._where, UploadId=self._upload_id, MultipartUpload={'Parts': parts}
            )
        self._upload_id = None

    async def abandon(self) -> None:
        """Abort the upload, or its parts would be kept and paid for."""
        if self._upload_id is not None:
            with suppress(WrongEntry, Trouble, TimeoutError):
                async with asyncio.timeout(_ABANDON_SECONDS):
                    await in_thread(self._abort)

    def _abort(self) -> None:
        with _words():
            self._client.abort_multipart_upload(**self._where, UploadId=self._upload_id)


def place_of(url: str) -> tuple[str, str]:
    """Bucket and key of a URL; the key is all of the rest, as it stands.

    Raises:
        WrongEntry: one of them is missing, or a part of the key is `.` or `..`.
    """
    scheme, _, rest = url.partition('://')
    bucket, _, key = rest.partition('/')
    if scheme.lower() != 's3' or not bucket or not key or key.endswith('/'):
        raise WrongEntry('an s3: name is s3://BUCKET/KEY')
    if {'.', '..'} & set(key.split('/')):
        # In a URL they would mean something.
        raise WrongEntry('a part of the key is . or ..')
    return bucket, key


def signed(client: Any, call: str, **given: object) -> str:
    """A URL by which a call can be made for an hour.

    Raises:
        WrongEntry: there can be no such bucket or key.
        Trouble: the pilot has no credentials.
    """
    with _words():
        return str(client.generate_presigned_url(call, Params=given, ExpiresIn=_URL_SECONDS))


def _new_client(rules: FileRules) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise Trouble("this pilot cannot use s3: names: install 'iceprod-tasks[s3]'", again=False) from error
    session = boto3.session.Session()
    with _words():
        return session.client(
            's3',
            endpoint_url=os.environ.get('S3_ENDPOINT') or None,
            region_name=session.region_name or _DEFAULT_REGION,
            config=Config(
                signature_version='s3v4',
                connect_timeout=rules.connect_seconds,
                read_timeout=rules.silence_seconds,
                retries={'total_max_attempts': 1},
                # Other stores than Amazon's do not know its newer checksums.
                request_checksum_calculation='when_required',
                response_checksum_validation='when_required',
            ),
        )


@contextmanager
def _words() -> Iterator[None]:
    """Says what an error of boto3 means."""
    from botocore import exceptions

    try:
        yield
    except exceptions.ClientError as error:
        code, status = error.response['Error']['Code'], error.response['ResponseMetadata']['HTTPStatusCode']
        words = f'the object store answers {status} ({code})'
        if code in _MISSING:
            raise NotThere(words) from error
        if status >= 500 or status == 429:
            raise Trouble(words) from error
        raise WrongEntry(words) from error
    except exceptions.ParamValidationError as error:
        raise WrongEntry(' '.join(str(error).split())[:200]) from error
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise Trouble(f'no S3 credentials in the environment of the pilot: {error}', again=False) from error
    except (exceptions.BotoCoreError, ValueError) as error:
        raise Trouble(f'{type(error).__name__}: {error}'[:200]) from error
