-- Finds the rights that the user of this connection lacks: runs each command of the worker's scripts, and
-- of apalis's, on keys of its own, and changes nothing in the others.
-- KEYS: the beginning of the keys of its own
-- ARGV: the keys of the queue, with `*` for the id of a dispatch or the name of a worker
-- Returns {denied commands, denied keys}, or an error that is about something else.
local hash, list, set = KEYS[1] .. ':hash', KEYS[1] .. ':list', KEYS[1] .. ':set'
local zset, text = KEYS[1] .. ':zset', KEYS[1] .. ':text'
-- The first is one that a server without memory refuses: after another write in a script it would not.
local commands = {
  {'set', text, '1', 'px', 1000}, {'get', text}, {'expire', text, 1}, {'type', text}, {'time'},
  {'hset', hash, 'a', '1'}, {'hsetnx', hash, 'b', '1'}, {'hmset', hash, 'c', '1'},
  {'hget', hash, 'a'}, {'hmget', hash, 'a'}, {'hgetall', hash}, {'hexists', hash, 'a'},
  {'hkeys', hash}, {'hlen', hash}, {'hdel', hash, 'a'},
  {'rpush', list, 'a'}, {'lpush', list, 'b'}, {'lrange', list, 0, -1}, {'llen', list},
  {'ltrim', list, 0, 0},
  {'sadd', set, 'a', 'b'}, {'smembers', set}, {'scard', set}, {'srem', set, 'a'}, {'spop', set, 1},
  {'zadd', zset, 1, 'a'}, {'zscore', zset, 'a'}, {'zrange', zset, 0, -1},
  {'zrangebyscore', zset, 0, 1}, {'zcard', zset}, {'zrem', zset, 'a'},
  {'del', hash, list, set, zset, text}, {'unlink', hash, list, set, zset, text},
}

-- The words of version 7, and of those before.
local function is_denied(answer)
  return string.find(answer.err, 'NOPERM', 1, true)
    or string.find(answer.err, 'The user executing the script', 1, true)
end

local failed = nil
-- Returns whether a command was refused for want of a right.
local function is_refused(command)
  local answer = redis.pcall(unpack(command))
  if type(answer) ~= 'table' or not answer.err then return false end
  if is_denied(answer) then return true end
  if not string.find(answer.err, 'WRONGTYPE', 1, true) then failed = failed or answer end
  return false
end

local denied, denied_keys, is_known = {}, {}, {}
for _, command in ipairs(commands) do
  if is_refused(command) then
    denied[#denied + 1] = command[1]
    is_known[command[1]] = true
  end
end
-- No key has the empty field, so nothing is read or deleted, whatever its type.
for _, pattern in ipairs(ARGV) do
  local key = string.gsub(pattern, '%*', 'check')
  for _, command in ipairs({'hexists', 'hdel'}) do
    if not is_known[command] and is_refused({command, key, ''}) then
      denied_keys[#denied_keys + 1] = pattern
      break
    end
  end
end
if #denied == 0 and #denied_keys == 0 and failed then return failed end
return {denied, denied_keys}
