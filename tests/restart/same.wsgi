# What the load asks of the stock applications, for mod_wsgi.
import time
from urllib.parse import parse_qs


def pieces(environ):
    while True:
        piece = environ["wsgi.input"].read(8192)
        if not piece:
            return
        yield piece


def stream(query):
    for chunk in range(int(query["chunks"][0])):
        if chunk:
            time.sleep(int(query["ms"][0]) / 1000)
        yield b"x" * int(query["size"][0])


def application(environ, start_response):
    path = environ["SCRIPT_NAME"] + environ["PATH_INFO"]
    query = parse_qs(environ["QUERY_STRING"])
    headers = [("Content-Type", "text/plain")]
    body = b"Hello, world\n"
    if path.startswith("/probe/bytes/"):
        count = int(path.rsplit("/", 1)[1])
        body = bytes(range(251)) * (count // 251 + 1)
        body = body[:count]
    elif path == "/probe/wait":
        time.sleep(int(query["ms"][0]) / 1000)
        body = ("waited %s ms\n" % query["ms"][0]).encode()
    elif path == "/probe/discard":
        length = sum(len(piece) for piece in pieces(environ))
        body = ('{"length": %d, }' % length).encode()
    elif path == "/probe/echo":
        start_response("200 OK", headers)
        return pieces(environ)
    elif path == "/probe/stream":
        start_response("200 OK", headers)
        return stream(query)
    start_response("200 OK", headers + [("Content-Length", str(len(body)))])
    return [body]
