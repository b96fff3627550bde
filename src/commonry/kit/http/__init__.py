"""An HTTP/1.1 client for our own services: kept connections, bodies streamed both ways, and little else.

No redirects, cookies, proxies or decompression: what comes is what was sent. `messages` has what is asked, `pool` the
connections to one server, `connection` one of them. Whatever goes wrong is a `Fault`, which says whether the request
may have been seen by the other side.
"""
