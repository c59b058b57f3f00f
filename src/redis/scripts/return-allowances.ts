/**
 * Gives back to counters what was taken from them (StateStore.returnAllowances).
 *
 * KEYS: the counters. ARGV: for each, how many, and when it was to end (-1 never). A counter that ends at another time is another one: what was
 * taken from the last month is not given to this one. Times of one counter are reckoned from its rest to live and differ by rounding.
 */
export const RETURN_ALLOWANCES = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for index, key in ipairs(KEYS) do
  local count, ended = ARGV[index * 2 - 1], tonumber(ARGV[index * 2])
  local ttl = redis.call('PTTL', key)
  local ends = -1
  if ttl >= 0 then ends = now + ttl end
  if ttl ~= -2 and (ends < 0) == (ended < 0) and math.abs(ends - ended) < 1000 then redis.pcall('INCRBY', key, count) end
end
return 0
`;
