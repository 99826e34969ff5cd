-- Deletes finished dispatches, sends heartbeats for this process's workers, and counts the lane.
-- KEYS: data, active, scheduled, done, dead, workers; then the prefix inflight, then the prefix meta
-- ARGV: how many to delete at most, seconds after which a worker is dead, names of live workers
-- Returns {held, waiting, counted, forgotten, names of dead workers}. Held and counted differ only when
-- keys were lost or changed by another program.
local data, active, scheduled, done, dead, workers, inflight, meta = unpack(KEYS)
local now = tonumber(redis.call('time')[1])
-- No heartbeat of ours is that far ahead; without this bound a foreign name would stay for ever.
local latest = now + 3600

local forgotten = 0
for _, set in ipairs({done, dead}) do
  local ids = redis.call('spop', set, ARGV[1])
  if #ids > 0 then
    redis.call('hdel', data, unpack(ids))
    for _, id in ipairs(ids) do redis.call('unlink', meta .. ':' .. id) end
    forgotten = forgotten + #ids
  end
end

-- Out of memory refuses this write; everything above frees memory and is allowed.
for i = 3, #ARGV do redis.pcall('zadd', workers, 'xx', now, ARGV[i]) end

local waiting = redis.call('llen', active)
local counted = waiting + redis.call('zcard', scheduled)
  + redis.call('scard', done) + redis.call('scard', dead)
local gone = {}
local beats = redis.call('zrange', workers, 0, -1, 'withscores')
for i = 1, #beats, 2 do
  counted = counted + redis.call('scard', inflight .. ':' .. beats[i])
  local beat = tonumber(beats[i + 1])
  if beat <= now - ARGV[2] or beat > latest then gone[#gone + 1] = beats[i] end
end
return {redis.call('hlen', data), waiting, counted, forgotten, gone}
