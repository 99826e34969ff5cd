-- Takes the next turn of the mail server (GCRA), by this server's own clock.
-- KEYS: where the time at which the next turn is due is kept, in microseconds
-- ARGV: how far apart turns are, how much sooner one may come after a rest, and how far ahead the
-- next may be due at most, all in microseconds
-- Returns how many microseconds the turn is away. It is taken: who does not use it, wastes it.
local interval, ahead, horizon = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('time')
local now = time[1] * 1000000 + time[2]
-- A key that somebody made something else of says nothing, and is written over.
local stored = redis.pcall('get', KEYS[1])
local due = type(stored) == 'string' and tonumber(stored) or now
-- Farther ahead than all workers together can be: the clock was set back.
if due < now or due > now + horizon then due = now end
local following = due + interval
local keep = math.ceil((following - now) / 1000)
redis.call('set', KEYS[1], string.format('%.0f', following), 'px', keep)
return math.max(0, due - ahead - now)
