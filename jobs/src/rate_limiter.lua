-- Reserves the next slot of the rate limit (GCRA), by the clock of this Redis server.
-- KEYS: the key with the time at which the next slot is due, in microseconds
-- ARGV: the interval between slots, how much earlier a slot may come after an idle time, and how far
-- ahead the next may be due at most, all in microseconds
-- Returns the time until the slot in microseconds. The slot is reserved even if it is not used.
local interval, ahead, horizon = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('time')
local now = time[1] * 1000000 + time[2]
-- A key of the wrong type or without a number is overwritten.
local stored = redis.pcall('get', KEYS[1])
local due = type(stored) == 'string' and tonumber(stored) or now
-- A slot farther ahead than all workers can reserve means that the clock was set back. NaN is in no range.
if not (due >= now and due <= now + horizon) then due = now end
local following = due + interval
local keep = math.ceil((following - now) / 1000)
redis.call('set', KEYS[1], string.format('%.0f', following), 'px', keep)
return math.max(0, due - ahead - now)
