"""Every setting of the platform: environment variable `COMMONRY_…` in capitals. `docs/reference/settings.md` lists
the same.
"""

from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Meta

from commonry.contracts.money import Currency
from commonry.contracts.words import TimeZone

_NODE = r"rediss?://([^@/,\s]+@)?[\w.\-\[\]:]+"
_NODES = rf"^({_NODE}(,{_NODE})*)?$"
_BASE = r"((dns\+)?https?://([\w.\-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?/?)"
_BASES = rf"^({_BASE}(,{_BASE})*)?$"
_LIMIT = r"^(off|\d+(\.\d+)?/(s|min|h)(,[1-9]\d*)?)?$"

Seconds = Annotated[float, Meta(gt=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults are right for one community on one machine."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int,
        Meta(ge=0, le=65535, description="Port of the gateway, or of the one service being served. 0: any free one."),
    ] = 8000
    data: Annotated[
        str, Meta(description="Folder of the embedded database and the secrets. Default: see `commonry up --help`.")
    ] = ""
    files_url: Annotated[
        str,
        Meta(
            pattern=r"^((file:///|s3://).+)?$",
            description="Where photos are kept: `file:///folder`, which all replicas of a service share, or"
            " `s3://bucket/folder`, whose endpoint, region and keys are in `AWS_…`. Empty: `files` in the data folder.",
        ),
    ] = ""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="How much is logged.")] = "info"
    workers: Annotated[
        bool, Meta(description="Whether this process also runs due sagas, deliveries and periodic jobs.")
    ] = True

    traces_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://([\w.\-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?(/[\w.\-/]*)?)?$",
            description="where traces are sent: the base URL of an OTLP/HTTP collector, `http://host:4318`;"
            " `/v1/traces` is added. Empty: nowhere, and none are made.",
        ),
    ] = ""
    traces_share: Annotated[
        float, Meta(ge=0, le=1, description="The share of traces that is sent; the same in every process.")
    ] = 1.0

    database_url: Annotated[
        str,
        Meta(
            description="PostgreSQL of all services, with `{service}` where the database's name goes. Empty: embedded."
        ),
    ] = ""
    database_pool: Annotated[int, Meta(ge=1, le=200, description="Most connections of one service's process.")] = 6
    database_prepare: Annotated[
        bool, Meta(description="Prepared statements; switch off behind PgBouncer in transaction mode.")
    ] = True
    read_url: Annotated[
        str,
        Meta(
            description="a standby of that PostgreSQL which searches may read from, in the same form. It is asked while"
            " it is less than a second behind, else the primary. Empty: always the primary."
        ),
    ] = ""

    cache_url: Annotated[
        str,
        Meta(
            pattern=_NODES,
            description="some nodes of the Redis Cluster that all processes share: `redis://host:port`, with commas."
            " Empty: each process has a cache of its own, in memory.",
        ),
    ] = ""

    users_url: Annotated[
        str,
        Meta(
            pattern=_BASES,
            description="URLs of the users service's replicas, `http://host:port`, comma-separated; `dns+http://name:port`"
            " for all addresses of a name. Empty: in this process.",
        ),
    ] = ""
    inventory_url: Annotated[
        str, Meta(pattern=_BASES, description="URLs of the inventory service's replicas, like those of users.")
    ] = ""
    bookings_url: Annotated[
        str, Meta(pattern=_BASES, description="URLs of the bookings service's replicas, like those of users.")
    ] = ""
    payments_url: Annotated[
        str, Meta(pattern=_BASES, description="URLs of the payments service's replicas, like those of users.")
    ] = ""
    analytics_url: Annotated[
        str,
        Meta(
            pattern=_BASES,
            description="URLs of the analytics service's replicas, like those of users. Empty, where the others have"
            " theirs: this platform has no analytics.",
        ),
    ] = ""
    web_url: Annotated[
        str,
        Meta(
            pattern=_BASES,
            description="URLs of the website's replicas, like those of users. Empty: in the gateway's process.",
        ),
    ] = ""
    tiles_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[\w.\-]+(:\d{1,5})?/(?=.*\{z\})(?=.*\{x\})(?=.*\{y\})[^\s\"';]*)?$",
            description="Where the map's background is from: `https://tile.openstreetmap.org/{z}/{x}/{y}.png`, or a"
            " server of your own. Visitors' browsers ask it, and so it learns what they look at. Empty: no background.",
        ),
    ] = ""
    tiles_credit: Annotated[
        str, Meta(max_length=200, description="Whom the map's background is from, as its page says.")
    ] = "© OpenStreetMap contributors"
    service_token: Annotated[
        str,
        Meta(
            description="The secret services show each other; the same in every process. Embedded: made at first start."
        ),
    ] = ""

    max_body: Annotated[int, Meta(ge=1024, description="Largest request body the gateway takes, in bytes.")] = (
        24 * 2**20
    )
    answer_seconds: Annotated[
        float, Meta(gt=0, description="How long a service may take to begin its answer before the gateway says 503.")
    ] = 30

    share_port: Annotated[
        bool,
        Meta(description="Let several gateways on one machine listen on the same port; the system spreads clients."),
    ] = False
    trusted_proxies: Annotated[
        str,
        Meta(
            pattern=r"^((\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)(/\d{1,3})?(, ?|$))*$",
            description="addresses or networks of reverse proxies, comma-separated, whose X-Forwarded-For is believed.",
        ),
    ] = ""
    cache_bytes: Annotated[
        int, Meta(ge=2**20, description="Most memory a gateway uses for answers that services allow to be kept.")
    ] = 64 * 2**20
    hedge_seconds: Annotated[
        float,
        Meta(ge=0, description="After so long a slow read is also sent to another replica; the first wins. 0: never."),
    ] = 0
    shed_seconds: Annotated[
        float, Meta(gt=0, description="How late a gateway's event loop may run before new requests are turned away.")
    ] = 1.0
    header_seconds: Annotated[float, Meta(gt=0, description="How long a request's header may take to arrive.")] = 10
    send_seconds: Annotated[
        float, Meta(gt=0, description="How long a client may take nothing of its answer before it is cut off.")
    ] = 30
    limit_reads: Annotated[
        str,
        Meta(
            pattern=_LIMIT,
            description="a limit for reads of one client address: `300/s,3000` is 300 a second, and 3000 at once;"
            " also `/min`, `/h`, and `off`. Empty: that, but none for this machine itself.",
        ),
    ] = ""
    limit_writes: Annotated[
        str, Meta(pattern=_LIMIT, description="a limit for writes, as for reads. Empty: `100/s,1000`.")
    ] = ""
    limit_logins: Annotated[
        str, Meta(pattern=_LIMIT, description="a limit for signing in, at all gateways together. Empty: `60/min,60`.")
    ] = ""
    limit_registrations: Annotated[
        str, Meta(pattern=_LIMIT, description="a limit for becoming a member. Empty: `60/min,60`.")
    ] = ""
    limit_bookings: Annotated[
        str, Meta(pattern=_LIMIT, description="a limit for booking, which moves money. Empty: `50/s,1000`.")
    ] = ""

    session_hours: Annotated[float, Meta(gt=0, le=24 * 365, description="How long a login lasts.")] = 24 * 14
    password_threads: Annotated[int, Meta(ge=1, le=64, description="Password hashes at a time.")] = 2
    password_queue: Annotated[
        int, Meta(ge=1, le=10000, description="Logins that may wait for a hash before more are turned away (503).")
    ] = 50

    hold_seconds: Annotated[
        int, Meta(ge=1, description="How long an instant booking may hold the item unconfirmed.")
    ] = 120
    answer_hours: Annotated[float, Meta(gt=0, description="How long an owner may take to answer a request.")] = 24
    quote_minutes: Annotated[float, Meta(gt=0, description="How long a quoted price holds.")] = 30
    no_show_hours: Annotated[
        float, Meta(gt=0, description="How long after the start an owner waits before reporting a no-show.")
    ] = 2
    claim_hours: Annotated[
        float,
        Meta(ge=0, description="After a return, how long the owner may report damage before the deposit is released."),
    ] = 48
    late_grace_minutes: Annotated[
        float, Meta(ge=0, description="How late a return may be without counting as overdue.")
    ] = 60

    provider_seconds: Annotated[float, Meta(gt=0, description="How long the payment provider may take to answer.")] = (
        1.0
    )
    fee_percent: Annotated[
        int, Meta(ge=0, le=50, description="The platform's share of rental money, kept at payout.")
    ] = 0

    etl_minutes: Annotated[
        float, Meta(ge=0, description="How often the warehouse is brought up to date by the platform itself. 0: never.")
    ] = 15
    etl_lag_seconds: Annotated[
        float,
        Meta(
            ge=0,
            description="How far each run looks back for rows that were committed later than they were dated: longer"
            " than the longest transaction.",
        ),
    ] = 300
    etl_database_url: Annotated[
        str,
        Meta(
            description="PostgreSQL that the warehouse reads, in the form of COMMONRY_DATABASE_URL: a standby, or a"
            " role that may only read; or one URL for each service's database, with spaces between. Empty: the standby"
            " of COMMONRY_READ_URL, if any, else that database itself."
        ),
    ] = ""
    warehouse_url: Annotated[
        str,
        Meta(
            pattern=r"^([a-z0-9+]+://\S+)?$",
            description="where each finished build is also delivered: `file:///folder` or `s3://bucket/folder` as"
            " Parquet, `bigquery://project/dataset`, or another destination of dlt. Empty: nowhere else.",
        ),
    ] = ""

    currency: Annotated[Currency, Meta(description="Currency of imports and of the demo.")] = "EUR"
    place: Annotated[
        str,
        Meta(
            pattern=r"^-?([0-8]?\d(\.\d+)?|90(\.0+)?),-?(1[0-7]\d|\d{1,2}|180)(\.\d+)?,.*\S",
            description="The community's middle, `lat,lon,label`: where imported items without a place are.",
        ),
    ] = "52.4934,13.4234,Kreuzberg, Berlin"
    time_zone: Annotated[TimeZone, Meta(description="Time zone of items that name none.")] = "Europe/Berlin"
    failpoints: Annotated[str, Meta(description="For tests only: where to stumble (`kit/failpoints.py`).")] = ""

    def files(self) -> str:
        """The address of the files; empty where nobody has said."""
        return self.files_url or (f"file://{quote(self.data)}/files" if self.data else "")

    def urls(self, service: str) -> list[str]:
        """Where a far service's replicas are; empty when it runs in this process."""
        return [u for u in getattr(self, f"{service}_url", "").split(",") if u]

    def database(self, service: str) -> str:
        """The connection URL of a service's own database."""
        return self.database_url.replace("{service}", service)

    def warehouse_source(self, service: str) -> str:
        """The connection URL of that database as the warehouse reads it."""
        said = self.etl_database_url or self.read_url or self.database_url
        urls = said.replace("{service}", service).split() or [""]
        return next((url for url in urls if urlsplit(url).path == f"/{service}"), urls[0])

    def standby(self, service: str) -> str:
        """The connection URL of a copy of that database which may be a little behind; empty if there is none."""
        return self.read_url.replace("{service}", service)
