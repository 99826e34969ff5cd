-- Removes workers and makes the keys of the lane consistent again.
-- KEYS: data, active, scheduled, done, dead, workers; then the prefixes meta, inflight, metadata
-- ARGV: names of workers to remove
-- Returns {dispatches dropped with their worker, orphans dropped, ids or keys that were broken}.
local data, active, scheduled, done, dead, workers, meta, inflight, metadata = unpack(KEYS)
local broken = {}

local function expect(key, type)
  local found = redis.call('type', key)['ok']
  if found ~= type and found ~= 'none' then
    redis.call('unlink', key)
    broken[#broken + 1] = key
  end
end
expect(data, 'hash')
expect(active, 'list')
expect(scheduled, 'zset')
expect(done, 'set')
expect(dead, 'set')
expect(workers, 'zset')

-- A fetch fails on an id without data, or whose meta is not what a push wrote.
local function is_broken(id)
  local key = meta .. ':' .. id
  return redis.call('hexists', data, id) == 0
    or redis.call('type', key)['ok'] ~= 'hash'
    or redis.call('hlen', key) ~= 3
    or not string.match(redis.call('hget', key, 'attempts') or '', '^%d%d?$')
    or not string.match(redis.call('hget', key, 'max_attempts') or '', '^%d%d?$')
    or redis.call('hget', key, 'status') ~= 'Pending'
end

local function forget(id)
  redis.call('hdel', data, id)
  redis.call('unlink', meta .. ':' .. id)
end

local abandoned = 0
for _, worker in ipairs(ARGV) do
  local key = inflight .. ':' .. worker
  expect(key, 'set')
  for _, id in ipairs(redis.call('smembers', key)) do
    if is_broken(id) then broken[#broken + 1] = id end
    forget(id)
    abandoned = abandoned + 1
  end
  redis.call('unlink', key, metadata .. ':' .. worker)
  redis.call('zrem', workers, worker)
end

local listed = {}
for _, set in ipairs({done, dead}) do
  for _, id in ipairs(redis.call('smembers', set)) do listed[id] = true end
end
for _, worker in ipairs(redis.call('zrange', workers, 0, -1)) do
  local key = inflight .. ':' .. worker
  expect(key, 'set')
  for _, id in ipairs(redis.call('smembers', key)) do listed[id] = true end
end

-- An id listed twice would run twice.
local function keep(id)
  if listed[id] then return false end
  if is_broken(id) then
    broken[#broken + 1] = id
    forget(id)
    return false
  end
  listed[id] = true
  return true
end

local waiting = redis.call('lrange', active, 0, -1)
local kept = {}
for _, id in ipairs(waiting) do
  if keep(id) then kept[#kept + 1] = id end
end
if #kept < #waiting then
  redis.call('unlink', active)
  for _, id in ipairs(kept) do redis.call('rpush', active, id) end
end
for _, id in ipairs(redis.call('zrange', scheduled, 0, -1)) do
  if not keep(id) then redis.call('zrem', scheduled, id) end
end

local orphans = 0
for _, id in ipairs(redis.call('hkeys', data)) do
  if not listed[id] then
    forget(id)
    orphans = orphans + 1
  end
end
return {abandoned, orphans, broken}
