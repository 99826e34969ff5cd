-- Removes workers and makes the keys of the lane consistent again.
-- KEYS: data, active, scheduled, done, dead, workers, signal; then the list of all queues; then the
-- prefixes meta, inflight, metadata
-- ARGV: how many entries a key may have, the types of the first eight keys, names of workers to remove
-- Returns {dispatches dropped with their worker, orphans dropped, number of broken ids and one of them,
-- deleted keys with the reason}.
local TYPES = 8
local QUEUES = 8
local data, active, scheduled, done, dead, workers = unpack(KEYS)
local meta, inflight, metadata = KEYS[9], KEYS[10], KEYS[11]
local most = tonumber(ARGV[1])
local size = {hash = 'hlen', list = 'llen', set = 'scard', zset = 'zcard'}
local broken, example, deleted = 0, '', {}

local function add_broken(id)
  broken = broken + 1
  example = id
end

local function delete(key, reason)
  redis.call('unlink', key)
  if #deleted < 100 then deleted[#deleted + 1] = key .. ' (' .. reason .. ')' end
end

-- Deletes a key of another type, and one with more entries than the window allows.
local function expect(key, type, is_shared)
  local found = redis.call('type', key)['ok']
  if found == 'none' then return end
  if found ~= type then
    delete(key, found .. ' in place of ' .. type)
  elseif not is_shared and redis.call(size[type], key) > most then
    delete(key, 'more than ' .. most .. ' entries')
  end
end
for i = 1, TYPES do expect(KEYS[i], ARGV[1 + i], i == QUEUES) end

local function is_ticket(id)
  return string.match(id, '^%x+%-%x+%-%x+%-%x+%-%x+:%d+$')
end

-- A fetch fails on an id without data, or whose meta is not what a push wrote.
local function is_broken(id)
  local key = meta .. ':' .. id
  return not is_ticket(id)
    or redis.call('hexists', data, id) == 0
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
for i = 2 + TYPES, #ARGV do
  local worker = ARGV[i]
  local key = inflight .. ':' .. worker
  expect(key, 'set')
  for _, id in ipairs(redis.call('smembers', key)) do
    if is_broken(id) then add_broken(id) else abandoned = abandoned + 1 end
    forget(id)
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
  for _, id in ipairs(redis.call('smembers', key)) do
    if is_ticket(id) then
      listed[id] = true
    else
      -- Nobody acknowledges it.
      add_broken(id)
      redis.call('srem', key, id)
    end
  end
end

-- An id listed twice would run twice.
local function keep(id)
  if listed[id] then return false end
  if is_broken(id) then
    add_broken(id)
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
return {abandoned, orphans, broken, example, deleted}
