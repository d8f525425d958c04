"""lowhaio: a lightweight asyncio HTTP/1.1 client.

    request, close = Pool()
    code, headers, body = await request(b'GET', 'https://www.example.com/')
    async for chunk in body:
        ...

One module, one dependency, no tasks. Request and response bodies are async iterators of bytes.
Connections are pooled by origin, and reused only while their address is among the current A
records of the host. Redirects, retries, chunked uploads, signing, compression and cookies are
layers on top.

The module reads from top to bottom:

    Errors                 what can go wrong, and whether a retry is safe
    Types                  names for annotations
    Bodies                 streamed, buffered, empty_async_iterator
    Logging                the adapters
    Hooks                  what Pool does unless told otherwise, and what other hooks may use
    Pool                   request, then what it calls in call order, then close
    Request on the wire    pure: URL and fields in, bytes out
    Response on the wire   pure: bytes in; status, fields, body length and persistence out
    Body decoders          pure: plain generators of body chunks
    Bodies in transit      what send_body iterates, and what the caller of request iterates
    Connection             one socket, and all that waits for a response
    Socket I/O             connecting, TLS handshake, sending: all else that waits
    aiodnsresolver         what has to be mended of it

Its rules are those of RFC 9110 (semantics) and RFC 9112 (HTTP/1.1), cited where they are enforced,
except for these deviations, which code and tests cite by number:

    D1  a request with an AWS signature gets a host field without the port (9112 3.2): the
        published layers sign exactly that
    D2  in its path, all but unreserved characters and / are escaped, also a % (RFC 3986 3.3):
        they sign that too
    D3  a 204 with a content-length above 0 has that content, as its servers send it (9112 6.3)
    D4  a response to DELETE with neither length nor coding, but connection: keep-alive, has no
        content, as object stores mean it (9112 6.3)
    D5  transfer-encoding: identity, withdrawn but still sent, counts as none (9112 7)
    D6  content with transfer-encoding and content-length is refused, not repaired (9112 6.3)
    D7  interim responses to one request above max_header_length bytes are refused (9110 15.2)
    D8  content with a transfer coding other than chunked alone is refused (9112 6.3)
    D9  a response of another version than 1.0 and 1.1 is refused, also of 1.2 (9110 2.5)
"""

import asyncio
import collections.abc
import contextlib
import contextvars
import errno
import functools
import ipaddress
import logging
import os
import re
import socket
import ssl
import sys
import threading
import types
import urllib.parse
import warnings
import weakref

import aiodnsresolver

_NEVER = float('inf')          # a loop time
_MIN_TTL = 1                   # seconds that a DNS answer counts at least: with a TTL of 0 and
                               # addresses that rotate, no connection would be used twice
_ATTEMPT_DELAY = 0.25          # seconds until the next address is tried as well (RFC 8305 8)
_MAX_KEPT_SESSIONS = 256       # TLS sessions, of some kB each
_MAX_TURN = 240                # what is done before other tasks get their turn: a read or a write
_READ_OR_WRITE = 16            # counts as 16, so that there are 15 of them beside the first send
_TLS_RECORD = 16384            # bytes of content in one TLS record (RFC 8446 5.1)
_MAX_SENT = 32768              # bytes sent at once: 64 kB take some machines three times as long
_MAX_JOINED = 16384            # bytes of content that are copied behind the header section
_MAX_TOKEN = 256               # bytes of a method, and of a field name that is cached
_MAX_CACHED = 4096             # bytes of the fields that are cached: longer ones are rare
_CACHE_SIZE = 256              # entries, so that the cache has 2 MB at most
_MAX_CACHED_URL = 1024         # bytes, when percent-encoded
_URL_CACHE_SIZE = 1024         # entries, so that a thousand hosts in turn are found in it
_MAX_QUOTED = 80               # bytes of what a peer sent that an error text quotes

_NO_BYTES = (BlockingIOError, ssl.SSLWantReadError)     # when receiving
_WOULD_BLOCK = (*_NO_BYTES, ssl.SSLWantWriteError)
_PEER_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


# Errors. A retry is always safe after an HttpConnectionError: nothing of the request was sent.

class HttpError(Exception):
    """The base of all that a request fails with. Its subclasses say whether a retry is safe."""


class HttpConnectionError(HttpError):
    """Failed before any byte of the request was sent: refused, or not connected. Safe to retry."""


class HttpDnsError(HttpConnectionError):
    """The host's name was not resolved. Safe to retry."""


class HttpTlsError(HttpConnectionError):
    """The TLS handshake failed. Safe to retry."""


class HttpDataError(HttpError):
    """Failed after a byte may have been sent. Safe to retry only if the request is idempotent."""


class HttpConnectionClosedError(HttpDataError):
    """The peer closed before the message was complete. A retry is safe as for HttpDataError."""


class HttpStaleConnectionError(HttpConnectionClosedError):
    """A reused connection was closed before any byte of the response came (RFC 9112 9.3.1).

    The race of every pool with a server that closes idle connections. A retry is safe as for
    HttpDataError, and worth it.
    """


class HttpHeaderTooLong(HttpDataError):
    """A header section, chunk-size line, trailer section or all interim responses are too long."""


# Types, for annotations. The stubs say what they are; here they are just names.

Request = Close = collections.abc.Callable
ResponseBody = collections.abc.AsyncIterator
Response = tuple


# Bodies.

def streamed(data):
    """Make a request body of `data`, which is bytes-like.

    Returns:
        A function without arguments, that returns an async iterator that yields `data` once. With
        the default hooks, up to 16 kB are sent in one piece with the header section.
    """
    return functools.partial(_yield_once, data)


async def _yield_once(data):
    yield data


async def buffered(body):
    """Read `body`, an async iterator of bytes, to its end, and return all of it as bytes."""
    return b''.join([chunk async for chunk in body])


async def empty_async_iterator():
    """Yield nothing: the body of a request that has none."""
    return
    yield


# Logging. Everything is at DEBUG, but for what the resolver says.

class HttpLoggerAdapter(logging.LoggerAdapter):
    """Prefixes messages with `[http] `, or `[http:a,b] ` where a, b are the values of `extra`."""

    def process(self, msg, kwargs):
        """Return the prefixed message. A % in the prefix is doubled: messages are formats."""
        values = ':' + ','.join(map(str, self.extra.values())) if self.extra else ''
        return f'[http{values}] '.replace('%', '%%') + str(msg), kwargs


def get_logger_adapter_default(extra):
    """Return an adapter of the logger `lowhaio`, which prefixes the values of `extra`, a dict."""
    return HttpLoggerAdapter(_LOGGER, extra)


def get_resolver_logger_adapter_default(http_extra):
    """Return aiodnsresolver's `get_logger_adapter` for one request, prefixed like the request."""
    def get_resolver_logger_adapter(resolver_extra):
        http_adapter = HttpLoggerAdapter(_RESOLVER_LOGGER, http_extra)
        return aiodnsresolver.ResolverLoggerAdapter(http_adapter, resolver_extra)

    return get_resolver_logger_adapter


_LOGGER = logging.getLogger('lowhaio')
_RESOLVER_LOGGER = logging.getLogger('aiodnsresolver')


def _log_of(logger):
    """Return the function that logs at DEBUG. Once per request, since each disabled call costs."""
    is_enabled_for = getattr(logger, 'isEnabledFor', bool)      # loguru's loggers have none
    return logger.debug if is_enabled_for(logging.DEBUG) else _do_nothing


# Hooks: what Pool does unless it is given others, and what those may use.

def get_nonblocking_sock(family=socket.AF_INET):
    """Return a new non-blocking TCP socket; `family` is `socket.AF_INET6` for an IPv6 literal.

    TCP_NODELAY is set: else the body of a small request waits until the peer acknowledges its
    header section, which can take 40 ms and more.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def set_tcp_cork(sock):
    """Send full packets only: a `sock_pre_message`. The kernel holds others back up to 200 ms."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)


def unset_tcp_cork(sock):
    """Send what was held back: the `sock_post_message` that goes with `set_tcp_cork`."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)


async def send_header_tuples_of_bytes(logger, loop, sock, socket_timeout, http_version,
                                      method, parsed_url, params, headers):
    """Send the request line and the header section (RFC 9112 3 and 5).

    Args:
        logger: the logger adapter of the request.
        loop: the running event loop.
        sock: the connected non-blocking socket.
        socket_timeout: seconds without progress.
        http_version: `b'HTTP/1.1'` or `b'HTTP/1.0'`.
        method: bytes.
        parsed_url: `urllib.parse.SplitResult`.
        params: as `urllib.parse.urlencode` takes, appended to the URL's query.
        headers: pairs of bytes. A host field is put before them if they have none.

    Raises:
        HttpConnectionError: the kernel accepted no byte.
        OSError, TimeoutError: as `send_all`, after the first bytes.
    """
    head = _request_head(http_version, method, parsed_url, params, headers)
    try:
        sent = await _send_some(loop, sock, socket_timeout, head)
    except Exception as error:
        raise HttpConnectionError(f'expected the request to go on; got {_told(error)}') from error

    if sent < len(head):
        await send_all(loop, sock, socket_timeout, head[sent:])


async def send_body_async_gen_bytes(logger, loop, sock, socket_timeout,
                                    body, body_args, body_kwargs):
    """Send each chunk of `body(*body_args, **dict(body_kwargs))`, an async iterator, as it is.

    The first four arguments are those of `send_header_tuples_of_bytes`.
    """
    async for chunk in body(*body_args, **dict(body_kwargs)):
        await send_all(loop, sock, socket_timeout, chunk)


async def send_all(loop, sock, socket_timeout, data):
    """Send all of `data`. For use in hooks.

    Args:
        loop: the running event loop.
        sock: a connected non-blocking socket, or `ssl.SSLSocket`.
        socket_timeout: seconds without progress.
        data: bytes-like.

    Raises:
        OSError: the socket failed.
        TimeoutError: there was no progress.
    """
    left, sends, limit = memoryview(data).cast('B'), 0, _most_at_once(sock)
    while left:
        sends += 1
        if sends % 8 == 0:              # others may have been sent in this turn of the loop
            await asyncio.sleep(0)
        try:
            sent = sock.send(left[:limit])      # nearly always; saves a coroutine for each
        except _WOULD_BLOCK:
            sent = await _send_some(loop, sock, socket_timeout, left)
        left = left[sent:]


def timeout(loop, max_time):
    """End a `with` block in `TimeoutError` if it takes too long. For use in hooks and layers.

    Args:
        loop: the running event loop.
        max_time: seconds of loop time, from the start of the block or the last reset.

    Returns:
        A context manager. Its `as` gives a function without arguments that resets the time.

    Raises:
        TimeoutError: the time is over. A cancellation from outside stays one, and a block
            that swallows the cancellation ends without error.
    """
    return _Timeout(loop, max_time)


class _Interrupt:
    """Ends a block at its next await, when called.

    It cancels the task and takes that back, so that `task.cancelling()` is what it was. If the
    task is cancelled from outside too, that wins. A block that swallows the cancellation goes on.
    """

    is_fired = False

    def __call__(self):
        if not self.is_fired:
            self.is_fired = True
            self._task.cancel()

    def is_outdone(self):
        """Return whether the task has been cancelled from outside since the block began."""
        return self._task.cancelling() > self._cancelling + self.is_fired

    def __enter__(self):
        self.is_fired = False           # one may be entered again
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling()
        return self

    def __exit__(self, exception_type, exception, traceback):
        is_ours = self.is_fired and self._task.uncancel() <= self._cancelling
        self._task = None               # else a task that fails and its traceback keep each other
        return is_ours and exception_type is asyncio.CancelledError


class _Timeout(_Interrupt):
    """What `timeout` returns. A generator would leave a reference cycle, since CPython 3.12."""

    def __init__(self, loop, seconds):
        self._loop, self._seconds, self._timer = loop, seconds, None

    def reset(self):
        """Start the time again, unless the block is over."""
        if self._timer is not None:
            self._timer.cancel()
        is_limited = self._seconds < _NEVER and self._task is not None      # as in _event_of_one
        self._timer = self._loop.call_later(self._seconds, self._on_timer) if is_limited else None

    def _on_timer(self):
        if self.is_outdone():           # in this very turn, maybe: that wins
            self._timer = self._loop.call_soon(self)
        else:
            self()

    def __enter__(self):
        super().__enter__()
        self.reset()
        return self.reset

    def __exit__(self, *raised):
        is_ours = super().__exit__(*raised)
        self.reset()
        if is_ours:
            raise TimeoutError(f'expected an end within {self._seconds} s; got none')


def _do_nothing(*_):
    """Do nothing: the default of `sock_pre_message` and `sock_post_message`."""


# Pool.

def Pool(get_dns_resolver=aiodnsresolver.Resolver, get_sock=get_nonblocking_sock,
         get_ssl_context=ssl.create_default_context,
         sock_pre_message=_do_nothing, sock_post_message=_do_nothing,
         send_header=send_header_tuples_of_bytes, send_body=send_body_async_gen_bytes,
         http_version=b'HTTP/1.1', keep_alive_timeout=15,
         recv_bufsize=65536, max_header_length=16384, socket_timeout=10,
         get_logger_adapter=get_logger_adapter_default,
         get_resolver_logger_adapter=get_resolver_logger_adapter_default, connect_timeout=30):
    """Make a pool of connections. Call it in a running event loop, to which it then belongs.

    Args:
        get_dns_resolver: called with `get_logger_adapter=` when a name is first resolved; returns
            the coroutine functions `resolve(host, aiodnsresolver.TYPES.A, get_logger_adapter=)`
            -> addresses, and `clear_cache(get_logger_adapter=)`. The host has no trailing dot.
            Addresses are kept until their `expires_at` (loop time, seconds), and for a second at
            least.
        get_sock: returns a new non-blocking socket; called with `socket.AF_INET6` for IPv6.
        get_ssl_context: returns the `ssl.SSLContext`; called once, when it is first needed.
        sock_pre_message, sock_post_message: called with the socket before, and after, the bytes
            of each request.
        send_header: as `send_header_tuples_of_bytes`.
        send_body: as `send_body_async_gen_bytes`. The body that it gets checks what it yields.
        http_version: `b'HTTP/1.1'` or `b'HTTP/1.0'`, of each request.
        keep_alive_timeout: seconds after which an idle connection is closed; 0 keeps none.
        recv_bufsize: bytes received at once, at most.
        max_header_length: bytes of a header section, chunk-size line or trailer section, and of
            all interim responses to one request.
        socket_timeout: seconds without progress in one send or receive; for a TLS handshake, in
            total.
        get_logger_adapter: called with a dict for each request, and `{}` for the pool.
        get_resolver_logger_adapter: likewise; returns a `get_logger_adapter` for the resolver.
        connect_timeout: seconds for connecting to one of the host's addresses, in all.

    `float('inf')` as a time means no limit.

    Returns:
        The coroutine functions `request` and `close`.

    Raises:
        ValueError: a parameter is not as described.
        RuntimeError: there is no running event loop.
        NotImplementedError: the event loop cannot watch a socket.
    """
    _check_settings(dict(locals()))
    loop = _running_loop()

    checks_content = send_body is send_body_async_gen_bytes
    sends_at_once = checks_content and send_header is send_header_tuples_of_bytes
    pool_log = get_logger_adapter({}).debug

    origins = weakref.WeakValueDictionary()  # key -> _Origin that a connection or `resolved` has
    resolved = collections.deque(maxlen=_CACHE_SIZE)    # the last origins that were asked for
    sessions = collections.OrderedDict()     # key -> last TLS session, or None: it refused one
    connections = set()                      # that are open
    resolve = clear_cache = ssl_context = None          # made when first needed
    is_closed = False                        # then nothing is kept any more

    async def request(method, url, params=(), headers=(),
                      body=empty_async_iterator, body_args=(), body_kwargs=(),
                      get_logger_adapter=get_logger_adapter,
                      get_resolver_logger_adapter=get_resolver_logger_adapter):
        """Make one request, and return once the header section of its response is there.

        Pass all but method and URL by keyword: the third positional argument is `params`.

        Args:
            method: bytes, such as `b'GET'`. Not `b'CONNECT'`.
            url: str, http or https; the host a name, an IPv4 or a bracketed IPv6 literal. Escapes
                are kept, and what a URL cannot hold is percent-encoded (RFC 3986); fragment and
                userinfo are not sent.
            params: pairs or a mapping, as `urllib.parse.urlencode(..., doseq=True)` takes;
                appended to the URL's query, a space as %20.
            headers: pairs of bytes, sent in this order and case. A host field, with the port
                unless it is the scheme's own, is put before them if they have none. A body needs
                a content-length (bytes) or a transfer-encoding.
            body: a function that returns an async iterator of bytes-like chunks; with a
                transfer-encoding, they have to be chunked by a layer. It is called once, and what
                it returns is closed in every case.
            body_args, body_kwargs: its arguments; those by keyword as a mapping or as pairs.
            get_logger_adapter, get_resolver_logger_adapter: as those of `Pool`, for this request.

        Returns:
            `(code, headers, body)`: three digits as bytes; a tuple of pairs of bytes, the names
            in lower case, repeated fields in their order; an async iterator of non-empty bytes
            that also has `aclose()`. A body that is read to its end lets its connection be used
            again; one that is dropped closes it.

        Raises:
            HttpConnectionError: before any byte was sent; safe to retry. Its `__cause__` is a
                `ValueError` if the request was refused as invalid. Also as `HttpDnsError` and
                `HttpTlsError`.
            HttpDataError: after a byte may have been sent, here or while `body` is iterated.
                Also as `HttpConnectionClosedError`, `HttpStaleConnectionError` and
                `HttpHeaderTooLong`.
            RuntimeError: this is not the event loop in which `Pool` was called.
        """
        if asyncio.get_running_loop() is not loop:
            raise RuntimeError('expected the event loop in which Pool() was called; got another')
        target, headers, fields, content, body_args, body_kwargs = _checked_request(
            http_version, method, url, params, headers, body, body_args, body_kwargs,
            checks_content)

        extra = {'lowhaio_method': method.decode('ascii'), 'lowhaio_url': target.log_url}
        logger = get_logger_adapter(extra)
        log = _log_of(logger)
        origin = origins.get(target.key)
        if origin is None:
            origin = origins[target.key] = _Origin(target)
        if origin.expires_at <= loop.time():
            await resolve_addresses(origin, log, get_resolver_logger_adapter(extra))

        connection = take_idle(origin, log) or await connect(origin, log)
        try:
            connection.log = log
            connection.is_begun = connection.is_answered = False
            if connection.is_reused:
                log('Reusing %s', connection.sock)
            sock_pre_message(connection.sock)
            if sends_at_once and content is not None:           # nearly always, one send
                head, is_sent = await _send_at_once(connection, _request_head(
                    http_version, method, target.parsed, params, headers, target.unsigned)
                    + content)
            else:
                head, is_sent = await send_by_hooks(
                    connection, logger, method, target.parsed, params, headers,
                    _RequestBody(body, fields, connection), body_args, body_kwargs)
            log('Body sent to its end: %s', is_sent)
            sock_post_message(connection.sock)

            version, code, response_headers, response_fields, rest = \
                head or await connection.receive_head()
            log('Status received: %s', code)
            length = _message_body_length(method, version, code, response_fields)
            connection.keep_seconds = _keep_seconds(
                keep_alive_timeout, is_sent and _persists(http_version, fields),
                version, code, response_fields, length)
            decoder = _body_decoder(length, rest, max_header_length)
            return code, response_headers, _ResponseBody(connection, decoder, release)
        except BaseException as exception:
            raise connection.failed(exception, 'request')    # noqa: B904 (it names its cause)

    async def resolve_addresses(origin, log, get_logger_adapter):
        """Ask for the A records, and close what is idle at an address that is not among them."""
        nonlocal resolve, clear_cache
        try:
            if resolve is None:
                resolve, clear_cache = get_dns_resolver(
                    get_logger_adapter=get_resolver_logger_adapter({}))
            answer = resolve(origin.host.removesuffix('.'), aiodnsresolver.TYPES.A,
                             get_logger_adapter=get_logger_adapter)
            records = tuple(await _resolver_steps(
                answer, resolve.__module__ == aiodnsresolver.__name__))
            addresses = tuple(dict.fromkeys(            # each is tried once
                str(ipaddress.ip_address(str(record))) for record in records))
            counts_until = loop.time() + _MIN_TTL
            expires_at = max(counts_until, min(
                (getattr(record, 'expires_at', -_NEVER) for record in records), default=0))
        except Exception as exception:
            hint = ', for this very name: no search domains are tried' \
                if type(exception) is aiodnsresolver.DnsRecordDoesNotExist else ''
            raise HttpDnsError(f'{origin.where}: expected A records; '
                               f'got {_told(exception)}{hint}') from exception
        if not addresses:
            raise HttpDnsError(f'{origin.where}: expected A records; got none')
        if origin.expires_at > loop.time():     # by another request, which asked meanwhile
            return

        if origin not in resolved:
            resolved.append(origin)
        origin.addresses = addresses
        origin.counts_until, origin.expires_at = counts_until, expires_at
        for connection in [c for c in origin.idle if c.address not in addresses]:
            log('Address withdrawn: %s', connection.address)
            connection.close('its address is no longer among the A records')

    def take_idle(origin, log):
        """Return the newest idle connection that is alive, or None; close those found dead."""
        while origin.idle:
            connection, _ = origin.idle.popitem()
            connection.on_unasked = _Connection.stop_reading
            if not connection.is_late() and connection.is_alive():
                connection.is_reused = True
                return connection
            connection.close('not reused: the peer closed it or sent bytes, or it expired')

        log('No idle connection to %s', origin.key)
        return None

    async def connect(origin, log):
        """Return a new connection to one of the addresses, in the order in which they answer."""
        is_https = origin.key[0] == 'https'
        context = get_context(origin) if is_https else None
        address, sock = await connect_to_one(origin, log)
        if is_https:
            session = sessions.get(origin.key)
            if origin.key in sessions:
                sessions.move_to_end(origin.key)
            try:
                sock = await start_tls(context, origin, address, sock, session, log)
            except HttpTlsError as error:
                if session is None or isinstance(error.__cause__, ssl.SSLCertVerificationError):
                    raise
                log('TLS session refused: %r', error.__cause__)
                sessions[origin.key] = None
                return await connect(origin, log)       # once, since there is no session then
        return _Connection(loop, sock, connections, origin, address,
                           recv_bufsize, max_header_length, socket_timeout)

    def get_context(origin):
        """Return the SSL context, made when first needed."""
        nonlocal ssl_context
        try:
            ssl_context = ssl_context or get_ssl_context()
        except Exception as exception:
            raise HttpTlsError(f'{origin.where}: expected get_ssl_context to return an SSL '
                               f'context; got {_told(exception)}') from exception
        if not isinstance(ssl_context, ssl.SSLContext):
            raise HttpTlsError(f'{origin.where}: expected get_ssl_context to return an '
                               f'ssl.SSLContext; got {ssl_context!r}')
        return ssl_context

    async def connect_to_one(origin, log):
        """Return (address, socket). An address that failed or lost is the last from now on."""
        _, _, port = origin.key
        losers = {}                             # address -> why it was not the one
        try:
            address, sock = await _connect_first(
                loop, get_sock, origin.addresses, port, connect_timeout, losers, log)
        except Exception as exception:
            if origin.counts_until < origin.expires_at:     # the host may have moved
                origin.expires_at = origin.counts_until
                with contextlib.suppress(Exception):
                    await clear_cache(get_logger_adapter=get_resolver_logger_adapter({}))
            reasons = [f'{address} port {port}: {why}' for address, why in losers.items()]
            raise HttpConnectionError(f'{origin.where}: expected a connection; got '
                                      f'{", ".join(reasons) or _told(exception)}') from exception
        if losers:
            origin.addresses = tuple(sorted(origin.addresses, key=losers.__contains__))
        return address, sock

    async def start_tls(context, origin, address, sock, session, log):
        """Return the TLS socket that takes over `sock`, or close it."""
        try:
            with contextlib.suppress(BlockingIOError):
                sock.recv(1, socket.MSG_PEEK)   # before CPython 3.13, wrap_socket leaks a dead one
            sock = context.wrap_socket(
                sock, server_hostname=origin.host.rstrip('.'), session=session,
                do_handshake_on_connect=False, suppress_ragged_eofs=False)
            await _when_ready(loop, sock, socket_timeout, sock.do_handshake)
            if sock.selected_alpn_protocol() == 'h2':
                raise ValueError('the peer chose HTTP/2 by ALPN: give Pool an SSL context of '
                                 'its own')
            log('TLS handshake done, session resumed: %s', sock.session_reused)
        except BaseException as exception:
            sock.close()
            if not isinstance(exception, Exception):
                raise
            hint = f'; does port {origin.key[2]} speak TLS?' if _may_be_no_tls(exception) else ''
            if getattr(exception, 'verify_code', None) in _UNTRUSTED:
                hint = ': get_ssl_context says which authorities are trusted'
            raise HttpTlsError(f'{_where(origin, address)}: expected a TLS handshake; '
                               f'got {_told(exception)}{hint}') from exception
        return sock

    async def send_by_hooks(connection, logger, method, parsed_url, params, headers,
                            body, body_args, body_kwargs):
        """Return what _send_unless_answered does, by the hooks; close the body in every case."""
        sock = connection.sock
        connection.is_begun = True

        async def send():
            try:
                await send_header(logger, loop, sock, socket_timeout,
                                  http_version, method, parsed_url, params, headers)
            except HttpConnectionError:
                connection.is_begun = False
                raise
            connection.log('Header sent on %s', sock)
            await send_body(logger, loop, sock, socket_timeout, body, body_args, body_kwargs)
            body.check_complete()

        try:
            outcome = await _send_unless_answered(connection, send)
        except BaseException as exception:
            try:
                if connection.is_begun:             # else failed() looks for the peer's last words
                    connection.close(exception)     # first, since the body may wait as it closes
            finally:
                with contextlib.suppress(Exception):
                    await body.aclose()
            raise
        await body.aclose()
        return outcome

    def release(connection, rest):
        """Keep the connection or close it: the last byte of its response has been read."""
        connection.log('Body received on %s', connection.sock)
        remember_session(connection)
        if rest or (connection.is_tls and connection.sock.pending()):
            connection.close('bytes came after the end of the message')
        elif connection.keep_seconds > 0 and not is_closed \
                and connection.address in connection.origin.addresses:
            connection.log('Kept alive %s', connection.sock)
            connection.log = pool_log
            connection.on_unasked = on_idle_readable        # from now on, what comes ends it
            connection.start_reading()
            connection.start_time(connection.keep_seconds)
            connection.origin.idle[connection] = None
        else:
            connection.close('not to be kept')

    def on_idle_readable(connection):
        """Close the idle connection, unless all that came is a TLS session ticket."""
        if connection.is_alive():
            remember_session(connection)
        else:
            connection.close('the peer closed it or sent bytes while it was idle')

    def remember_session(connection):
        """Keep the TLS session for the next connection. TLS 1.3 gives it after the handshake.

        Not that of a resumed connection, since to get it takes as long as resuming saves.
        """
        key = connection.origin.key
        if connection.has_session or is_closed or sessions.get(key, key) is None:
            return
        session = connection.sock.session
        if session is not None and (session.has_ticket or session.id):
            connection.has_session = True
            sessions[key] = session         # at the end, where connect has put an older one
            if len(sessions) > _MAX_KEPT_SESSIONS:
                sessions.popitem(last=False)

    async def close(get_logger_adapter=get_logger_adapter,
                    get_resolver_logger_adapter=get_resolver_logger_adapter):
        """Close what is idle and clear the DNS cache. The arguments are as those of `Pool`.

        Connections in use are closed when their response ends; nothing is kept any more.

        Raises:
            RuntimeError: the loop in which `Pool` was called still runs, in another thread.
        """
        nonlocal is_closed
        if loop.is_running() and asyncio.get_running_loop() is not loop:
            raise RuntimeError('expected the event loop in which Pool() was called, since it '
                               'still runs; got another')
        is_closed = True
        get_logger_adapter({}).debug('Closing %s origins', len(origins))
        sessions.clear()
        with contextlib.ExitStack() as stack:       # which goes on after an error
            for connection in connections:
                if connection in connection.origin.idle:
                    stack.callback(connection.close, 'the pool is closed')
        resolved.clear()
        origins.clear()                     # and with them the addresses
        if clear_cache is not None:
            await clear_cache(get_logger_adapter=get_resolver_logger_adapter({}))

    return request, close


def _check_settings(settings):
    """Raise ValueError unless Pool can work with its arguments, a dict of them all."""
    for name, value in settings.items():
        if name == 'http_version':
            is_right, what = value in (b'HTTP/1.1', b'HTTP/1.0'), "b'HTTP/1.1' or b'HTTP/1.0'"
        elif name.endswith('_timeout'):
            is_right = isinstance(value, (int, float)) and value >= 0
            what = "seconds, from 0 up; no limit is float('inf')"
        elif name in ('recv_bufsize', 'max_header_length'):
            is_right, what = isinstance(value, int) and value > 0, 'bytes, an int from 1 up'
        else:
            is_right, what = callable(value), 'something that can be called'
        if not is_right:
            raise ValueError(f'expected {name} as {what}; got {value!r}')


def _running_loop():
    """Return the loop. `add_reader` is called, since some loops have the method just to raise."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError as error:
        raise RuntimeError('expected Pool() to be called in a running event loop, such as in a '
                           'coroutine; got none') from error
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            loop.add_reader(ours.fileno(), _do_nothing)
            loop.remove_reader(ours.fileno())
        except (NotImplementedError, TypeError) as error:
            raise NotImplementedError('expected an event loop that can watch a socket, such as '
                                      f'asyncio.SelectorEventLoop; got {type(loop).__name__}'
                                      ) from error
    return loop


class _Origin:
    """What the connections to one scheme, host and port share."""

    def __init__(self, target):
        self.key = target.key
        self.host = target.key[1]
        self.where = f'[{self.host}]' if ':' in self.host else self.host    # in error texts
        self.where += f':{target.key[2]}'
        self.addresses = (self.host,) if target.is_literal else ()
        self.expires_at = _NEVER if target.is_literal else -_NEVER  # of the addresses; loop time
        self.counts_until = self.expires_at     # the same if all of them fail; loop time
        self.idle = {}                                  # its keys: connections, the newest last


def _where(origin, address):
    """Return how an error text begins: host and port, and the address where it is another word."""
    return origin.where if address == origin.host else f'{origin.where} at {address}'


def _told(exception):
    """Return an exception as an error text tells it, with the innermost of its causes."""
    causes = [exception]
    while (cause := causes[-1].__cause__) is not None and cause not in causes:    # may be its own
        causes.append(cause)
    return repr(exception) + (f', because of {causes[-1]!r}' if causes[1:] else '')


# Request on the wire. Nothing here waits.

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")               # RFC 9110 5.6.2
_FORBIDDEN = re.compile(rb'[\r\n\0]')                               # RFC 9110 5.5
_CONTROL = re.compile(rb'[\0-\x08\x0a-\x1f\x7f]')                   # RFC 9110 5.5
_MAX_DIGITS = 18                                                    # more than any real length has
_LENGTH = re.compile(rb'0*([0-9]{1,%d})' % _MAX_DIGITS)             # RFC 9110 8.6
_MAX_HOST = 253                                                     # RFC 1035 2.3.4
_HOST = re.compile(r'[0-9a-z_\-.]+')                                # as names are, and with _
_HOST_FIELD = re.compile(                                           # RFC 9110 7.2
    rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]*)(?::[0-9]*)?")
_BRACKETED = re.compile(r'\[[^\[\]]*\](?::[^\[\]]*)?')              # RFC 3986 3.2.2
_DEVIATING = re.compile('[\xdf\u1e9e\u03c2\u200c\u200d]')    # which IDNA 2003 replaces by others
_DEFAULT_PORTS = {'http': 80, 'https': 443}                         # RFC 9110 4.2
_urlsplit = urllib.parse.urlsplit.__wrapped__        # without its cache, which keeps long ones too
_STRIPPED = ''.join(map(chr, range(33)))                            # by urlsplit, if it leads
_NOT_IN_PATH = re.compile(                                          # RFC 3986 3.3
    rb"%(?![0-9A-Fa-f]{2})|[^%A-Za-z0-9\-._~!$&'()*+,;=:@/]")
_NOT_SIGNED = re.compile(rb'[^A-Za-z0-9\-._~/]')                    # D2
_NOT_IN_QUERY = re.compile(                                         # RFC 3986 3.4
    rb"%(?![0-9A-Fa-f]{2})|[^%A-Za-z0-9\-._~!$&'()*+,;=:@/?]")
_FRAMING_FIELDS = frozenset((b'host', b'content-length', b'transfer-encoding', b'connection'))

_Target = collections.namedtuple('_Target', (
    'parsed',       # urllib.parse.SplitResult, for the hooks
    'key',          # (scheme, host, port); the host in punycode, or an address without brackets
    'is_literal',   # bool: the host is an address
    'log_url',      # str: without userinfo
    'unsigned',     # what _target_and_host returns for a request that is not signed
))


def _checked_request(http_version, method, url, params, headers, body, body_args, body_kwargs,
                     checks_content):
    """Return (_Target, headers, fields that frame the request, content, body_args, body_kwargs).

    The content is None unless it is known and small enough to be sent with the header section.
    Raise HttpConnectionError with a ValueError as its cause for what is invalid; if
    `checks_content`, also for known content that is not as `headers` say.
    """
    try:
        if not isinstance(method, bytes):
            raise ValueError(f'expected method as bytes; got {type(method).__name__}')
        if len(method) > _MAX_TOKEN or _lower_token(method, 'method') == b'connect':
            raise ValueError(f'expected a method of at most {_MAX_TOKEN} bytes, other than '
                             f'CONNECT; got {_shown_token(method)}')
        if not isinstance(url, str):
            raise ValueError(f'expected url as str; got {type(url).__name__}')
        if params or params is None:
            _valid('valid params, pairs or a mapping', urllib.parse.urlencode, params, True)
        if isinstance(headers, dict):
            raise ValueError('expected headers as pairs of bytes; got a dict: pass its .items()')
        if type(headers) is not tuple:
            headers = _valid('valid headers, pairs of bytes', tuple, headers)
        if not callable(body):
            raise ValueError('expected body as a function that returns an async iterator, such as '
                             f'streamed(data); got {type(body).__name__}')
        if body_args or body_kwargs:
            body_args = _valid('valid body_args', tuple, body_args)
            body_kwargs = _valid('valid body_kwargs', dict, body_kwargs)

        limit = _MAX_CACHED_URL if url.isascii() else _MAX_CACHED_URL // 12     # of %F0%9F%98%80
        parse_url = _parse_url if len(url) <= limit else _parse_url.__wrapped__
        target, fields = parse_url(url), _checked_fields(http_version, headers)
        content = _known_content(body, body_args, body_kwargs)
        if content or (fields and content is not None):
            if checks_content:
                _check_content(fields, content)
            if len(content) > _MAX_JOINED:
                content = None
        if method == b'TRACE' and content != b'':               # RFC 9110 9.3.8
            raise ValueError('expected TRACE without a body; got one')
        return target, headers, fields, content, body_args, body_kwargs

    except ValueError as cause:
        raise HttpConnectionError(f'request refused: {cause}') from cause


def _valid(what, function, *args, got=None):
    """Call a function that checks its arguments, and put `what` into its complaint.

    `got` replaces its words, which depend on the release of Python and may quote a password.
    """
    try:
        return function(*args)
    except (TypeError, ValueError) as error:
        raise ValueError(f'expected {what}; got {got or error}') from (None if got else error)


@functools.lru_cache(maxsize=_CACHE_SIZE)
def _lower_token(raw, what):
    """Return a token in lower case, or raise ValueError. Cached, since few names are used."""
    if not _TOKEN.fullmatch(raw):
        raise ValueError(
            f'expected {what} as a token (RFC 9110 5.6.2); got {_shown_token(raw)}')
    return raw.lower()


@functools.lru_cache(maxsize=_URL_CACHE_SIZE)
def _parse_url(url):
    """Return the _Target of a URL (RFC 9110 4.2, RFC 3986), or raise ValueError."""
    shown = _quoted(re.split('[@\uff20\ufe6b]', url)[-1])   # no userinfo; NFKC makes others an @
    if _FORBIDDEN.search(_valid('valid url', url.encode)):
        raise ValueError('expected url without CR, LF and NUL; got one')
    if url != url.strip(_STRIPPED):
        raise ValueError(f'expected url without spaces around it; got {shown}')
    parsed = _valid('url with a valid host', _urlsplit, url.replace('\t', '\0'), got=shown)
    parsed = parsed._make(part.replace('\0', '\t') for part in parsed)      # tabs were lost else
    if parsed.scheme not in ('http', 'https'):
        raise ValueError(f'expected url with scheme http or https; got {shown}')

    host, is_literal = _parse_host(parsed, shown)
    try:
        port = parsed.port
    except ValueError:
        port = 0                # whatever stands there, since it may be part of a password
    if port == 0:
        raise ValueError('expected url with a port from 1 to 65535; got something else')
    if port is None:
        port = _DEFAULT_PORTS[parsed.scheme]

    log_url = parsed._replace(netloc=parsed.netloc.rpartition('@')[2]).geturl()
    return _Target(parsed, (parsed.scheme, host, port), is_literal, log_url,
                   _target_and_host(parsed, False))


def _parse_host(parsed_url, shown=None):
    """Return (host in punycode or address without brackets, whether it is an address).

    Raise ValueError if it is neither. `shown` is the URL as its text quotes it.
    """
    hostname = parsed_url.hostname or ''
    host_and_port = parsed_url.netloc.rpartition('@')[2]
    if '[' in parsed_url.netloc:
        if not _BRACKETED.fullmatch(host_and_port):
            raise ValueError('expected url with nothing but a port beside the brackets of its '
                             f'host; got {shown}')
        if '%' in hostname:
            raise ValueError(f'expected an IPv6 address without a zone; got {shown}')
        return str(_valid('an IPv6 address in the brackets of url',
                          ipaddress.IPv6Address, hostname, got=shown)), True

    if found := _DEVIATING.search(host_and_port):   # in hostname, a capital sigma may be one
        raise ValueError(f'expected url with a host without {found[0]!a}, which is read as '
                         f'another name by some: give it in punycode; got {shown}')
    _check_host_length(hostname)        # first, since the codec takes quadratic time
    host = _valid('url with a host of labels of 1 to 63 characters that IDNA allows',
                  hostname.encode, 'idna', got=shown).decode('ascii')
    _check_host_length(host)
    if not _HOST.fullmatch(host):       # the codec lets a space pass
        raise ValueError(f'expected url with a host, an IPv6 address in brackets; got {shown}')
    try:
        return str(ipaddress.IPv4Address(host)), True
    except ValueError:
        return host, False


def _check_host_length(host):
    if len(host.removesuffix('.')) > _MAX_HOST:
        raise ValueError(f'expected url with a host of at most {_MAX_HOST} characters; '
                         f'got {len(host)}')


def _checked_fields(http_version, headers):
    """Return a dict of the fields that frame the request; raise ValueError for an invalid one."""
    fields = {}
    for field in headers:
        is_pair = isinstance(field, (tuple, list)) and len(field) == 2
        if not is_pair or not isinstance(field[0], bytes) or not isinstance(field[1], bytes):
            raise ValueError("expected headers as pairs of bytes, such as ((b'accept', b'*/*'),); "
                             f'got {_shown_field(field)}')
        name, value = field
        lower = _lower_token if len(name) <= _MAX_TOKEN else _lower_token.__wrapped__
        lower_name = lower(name, 'header field name')
        if _CONTROL.search(value):
            raise ValueError(f'expected {name!r} with a value without control characters such as '
                             'line ends; got one')
        if lower_name in _FRAMING_FIELDS:
            before = fields.get(lower_name)
            if before is not None and lower_name == b'host':
                raise ValueError('expected one host field; got more')
            fields[lower_name] = value if before is None else before + b',' + value

    if b'host' in fields and not _HOST_FIELD.fullmatch(fields[b'host'].strip(b' \t')):
        raise ValueError('expected a host field of a host, and a port if it is not the default; '
                         f'got {_quoted(fields[b"host"])}')
    if b'content-length' in fields or b'transfer-encoding' in fields:
        _check_request_framing(http_version, fields)
    return fields


def _shown_field(field):
    """Return what is no pair of bytes as a refusal quotes it: without its value."""
    if not isinstance(field, (tuple, list)):
        return type(field).__name__
    shown = [type(part).__name__ for part in field]
    if len(field) > 1 and isinstance(field[0], bytes):
        shown[0] = _shown_token(field[0])
    return f'({", ".join(shown)})'


def _shown_token(raw):
    """Return what is no token as a refusal quotes it: no field value or URL in its place."""
    return _quoted(raw[:raw.find(b':') + 1] or raw)


def _check_request_framing(http_version, fields):
    """Raise ValueError for what a server could read in two ways (RFC 9112 6.1 and 6.2)."""
    length, coding = fields.get(b'content-length'), fields.get(b'transfer-encoding')
    if length is not None and coding is not None:
        raise ValueError('expected content-length or transfer-encoding; got both')

    if length is not None:
        match = _LENGTH.fullmatch(length.strip(b' \t'))
        if not match:
            raise ValueError(f'expected content-length as one number of at most {_MAX_DIGITS} '
                             f'digits; got {_quoted(length)}')
        fields[b'content-length'] = match[1]

    elif http_version == b'HTTP/1.0':
        raise ValueError('expected no transfer-encoding in HTTP/1.0; got one')

    else:
        *others, last = [token.strip(b' \t').lower() for token in coding.split(b',')]
        if last != b'chunked' or b'chunked' in others or not all(map(_TOKEN.fullmatch, others)):
            raise ValueError('expected transfer-encoding as a list of codings that ends in '
                             f'chunked, once; got {_quoted(coding)}')


def _known_content(body, body_args, body_kwargs):
    """Return the content of no body, or of `streamed`; None if the body has to be iterated."""
    if body is empty_async_iterator:
        return b''
    if type(body) is functools.partial and body.func is _yield_once \
            and not body_args and not body_kwargs:
        data, = body.args
        if not isinstance(data, bytes):
            data = _valid('valid data of streamed', lambda: memoryview(data).cast('B'))
            data = bytes(data) if len(data) <= _MAX_JOINED else data
        return data
    return None


def _check_content(fields, content):
    """Raise ValueError unless the content is as `fields` say. It is then refused unsent."""
    length = int(fields.get(b'content-length', 0))
    if b'transfer-encoding' in fields:
        coding = _RequestCoding(_NEVER)
        try:
            if content:
                coding.check(content)
            coding.check_complete()
        except HttpDataError as error:
            raise ValueError(str(error)) from error
    elif len(content) != length:
        said = f'of {length} bytes, by its content-length' if b'content-length' in fields else \
            'with a content-length or transfer-encoding in headers'
        raise ValueError(f'expected a request body {said}; got one of {len(content)} bytes')


def _request_head(http_version, method, parsed_url, params, headers, unsigned=None):
    """Return the request line and the header section (RFC 9112 3 and 5)."""
    lower_names = [name.lower() for name, _ in headers]
    is_signed = b'authorization' in lower_names and \
        headers[lower_names.index(b'authorization')][1].startswith(b'AWS4-HMAC-SHA256')
    target, host = _target_and_host(parsed_url, is_signed) \
        if is_signed or unsigned is None else unsigned
    if params:
        query = urllib.parse.urlencode(params, doseq=True, quote_via=urllib.parse.quote)
        if query:
            target += (b'&' if b'?' in target else b'?') + query.encode('ascii')

    lines = [method + b' ' + target + b' ' + http_version]
    if b'host' not in lower_names:
        lines.append(b'host: ' + host)
    for name, value in headers:
        lines.append(name + b': ' + value)
    lines.append(b'\r\n')
    return b'\r\n'.join(lines)


def _target_and_host(parsed_url, is_signed):
    """Return the request-target without params (RFC 9112 3.2.1) and host; if signed, D1 and D2."""
    path = (_NOT_SIGNED if is_signed else _NOT_IN_PATH).sub(
        _percent_encoded, parsed_url.path.encode('utf-8')) or b'/'
    query = _NOT_IN_QUERY.sub(_percent_encoded, parsed_url.query.encode('utf-8'))
    host, _ = _parse_host(parsed_url)
    host = f'[{host}]' if ':' in host else host
    if not is_signed and parsed_url.port not in (None, _DEFAULT_PORTS[parsed_url.scheme]):
        host += f':{parsed_url.port}'                               # RFC 9110 7.2
    return path + (b'?' + query if query else b''), host.encode('ascii')


def _percent_encoded(match):
    return b'%%%02X' % ord(match[0])


# Response on the wire. Nothing here waits.

_STATUS_LINE = re.compile(rb'(HTTP/1\.[01]) ([0-9]{3})(?: [^\r\n\0]*)?')    # RFC 9112 4, D9
_BROKEN_LINE = re.compile(rb'\r(?!\n|\Z)|\0')                      # RFC 9112 2.2, 9110 5.5
_SECTION_END = re.compile(rb'\n\r?\n')   # LF alone is what scripts on small servers write
_LINE_FOLDING = re.compile(rb'(?<![ \t])(?:[ \t]*\n[ \t]+)+')       # RFC 9112 5.2
_HTTP2_SETTINGS = re.compile(rb'...\x04.\0\0\0\0', re.S)           # a frame's head, RFC 9113 6.5
_KEEP_ALIVE_HINT = re.compile(rb'(?:^|[,;\s])timeout\s*=\s*"?([0-9]{1,9})(?![0-9])', re.I)

_CHUNKED = 'chunked'            # of _message_body_length, in place of a number of bytes
_UNTIL_CLOSE = 'until close'


def _response_head(data, limit, seen):
    """Return what _parse_head returns, of any response, and the bytes that follow.

    Return None if more bytes are needed; raise HttpDataError as soon as none can help. The first
    `seen` bytes were there when it last returned None.
    """
    raw_head, empty_line, rest = data.partition(b'\r\n\r\n')     # half as long as a search takes
    parse = _parse_head if len(raw_head) <= _MAX_CACHED else _parse_head.__wrapped__
    if empty_line and len(raw_head) + 4 <= limit and (head := parse(raw_head)):
        return *head, rest

    if data[:5] != b'HTTP/'[:len(data)]:
        raise HttpDataError(f'expected a status line; got {_guessed(data)}')
    end = _SECTION_END.search(data, max(0, seen - 2))
    if not end:
        _check_section_so_far('a header section', data, limit, seen)
        return None

    _check_length('a header section', end.end(), limit)
    raw_head = data[:end.start()].removesuffix(b'\r')
    return *_parse_head.__wrapped__(raw_head), data[end.end():]


def _guessed(data):
    """Return how an error text quotes what is no status line, and what it may be."""
    if data[:2] == b'\x15\x03':
        return f'{_quoted(data)}, which is TLS: is this an https port?'
    if _HTTP2_SETTINGS.match(data):
        return f'{_quoted(data)}, which is HTTP/2'
    return 'an empty line' if data[:1] in (b'', b'\r', b'\n') else _quoted(data)


def _check_section_so_far(section, data, limit, seen):
    """Raise as soon as no further bytes can make a section valid; `seen` bytes were checked."""
    if _BROKEN_LINE.search(data, max(0, seen - 1)):         # a CR that was the last is seen again
        raise HttpDataError(f'expected {section} of lines that end in CRLF or LF, without other '
                            f'CR and NUL; got {_quoted(data)}')
    _check_length(section, len(data) + 1, limit)


def _check_length(what, length, limit):
    if length > limit:
        raise HttpHeaderTooLong(f'expected {what} of at most {limit} bytes; got more: '
                                'max_header_length sets the limit')


@functools.lru_cache(maxsize=64)
def _parse_head(raw_head):
    """Return (version, code, headers, the same as a dict) of the bytes before the empty line.

    Return None if an empty line is among them, or raise HttpDataError. Cached, since under load
    most heads come again: the date in them changes once a second.
    """
    if _SECTION_END.search(raw_head + b'\r\n'):
        return None
    line, _, raw_fields = raw_head.replace(b'\r\n', b'\n').partition(b'\n')
    _check_line(line)
    match = _STATUS_LINE.fullmatch(line)
    if not match:
        raise HttpDataError('expected a status line of HTTP/1.0 or HTTP/1.1; '
                            f'got {_guessed(line)}')
    headers = _parse_fields(raw_fields)
    return *match.groups(), headers, _combined(headers)


def _parse_fields(raw_section):
    """Return the fields as a tuple of pairs (lower-case name, value) (RFC 9112 5).

    The lines of the section are separated by LF alone. Raise HttpDataError for what is no field.

    An obsolete line folding counts as a space (RFC 9112 5.2). The line after it starts with a
    space or tab and so is no field line: only a section that does not parse can have any.
    """
    parse = _parse_field_line if len(raw_section) <= _MAX_CACHED else _parse_field_line.__wrapped__
    try:
        return tuple(map(parse, raw_section.split(b'\n') if raw_section else ()))
    except HttpDataError:
        unfolded = _LINE_FOLDING.sub(b' ', raw_section)
        if unfolded == raw_section:
            raise
    return _parse_fields(unfolded)


@functools.lru_cache(maxsize=_CACHE_SIZE)
def _parse_field_line(raw_line):
    """Return (lower-case name, value), or raise HttpDataError. Cached, since most come again."""
    _check_line(raw_line)
    raw_name, colon, raw_value = raw_line.partition(b':')
    if not colon or not _TOKEN.fullmatch(raw_name):
        raise HttpDataError(f'expected a field line; got {_quoted(raw_line)}')
    return raw_name.lower(), raw_value.strip(b' \t')


def _check_line(raw_line):
    """Raise HttpDataError for what no line may hold (RFC 9112 2.2, RFC 9110 5.5)."""
    if _FORBIDDEN.search(raw_line):
        raise HttpDataError('expected lines that end in CRLF or LF, without other CR and NUL; '
                            f'got {_quoted(raw_line)}')


def _combined(headers):
    """Return a dict of the fields, repeated ones joined to one list (RFC 9110 5.3)."""
    fields = dict(headers)
    if len(fields) != len(headers):
        values = collections.defaultdict(list)
        for name, value in headers:
            values[name].append(value)
        fields = {name: b','.join(values[name]) for name in values}
    return fields


def _message_body_length(method, version, code, fields):
    """Return bytes of content, _CHUNKED or _UNTIL_CLOSE, or raise HttpDataError (RFC 9112 6.3)."""
    # After a 101 comes another protocol, whatever the method was (RFC 9110 15.2.2)
    if code == b'101':
        return _UNTIL_CLOSE

    # Rule 1. D3: a 204 goes on to its content-length. Rule 2 is about CONNECT, never sent
    if method == b'HEAD' or code == b'304':
        return 0

    # Rules 3 and 4. D5, D6, D8
    coding = fields.get(b'transfer-encoding')
    if coding is not None and coding.lower() != b'identity':
        if coding.lower() != b'chunked' or version == b'HTTP/1.0' or b'content-length' in fields:
            raise HttpDataError('expected transfer-encoding chunked, without content-length, in '
                                f'HTTP/1.1; got {_quoted(coding)}, {version.decode()}, '
                                f'content-length {_quoted(fields.get(b"content-length", b""))}')
        return 0 if code == b'204' else _CHUNKED

    # Rules 5 and 6
    if b'content-length' in fields:
        return _parse_content_length(fields[b'content-length'])

    # Rule 7 is about requests. Rule 8; D4
    is_empty = code == b'204' or (method == b'DELETE' and _persists(b'HTTP/1.0', fields))
    return 0 if is_empty else _UNTIL_CLOSE


def _parse_content_length(raw_value):
    """Return the number, or raise HttpDataError; identical ones count as one (RFC 9110 8.6)."""
    if raw_value.isdigit() and len(raw_value) <= _MAX_DIGITS:
        return int(raw_value)

    values = {value.strip(b' \t') for value in raw_value.split(b',')}
    match = _LENGTH.fullmatch(values.pop())
    if not match or values:
        raise HttpDataError(f'expected content-length as one number of at most {_MAX_DIGITS} '
                            f'digits; got {_quoted(raw_value)}')
    return int(match[1])


def _keep_seconds(limit, is_wanted, version, code, fields, length):
    """Return the seconds that the connection may be idle; 0: it is not kept (RFC 9112 9.3).

    `limit` is what Pool allows; `is_wanted`, whether the request was sent to its end and persists.
    """
    persists = is_wanted and _persists(version, fields) and length is not _UNTIL_CLOSE \
        and not (code in (b'204', b'304') and b'transfer-encoding' in fields)   # may have content
    if persists and b'keep-alive' in fields:
        hint = _KEEP_ALIVE_HINT.search(fields[b'keep-alive'])
        limit = min(limit, int(hint[1]) - 1) if hint else limit         # before the server closes
    return limit if persists else 0


def _persists(version, fields):
    """Return whether one side wants the connection kept after the message (RFC 9112 9.3)."""
    if b'connection' not in fields:
        return version == b'HTTP/1.1'
    value = fields[b'connection']
    options = _tokens(value) if len(value) <= _MAX_TOKEN else _tokens.__wrapped__(value)
    return b'close' not in options and (version == b'HTTP/1.1' or b'keep-alive' in options)


@functools.lru_cache(maxsize=8)
def _tokens(raw_list):
    return frozenset(token.strip(b' \t').lower() for token in raw_list.split(b','))


# Body decoders. Nothing here waits. Each is a plain generator, so that the same code runs on
# sockets and in tests, split at any byte: it yields the chunks of the body, yields None when it
# needs more bytes and is sent them, b'' at the end of the stream, and returns what is left over.
# For what is malformed or cut off, it raises HttpDataError.

_CHUNK_SIZE_LINE = re.compile(rb'([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n\0]*)?\r\n')    # RFC 9112 7.1
_CHUNK_SIZE = re.compile(rb'[0-9A-Fa-f]{1,16}+[ \t]*+(?:;|\r?\Z)')   # the start of such a line

# What a sender may write is less: no space, no control characters, no LF alone, no folding
_SENT_SIZE_LINE = re.compile(rb'([0-9A-Fa-f]{1,16})(?:;[^\0-\x08\x0a-\x1f\x7f]*)?\r\n')
_SENT_TRAILERS = re.compile(
    rb'(?:%b:[^\0-\x08\x0a-\x1f\x7f]*\r\n)*\r\n' % _TOKEN.pattern)


def _body_decoder(length, data, limit):
    """Return the decoder for a length of _message_body_length; `data` came after the header."""
    if length is _CHUNKED:
        return _decode_chunked(data, limit)
    if length is _UNTIL_CLOSE:
        return _decode_until_close(data)
    return _decode_length(length, data)


def _cut_off(expected, so_far=''):
    raise HttpConnectionClosedError(f'expected {expected}; got the end of the stream{so_far}')


def _decode_length(length, data):
    """Decode content of a known length (RFC 9112 6.2)."""
    while len(data) < length:
        if data:
            yield data
        length -= len(data)
        data = (yield None) or _cut_off(f'{length} more bytes of content')

    if length:
        yield data[:length]
    return data[length:]


def _decode_chunked(data, limit, is_sent=False):
    """Decode chunks (RFC 9112 7.1). If `is_sent`, only what a sender may write is valid."""
    size_line = _SENT_SIZE_LINE if is_sent else _CHUNK_SIZE_LINE
    at = 0      # index: what is before it has been dealt with
    while True:
        seen = 0
        while (end := data.find(b'\n', at) + 1) == 0:
            data, at = data[at:], 0
            is_broken = _BROKEN_LINE.search(data, max(0, seen - 1))
            if is_broken or (data and seen <= 16 and not _CHUNK_SIZE.match(data)):   # its digits
                raise HttpDataError(f'expected a chunk size; got {_quoted(data)}')
            _check_length('a chunk-size line', len(data) + 1, limit)
            seen = len(data)
            data += (yield None) or _cut_off('a chunk size')

        line = size_line.fullmatch(data, at, end)
        if not line:
            raise HttpDataError(f'expected a chunk size; got {_quoted(data[at:end])}')
        _check_length('a chunk-size line', end - at, limit)
        size, at = int(line[1], 16), end
        if size == 0:
            return (yield from _drop_trailer_section(data[at:], limit, is_sent))

        while len(data) - at < size:
            if len(data) > at:
                yield data[at:]
            size -= len(data) - at
            data, at = (yield None) or _cut_off(f'{size} more bytes of a chunk'), 0
        yield data[at:at + size]
        at += size

        while data[at:at + 2] in (b'', b'\r'):
            data, at = data[at:] + ((yield None) or _cut_off('CRLF after a chunk')), 0
        if data[at:at + 2] != b'\r\n':
            raise HttpDataError(f'expected CRLF after a chunk; got {_quoted(data[at:])}')
        at += 2


def _drop_trailer_section(data, limit, is_sent):
    """Check a trailer section like a header section, and return what follows (RFC 9112 7.1.2)."""
    data, seen = b'\n' + data, 0                          # the end of the line before it
    while not (end := _SECTION_END.search(data, max(0, seen - 2))):
        _check_section_so_far('a trailer section', data[1:], limit, seen - 1)
        seen = len(data)
        data += (yield None) or _cut_off('the end of the trailer section')

    _check_length('a trailer section', end.end() - 1, limit)
    fields = _parse_fields(data[1:end.start()].removesuffix(b'\r').replace(b'\r\n', b'\n'))
    if is_sent and (not _SENT_TRAILERS.fullmatch(data, 1, end.end())
                    or not _FRAMING_FIELDS.isdisjoint(dict(fields))):
        raise HttpDataError('expected a trailer section as a sender may write it; got another')
    return data[end.end():]


def _decode_until_close(data):
    """Decode what ends with the connection (RFC 9112 6.3 rule 8)."""
    if data:
        yield data
    while data := (yield None):
        yield data
    return b''


def _quoted(raw):
    """Return bytes, or a str, as an error text quotes them."""
    return repr(raw[:_MAX_QUOTED]) + ('...' if len(raw) > _MAX_QUOTED else '')


# Bodies in transit. Objects and not async generators: an abandoned async generator makes the event
# loop create a task to close it, and one that was never started closes nothing.

class _RequestBody:
    """What send_body calls and iterates: the caller's body, held against its framing fields."""

    def __init__(self, body, fields, connection):
        self._body = body
        self._connection = connection
        self._iterator = None
        self._framing = _RequestCoding(connection.head_limit) \
            if b'transfer-encoding' in fields else _RequestLength(fields.get(b'content-length'))

    def __call__(self, *args, **kwargs):
        try:
            self._iterator = self._body(*args, **kwargs).__aiter__()
        except Exception as error:
            raise HttpDataError('expected the request body to be a function that returns an async '
                                f'iterator, such as streamed(data); got {_told(error)}') from error
        return self

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            chunk = await self._iterator.__anext__()
            content = chunk if type(chunk) is bytes else memoryview(chunk).cast('B')
        except StopAsyncIteration:
            self.check_complete()
            raise
        except Exception as error:
            raise HttpDataError('expected bytes of the request body; '
                                f'got {_told(error)}') from error

        self._framing.check(content)
        sends = -(-len(content) // _most_at_once(self._connection.sock)) or 1
        if self._connection.is_turn_over(sends * _READ_OR_WRITE):
            await asyncio.sleep(0)
        return chunk

    def check_complete(self):
        """Raise if bytes are missing. A hook that never called the body sent its own content."""
        if self._iterator is not None:
            self._framing.check_complete()

    async def aclose(self):
        """Close the caller's iterator, so that the `finally` of a generator has run."""
        if hasattr(self._iterator, 'aclose'):
            try:
                await self._iterator.aclose()
            except Exception as error:
                raise HttpDataError('expected the request body to close; '
                                    f'got {_told(error)}') from error


class _RequestLength:
    """Holds a request body against its content-length (RFC 9112 6.2)."""

    def __init__(self, length):
        self._is_said = length is not None
        self._left = int(length or 0)           # bytes

    def check(self, chunk):
        """Raise HttpDataError if there are more bytes than there may be."""
        if len(chunk) > self._left:
            expected = f'{self._left} more bytes of the request body, by its content-length' \
                if self._is_said else 'a content-length or transfer-encoding in headers'
            raise HttpDataError(f'expected {expected}; got {len(chunk)} bytes of body')
        self._left -= len(chunk)

    def check_complete(self):
        """Raise HttpDataError if bytes are missing."""
        if self._left:
            raise HttpDataError(f'expected {self._left} more bytes of the request body, '
                                'by its content-length; got its end')


class _RequestCoding:
    """Holds a request body against the chunked coding, by what decodes responses (RFC 9112 7.1).

    Without this, a body that no layer has framed would be read as chunks by the server, and what
    follows an early end as another request.
    """

    def __init__(self, limit):
        self._decoder = _decode_chunked(b'', limit, is_sent=True)
        next(self._decoder)
        self._is_complete = False       # whether the last chunk has come

    def check(self, chunk):
        """Raise HttpDataError if the bytes are no chunks, or come after the last one."""
        if not chunk:           # a layer that frames each has made it the end of the message
            self._fail('no empty piece of the request body', 'one')
        try:
            piece = self._decoder.send(bytes(chunk))
            while piece is not None:
                piece = next(self._decoder)
        except StopIteration as end:
            surplus = len(chunk if end.value is None else end.value)    # None: it ended before
            if surplus:
                self._fail('nothing after the last chunk of the request body', f'{surplus} bytes')
            self._is_complete = True
        except HttpHeaderTooLong:
            raise
        except HttpDataError as error:      # which quotes what may be a password
            expected = str(error).removeprefix('expected ').partition('; got')[0]
            self._fail(f'{expected} in the request body', f'{len(chunk)} bytes that are not')

    def check_complete(self):
        """Raise HttpDataError if the last chunk has not come."""
        if not self._is_complete:
            self._fail('a last chunk of the request body', 'its end')

    def _fail(self, expected, got):
        raise HttpDataError(f'expected {expected}, by its transfer-encoding; got {got}: a layer '
                            'such as lowhaio-chunked frames a body, each chunk of which has bytes'
                            ) from None


class _ResponseBody:
    """What the caller of request iterates. Unless read to its end, it closes its connection.

    It is one chunk ahead of its reader, of whom there is one at a time, so that the connection is
    free for others before the last chunk is returned.
    """

    __slots__ = ('_ahead', '_connection', '_decoder', '_has_reader', '_release')

    def __init__(self, connection, decoder, release):
        self._connection = connection
        self._decoder = decoder         # None once the last byte has been read
        self._release = release
        self._ahead = self._decode(None)        # the next chunk, or None
        self._has_reader = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            if self._has_reader:
                raise HttpDataError('expected a body with one reader; got another task that reads')
            self._has_reader = True
            chunk, self._ahead = self._ahead, None
            if chunk is not None and self._connection.is_turn_over(1):
                await asyncio.sleep(0)
            while chunk is None and self._decoder is not None:
                chunk = self._decode(await self._connection.receive())
            if chunk is not None:
                self._ahead = self._decode(None)
        except BaseException as exception:
            raise self._connection.failed(exception, 'body')     # noqa: B904
        finally:
            self._has_reader = False

        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def _decode(self, data):
        """Return the next chunk, or None: it needs more bytes than `data`, or it has ended."""
        if self._decoder is None or self._connection.sock is None:
            raise HttpDataError('expected an open body; got one that another task has closed')
        try:
            return self._decoder.send(data)
        except StopIteration as stop:
            self._decoder = None
            self._release(self._connection, stop.value)
            return None

    async def aclose(self):
        """Close the connection, unless the body has been read to its end."""
        if self._decoder is not None:
            self._decoder = self._ahead = None
            self._connection.close('the response body was closed before its end')

    def __del__(self):
        if self._decoder is not None:
            self._connection.drop('the response body was dropped before its end')


# Connection. The one place that waits for a response.

class _Connection:
    """One connected socket, in one of these states:

        state     what it is doing                 bytes that come         how to tell
        sending   a request is on its way          an early answer         on_unasked reads a head
        waiting   a reader awaits bytes            go to the reader        it has a _waiter
        unread    nobody awaits bytes              stop the loop's reader  neither
        idle      it is in the pool                close it, but tickets   it is in origin.idle
        closed                                                             sock is None

    Its reader is registered once and stays, since to do so for each wait would cost more than all
    else. It is removed only when bytes come that nobody waits for, which holds the peer back, once
    an answer has come while sending, and at the end of the stream. Its timer stays too: each wait
    and each idle time only moves the deadline, and a timer that fires before the deadline is
    started again. Both run in an empty context, since a connection outlives the request that
    opened it.
    """

    def __init__(self, loop, sock, connections, origin, address, bufsize, head_limit, timeout):
        self.loop = loop
        self.thread, self.process = threading.get_ident(), os.getpid()      # those of the loop
        self.sock = sock                # None when closed
        self.connections = connections  # of the pool that are open, this one among them: a set
        connections.add(self)           # else the garbage collector may close it before its body
        self.fileno = sock.fileno()
        self.is_tls = isinstance(sock, ssl.SSLSocket)
        self.origin = origin
        self.address = address
        self.bufsize = min(bufsize, _TLS_RECORD) if self.is_tls else bufsize    # bytes
        self.head_limit = head_limit    # bytes
        self.timeout = timeout          # seconds
        self.log = _do_nothing          # of the request that it serves, or of the pool
        self.keep_seconds = 0           # how long it may be idle after the response
        self.has_session = not self.is_tls or sock.session_reused   # nothing new to remember
        self.is_reused = False          # whether it has served a request before this one
        self.is_begun = False           # whether a byte of this request may have been sent
        self.is_answered = False        # whether a byte of this response has come
        self.on_unasked = _Connection.stop_reading  # called with self for bytes nobody waits for
        self.unparsed = b''             # the part of a response head that has come
        self.interim_bytes = 0          # of the interim responses that came before it
        self._is_reading = False        # whether the reader is registered
        self._waiter = None             # the _Waiter that the next bytes go to
        self._deadline = 0              # when it gets a TimeoutError; loop time
        self._timer = None
        self._timer_due = _NEVER        # when the timer fires, not after the deadline; loop time
        self._turn = 0                  # what was done since others had their turn: _MAX_TURN

    async def receive_head(self):
        """Return the final _response_head. Wait before reading: there can be no answer yet."""
        head = None
        while head is None:
            head = self.parse_head(await self.receive(is_likely=self.unparsed != b''))
        return head

    def parse_head(self, data):
        """Return the final _response_head if all of it has come by now, or None."""
        if not data:
            _cut_off('a response', f' after {_quoted(self.unparsed)}' if self.unparsed else
                     ' before a final one' if self.is_answered else ' before a byte')

        self.is_answered = True
        seen = len(self.unparsed)
        self.unparsed += data
        while head := _response_head(self.unparsed, self.head_limit, seen):
            code, rest = head[1], head[-1]
            if code[:1] != b'1' or code == b'101':  # RFC 9110 15.2; what follows a 101 is no HTTP
                self.unparsed, self.interim_bytes = b'', 0
                return head

            self.interim_bytes += len(self.unparsed) - len(rest)
            self.unparsed, seen = rest, 0
            _check_length('all interim responses', self.interim_bytes, self.head_limit)     # D7
        return None

    def read_last_words(self):
        """Return the head of what the peer answered before a send failed, or None.

        Raise a TLS alert, which says more than that the stream ended.
        """
        try:
            while True:
                if head := self.parse_head(self.sock.recv(self.bufsize)):
                    return head
        except ssl.SSLError as error:
            if 'ALERT' in (error.reason or ''):
                raise
        except (OSError, HttpError):
            pass
        return None

    async def receive(self, is_likely=True):
        """Return the next bytes, or b'' at the end. If they are likely, read before waiting."""
        if is_likely and self.is_turn_over(_READ_OR_WRITE):
            await asyncio.sleep(0)
        if self.sock is None:
            raise HttpDataError('expected an open body; got one that was closed, as by a read '
                                'that failed or was cancelled, or by another task')
        if is_likely or (self.is_tls and self.sock.pending()):
            try:
                return self.sock.recv(self.bufsize)
            except _NO_BYTES:
                pass

        self.start_reading()
        self.start_time(self.timeout)
        self._waiter = _Waiter(self.loop)
        try:
            return await self._waiter
        finally:
            self._waiter = None

    def is_turn_over(self, cost):
        """Return whether other tasks are to get their turn before this, whose cost counts."""
        self._turn += cost
        if self._turn <= _MAX_TURN:
            return False
        self._turn = cost
        return True

    def start_reading(self):
        """Register the reader, unless it is registered."""
        if not self._is_reading:
            contextvars.Context().run(self.loop.add_reader, self.fileno, self._on_readable)
            self._is_reading = True

    def stop_reading(self):
        """Remove the reader, if it is registered."""
        if self._is_reading:
            self.loop.remove_reader(self.fileno)
            self._is_reading = False

    def _on_readable(self):
        if self._waiter is None:
            self.on_unasked(self)
        elif not self._waiter.is_done and self._has_received():
            self._waiter.wake()         # at last, since the task may do anything meanwhile

    def _has_received(self):
        """Receive for the task that waits, and return whether it is to be woken."""
        try:
            self._waiter.data = self.sock.recv(self.bufsize)
        except _NO_BYTES:
            self._deadline = self.loop.time() + self.timeout    # part of a TLS record is progress
            return False
        except Exception as exception:
            self._waiter.exception = exception
        if not self._waiter.data:
            self.stop_reading()         # the end of the stream stays readable
        return True

    def start_time(self, seconds):
        """Set the deadline that many seconds from now, for a wait or for being idle."""
        self._deadline = self.loop.time() + seconds
        if self._deadline < self._timer_due:
            if self._timer is not None:
                self._timer.cancel()
            self._start_timer()

    def is_late(self):
        """Return whether the deadline has passed. The timer may not have had its turn yet."""
        return self._deadline <= self.loop.time()

    def _start_timer(self):
        self._timer = contextvars.Context().run(self.loop.call_at, self._deadline, self._on_timer)
        self._timer_due = self._deadline

    def _on_timer(self):
        self._timer, self._timer_due = None, _NEVER
        is_timed = self._waiter is not None or self in self.origin.idle
        if not is_timed or self._deadline == _NEVER:
            return                      # the next wait that has an end starts it again
        if not self.is_late():
            self._start_timer()
        elif self._waiter is None:
            self.close('keep-alive timeout')
        elif not self._waiter.is_done:
            if not self._has_received():            # bytes that have arrived win
                self._waiter.exception = TimeoutError(
                    f'no bytes within {self.timeout} s: socket_timeout sets the limit')
            self._waiter.wake()

    def is_alive(self):
        """Read without waiting: return whether the stream is open, and nothing has come.

        TLS session tickets do not count. Part of a record or of one does: its rest would be taken
        for the next response, or ends the next request, since nothing can be sent in the midst.
        """
        try:
            if self.is_tls:
                below_tls = socket.socket.recv(self.sock, 4 * _TLS_RECORD, socket.MSG_PEEK)
                if not _ends_with_record(below_tls):
                    return False
            self.sock.recv(1)
            return False
        except BlockingIOError:
            return True
        except ssl.SSLWantReadError:
            pass
        except OSError:
            return False
        try:
            self.sock.send(b'')         # wants to read, if the rest of a ticket is to come
        except OSError:
            return False
        return True

    def failed(self, exception, what):
        """Close, and return what to raise: the one place where a failure becomes an error."""
        if self.is_tls and self.sock is not None \
                and isinstance(exception.__cause__ or exception, _PEER_CLOSED):
            try:
                self.read_last_words()
            except ssl.SSLError as alert:
                exception = alert
        self.close(exception)
        kind = HttpDataError if self.is_begun else HttpConnectionError
        if not isinstance(exception, Exception):
            return exception
        if isinstance(exception, kind):
            if type(exception).__module__ != __name__:
                return exception                        # of a hook, which says what it wants to
            kind, text, cause = type(exception), str(exception), exception.__cause__
        else:
            text, cause = f'expected the {what} to go on; got {_told(exception)}', exception
            if self.is_begun and isinstance(exception, _PEER_CLOSED):
                kind = HttpConnectionClosedError

        if self.is_reused and what == 'request':
            text += ', on a connection that was idle before'
            if kind is HttpConnectionClosedError and not self.is_answered:
                kind = HttpStaleConnectionError
        error = kind(f'{_where(self.origin, self.address)}: {text}')
        error.__cause__ = cause
        return error

    def drop(self, why):
        """Close from any thread, since the garbage collector runs in any."""
        if self.process != os.getpid() or self.thread == threading.get_ident() \
                or self.loop.is_closed():
            self.close(why)
        else:
            self.loop.call_soon_threadsafe(self.close, why)

    def close(self, why):
        """Close the socket, once, and leave no reader and no timer, nor itself in the pool."""
        sock, self.sock = self.sock, None
        if sock is None:
            return
        if self.process != os.getpid():
            sock.close()                # after a fork: all else is the parent's
            return

        self.origin.idle.pop(self, None)
        self.connections.discard(self)
        try:
            self.log('Closing %s: %s', sock, why)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if not self.loop.is_closed():
                if self._waiter is not None and not self._waiter.is_done:
                    self._waiter.exception = HttpDataError('expected an open body; got one that '
                                                           'was closed while a task was reading')
                    self._waiter.wake_soon()
                self.stop_reading()     # before the close, else it is that of the next socket
            if self.is_tls:
                with contextlib.suppress(OSError, ValueError):
                    sock.unwrap()       # the closure alert, RFC 9112 9.8; the session stays good
            sock.close()

    def __del__(self):
        if self.sock is not None and self.process == os.getpid():
            warnings.warn(f'unclosed connection to {self.origin.where}: await the close() of its '
                          'Pool before the event loop ends', ResourceWarning, 1, source=self)
            self.close('it was never closed')


class _Waiter:
    """What a task awaits while it waits for bytes: a future that lets it go on in the same turn.

    One of asyncio's would let it go on in the next turn of the event loop. That turn is an eighth
    of the time of a small request. These are the methods that a task calls (asyncio.isfuture).
    """

    __slots__ = ('_asyncio_future_blocking', '_callback', '_context', '_loop', 'data', 'exception',
                 'is_done')

    def __init__(self, loop):
        self._loop = loop
        self.data = self.exception = None           # what the task gets
        self.is_done = False                        # whether the task has been woken
        self._asyncio_future_blocking = False

    def __await__(self):
        self._asyncio_future_blocking = True
        try:
            yield self
        finally:
            self.exception = self._callback = None      # else they and this keep each other
        return self.data

    def get_loop(self):
        """Return the loop, which is to be that of the task."""
        return self._loop

    def add_done_callback(self, callback, *, context):
        """Take what lets the task go on."""
        self._callback, self._context = callback, context

    def wake(self):
        """Let the task run, until it waits again."""
        if self.is_done:            # by a cancellation just now, in the handler of a signal
            return
        self.is_done = True
        try:
            asyncio.get_running_loop()          # as it would; readers of trio-asyncio have none
            self._context.run(self._callback, self)
        except RuntimeError:                    # or a test clock calls a timer in another task
            self.wake_soon()

    def wake_soon(self):
        """Let the task run in the next turn of the event loop."""
        self.is_done = True
        self._loop.call_soon(self._callback, self, context=self._context)

    def cancel(self, msg=None):
        """Wake the task with a CancelledError.

        Return False, so that it raises one too if the exception is another by then. That alone
        would be taken back by an uncancel() from outside, since CPython 3.13.
        """
        if not self.is_done:
            self.exception = asyncio.CancelledError(*() if msg is None else (msg,))
            self.wake_soon()
        return False

    def result(self):
        """Raise the exception, if there is one. The task throws it into what awaits."""
        if self.exception is not None:
            raise self.exception


def _ends_with_record(data):
    """Return whether the bytes are whole TLS records (RFC 8446 5.1)."""
    at = 0
    while at < len(data):
        at += 5 + int.from_bytes(data[at + 3:at + 5], 'big')
    return at == len(data)


# Socket I/O. All else that waits for a socket, in the order of a request.

async def _connect_first(loop, get_sock, addresses, port, seconds, losers, log):
    """Return (address, socket) of the first that connects within `seconds` (RFC 8305 5).

    The next address is tried as soon as one fails or has not answered for _ATTEMPT_DELAY, side by
    side with those before it, and without a task: all sockets wake the one that waits here.
    `losers` gets each other address that was tried, and a text why it was not it. If all fail,
    the last failure is raised.
    """
    deadline = loop.time() + seconds
    next_start = -_NEVER                # when the next address is tried; loop time
    untried, waiting = collections.deque(addresses), {}         # address -> socket
    failure = None

    def is_connected(address):
        nonlocal failure, next_start
        try:
            if address not in waiting:
                sock = get_sock(socket.AF_INET6) if ':' in address else get_sock()
                sock.setblocking(False)
                waiting[address] = sock
            return _is_connected(waiting[address], address, port)
        except Exception as exception:
            failure, losers[address], next_start = exception, _told(exception), -_NEVER
            if address in waiting:
                waiting.pop(address).close()
            return False

    try:
        while untried or waiting:
            if untried and loop.time() >= next_start:
                address = untried.popleft()
                next_start = loop.time() + _ATTEMPT_DELAY
                log('Connecting to %s port %s', address, port)
                if not is_connected(address):
                    await asyncio.sleep(0)      # enough for most: no timer and no writer
            for address in list(waiting):
                if is_connected(address):
                    log('Connected %s', waiting[address])
                    sock = waiting.pop(address)
                    losers.update(dict.fromkeys(waiting, 'another address was first'))
                    return address, sock

            if loop.time() >= deadline:
                failure = TimeoutError(
                    f'no connection within {seconds} s: connect_timeout sets the limit')
                losers.update(dict.fromkeys([*waiting, *untried], repr(failure)))
                break
            wake_at = min(next_start, deadline) if untried else deadline
            if waiting and loop.time() < wake_at:
                await _event_of_one(loop, loop.add_writer, loop.remove_writer,
                                    waiting.values(), wake_at)
        raise failure
    finally:
        del failure                     # else its traceback and this frame keep each other
        for sock in waiting.values():
            sock.close()


def _is_connected(sock, address, port):
    """Return whether the socket is connected by now; raise OSError if it cannot be."""
    try:
        sock.connect((address, port))
    except BlockingIOError as error:
        if error.errno == errno.EAGAIN:         # a full Unix socket: no event would tell of room
            raise ConnectionError('expected the peer to have room; got EAGAIN') from error
        return False
    except OSError as error:
        if error.errno != errno.EISCONN:        # what some systems say after success
            raise
    return True


async def _when_ready(loop, sock, seconds, attempt, is_send=False):
    """Call `attempt` whenever the socket is ready for it, until it does not block.

    Raise TimeoutError after `seconds` in all, and a last attempt, so that what came in time wins.
    A send has no last attempt, since the kernel may have room that the peer has not made; over
    TLS its time starts again whenever the socket is ready, since part of a record is progress.
    """
    deadline = loop.time() + seconds
    while True:
        try:
            return attempt()
        except ssl.SSLWantReadError as error:   # not both: a socket is nearly always writable
            if is_send:
                raise ssl.SSLError('expected to send; got a wish to renegotiate TLS, or half a '
                                   'message of TLS') from error
            add, remove = loop.add_reader, loop.remove_reader
        except (BlockingIOError, ssl.SSLWantWriteError):
            add, remove = loop.add_writer, loop.remove_writer

        if loop.time() >= deadline:
            raise TimeoutError(f'no progress within {seconds} s: socket_timeout sets the limit')
        is_ready = await _event_of_one(loop, add, remove, [sock], deadline)
        if is_send and not is_ready:
            raise TimeoutError(f'no bytes taken within {seconds} s: socket_timeout sets the limit')
        if is_send and isinstance(sock, ssl.SSLSocket):
            deadline = loop.time() + seconds


async def _event_of_one(loop, add, remove, socks, deadline):
    """Wait until one of the sockets is ready, and return whether it was by the deadline.

    Infinity has no timer: qasync's takes none, rloop's ends at once.
    """
    waiter, process = loop.create_future(), os.getpid()
    filenos = [sock.fileno() for sock in socks]
    timer = loop.call_at(deadline, _wake, waiter, False) if deadline < _NEVER else None
    try:
        for fileno in filenos:
            add(fileno, _wake, waiter, True)
        return await waiter
    finally:
        if timer is not None:
            timer.cancel()
        for fileno in filenos if process == os.getpid() else ():       # else the parent's
            remove(fileno)


def _wake(waiter, is_ready):
    if not waiter.done():
        waiter.set_result(is_ready)


_UNTRUSTED = (18, 19, 20)       # OpenSSL's codes for a certificate of no known authority
_NO_TLS = frozenset((           # OpenSSL's reasons for bytes that are no TLS
    'WRONG_VERSION_NUMBER', 'HTTP_REQUEST', 'HTTPS_PROXY_REQUEST', 'PACKET_LENGTH_TOO_LONG',
    'RECORD_LAYER_FAILURE', 'UNEXPECTED_MESSAGE', 'UNEXPECTED_RECORD', 'BAD_RECORD_TYPE'))


def _may_be_no_tls(exception):
    """Return whether a handshake may have failed since the port does not speak TLS."""
    return isinstance(exception, (*_PEER_CLOSED, TimeoutError)) \
        or getattr(exception, 'errno', None) == errno.ENOTCONN \
        or getattr(exception, 'reason', None) in _NO_TLS


async def _send_at_once(connection, message):
    """Send header section and content in one piece; return what _send_unless_answered returns."""
    loop, sock, seconds = connection.loop, connection.sock, connection.timeout
    sent = await _send_some(loop, sock, seconds, message)
    connection.is_begun = True
    connection.log('Header sent on %s', sock)
    if sent == len(message):
        return None, True
    return await _send_unless_answered(connection, functools.partial(
        send_all, loop, sock, seconds, message[sent:]))


async def _send_unless_answered(connection, send):
    """Await `send()`, but only until a final response of status 300 or above (RFC 9112 9.5).

    Return (what _response_head returned if the answer has come, or None; whether all was sent).
    """
    head = failure = None
    is_sent = False
    interrupt = _Interrupt()

    def on_bytes(_):
        nonlocal head, failure
        try:
            while head is None:
                head = connection.parse_head(connection.sock.recv(connection.bufsize))
        except _WOULD_BLOCK:
            return
        except Exception as exception:
            failure = exception

        connection.stop_reading()
        if (failure or head[1] >= b'300') and not interrupt.is_outdone():
            interrupt()

    connection.on_unasked = on_bytes
    try:
        connection.start_reading()
        with interrupt:
            await send()
            is_sent = True
    except Exception as exception:
        if not interrupt.is_fired:
            # What a peer said before it closed has arrived by now. It is not waited for, since
            # what a hook raises may be about another peer, and this one still there
            if not isinstance(exception, _PEER_CLOSED):
                raise
            head = head or connection.read_last_words()
            if head is None:
                raise
    finally:
        connection.on_unasked = _Connection.stop_reading

    try:
        if failure:
            raise failure
    finally:
        del failure                     # else its traceback and this frame keep each other
    return head, is_sent


def _most_at_once(sock):
    """Return how many bytes to send at once. Of TLS one record: none counts until all are out."""
    return _TLS_RECORD if isinstance(sock, ssl.SSLSocket) else _MAX_SENT


async def _send_some(loop, sock, socket_timeout, data):
    """Return the number of bytes that were taken, at least one."""
    if len(data) > _TLS_RECORD:
        data = memoryview(data)[:_most_at_once(sock)]
    try:
        return sock.send(data)
    except _WOULD_BLOCK:
        pass
    return await _when_ready(loop, sock, socket_timeout, functools.partial(sock.send, data), True)


# aiodnsresolver. What has to be mended of it, here alone.

@types.coroutine
def _resolver_steps(awaitable, is_aiodnsresolver):
    """Await what a resolver returns, and mend what aiodnsresolver does to the task it runs in.

    Its time-outs cancel the task: those that it swallowed are taken back. If one from outside fell
    together with one, that is thrown once more. It also leaves async generators suspended, and the
    event loop's hooks would create a task to close each: without the hooks, they are just closed.
    The timer of an answer keeps the context of the task that asked: it gets an empty one. And
    while an exception keeps its frames, the answer after that is given again and again, whatever
    its time to live: they are dropped.
    """
    task = asyncio.current_task()
    cancelling = task.cancelling()
    delivered, cancelled = 0, None      # CancelledErrors that still count; the last one
    is_repeated = False
    run = (contextvars.Context() if is_aiodnsresolver else contextvars.copy_context()).run
    steps = awaitable.__await__()
    step, argument, waited_for, error = steps.send, None, None, None
    try:
        while True:
            hooks = sys.get_asyncgen_hooks()
            sys.set_asyncgen_hooks(None, None)
            try:
                waited_for = run(step, argument)
            finally:
                sys.set_asyncgen_hooks(*hooks)

            delivered = min(delivered, task.cancelling() - cancelling)  # less what it took back
            try:
                if isinstance(argument, asyncio.CancelledError) and not is_repeated \
                        and task.cancelling() - cancelling > delivered:
                    is_repeated = True
                    raise asyncio.CancelledError(*cancelled.args)
                step, argument = steps.send, (yield waited_for)
            except BaseException as exception:
                step, argument = steps.throw, exception
                if isinstance(exception, asyncio.CancelledError):
                    for _ in range(delivered):          # it went on after these
                        task.uncancel()
                    delivered, cancelled = 1, exception
    except BaseException as end:
        delivered = min(delivered, task.cancelling() - cancelling)
        for _ in range(delivered - (is_repeated or isinstance(end, asyncio.CancelledError))):
            task.uncancel()
        if isinstance(end, Exception) and task.cancelling() > cancelling and cancelled:
            raise asyncio.CancelledError(*cancelled.args) from None
        if isinstance(end, StopIteration):
            return end.value
        error = end if is_aiodnsresolver else None
        while error is not None and error.__traceback__ is not None:
            error.__traceback__ = None
            error = error.__cause__ or error.__context__
        raise
    finally:        # else they and a traceback keep each other
        del task, steps, step, argument, waited_for, cancelled, error
