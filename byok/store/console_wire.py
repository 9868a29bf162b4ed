"""What passes between the console and its locked process: frames with a deadline, and an Arrow reader that believes nothing."""

import io
import json
import os
import select
import struct
import time
from typing import Any

import pyarrow as pa
import pyarrow.ipc

LENGTH = struct.Struct("<Q")
_LARGEST_HEAD = 64_000
_CHUNK = 1 << 20


class Silent(Exception):
    """The deadline passed."""


class Arrived(Exception):
    """What arrived is not an answer: the process has ended, or sent what it must not."""


class Pipe:
    """Two non-blocking descriptors; every call ends at its deadline (a time of `time.monotonic`)."""

    def __init__(self, to_worker: int, from_worker: int) -> None:
        self._out, self._in = to_worker, from_worker

    def send(self, data: Any, deadline: float) -> None:
        """Write all of `data`."""
        rest = memoryview(data).cast("B")
        while rest:
            _wait(self._out, select.POLLOUT, deadline)
            try:
                rest = rest[os.write(self._out, rest[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise Arrived("the process has ended") from error

    def send_frame(self, data: bytes, deadline: float) -> None:
        """Write `data` with its length before it."""
        self.send(LENGTH.pack(len(data)) + data, deadline)

    def receive(self, deadline: float, *, largest: int) -> tuple[dict[str, Any], bytes]:
        """Read one answer: a JSON head and a body of at most `largest` bytes."""
        size = LENGTH.unpack(self._exactly(LENGTH.size, deadline))[0]
        if size > _LARGEST_HEAD:
            raise Arrived("the answer has no valid head")
        try:
            head = json.loads(self._exactly(size, deadline))
            body = int(head["body"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Arrived("the answer has no valid head") from error
        if not 0 <= body <= largest:
            raise Arrived("the answer is larger than its limit")
        return head, self._exactly(body, deadline)

    def as_file(self, deadline: float) -> Any:
        """A writable file for Arrow."""
        return pa.PythonFile(_Writer(self, deadline), mode="w")

    def _exactly(self, size: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            _wait(self._in, select.POLLIN, deadline)
            try:
                part = os.read(self._in, min(size - len(data), _CHUNK))
            except BlockingIOError:
                continue
            except OSError as error:
                raise Arrived("the process has ended") from error
            if not part:
                raise Arrived("the process has ended; a limit in memory or time was reached")
            data += part
        return bytes(data)


class _Writer(io.RawIOBase):
    def __init__(self, pipe: Pipe, deadline: float) -> None:
        self._pipe, self._deadline = pipe, deadline

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pipe.send(data, self._deadline)
        return len(data)


def read_table(body: bytes, most_rows: int) -> Any:
    """The Arrow stream in `body` as a table of flat columns. Raises Arrived for anything else than what the locked process should send."""
    try:
        messages = pa.ipc.MessageReader.open_stream(pa.BufferReader(body))
        schema = pa.ipc.read_schema(messages.read_next_message())
        if not all(_is_flat(field.type) for field in schema):
            raise Arrived("the answer holds columns of an unexpected type")
        batches = []
        for message in _each(messages):
            if message.type != "record batch" or _is_compressed(bytes(message.metadata)):
                raise Arrived("the answer is not plain Arrow")
            batches.append(pa.ipc.read_record_batch(message, schema))
        table = pa.Table.from_batches(batches, schema)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, struct.error, IndexError, StopIteration) as error:
        raise Arrived("the answer is not plain Arrow") from error
    if table.num_rows > most_rows:
        raise Arrived("the answer is larger than its limit")
    return table


def _each(messages: Any) -> Any:
    while True:
        try:
            yield messages.read_next_message()
        except StopIteration:
            return


def _is_flat(kind: Any) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_dictionary(kind) or isinstance(kind, pa.BaseExtensionType))


def _is_compressed(metadata: bytes) -> bool:
    """Whether a record batch message names a compression (its fourth field): a few bytes could then grow into gigabytes here.

    Flatbuffers, https://github.com/apache/arrow/blob/main/format/Message.fbs: the header is the third field of a message.
    """
    message = struct.unpack_from("<I", metadata)[0]
    header = _field(metadata, message, 2)
    batch = header + struct.unpack_from("<I", metadata, header)[0]
    return header == 0 or _field(metadata, batch, 3) != 0


def _field(data: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffers table lies, or 0 if it is absent."""
    layout = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, layout)[0]
    at = 4 + 2 * number
    offset = struct.unpack_from("<H", data, layout + at)[0] if at < size else 0
    return table + offset if offset else 0


def _wait(descriptor: int, events: int, deadline: float) -> None:
    poll = select.poll()  # select() cannot take descriptors from 1024 up
    poll.register(descriptor, events)
    # What is there already is taken even if we ourselves come late to it; sizes are bounded, so this ends.
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise Silent
