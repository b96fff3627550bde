"""The only public door. Owns nothing lasting: every answer is another service's, or made from theirs.

A request comes in at `edge` (ids, security headers, access log, problems for whatever goes wrong), is cut off when its
body is too large (`limits`), finds its service by path (`routes`), and is passed on (`forward`): near, by calling the
service's ASGI application; far, by streaming both ways over HTTP to one of its replicas. `/internal` is never passed
on, and headers that speak for a service never come in from outside.

The gateway does not decide who may do what; services do. What it adds of its own is listed in `api`: one OpenAPI
document of all services (`document`, read by people at `/api/docs`), the health of the whole (`status`), a page for
each problem type, and the first page (`pages`).

Promises: every error is an RFC 9457 document; a service that is away is a 503 with Retry-After; a request is tried on
another replica only when not a byte of it was sent.
"""
