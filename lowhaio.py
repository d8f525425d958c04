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
    Bodies                 streamed, buffered, empty_async_iterator
    Logging                the adapters
    Default hooks          what Pool does unless told otherwise
    Pool                   request, then what it calls in call order, then close
    Request on the wire    pure: URL and fields in, bytes out
    Response on the wire   pure: bytes in; status, fields, body length and persistence out
    Body decoders          pure: plain generators of body chunks
    Bodies in transit      what send_body iterates, and what the caller of request iterates
    Connection             one socket, and all that waits for a response
    Socket I/O             connecting, TLS handshake, sending, time-outs, and the resolver's steps

Its rules are those of RFC 9110 (semantics) and RFC 9112 (HTTP/1.1), cited where they are enforced,
except for these deviations, which code and tests cite by number:

    D1  the host field that is added has no port (RFC 9112 3.2): signing layers sign exactly that
    D2  a bare + in a path is sent as %2B, since S3 reads it as a space (RFC 3986 3.3 allows it)
    D3  a 204 with a content-length above 0 has that content, as its servers send it (9112 6.3)
    D4  a response with neither length nor coding, but connection: keep-alive, has none (9112 6.3)
    D5  transfer-encoding: identity, withdrawn but still sent, counts as none (9112 7)
    D6  content with transfer-encoding and content-length is refused, not repaired (9112 6.3)
    D7  more than 64 interim responses to one request are refused (9110 15.2 sets no limit)
    D8  content with a transfer coding other than chunked alone is refused (9112 6.3)
    D9  a response of another version than 1.0 and 1.1 is refused, also of 1.2 (9110 2.5)
"""

import asyncio
import collections
import contextlib
import errno
import functools
import ipaddress
import logging
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
_MAX_INTERIM_RESPONSES = 64    # D7: many times what servers send, and no endless loop
_MAX_KEPT_SESSIONS = 256       # TLS sessions, of some kB each
_MAX_READY = 15                # reads or writes in a row, beside the send of the header section,
                               # before other tasks get their turn
_MAX_CHUNKS = 256              # likewise, of the chunks of one read: there can be thousands
_TLS_RECORD = 16384            # bytes of content in one TLS record (RFC 8446 5.1)
_MAX_SENT = 32768              # bytes sent at once: 64 kB cost some machines thrice as much
_MAX_JOINED = 16384            # bytes of content that are copied behind the header section
_MAX_CACHED = 4096             # bytes of a header section that is remembered: few are longer
_MAX_QUOTED = 80               # bytes of what a peer sent that an error text quotes

_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
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


class HttpHeaderTooLong(HttpDataError):
    """A header section, chunk-size line or trailer section above `max_header_length`."""


# Bodies.

def streamed(data):
    """Makes a request body of `data`, which is bytes-like.

    Returns:
        A function without arguments, that returns an async iterator that yields `data` once. With
        the default hooks, up to 16 kB are sent in one piece with the header section.
    """
    return _Streamed(data)


class _Streamed:
    """No closure, so that `_known_content` can tell it and see its data."""

    __slots__ = ('data',)

    def __init__(self, data):
        self.data = data

    async def __call__(self):
        yield self.data


async def buffered(body):
    """Reads `body`, an async iterator of bytes, to its end, and gives all of it as bytes."""
    return b''.join([chunk async for chunk in body])


async def empty_async_iterator():
    """The body of a request that has none: an async generator function that yields nothing."""
    return
    yield


# Logging. Everything is at DEBUG, but for what the resolver says.

class HttpLoggerAdapter(logging.LoggerAdapter):
    """Prefixes messages with `[http] `, or `[http:a,b] ` where a, b are the values of `extra`."""

    def process(self, msg, kwargs):
        """Gives the prefixed message; a % in the prefix is doubled, since messages are formats."""
        values = ':' + ','.join(map(str, self.extra.values())) if self.extra else ''
        return f'[http{values}] '.replace('%', '%%') + str(msg), kwargs


def get_logger_adapter_default(extra):
    """Gives an adapter of the logger `lowhaio`, which prefixes the values of `extra`, a dict."""
    return HttpLoggerAdapter(_LOGGER, extra)


def get_resolver_logger_adapter_default(http_extra):
    """Gives aiodnsresolver's `get_logger_adapter` for one request, prefixed as that request is."""
    def get_resolver_logger_adapter(resolver_extra):
        http_adapter = HttpLoggerAdapter(_RESOLVER_LOGGER, http_extra)
        return aiodnsresolver.ResolverLoggerAdapter(http_adapter, resolver_extra)

    return get_resolver_logger_adapter


_LOGGER = logging.getLogger('lowhaio')
_RESOLVER_LOGGER = logging.getLogger('aiodnsresolver')


def _log_of(logger):
    """Gives the function that logs at DEBUG. Once per request, since each disabled call costs."""
    is_enabled_for = getattr(logger, 'isEnabledFor', bool)      # loguru's loggers have none
    return logger.debug if is_enabled_for(logging.DEBUG) else _log_nothing


def _log_nothing(*_):
    pass


# Default hooks: what Pool does unless it is given others.

def get_nonblocking_sock(family=socket.AF_INET):
    """Gives a new non-blocking TCP socket; `family` is `socket.AF_INET6` for an IPv6 literal.

    TCP_NODELAY is set: else the body of a small request waits until the peer acknowledges its
    header section, which can take 40 ms and more.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def set_tcp_cork(sock):
    """A `sock_pre_message` for full packets: the kernel holds partial ones back up to 200 ms."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)


def unset_tcp_cork(sock):
    """The `sock_post_message` that goes with `set_tcp_cork`: what was held back is sent."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)


async def send_header_tuples_of_bytes(logger, loop, sock, socket_timeout, http_version,
                                      method, parsed_url, params, headers):
    """Sends the request line and the header section (RFC 9112 3 and 5).

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
        HttpConnectionError: the kernel took no byte.
    """
    head = _request_head(http_version, method, parsed_url, params, headers)
    try:
        sent = await _send_some(loop, sock, socket_timeout, head)
    except Exception as exception:
        raise HttpConnectionError(f'{parsed_url.hostname}: expected {sock!r} to take the header; '
                                  f'got {exception!r}') from exception

    if sent < len(head):
        await send_all(loop, sock, socket_timeout, head[sent:])


async def send_body_async_gen_bytes(logger, loop, sock, socket_timeout,
                                    body, body_args, body_kwargs):
    """Sends each chunk of `body(*body_args, **dict(body_kwargs))`, an async iterator, as it is.

    The first four arguments are those of `send_header_tuples_of_bytes`.
    """
    async for chunk in body(*body_args, **dict(body_kwargs)):
        await send_all(loop, sock, socket_timeout, chunk)


def _do_nothing(sock):
    """The default of `sock_pre_message` and `sock_post_message`."""


# Pool.

def Pool(
        get_dns_resolver=aiodnsresolver.Resolver,
        get_sock=get_nonblocking_sock,
        get_ssl_context=ssl.create_default_context,
        sock_pre_message=_do_nothing,
        sock_post_message=_do_nothing,
        send_header=send_header_tuples_of_bytes,
        send_body=send_body_async_gen_bytes,
        http_version=b'HTTP/1.1',
        keep_alive_timeout=15,
        recv_bufsize=65536,
        max_header_length=16384,
        socket_timeout=10,
        get_logger_adapter=get_logger_adapter_default,
        get_resolver_logger_adapter=get_resolver_logger_adapter_default,
        connect_timeout=30,
):
    """Makes a pool of connections. Call it in a running event loop, to which it then belongs.

    Args:
        get_dns_resolver: called once with `get_logger_adapter=`; gives the coroutine functions
            `resolve(host, aiodnsresolver.TYPES.A, get_logger_adapter=)` -> addresses, and
            `clear_cache(get_logger_adapter=)`. Addresses are kept until their `expires_at` (loop
            time, seconds); without it, the resolver is asked for every request.
        get_sock: gives a new non-blocking socket; called with `socket.AF_INET6` for IPv6.
        get_ssl_context: gives the `ssl.SSLContext`; called once, when it is first needed.
        sock_pre_message: called with the socket before the bytes of each request.
        sock_post_message: called with the socket after the bytes of each request.
        send_header: as `send_header_tuples_of_bytes`.
        send_body: as `send_body_async_gen_bytes`. The body that it gets counts what it yields.
        http_version: `b'HTTP/1.1'` or `b'HTTP/1.0'`, of each request.
        keep_alive_timeout: seconds after which an idle connection is closed; 0 keeps none.
        recv_bufsize: bytes received at once, at the most.
        max_header_length: bytes of a header section, chunk-size line or trailer section.
        socket_timeout: seconds without progress in one send or receive; for a TLS handshake, in
            total.
        get_logger_adapter: called with a dict for each request, and `{}` for the pool.
        get_resolver_logger_adapter: likewise; gives a `get_logger_adapter` for the resolver.
        connect_timeout: seconds for connecting to one of the host's addresses, in all.

    Returns:
        The coroutine functions `request` and `close`.

    Raises:
        ValueError: `http_version` is another one.
        NotImplementedError: the event loop cannot watch a socket.
    """
    loop = asyncio.get_running_loop()
    _check_watches_sockets(loop)
    if http_version not in (b'HTTP/1.1', b'HTTP/1.0'):
        raise ValueError(f"expected http_version b'HTTP/1.1' or b'HTTP/1.0'; got {http_version!r}")

    sends_at_once = \
        send_header is send_header_tuples_of_bytes and send_body is send_body_async_gen_bytes
    resolve, clear_dns_cache = get_dns_resolver(get_logger_adapter=get_resolver_logger_adapter({}))
    pool_log = get_logger_adapter({}).debug

    origins = weakref.WeakValueDictionary()  # key -> _Origin, while one of its connections is open
    sessions = collections.OrderedDict()     # key -> last TLS session of an origin, oldest first
    ssl_context = None                       # made when first needed
    is_closed = False                        # then nothing is kept any more

    async def request(
            method, url, params=(), headers=(),
            body=empty_async_iterator, body_args=(), body_kwargs=(),
            get_logger_adapter=get_logger_adapter,
            get_resolver_logger_adapter=get_resolver_logger_adapter,
    ):
        """Makes one request, and returns once the header section of its response is there.

        Args:
            method: bytes, such as `b'GET'`. Not `b'CONNECT'`.
            url: str, http or https; the host a name, an IPv4 or a bracketed IPv6 literal. Escapes
                are kept, and what a URL cannot hold is percent-encoded (RFC 3986); fragment and
                userinfo are not sent.
            params: pairs or a mapping, as `urllib.parse.urlencode(..., doseq=True)` takes;
                appended to the URL's query.
            headers: pairs of bytes, sent in this order and case. A host field, without the port,
                is put before them if they have none. A body needs a content-length (bytes) or a
                transfer-encoding.
            body: a function that returns an async iterator of bytes-like chunks; with a
                transfer-encoding, which frames them, none may be empty. It is called once, and
                what it returns is closed in every case.
            body_args: its positional arguments.
            body_kwargs: its keyword arguments, as a mapping or as pairs.
            get_logger_adapter: as that of `Pool`, for this request.
            get_resolver_logger_adapter: as that of `Pool`, for this request.

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
                Also as `HttpConnectionClosedError` and `HttpHeaderTooLong`.
            RuntimeError: this is not the event loop in which `Pool` was called.
        """
        if asyncio.get_running_loop() is not loop:
            raise RuntimeError('expected the event loop in which Pool() was called; got another')
        target, headers, fields = _checked_request(
            http_version, method, url, params, headers, body)
        extra = {'lowhaio_method': method.decode('ascii'), 'lowhaio_url': target.log_url}
        logger = get_logger_adapter(extra)
        log = _log_of(logger)

        origin = origins.get(target.key)
        if origin is None:
            origin = origins[target.key] = _Origin(target)
        if origin.expires_at <= loop.time():
            await resolve_addresses(origin, log, get_resolver_logger_adapter(extra))
        connection = take_idle(origin, log) or await connect(origin, log)

        connection.log = log
        sock = connection.sock
        kind, is_header_sent = HttpConnectionError, False
        head, is_sent = None, True
        content = _known_content(fields, body, body_args, body_kwargs) if sends_at_once else None
        try:
            sock_pre_message(sock)
            if content is not None:             # nearly always, one send
                message = _request_head(
                    http_version, method, target.parsed, params, headers) + content
                sent = await _send_some(loop, sock, socket_timeout, message)
                kind, is_header_sent = HttpDataError, True
                if sent < len(message):
                    head, is_sent = await _send_unless_answered(connection, functools.partial(
                        send_all, loop, sock, socket_timeout, message[sent:]))
                log('Header sent on %s', sock)
            else:
                kind = HttpDataError
                await send_header(logger, loop, sock, socket_timeout,
                                  http_version, method, target.parsed, params, headers)
                is_header_sent = True
                log('Header sent on %s', sock)
                counted = _RequestBody(body, fields, connection)
                head, is_sent = await _send_body(connection, counted, functools.partial(
                    send_body, logger, loop, sock, socket_timeout,
                    counted, body_args, body_kwargs))
            log('Body sent to its end: %s', is_sent)
            sock_post_message(sock)

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
            connection.close(exception)
            if isinstance(exception, HttpDataError) or not isinstance(exception, Exception):
                raise
            if isinstance(exception, HttpConnectionError) and not is_header_sent:
                kind, exception = HttpConnectionError, exception.__cause__ or exception
            raise _error(kind, connection, 'request', exception) from exception

    async def resolve_addresses(origin, log, get_resolver_logger_adapter):
        """Asks for the A records, and closes what is idle at an address that is not among them."""
        try:
            records = tuple(await _resolver_steps(resolve(
                origin.host, aiodnsresolver.TYPES.A,
                get_logger_adapter=get_resolver_logger_adapter)))
            addresses = tuple(str(record) for record in records)
        except Exception as exception:
            raise HttpDnsError(
                f'{origin.host}: expected A records; got {exception!r}') from exception

        if not addresses:
            raise HttpDnsError(f'{origin.host}: expected A records; got none')

        origin.addresses = addresses
        origin.expires_at = min(getattr(record, 'expires_at', -_NEVER) for record in records)
        for connection in [c for c in origin.idle if c.address not in addresses]:
            log('Address withdrawn: %s', connection.address)
            connection.close('its address is no longer among the A records')

    def take_idle(origin, log):
        """Gives the newest idle connection that is alive, or None; those found dead are closed."""
        while origin.idle:
            connection, _ = origin.idle.popitem()
            connection.on_unasked = None
            if not connection.is_late() and connection.is_alive():
                log('Reusing %s', connection.sock)
                return connection
            connection.close('not reused: its time is over, or the peer closed it or sent bytes')

        log('No idle connection to %s', origin.key)
        return None

    async def connect(origin, log):
        """Tries each address in turn, each with an equal share of the time that is left."""
        scheme, host, port = origin.key
        addresses, failures = origin.addresses, []
        deadline = loop.time() + connect_timeout
        while True:
            address = addresses[len(failures)]
            share = (deadline - loop.time()) / (len(addresses) - len(failures))
            log('Connecting to %s port %s', address, port)
            try:
                sock = await _connect(loop, get_sock, address, port, loop.time() + share)
                break
            except Exception as exception:
                failures.append(f'{address} port {port}: {exception!r}')
                if len(failures) == len(addresses):
                    raise HttpConnectionError(f'{host}: expected a connection; '
                                              f'got {", ".join(failures)}') from exception

        log('Connected %s', sock)
        if scheme == 'https':
            sock = await start_tls(origin, address, sock)
            log('TLS handshake done, session resumed: %s', sock.session_reused)
        return _Connection(loop, sock, origin, address,
                           recv_bufsize, max_header_length, socket_timeout)

    async def start_tls(origin, address, sock):
        """Gives the TLS socket that takes over `sock`, or closes it."""
        nonlocal ssl_context
        try:
            ssl_context = ssl_context or get_ssl_context()
            sock = ssl_context.wrap_socket(
                sock, server_hostname=origin.host.rstrip('.'), session=sessions.get(origin.key),
                do_handshake_on_connect=False, suppress_ragged_eofs=False)
            await _retry(loop, sock, loop.time() + socket_timeout, sock.do_handshake)
        except BaseException as exception:
            sock.close()
            if not isinstance(exception, Exception):
                raise
            may_be_no_tls = isinstance(exception, (ssl.SSLError, ConnectionError, TimeoutError)) \
                and not isinstance(exception, ssl.SSLCertVerificationError)
            hint = f'; does port {origin.key[2]} speak TLS?' if may_be_no_tls else ''
            raise HttpTlsError(f'{origin.host} at {address}: expected a TLS handshake; '
                               f'got {exception!r}{hint}') from exception
        return sock

    def release(connection, rest):
        """Keeps the connection or closes it: the last byte of its response has been read."""
        connection.log('Body received on %s', connection.sock)
        remember_session(connection)
        if rest or (connection.is_tls and connection.sock.pending()):
            connection.close('bytes came after the end of the message')
        elif connection.keep_seconds > 0 and not is_closed \
                and connection.address in connection.origin.addresses:
            keep_idle(connection)
        else:
            connection.close('not to be kept')

    def keep_idle(connection):
        """Puts the connection into the pool. From now on, whatever is received ends it."""
        connection.log('Kept alive %s', connection.sock)
        connection.log = pool_log
        connection.on_unasked = on_idle_readable
        connection.start_reading()
        connection.start_time(connection.keep_seconds)
        connection.origin.idle[connection] = None

    def on_idle_readable(connection):
        """Closes the idle connection, unless all that came is a TLS session ticket."""
        if connection.is_alive():
            remember_session(connection)
        else:
            connection.close('the peer closed it or sent bytes while it was idle')

    def remember_session(connection):
        """Keeps the TLS session for the next connection. TLS 1.3 gives it after the handshake."""
        if connection.is_tls and not connection.has_session and not is_closed:
            session = connection.sock.session
            if session is not None and (session.has_ticket or session.id):
                connection.has_session = True
                sessions[connection.origin.key] = session
                sessions.move_to_end(connection.origin.key)
                if len(sessions) > _MAX_KEPT_SESSIONS:
                    sessions.popitem(last=False)

    async def close(get_logger_adapter=get_logger_adapter,
                    get_resolver_logger_adapter=get_resolver_logger_adapter):
        """Closes what is idle and clears the DNS cache.

        Connections in use are closed when their response ends; nothing is kept any more.

        Args:
            get_logger_adapter: as that of `Pool`, for this.
            get_resolver_logger_adapter: as that of `Pool`, for this.

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
        for origin in list(origins.values()):
            for connection in list(origin.idle):
                connection.close('the pool is closed')
        origins.clear()                     # and with them the addresses
        await clear_dns_cache(get_logger_adapter=get_resolver_logger_adapter({}))

    return request, close


def _check_watches_sockets(loop):
    """Refuses a loop without `add_reader`. Some have the method just to raise, so it is called."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            loop.add_reader(ours.fileno(), _log_nothing)
            loop.remove_reader(ours.fileno())
        except (NotImplementedError, TypeError) as error:
            raise NotImplementedError('expected an event loop that can watch a socket, such as '
                                      f'asyncio.SelectorEventLoop; got {type(loop).__name__}'
                                      ) from error


class _Origin:
    """What the connections to one scheme, host and port share."""

    __slots__ = ('key', 'host', 'addresses', 'expires_at', 'idle', '__weakref__')

    def __init__(self, target):
        self.key = target.key
        self.host = target.key[1]
        self.addresses = (self.host,) if target.is_literal else ()
        self.expires_at = _NEVER if target.is_literal else -_NEVER  # of the addresses; loop time
        self.idle = {}                                  # its keys: connections, the newest last


# Request on the wire. Nothing here waits.

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")               # RFC 9110 5.6.2
_FORBIDDEN = re.compile(rb'[\r\n\0]')                               # RFC 9110 5.5
_CONTROL = re.compile(rb'[\0-\x08\x0a-\x1f\x7f]')                   # RFC 9110 5.5
_MAX_DIGITS = 18                                                    # more than any real length has
_LENGTH = re.compile(rb'0*([0-9]{1,%d})' % _MAX_DIGITS)             # RFC 9110 8.6
_MAX_HOST = 254                                                     # RFC 1035 2.3.4, with a dot
_HOST = re.compile(r'[0-9a-z_\-.]+')                                # as names are, and with _
_BRACKETED = re.compile(r'\[[^\[\]]*\](?::[^\[\]]*)?')              # RFC 3986 3.2.2
_NOT_IN_PATH = re.compile(                                          # RFC 3986 3.3, D2
    rb"%(?![0-9A-Fa-f]{2})|[^%A-Za-z0-9\-._~!$&'()*,;=:@/]")
_NOT_IN_QUERY = re.compile(                                         # RFC 3986 3.4
    rb"%(?![0-9A-Fa-f]{2})|[^%A-Za-z0-9\-._~!$&'()*+,;=:@/?]")
_FRAMING_FIELDS = frozenset((b'host', b'content-length', b'transfer-encoding', b'connection'))

_Target = collections.namedtuple('_Target', (
    'parsed',       # urllib.parse.SplitResult, for the hooks
    'key',          # (scheme, host, port); the host in punycode, or an address without brackets
    'is_literal',   # bool: the host is an address
    'log_url',      # str: without userinfo
))


def _checked_request(http_version, method, url, params, headers, body):
    """Gives the _Target, headers as a tuple, and those that frame the message, or refuses."""
    try:
        if not isinstance(method, bytes):
            raise ValueError(f'expected method as bytes; got {method!r}')
        if _lower_token('method', method) == b'connect':
            raise ValueError('expected a method that a client of origins has; got CONNECT')
        if not isinstance(url, str):
            raise ValueError(f'expected url as str; got {url!r}')
        if params:
            _valid('params', urllib.parse.urlencode, params, True)
        if isinstance(headers, dict):
            raise ValueError('expected headers as pairs of bytes; got a dict: pass its .items()')
        headers = _valid('headers', tuple, headers)
        if not callable(body):
            raise ValueError('expected body as a function that returns an async iterator, such as '
                             f'streamed(data); got {type(body).__name__}')
        return _parse_url(url), headers, _checked_fields(http_version, headers)

    except ValueError as cause:
        raise HttpConnectionError(f'request refused: {cause}') from cause


def _valid(what, function, *args):
    """Calls a function that checks its arguments, and puts `what` into its complaint."""
    try:
        return function(*args)
    except (TypeError, ValueError) as error:
        raise ValueError(f'expected valid {what}; got {error}') from error


@functools.lru_cache(maxsize=256)
def _lower_token(what, raw):
    """Gives a token in lower case. Cached, since the same few names come again and again."""
    if not _TOKEN.fullmatch(raw):
        raise ValueError(f'expected {what} as a token (RFC 9110 5.6.2); got {_quoted(raw)}')
    return raw.lower()


@functools.lru_cache(maxsize=256)
def _parse_url(url):
    """Gives the _Target of a URL (RFC 9110 4.2, RFC 3986)."""
    if _FORBIDDEN.search(_valid('url', url.encode)):
        raise ValueError('expected url without CR, LF and NUL; got one')

    parsed = _valid('url', urllib.parse.urlsplit, url.replace('\t', '%09'))     # else lost
    if parsed.scheme not in ('http', 'https'):
        raise ValueError(f'expected url with scheme http or https; got {parsed.scheme!r}')
    host, is_literal = _parse_host(parsed)
    port = _valid('url', getattr, parsed, 'port')
    if port is None:
        port = 443 if parsed.scheme == 'https' else 80
    if port == 0:
        raise ValueError('expected url with a port from 1 to 65535; got 0')

    log_url = parsed._replace(netloc=parsed.netloc.rpartition('@')[2]).geturl()
    return _Target(parsed, (parsed.scheme, host, port), is_literal, log_url)


def _parse_host(parsed_url):
    """Gives (host, whether it is an address): in punycode, an address without brackets."""
    hostname = parsed_url.hostname or ''
    if '[' in parsed_url.netloc:
        host_and_port = parsed_url.netloc.rpartition('@')[2]
        if not _BRACKETED.fullmatch(host_and_port):
            raise ValueError('expected url with nothing but a port beside the brackets of its '
                             f'host; got {host_and_port!r}')
        if '%' in hostname:
            raise ValueError(f'expected an IPv6 address without a zone; got {hostname!r}')
        return str(_valid('url', ipaddress.IPv6Address, hostname)), True

    _check_host_length(hostname)        # first, since the codec takes quadratic time
    host = _valid('url', hostname.encode, 'idna').decode('ascii')
    _check_host_length(host)
    if not _HOST.fullmatch(host):       # the codec lets a space pass
        raise ValueError(f'expected url with a host; got {hostname!r}')
    try:
        return str(ipaddress.IPv4Address(host)), True
    except ValueError:
        return host, False


def _check_host_length(host):
    if len(host) > _MAX_HOST:
        raise ValueError(f'expected url with a host of at most {_MAX_HOST} characters; '
                         f'got {len(host)}')


def _checked_fields(http_version, headers):
    """Checks all fields; gives a dict of those that frame the request, names in lower case."""
    fields = {}
    for field in headers:
        try:
            name, value = field
        except (TypeError, ValueError):
            raise ValueError('expected header fields as pairs of bytes; '
                             f'got {type(field).__name__}') from None
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise ValueError(f'expected header fields as pairs of bytes; got {name!r} '
                             f'with a value of {type(value).__name__}')
        lower_name = _lower_token('header field name', name)
        if _CONTROL.search(value):
            raise ValueError(f'expected {name!r} without control characters; got one')
        if lower_name in _FRAMING_FIELDS:
            before = fields.get(lower_name)
            if before is not None and lower_name == b'host':
                raise ValueError('expected one host field; got more')
            fields[lower_name] = value if before is None else before + b',' + value

    if b'content-length' in fields or b'transfer-encoding' in fields:
        _check_request_framing(http_version, fields)
    return fields


def _check_request_framing(http_version, fields):
    """Refuses what a server could read in two ways (RFC 9112 6.1 and 6.2)."""
    length, coding = fields.get(b'content-length'), fields.get(b'transfer-encoding')
    if length is not None and coding is not None:
        raise ValueError('expected content-length or transfer-encoding; got both')

    if length is not None:
        match = _LENGTH.fullmatch(length.strip(b' \t'))
        if not match:
            raise ValueError(f'expected content-length as one number; got {_quoted(length)}')
        fields[b'content-length'] = match[1]

    elif http_version == b'HTTP/1.0':
        raise ValueError('expected no transfer-encoding in HTTP/1.0; got one')

    else:
        *others, last = [token.strip(b' \t').lower() for token in coding.split(b',')]
        if last != b'chunked' or b'chunked' in others or not all(map(_TOKEN.fullmatch, others)):
            raise ValueError('expected transfer-encoding as a list of codings that ends in '
                             f'chunked, once; got {_quoted(coding)}')


def _known_content(fields, body, body_args, body_kwargs):
    """Gives the content if it can be sent in one piece with the header section, or None.

    It can if there is none, or if it comes from `streamed`, is small, and is as long as `fields`
    say: then none of the caller's code has to run for it, and nothing can be wrong with it.
    """
    content = None
    if body is empty_async_iterator:
        content = b''
    elif type(body) is _Streamed and not body_args and not body_kwargs:
        content = body.data

    is_fit = type(content) is bytes and len(content) <= _MAX_JOINED and (
        len(content) == int(fields.get(b'content-length', 0)) or b'transfer-encoding' in fields)
    return content if is_fit else None


def _request_head(http_version, method, parsed_url, params, headers):
    """Gives the request line and the header section (RFC 9112 3 and 5)."""
    target, host = _target_and_host(parsed_url)
    query = urllib.parse.urlencode(params, doseq=True).encode('ascii') if params else b''
    if query:
        target += (b'&' if b'?' in target else b'?') + query

    lines = [method + b' ' + target + b' ' + http_version]
    if b'host' not in [name.lower() for name, _ in headers]:
        lines.append(b'host:' + host)
    for name, value in headers:
        lines.append(name + b':' + value)
    lines.append(b'\r\n')
    return b'\r\n'.join(lines)


@functools.lru_cache(maxsize=256)
def _target_and_host(parsed_url):
    """Gives the request-target without params (RFC 9112 3.2.1), and the value of host (D1)."""
    path = _NOT_IN_PATH.sub(_percent_encoded, parsed_url.path.encode('utf-8')) or b'/'
    query = _NOT_IN_QUERY.sub(_percent_encoded, parsed_url.query.encode('utf-8'))
    host, _ = _parse_host(parsed_url)
    host = f'[{host}]' if ':' in host else host
    return path + (b'?' + query if query else b''), host.encode('ascii')


def _percent_encoded(match):
    return b'%%%02X' % ord(match[0])


# Response on the wire. Nothing here waits.

_STATUS_LINE = re.compile(rb'(HTTP/1\.[01]) ([0-9]{3})(?: [^\r\n\0]*)?')    # RFC 9112 4, D9
_BROKEN_LINE = re.compile(rb'\r(?!\n|\Z)|(?<!\r)\n|\0')             # RFC 9112 2.2, 9110 5.5
_LINE_FOLDING = re.compile(rb'(?<![ \t])(?:[ \t]*\r\n[ \t]+)+')     # RFC 9112 5.2
_KEEP_ALIVE_HINT = re.compile(rb'(?:^|[,;\s])timeout\s*=\s*"?([0-9]{1,9})(?![0-9])', re.I)

_CHUNKED = 'chunked'            # of _message_body_length, in place of a number of bytes
_UNTIL_CLOSE = 'until close'


def _response_head(data, limit, seen=0):
    """Gives what _parse_head gives, of an interim or final response, and the bytes that follow.

    Gives None if more bytes are needed. Status line and header section may have `limit` bytes.
    The first `seen` bytes were there when it last gave None: they are not looked at again.
    """
    end = data.find(b'\r\n\r\n')
    if end == -1:
        if data[:5] != b'HTTP/'[:len(data)]:
            hint = ', which is TLS: is this an https port?' if data[:2] == b'\x15\x03' else ''
            raise HttpDataError(f'expected a status line; got {_quoted(data)}{hint}')
        _check_section_so_far('header section', data, limit, seen)
        return None

    _check_section_length('header section', end + 4, limit)
    parse = _parse_head if end <= _MAX_CACHED else _parse_head.__wrapped__
    return *parse(data[:end]), data[end + 4:]


def _check_section_so_far(section, data, limit, seen):
    """Raises as soon as no further bytes can make the section valid."""
    if _BROKEN_LINE.search(data, max(0, seen - 1)):         # a CR that was the last is seen again
        raise HttpDataError(f'expected a {section} of lines that end in CRLF, without other '
                            f'CR, LF and NUL; got {_quoted(data)}')
    _check_section_length(section, len(data) + 1, limit)


def _check_section_length(section, length, limit):
    if length > limit:
        raise HttpHeaderTooLong(f'expected a {section} of at most {limit} bytes; got more')


@functools.lru_cache(maxsize=64)
def _parse_head(raw_head):
    """Gives (version, code, headers, the same as a dict) of the bytes before the empty line.

    Cached, since under load most heads come again: the date in them changes once a second.
    """
    raw_status_line, _, raw_fields = raw_head.partition(b'\r\n')
    version, code = _parse_status_line(raw_status_line)
    headers = _parse_fields(raw_fields)
    return version, code, headers, _combined(headers)


@functools.lru_cache(maxsize=8)
def _parse_status_line(raw_line):
    """RFC 9112 4. Cached, since there are few."""
    _check_line(raw_line)
    match = _STATUS_LINE.fullmatch(raw_line)
    if not match:
        raise HttpDataError(
            f'expected a status line of HTTP/1.0 or HTTP/1.1; got {_quoted(raw_line)}')
    return match.groups()


def _parse_fields(raw_section):
    """Gives the fields as a tuple of pairs (lower-case name, value) (RFC 9112 5).

    An obsolete line folding counts as a space (RFC 9112 5.2). The line after it starts with a
    space or tab and so is no field line: only a section that does not parse can have any.
    """
    parse = _parse_field_line if len(raw_section) <= _MAX_CACHED else _parse_field_line.__wrapped__
    try:
        return tuple(map(parse, raw_section.split(b'\r\n') if raw_section else ()))
    except HttpDataError:
        unfolded = _LINE_FOLDING.sub(b' ', raw_section)
        if unfolded == raw_section:
            raise
    return _parse_fields(unfolded)


@functools.lru_cache(maxsize=256)
def _parse_field_line(raw_line):
    """Gives (lower-case name, value). Cached, since most lines of a new head have come before."""
    _check_line(raw_line)
    raw_name, colon, raw_value = raw_line.partition(b':')
    if not colon or not _TOKEN.fullmatch(raw_name):
        raise HttpDataError(f'expected a field line; got {_quoted(raw_line)}')
    return raw_name.lower(), raw_value.strip(b' \t')


def _check_line(raw_line):
    """RFC 9112 2.2, RFC 9110 5.5."""
    if _FORBIDDEN.search(raw_line):
        raise HttpDataError(f'expected lines that end in CRLF, without other CR, LF and NUL; '
                            f'got {_quoted(raw_line)}')


def _combined(headers):
    """Gives a dict of the fields, repeated ones joined to one list (RFC 9110 5.3)."""
    fields = dict(headers)
    if len(fields) != len(headers):
        values = collections.defaultdict(list)
        for name, value in headers:
            values[name].append(value)
        fields = {name: b','.join(values[name]) for name in values}
    return fields


def _message_body_length(method, version, code, fields):
    """Gives the length of the content in bytes, or _CHUNKED, or _UNTIL_CLOSE (RFC 9112 6.3)."""
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
                                f'content-length {fields.get(b"content-length")!r}')
        return 0 if code == b'204' else _CHUNKED

    # Rules 5 and 6
    if b'content-length' in fields:
        return _parse_content_length(fields[b'content-length'])

    # Rule 7 is about requests. Rule 8; D4: if keep-alive is said, as HTTP/1.0 has to
    is_kept = code == b'204' or _persists(b'HTTP/1.0', fields)
    return 0 if is_kept else _UNTIL_CLOSE


def _parse_content_length(raw_value):
    """Gives the number; a list of identical ones counts as one (RFC 9110 8.6)."""
    if raw_value.isdigit() and len(raw_value) <= _MAX_DIGITS:
        return int(raw_value)

    values = {value.strip(b' \t') for value in raw_value.split(b',')}
    match = _LENGTH.fullmatch(values.pop())
    if not match or values:
        raise HttpDataError(f'expected content-length as one number; got {_quoted(raw_value)}')
    return int(match[1])


def _keep_seconds(limit, is_ours_kept, version, code, fields, length):
    """Gives the seconds that the connection may be idle after this; 0: it is not kept (9112 9.3).

    Args:
        limit: the seconds, unless the server gives a shorter hint.
        is_ours_kept: bool: the request was sent to its end, and persists.
        version, code, fields, length: of the response.
    """
    persists = is_ours_kept and _persists(version, fields) and length is not _UNTIL_CLOSE \
        and not (code == b'204' and b'transfer-encoding' in fields)     # it may have content
    if persists and b'keep-alive' in fields:
        hint = _KEEP_ALIVE_HINT.search(fields[b'keep-alive'])
        limit = min(limit, int(hint[1]) - 1) if hint else limit         # before the server closes
    return limit if persists else 0


def _persists(version, fields):
    """Whether one side wants the connection kept after the message (RFC 9112 9.3)."""
    if b'connection' not in fields:
        return version == b'HTTP/1.1'
    options = _tokens(fields[b'connection'])
    return b'close' not in options and (version == b'HTTP/1.1' or b'keep-alive' in options)


@functools.lru_cache(maxsize=8)
def _tokens(raw_list):
    return frozenset(token.strip(b' \t').lower() for token in raw_list.split(b','))


# Body decoders. Nothing here waits. Each is a plain generator, so that the same code runs on
# sockets and in tests, split at any byte: it yields the chunks of the body, yields None when it
# needs more bytes and is sent them, b'' at the end of the stream, and returns what is left over.

_CHUNK_SIZE_LINE = re.compile(rb'([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n\0]*)?\r\n')    # RFC 9112 7.1
_CHUNK_SIZE = re.compile(rb'[0-9A-Fa-f]{1,16}+[ \t]*+(?:;|\r?\Z)')   # the start of such a line


def _body_decoder(length, data, limit):
    """Gives the decoder for a length of _message_body_length; `data` came after the header."""
    if length is _CHUNKED:
        return _decode_chunked(data, limit)
    if length is _UNTIL_CLOSE:
        return _decode_until_close(data)
    return _decode_length(length, data)


def _cut_off(expected):
    raise HttpConnectionClosedError(f'expected {expected}; got the end of the stream')


def _decode_length(length, data):
    """RFC 9112 6.2."""
    while len(data) < length:
        if data:
            yield data
        length -= len(data)
        data = (yield None) or _cut_off(f'{length} more bytes of content')

    if length:
        yield data[:length]
    return data[length:]


def _decode_chunked(data, limit):
    """RFC 9112 7.1. A chunk-size line and the trailer section may have `limit` bytes each."""
    at = 0      # index: what is before it has been dealt with
    while True:
        seen = 0
        while (end := data.find(b'\n', at) + 1) == 0:
            data, at = data[at:], 0
            is_broken = _BROKEN_LINE.search(data, max(0, seen - 1))
            if is_broken or (data and not _CHUNK_SIZE.match(data)):
                raise HttpDataError(f'expected a chunk size; got {_quoted(data)}')
            _check_section_length('chunk-size line', len(data) + 1, limit)
            seen = len(data)
            data += (yield None) or _cut_off('a chunk size')

        line = _CHUNK_SIZE_LINE.fullmatch(data, at, end)
        if not line:
            raise HttpDataError(f'expected a chunk size; got {_quoted(data[at:end])}')
        _check_section_length('chunk-size line', end - at, limit)
        size, at = int(line[1], 16), end
        if size == 0:
            return (yield from _drop_trailer_section(data[at:], limit))

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


def _drop_trailer_section(data, limit):
    """RFC 9112 7.1.2. Checked like a header section, and dropped. Returns what comes after."""
    seen = 0
    while not data.startswith(b'\r\n'):
        end = data.find(b'\r\n\r\n')
        if end != -1:
            _check_section_length('trailer section', end + 4, limit)
            _parse_fields(data[:end])
            return data[end + 4:]

        _check_section_so_far('trailer section', data, limit, seen)
        seen = len(data)
        data += (yield None) or _cut_off('the end of the trailer section')
    return data[2:]


def _decode_until_close(data):
    """RFC 9112 6.3 rule 8."""
    if data:
        yield data
    while data := (yield None):
        yield data
    return b''


def _quoted(raw):
    """Gives bytes as an error text quotes them."""
    return repr(bytes(raw[:_MAX_QUOTED])) + ('...' if len(raw) > _MAX_QUOTED else '')


# Bodies in transit. Objects and not async generators: an abandoned async generator makes the event
# loop create a task to close it, and one that was never started closes nothing.

class _RequestBody:
    """What send_body calls and iterates: the caller's body, counted (RFC 9112 6.2)."""

    __slots__ = ('_body', '_fields', '_connection', '_iterator', '_left')

    def __init__(self, body, fields, connection):
        self._body = body
        self._fields = fields
        self._connection = connection
        self._iterator = None
        self._left = int(fields.get(b'content-length', 0))      # bytes, unless in a coding

    def __call__(self, *args, **kwargs):
        try:
            self._iterator = self._body(*args, **kwargs).__aiter__()
        except Exception as exception:
            raise HttpDataError('expected the request body to be a function that returns an async '
                                f'iterator, such as streamed(data); got {exception!r}'
                                ) from exception
        return self

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            chunk = await self._iterator.__anext__()
            size = len(chunk) if type(chunk) is bytes else memoryview(chunk).nbytes
        except StopAsyncIteration:
            self.check_complete()
            raise
        except Exception as exception:
            raise HttpDataError(f'expected bytes of the request body; '
                                f'got {exception!r}') from exception

        if b'transfer-encoding' in self._fields:
            if size == 0:       # a layer that frames each chunk has made it the end of the message
                raise HttpDataError('expected no empty chunk of a request body with a '
                                    'transfer-encoding; got one')
        elif size > self._left:
            expected = f'{self._left} more bytes of the request body, by its content-length' \
                if b'content-length' in self._fields else \
                'a content-length or transfer-encoding in headers'
            raise HttpDataError(f'expected {expected}; got {size} bytes of body')
        else:
            self._left -= size
        if self._connection.is_turn_over(-(-size // _TLS_RECORD) or 1):
            await asyncio.sleep(0)
        return chunk

    def check_complete(self):
        """Raises if bytes are missing. A hook that never called the body sent its own content."""
        if self._iterator is not None and self._left:
            raise HttpDataError(f'expected {self._left} more bytes of the request body, '
                                'by its content-length; got its end')

    async def aclose(self):
        """Closes the caller's iterator, so that the `finally` of a generator has run."""
        if hasattr(self._iterator, 'aclose'):
            try:
                await self._iterator.aclose()
            except Exception as exception:
                raise HttpDataError(f'expected the request body to close; '
                                    f'got {exception!r}') from exception


class _ResponseBody:
    """What the caller of request iterates. Unless read to its end, it closes its connection."""

    __slots__ = ('_connection', '_decoder', '_release', '_ahead', '_ready')

    def __init__(self, connection, decoder, release):
        self._connection = connection
        self._decoder = decoder         # None once the last byte has been read
        self._release = release
        self._ready = 0                 # chunks that were there without waiting
        # The next chunk, or None. Decoded ahead, so that the connection is released before the
        # last chunk is given
        self._ahead = self._decode(None)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            if self._ahead is not None:
                self._ready += 1
                if self._ready % _MAX_CHUNKS == 0:
                    await asyncio.sleep(0)

            chunk, self._ahead = self._ahead, None
            while chunk is None and self._decoder is not None:
                chunk = self._decode(await self._connection.receive())
            if chunk is not None:
                self._ahead = self._decode(None)

        except BaseException as exception:
            if self._decoder is not None:       # else the connection serves others by now
                self._connection.close(exception)
            if isinstance(exception, HttpError) or not isinstance(exception, Exception):
                raise
            raise _error(HttpDataError, self._connection, 'body', exception) from exception

        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def _decode(self, data):
        """Gives the next chunk, or None: it needs more bytes than `data`, or it has ended."""
        if self._decoder is None:
            raise HttpDataError('expected an open body; got one that another task has closed')
        try:
            return self._decoder.send(data)
        except StopIteration as stop:
            self._decoder = None
            if self._connection.sock is not None:       # a cancellation may have closed it
                self._release(self._connection, stop.value)
            return None

    async def aclose(self):
        """Closes the connection, unless the body has been read to its end."""
        if self._decoder is not None:
            self._decoder = self._ahead = None
            self._connection.close('the response body was closed before its end')

    def __del__(self):
        if self._decoder is not None:
            self._connection.drop('the response body was dropped before its end')


# Connection. The one place that waits for a response.

class _Connection:
    """One connected socket.

    Its reader is registered once and stays, since to do so for each wait would cost more than all
    else. It is removed only when bytes come that nobody waits for, which holds the peer back, and
    at the end of the stream. Its timer stays too: each wait and each idle time only moves the
    deadline, and a timer that fires before the deadline is started again.
    """

    __slots__ = ('loop', 'sock', 'fileno', 'is_tls', 'origin', 'address', 'bufsize', 'head_limit',
                 'timeout', 'log', 'keep_seconds', 'has_session', 'on_unasked', 'unparsed',
                 'interim_responses', 'thread', '_is_reading', '_waiter', '_deadline', '_timer',
                 '_timer_due', '_ready')

    def __init__(self, loop, sock, origin, address, bufsize, head_limit, timeout):
        self.loop = loop
        self.thread = threading.get_ident()         # the loop's
        self.sock = sock                # None when closed
        self.fileno = sock.fileno()
        self.is_tls = isinstance(sock, ssl.SSLSocket)
        self.origin = origin
        self.address = address
        self.bufsize = min(bufsize, _TLS_RECORD) if self.is_tls else bufsize    # bytes
        self.head_limit = head_limit    # bytes
        self.timeout = timeout          # seconds
        self.log = _log_nothing         # of the request that it serves, or of the pool
        self.keep_seconds = 0           # how long it may be idle after the response
        self.has_session = False        # whether its TLS session has been remembered
        self.on_unasked = None          # called with self when bytes come that nobody waits for
        self.unparsed = b''             # the part of a response head that has come
        self.interim_responses = 0      # that came before it
        self._is_reading = False        # whether the reader is registered
        self._waiter = None             # the future that the next bytes go to
        self._deadline = 0              # when that future gets a TimeoutError; loop time
        self._timer = None
        self._timer_due = _NEVER        # when the timer fires, not after the deadline; loop time
        self._ready = 0                 # reads and writes since others were given their turn

    async def receive_head(self):
        """Gives the final _response_head. It waits before it reads: there can be no answer yet."""
        head = None
        while head is None:
            head = self.parse_head(await self.receive(is_likely=self.unparsed != b''))
        return head

    def parse_head(self, data):
        """Gives the final _response_head if all of it has come by now, or else None."""
        if not data:
            raise HttpConnectionClosedError(
                f'{self.origin.host} at {self.address}: expected a response; '
                f'got the end of the stream after {_quoted(self.unparsed)}')

        seen = len(self.unparsed)
        self.unparsed += data
        while head := _response_head(self.unparsed, self.head_limit, seen):
            code, rest = head[1], head[-1]
            if code[:1] != b'1' or code == b'101':  # RFC 9110 15.2; what follows a 101 is no HTTP
                self.unparsed, self.interim_responses = b'', 0
                return head

            self.unparsed, seen = rest, 0
            self.interim_responses += 1
            if self.interim_responses > _MAX_INTERIM_RESPONSES:         # D7
                raise HttpDataError(f'expected a final response after {_MAX_INTERIM_RESPONSES} '
                                    'interim ones; got another')
        return None

    async def receive(self, is_likely=True):
        """Gives the next bytes, or b'' at the end of the stream.

        Args:
            is_likely: bytes are probably there, so that it pays to read before waiting.
        """
        if self.sock is None or self._waiter is not None:
            raise HttpDataError('expected an open body with one reader; got one that had been '
                                'closed, or that another task is reading')
        if is_likely or (self.is_tls and self.sock.pending()):
            if self.is_turn_over(1):
                await self._give_way()
            try:
                return self.sock.recv(self.bufsize)
            except _WOULD_BLOCK:
                pass

        self.start_reading()
        self.start_time(self.timeout)
        self._waiter = self.loop.create_future()
        try:
            return await self._waiter
        finally:
            self._waiter = None

    def is_turn_over(self, operations):
        """Whether other tasks are to get their turn before these reads or writes."""
        self._ready += operations
        if self._ready <= _MAX_READY:
            return False
        self._ready = operations
        return True

    async def _give_way(self):
        """Lets other tasks run, none of which may read meanwhile."""
        self.stop_reading()             # else the loop calls it for nothing, each time
        self._waiter = self.loop.create_future()
        self._waiter.set_result(None)
        try:
            await asyncio.sleep(0)
        finally:
            self._waiter = None
        if self.sock is None:
            raise HttpDataError('expected an open body; got one that was closed meanwhile')

    def start_reading(self):
        """Registers the reader, unless it is registered."""
        if not self._is_reading:
            self.loop.add_reader(self.fileno, self._on_readable)
            self._is_reading = True

    def stop_reading(self):
        """Removes the reader, if it is registered."""
        if self._is_reading:
            self.loop.remove_reader(self.fileno)
            self._is_reading = False

    def _on_readable(self):
        if self._waiter is None:
            (self.on_unasked or _Connection.stop_reading)(self)
            return
        if self._waiter.done():
            return                      # the one who waited is about to go on

        try:
            data = self.sock.recv(self.bufsize)
        except _WOULD_BLOCK:
            self._deadline = self.loop.time() + self.timeout    # part of a TLS record is progress
        except Exception as exception:
            self.stop_reading()
            self._waiter.set_exception(exception)
        else:
            if not data:
                self.stop_reading()     # what has ended is readable for ever
            self._waiter.set_result(data)

    def start_time(self, seconds):
        """Sets the deadline that many seconds from now, for a wait or for being idle."""
        self._deadline = self.loop.time() + seconds
        if self._deadline < self._timer_due:
            if self._timer is not None:
                self._timer.cancel()
            self._start_timer()

    def is_late(self):
        """Whether the deadline has passed. The timer may not have had its turn yet."""
        return self._deadline <= self.loop.time()

    def _start_timer(self):
        self._timer = self.loop.call_at(self._deadline, self._on_timer)
        self._timer_due = self._deadline

    def _on_timer(self):
        self._timer, self._timer_due = None, _NEVER
        if self._waiter is None and self not in self.origin.idle:
            return                      # the next wait starts it again
        if not self.is_late():
            self._start_timer()
        elif self._waiter is None:
            self.close('keep-alive timeout')
        else:
            self._on_readable()         # bytes that have arrived win
            if not self._waiter.done():
                self._waiter.set_exception(TimeoutError(f'no bytes within {self.timeout} s'))

    def is_alive(self):
        """Reads without waiting: whether the stream is open, and nothing has come.

        TLS session tickets do not count. Part of a TLS record does: its rest would be taken for
        the next response.
        """
        try:
            if self.is_tls:
                below_tls = socket.socket.recv(self.sock, 4 * _TLS_RECORD, socket.MSG_PEEK)
                if not _ends_with_record(below_tls):
                    return False
            self.sock.recv(1)
        except _WOULD_BLOCK:
            return True
        except OSError:
            pass
        return False

    def drop(self, why):
        """Closes, from any thread: the garbage collector runs in one that happens to allocate."""
        if threading.get_ident() == self.thread or self.loop.is_closed():
            self.close(why)
        else:
            self.loop.call_soon_threadsafe(self.close, why)

    def close(self, why):
        """Closes the socket, once, and leaves no reader and no timer, nor itself in the pool."""
        sock, self.sock = self.sock, None
        if sock is None:
            return

        self.origin.idle.pop(self, None)
        self.log('Closing %s: %s', sock, why)
        if self._timer is not None:
            self._timer.cancel()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionAbortedError('closed while bytes were awaited'))
        if not self.loop.is_closed():
            self.stop_reading()         # before the close, else it is that of the next socket
        if self.is_tls:
            with contextlib.suppress(OSError, ValueError):
                sock.unwrap()           # the closure alert, RFC 9112 9.8; the session stays good
        sock.close()

    def __del__(self):
        if self.sock is not None:
            warnings.warn(f'unclosed connection to {self.origin.host}: await the close() of its '
                          'Pool before the event loop ends', ResourceWarning, 1, source=self)
            self.close('it was never closed')


def _ends_with_record(data):
    """Whether the bytes are whole TLS records (RFC 8446 5.1)."""
    at = 0
    while at < len(data):
        at += 5 + int.from_bytes(data[at + 3:at + 5], 'big')
    return at == len(data)


# Socket I/O. All else that waits for a socket or a time.

async def _send_body(connection, body, send):
    """Awaits `send()`, which sends `body`, and closes the body's iterator in every case.

    Returns:
        (what _response_head gave if the answer has come, or None; whether all was sent).
    """
    async def send_all_of_it():
        await send()
        body.check_complete()

    try:
        outcome = await _send_unless_answered(connection, send_all_of_it)
    except BaseException as exception:
        connection.close(exception)     # first, since the body may wait while it closes
        with contextlib.suppress(Exception):
            await body.aclose()
        raise

    await body.aclose()
    return outcome


async def _send_unless_answered(connection, send):
    """Awaits `send()`, but only until a final response of status 300 or above (RFC 9112 9.5)."""
    head = failure = None
    interrupt = _Interrupt(connection.loop)

    def read_head():
        nonlocal head
        while head is None:
            head = connection.parse_head(connection.sock.recv(connection.bufsize))

    def on_bytes(_):
        nonlocal failure
        try:
            read_head()
        except _WOULD_BLOCK:
            return
        except Exception as exception:
            failure = exception

        connection.stop_reading()
        if failure or head[1] >= b'300':
            interrupt()

    is_sent = False
    connection.on_unasked = on_bytes
    try:
        connection.start_reading()
        with interrupt:
            await send()
            is_sent = True
    except Exception as exception:
        if not interrupt.is_fired:
            if not isinstance(exception, _PEER_CLOSED):
                raise
            # What a peer answered before it closed has arrived by now. It is not waited for, since
            # what a hook raises may be about another peer, and this one still there
            with contextlib.suppress(Exception):
                read_head()
            if head is None:
                raise
    finally:
        connection.on_unasked = None

    if failure:
        raise failure
    return head, is_sent


class _Interrupt:
    """Ends a block at its next await, when called.

    It cancels the task and takes that back, so that `task.cancelling()` is what it was. If the
    task is cancelled from outside too, that wins. A block that swallows the cancellation goes on.
    """

    __slots__ = ('is_fired', '_task', '_cancelling')

    def __init__(self, loop):
        self.is_fired = False
        self._task = asyncio.current_task(loop)
        self._cancelling = self._task.cancelling()

    def __call__(self):
        if not self.is_fired:
            self.is_fired = True
            self._task.cancel()

    def __enter__(self):
        return self

    def __exit__(self, exception_type, exception, traceback):
        is_ours = self.is_fired and self._task.uncancel() <= self._cancelling
        return is_ours and exception_type is asyncio.CancelledError


@contextlib.contextmanager
def timeout(loop, max_time):
    """Ends its block in `TimeoutError` if it takes too long. For use in hooks and layers.

    Args:
        loop: the running event loop.
        max_time: seconds of loop time, from the start of the block or the last reset.

    Yields:
        A function without arguments that resets the time.

    Raises:
        TimeoutError: the time is over. A cancellation from outside stays one, and a block
            that swallows the cancellation ends without error.
    """
    interrupt = _Interrupt(loop)
    timer = loop.call_later(max_time, interrupt)

    def reset():
        nonlocal timer
        if timer is not None:           # else the block is over
            timer.cancel()
            timer = loop.call_later(max_time, interrupt)

    try:
        with interrupt:
            yield reset
            return                      # in time, or the cancellation was swallowed
    finally:
        timer.cancel()
        timer = None

    raise TimeoutError(f'expected an end within {max_time} s; got none')


@types.coroutine
def _resolver_steps(awaitable):
    """Awaits what a resolver gives, and mends what aiodnsresolver does to the task it runs in.

    Its time-outs cancel the task: that is taken back whenever one is swallowed. If a cancellation
    from outside was swallowed with it, that is raised once more. It also leaves async generators
    suspended, and the event loop's hooks would create a task to close each: without the hooks,
    they are just closed.
    """
    task = asyncio.current_task()
    cancelling = task.cancelling()
    is_cancelled = False            # from outside
    steps = awaitable.__await__()
    step, argument = steps.send, None

    def has_swallowed_a_cancellation():
        nonlocal is_cancelled
        is_swallowed = isinstance(argument, asyncio.CancelledError)
        if is_swallowed and not is_cancelled and task.cancelling() > cancelling:
            is_cancelled = task.uncancel() > cancelling
        return is_swallowed and is_cancelled

    while True:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            waited_for = step(argument)
        except Exception as end:
            if has_swallowed_a_cancellation():
                raise asyncio.CancelledError from None
            if isinstance(end, StopIteration):
                return end.value
            raise
        finally:
            sys.set_asyncgen_hooks(*hooks)

        if has_swallowed_a_cancellation():
            step, argument = steps.throw, asyncio.CancelledError()
            continue
        try:
            step, argument = steps.send, (yield waited_for)
        except BaseException as exception:
            step, argument = steps.throw, exception


async def _connect(loop, get_sock, address, port, deadline):
    """Gives a socket that is connected to the address."""
    sock = get_sock(socket.AF_INET6) if ':' in address else get_sock()
    try:
        await _retry(loop, sock, deadline, functools.partial(_try_connect, sock, (address, port)))
    except BaseException:
        sock.close()
        raise
    return sock


def _try_connect(sock, address):
    try:
        sock.connect(address)
    except OSError as error:
        if error.errno == errno.EAGAIN:         # a full Unix socket, which no event will announce
            raise ConnectionError('expected the peer to have room; got EAGAIN') from error
        if error.errno != errno.EISCONN:        # what some systems say after success
            raise


async def _retry(loop, sock, deadline, attempt):
    """Calls `attempt` whenever the socket is ready for it, until it does not block.

    Args:
        deadline: loop time. Then comes a last attempt, so that what has arrived in time wins.

    Raises:
        TimeoutError: the last attempt would block too.
    """
    fileno = sock.fileno()
    while True:
        try:
            return attempt()
        except ssl.SSLWantReadError:            # not both: a socket is nearly always writable
            add, remove = loop.add_reader, loop.remove_reader
        except (BlockingIOError, ssl.SSLWantWriteError):
            add, remove = loop.add_writer, loop.remove_writer

        if loop.time() >= deadline:
            raise TimeoutError('expected the peer to go on in time; got nothing')

        waiter = loop.create_future()
        timer = loop.call_at(deadline, _wake, waiter)
        try:
            add(fileno, _wake, waiter)
            await waiter
        finally:
            timer.cancel()
            remove(fileno)


def _wake(waiter):
    if not waiter.done():
        waiter.set_result(None)


async def send_all(loop, sock, socket_timeout, data):
    """Sends all of `data`. For use in hooks.

    Args:
        loop: the running event loop.
        sock: a connected non-blocking socket, or `ssl.SSLSocket`.
        socket_timeout: seconds without progress.
        data: bytes-like.

    Raises:
        OSError: the socket failed.
        TimeoutError: there was no progress.
    """
    if type(data) is not bytes:
        data = memoryview(data).cast('B')
    sent = _send_now(sock, data) if data else 0
    if sent < len(data):
        await _send_rest(loop, sock, socket_timeout, memoryview(data)[sent:])


async def _send_some(loop, sock, socket_timeout, data):
    """Gives the number of bytes that were taken, at least one."""
    return _send_now(sock, data) or await _retry(
        loop, sock, loop.time() + socket_timeout, functools.partial(_send, sock, data))


async def _send_rest(loop, sock, socket_timeout, data):
    """Sends whenever the socket is writable. The writer stays until all is out."""
    fileno = sock.fileno()
    waiter = None
    deadline = loop.time() + socket_timeout

    def on_writable():
        nonlocal deadline
        deadline = loop.time() + socket_timeout         # part of a TLS record is progress
        _wake(waiter)

    try:
        while True:
            for _ in range(_MAX_READY // 2):        # since others have been sent in this turn
                sent = _send_now(sock, data)
                if not sent:
                    break
                data = data[sent:]
                if not data:
                    return
                deadline = loop.time() + socket_timeout
            else:
                await asyncio.sleep(0)
                continue                # not blocked, and an event might be late to say so

            if loop.time() >= deadline:
                raise TimeoutError(f'no bytes taken within {socket_timeout} s')

            if waiter is None:
                loop.add_writer(fileno, on_writable)
            waiter = loop.create_future()
            timer = loop.call_at(deadline, _wake, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
    finally:
        if waiter is not None:
            loop.remove_writer(fileno)


def _send_now(sock, data):
    """Gives the number of bytes that were taken at once, 0 if it would block."""
    try:
        return _send(sock, data)
    except (BlockingIOError, ssl.SSLWantWriteError):
        return 0


def _send(sock, data):
    """Sends some bytes; of TLS one record at most, else none count as sent until all are out.

    A peer that wants to renegotiate TLS is refused, as by many clients.
    """
    if len(data) > _TLS_RECORD:
        data = memoryview(data)[:_TLS_RECORD if isinstance(sock, ssl.SSLSocket) else _MAX_SENT]
    try:
        return sock.send(data)
    except ssl.SSLWantReadError as error:
        raise ssl.SSLError('expected to send; got a wish to renegotiate TLS') from error


def _error(kind, connection, what, exception):
    """Gives the error that a lower-level exception becomes."""
    if kind is HttpDataError and isinstance(exception, _PEER_CLOSED):
        kind = HttpConnectionClosedError
    return kind(f'{connection.origin.host} at {connection.address}: expected the {what} to go on; '
                f'got {exception!r}')
