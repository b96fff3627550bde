"""What runs inside the cluster, where it is atomic and has one clock: the scripts, and the names of their keys.

Each script is given one argument more, which it returns last: so we know that the answer is to our question.

All keys and channels of the bus carry the tag `{bus}`, so that they are in one slot: one node orders every message,
and the driver subscribes to both of a process's channels over one connection.
"""

PREFIX = "commonry:"
BUS = "commonry:{bus}"
"""The hash with the newest `epoch`, the newest `beat`, and `unsure` (all µs); also the channel all processes hear."""


def listeners(channel: str) -> str:
    """Sorted set: who listens to the channel, by when they last said so."""
    return f"{BUS}:listeners:{channel}"


def private(peer: str) -> str:
    """The channel that only this peer hears."""
    return f"{BUS}:{peer}"


_START = """
local function text(number) return string.format('%.0f', number) end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
"""

_KNOWN = (
    _START
    + """
local lease = tonumber(ARGV[2])
local known = redis.call('HMGET', KEYS[1], 'epoch', 'beat', 'unsure')
local stored, beat, unsure = tonumber(known[1] or 0), tonumber(known[2] or 0), tonumber(known[3] or 0)
if now - beat > lease or beat > now + lease then unsure = now + lease end
"""
)
"""Whoever beats does so several times a lease. A gap means that names may have been lost (a failover, a flush,
another node's clock): for a lease from then on, there may be peers in touch that the sets do not name."""

BEAT = (
    _KNOWN
    + """
redis.call('HSET', KEYS[1], 'beat', text(now), 'unsure', text(unsure))
redis.call('PEXPIRE', KEYS[1], 86400000)
for i = 2, #KEYS do
    redis.call('ZADD', KEYS[i], text(now), ARGV[1])
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', text(now - 60 * lease))
    redis.call('PEXPIRE', KEYS[i], 86400000)
end
redis.call('PUBLISH', KEYS[1] .. ':' .. ARGV[1], 'beat ' .. ARGV[3] .. ' ' .. text(stored) .. ' '
    .. (now < unsure + lease and 1 or 0))
return {ARGV[#ARGV]}
"""
)
"""KEYS: the bus, the sets of the peer's channels. ARGV: peer, lease in µs, number of the beat.
The echo says which epoch was the newest when the beat was counted, and whether it is too early to be in touch: for two
leases after a gap, in which a slower peer may not be able to tell anybody what it changes."""

PUBLISH = (
    _KNOWN
    + """
local epoch = math.max(stored + 1, now, ARGV[3] + 1)
redis.call('HSET', KEYS[1], 'epoch', text(epoch))
redis.call('PUBLISH', KEYS[1], text(epoch) .. ' ' .. text(stored) .. ' ' .. ARGV[1] .. ' ' .. ARGV[4] .. ' '
    .. ARGV[5] .. ' ' .. ARGV[6])
local alive = redis.call('ZRANGEBYSCORE', KEYS[2], text(now - lease), '+inf')
return {text(epoch), now < unsure and 1 or 0, alive, ARGV[#ARGV]}
"""
)
"""KEYS: the bus, the channel's set. ARGV: peer, lease in µs, the peer's epoch, 1 to be acknowledged, channel,
message. Returns the message's epoch, whether there may be peers that are not known, and those that are."""

TAKE = (
    _START
    + """
local cost, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local ahead = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + cost - now
if ahead - window > cost / 1000 then return {0, text(ahead), ARGV[#ARGV]} end
redis.call('SET', KEYS[1], string.format('%.2f', now + ahead), 'PX', text(math.max(1, math.ceil(ahead / 1000))))
return {1, text(ahead), ARGV[#ARGV]}
"""
)
"""`rates.verdict` with the cluster's clock. KEYS: the bucket. ARGV: cost and window in µs. Returns whether it is
allowed, and how many µs the bucket would then be ahead."""
