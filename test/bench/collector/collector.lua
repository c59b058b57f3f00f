-- What the collector of spec/capture.md 16.2 does with a request; the numbers are its rows.
local cjson = require "cjson.safe"
local producer = require "nginx.kafka.producer"

local _M = {}

-- 8: what could not be sent goes to the error log, key and message in turn. nginx cuts a line at 2,048 bytes.
local function to_error_log(_topic, partition_id, queue, index, _err, retryable)
  local entries = {}
  for i = 1, index do
    entries[i] = queue[i] or ""
  end
  ngx.log(ngx.ERR, "Error handle: index ", index, " partition_id ", partition_id,
    " retryable ", retryable, " json ", cjson.encode(entries))
end

function _M.new(options)
  local early = {
    producer_type = "async",
    batch_num = 200, -- 6
    max_buffering = options.max_buffering,
    error_handle = to_error_log,
  }
  local late = { producer_type = "sync", required_acks = -1 }

  -- One for each worker: the library keeps it.
  local function early_producer()
    return producer:new(options.brokers, early)
  end

  -- 3, 4: the body is what nginx holds in memory. One that it put into a file is nil here, and the value `{}`.
  local function read_value()
    ngx.req.read_body()
    return cjson.encode({ body_data = ngx.req.get_body_data() })
  end

  local function topic_of_request()
    return ngx.req.get_headers()["topic"] -- 2
  end

  return {
    answer_early = function()
      early_producer():send(topic_of_request(), nil, read_value()) -- 5; 9: a full buffer is an error that nobody reads
      ngx.exit(ngx.HTTP_OK)                                        -- 7
    end,

    -- A sync producer holds what it is sending, so concurrent requests cannot share one: each makes its own, as the library shows.
    answer_late = function()
      local offset = producer:new(options.brokers, late):send(topic_of_request(), nil, read_value())
      ngx.exit(offset and ngx.HTTP_OK or ngx.HTTP_SERVICE_UNAVAILABLE)
    end,

    answer_early_for_each = function()
      ngx.req.read_body()
      local body = cjson.decode(ngx.req.get_body_data())
      local topic, to_kafka = topic_of_request(), early_producer()
      for _, event in ipairs(body.batch) do
        to_kafka:send(topic, nil, cjson.encode(event))
      end
      ngx.exit(ngx.HTTP_OK)
    end,
  }
end

return _M
