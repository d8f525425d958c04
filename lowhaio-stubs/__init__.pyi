"""The types of lowhaio.

Names that only type checkers know are marked with `type_check_only`, or begin with an underscore.
"""

import socket
import ssl
from abc import abstractmethod
from asyncio import AbstractEventLoop
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import AbstractContextManager
from ipaddress import IPv4Address, IPv6Address
from logging import Logger, LoggerAdapter
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, type_check_only
from urllib.parse import SplitResult

from typing_extensions import Buffer

_BufferT = TypeVar('_BufferT', bound=Buffer)

_Logger: TypeAlias = Logger | LoggerAdapter[Any]
_GetLoggerAdapter: TypeAlias = Callable[[dict[str, Any]], _Logger]
_GetResolverLoggerAdapter: TypeAlias = Callable[[dict[str, Any]], _GetLoggerAdapter]

_Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]
_Params: TypeAlias = (
    Mapping[str, object] | Mapping[bytes, object] | Sequence[tuple[object, object]])
_Body: TypeAlias = Callable[..., AsyncIterable[Buffer]]
_BodyArgs: TypeAlias = Iterable[object]
_BodyKwargs: TypeAlias = Mapping[str, object] | Iterable[tuple[str, object]]

# Called with `socket.AF_INET6` for an IPv6 literal: an optional argument makes a hook fit for it
_GetSock: TypeAlias = Callable[[], socket.socket]

_SendHeader: TypeAlias = Callable[
    [_Logger, AbstractEventLoop, socket.socket, float,
     bytes, bytes, SplitResult, _Params, _Fields],
    Awaitable[object]]
_SendBody: TypeAlias = Callable[
    [_Logger, AbstractEventLoop, socket.socket, float, _Body, _BodyArgs, _BodyKwargs],
    Awaitable[object]]

@type_check_only
class _Resolve(Protocol):
    def __call__(
        self, host: str, record_type: Any, /, *, get_logger_adapter: _GetLoggerAdapter,
    ) -> Awaitable[Collection[IPv4Address | IPv6Address | str]]: ...

@type_check_only
class _ClearCache(Protocol):
    def __call__(self, *, get_logger_adapter: _GetLoggerAdapter) -> Awaitable[object]: ...

@type_check_only
class _GetDnsResolver(Protocol):
    def __call__(
        self, *, get_logger_adapter: _GetLoggerAdapter,
    ) -> tuple[_Resolve, _ClearCache]: ...

class ResponseBody(AsyncIterator[bytes], Protocol):
    """The body of a response. An async generator is one too."""

    def aclose(self) -> Coroutine[Any, Any, None]: ...

Response: TypeAlias = tuple[bytes, _Fields, ResponseBody]

class Request(Protocol):
    """The first of what `Pool` returns, and what layers take and return."""

    @abstractmethod
    def __call__(
        self,
        method: bytes,
        url: str,
        params: _Params = (),
        headers: Iterable[tuple[bytes, bytes]] = (),
        body: _Body = ...,
        body_args: _BodyArgs = (),
        body_kwargs: _BodyKwargs = (),
        get_logger_adapter: _GetLoggerAdapter = ...,
        get_resolver_logger_adapter: _GetResolverLoggerAdapter = ...,
    ) -> Coroutine[Any, Any, Response]: ...

class Close(Protocol):
    """The second of what `Pool` returns."""

    @abstractmethod
    def __call__(
        self,
        get_logger_adapter: _GetLoggerAdapter = ...,
        get_resolver_logger_adapter: _GetResolverLoggerAdapter = ...,
    ) -> Coroutine[Any, Any, None]: ...

class HttpError(Exception): ...
class HttpConnectionError(HttpError): ...
class HttpDnsError(HttpConnectionError): ...
class HttpTlsError(HttpConnectionError): ...
class HttpDataError(HttpError): ...
class HttpConnectionClosedError(HttpDataError): ...
class HttpStaleConnectionError(HttpConnectionClosedError): ...
class HttpHeaderTooLong(HttpDataError): ...

def streamed(data: _BufferT) -> Callable[[], AsyncGenerator[_BufferT]]: ...
async def buffered(body: AsyncIterable[Buffer]) -> bytes: ...
def empty_async_iterator() -> AsyncGenerator[bytes]: ...

class HttpLoggerAdapter(LoggerAdapter[_Logger]):
    def process(
        self, msg: object, kwargs: MutableMapping[str, Any],
    ) -> tuple[str, MutableMapping[str, Any]]: ...

def get_logger_adapter_default(extra: Mapping[str, object]) -> HttpLoggerAdapter: ...
def get_resolver_logger_adapter_default(
    http_extra: Mapping[str, object],
) -> Callable[[dict[str, Any]], LoggerAdapter[Any]]: ...
def get_nonblocking_sock(family: int = ...) -> socket.socket: ...
def set_tcp_cork(sock: socket.socket) -> None: ...
def unset_tcp_cork(sock: socket.socket) -> None: ...
async def send_header_tuples_of_bytes(
    logger: _Logger,
    loop: AbstractEventLoop,
    sock: socket.socket,
    socket_timeout: float,
    http_version: bytes,
    method: bytes,
    parsed_url: SplitResult,
    params: _Params,
    headers: Sequence[tuple[bytes, bytes]],
) -> None: ...
async def send_body_async_gen_bytes(
    logger: _Logger,
    loop: AbstractEventLoop,
    sock: socket.socket,
    socket_timeout: float,
    body: _Body,
    body_args: _BodyArgs,
    body_kwargs: _BodyKwargs,
) -> None: ...
def Pool(
    get_dns_resolver: _GetDnsResolver = ...,
    get_sock: _GetSock = ...,
    get_ssl_context: Callable[[], ssl.SSLContext] = ...,
    sock_pre_message: Callable[[socket.socket], object] = ...,
    sock_post_message: Callable[[socket.socket], object] = ...,
    send_header: _SendHeader = ...,
    send_body: _SendBody = ...,
    http_version: Literal[b'HTTP/1.1', b'HTTP/1.0'] = b'HTTP/1.1',
    keep_alive_timeout: float = 15,
    recv_bufsize: int = 65536,
    max_header_length: int = 16384,
    socket_timeout: float = 10,
    get_logger_adapter: _GetLoggerAdapter = ...,
    get_resolver_logger_adapter: _GetResolverLoggerAdapter = ...,
    connect_timeout: float = 30,
) -> tuple[Request, Close]: ...
def timeout(
    loop: AbstractEventLoop, max_time: float,
) -> AbstractContextManager[Callable[[], None]]: ...
async def send_all(
    loop: AbstractEventLoop, sock: socket.socket, socket_timeout: float, data: Buffer,
) -> None: ...
