"""The benchmark's application for mod_wsgi."""

import os
import time

TEXT = ("Content-Type", "text/plain")
GREETING = b"Hello, world\n"
CHUNK = b"x" * 16384


def hello(environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "13")])
    return [GREETING]


def echo(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def stream(environ, start_response):
    start_response("200 OK", [TEXT])
    return (CHUNK for _ in range(64))


def listing(environ, start_response):
    lines = (f"{key}={value}\n" for key, value in environ.items() if "." not in key)
    body = "".join(lines).encode("latin-1")
    start_response("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def process(environ, start_response):
    body = f"{os.getpid()}\n".encode()
    start_response("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def wait(environ, start_response):
    time.sleep(int(environ["PATH_INFO"].rsplit("/", 1)[1]) / 1000)
    return hello(environ, start_response)


ANSWERS = {"/hello": hello, "/echo": echo, "/stream": stream, "/environ": listing, "/process": process}


def application(environ, start_response):
    answer = ANSWERS.get(environ["PATH_INFO"])
    if answer is None and environ["PATH_INFO"].startswith("/waiting/wait/"):
        answer = wait
    if answer is None:
        start_response("404 Not Found", [("Content-Length", "0")])
        return []
    return answer(environ, start_response)
