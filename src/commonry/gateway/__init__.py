"""The only public door. Owns nothing lasting: every answer is another service's, or made from theirs.

A connection is a `lane`. The usual way of a request: `edge` (ids, security headers, access log, problems for whatever
goes wrong), `admission` (limits, shedding), `limits` (bodies), `api` (its own addresses, else the service by path, see
`routes`), `caching`, and `forward`: near, by calling the service's ASGI application; `far`, over HTTP to one of its
replicas. Plain reads have shorter ways: an answer from memory in `lane` itself, `relay` to a far service, `inside` to a
near one, `quick` for all others. `/internal` is never passed on, and headers that speak for a service never come in
from outside.

The gateway does not decide who may do what; services do. What it adds of its own is listed in `api`: one OpenAPI
document of all services (`document`, read by people at `/api/docs`), the health of the whole (`status`), a page for
each problem type, and the first page (`pages`).

Promises: every error is an RFC 9457 document; a service that is away is a 503 with Retry-After, or an older answer that
says so; a request is repeated only when nothing of it was sent, or when repeating it does no harm; what a person gets
because of who they are is never kept; once a change is acknowledged nobody gets an older answer. `docs/gateway.md` has
the whole of it.
"""
