/**
 * Takes from counters as much as is there (StateStore.takeAllowances).
 *
 * KEYS: the counters. ARGV: for each, how many are wanted.
 * Answers three numbers for each: granted; what is left (-1 no counter, -2 no whole number); when it ends, epoch ms (-1 never).
 */
export const TAKE_ALLOWANCES = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {}
for index, key in ipairs(KEYS) do
  local wanted = tonumber(ARGV[index])
  local text = redis.pcall('GET', key)
  local granted, left, ends = wanted, -1, -1
  if text then
    if type(text) == 'string' and string.match(text, '^-?%d+$') then
      left = math.max(0, tonumber(text))
      granted = math.min(wanted, left)
      if granted > 0 then redis.call('DECRBY', key, granted) end
      left = left - granted
      local ttl = redis.call('PTTL', key)
      if ttl >= 0 then ends = now + ttl end
    else
      left = -2
    end
  end
  table.insert(answer, granted)
  table.insert(answer, left)
  table.insert(answer, ends)
end
return answer
`;
