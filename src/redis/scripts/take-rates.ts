/**
 * Asks rates (StateStore.takeRates): the generic cell rate algorithm of src/domain/rate.ts, of which this is the same in Lua; the contract suite holds
 * them together. The value of a key is the time up to which its events are paid for, in microseconds; it ends when that is past.
 *
 * KEYS: the rates. ARGV: 1 for wholly, then for each how many are wanted, microseconds of one, burst.
 * Answers two numbers for each: granted, and microseconds until the others would be.
 */
export const TAKE_RATES = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local wholly = ARGV[1] == '1'
local paid, granted, waits, refused = {}, {}, {}, false
for index, key in ipairs(KEYS) do
  local wanted = tonumber(ARGV[index * 3 - 1])
  local interval = tonumber(ARGV[index * 3])
  local burst = tonumber(ARGV[index * 3 + 1])
  paid[index] = math.max(now, tonumber(redis.pcall('GET', key)) or 0)
  local room = math.max(0, math.floor((now - paid[index]) / interval) + burst)
  if wholly then
    granted[index] = (room >= math.min(wanted, burst)) and wanted or 0
    refused = refused or granted[index] == 0
  else
    granted[index] = math.min(wanted, room)
  end
  local next = wholly and math.min(wanted, burst) or 1
  waits[index] = granted[index] == wanted and 0 or paid[index] + granted[index] * interval + next * interval - now - burst * interval
end
local answer = {}
for index, key in ipairs(KEYS) do
  if granted[index] > 0 and not (wholly and refused) then
    local upto = paid[index] + granted[index] * tonumber(ARGV[index * 3])
    redis.call('SET', key, string.format('%.0f', upto), 'PX', math.ceil((upto - now) / 1000))
  end
  table.insert(answer, (wholly and refused) and 0 or granted[index])
  table.insert(answer, math.max(0, waits[index]))
end
return answer
`;
