"""The console: pages and an HTTP API for the people who run the relay.

In: HTTP requests, and the live view of the topics. Out: pages, JSON, and changes through `management`.
It keeps no state but sessions in signed cookies, so any number of consoles serve one installation.
It may not know how Kafka is read or written, nor how a service runs; `management` does.
Every request needs a login, except that for the login page and for static files.
"""
