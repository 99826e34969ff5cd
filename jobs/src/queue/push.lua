-- Stores dispatches if the window has room for all of them, else stores none.
-- KEYS: every lane's data hash (the pushed lane's first), then its active list and meta prefix
-- ARGV: this lane's window, the whole window, then pairs of task id and payload
-- Returns how many dispatches every lane holds now, or -1 when there was no room.
local lanes = #KEYS - 2
local data, active, meta = KEYS[1], KEYS[lanes + 1], KEYS[lanes + 2]
local fresh = (#ARGV - 2) / 2
local held = 0
for lane = 1, lanes do held = held + redis.call('hlen', KEYS[lane]) end
if redis.call('hlen', data) + fresh > tonumber(ARGV[1]) or held + fresh > tonumber(ARGV[2]) then
  return -1
end
for i = 3, #ARGV, 2 do
  if redis.call('hsetnx', data, ARGV[i], ARGV[i + 1]) == 1 then
    local key = meta .. ':' .. ARGV[i]
    redis.call('hset', key, 'attempts', 0, 'max_attempts', 1, 'status', 'Pending')
    -- Only this key's name knows the id: should the lists be lost, nobody could clear it away.
    redis.call('expire', key, 86400)
    redis.call('rpush', active, ARGV[i])
    held = held + 1
  end
end
return held
