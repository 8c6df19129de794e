-- What `cargo httpd bench` runs in wrk. BENCH_POST is the size of the body to post, if any;
-- BENCH_HEADERS are further headers, a line each.

for name, value in (os.getenv("BENCH_HEADERS") or ""):gmatch("([^:\r\n]+): ([^\r\n]*)") do
    wrk.headers[name] = value
end

local size = tonumber(os.getenv("BENCH_POST") or "")
if size then
    wrk.method = "POST"
    wrk.body = string.rep("a", size)
    wrk.headers["Content-Type"] = "application/octet-stream"
end

-- The figures as one line of JSON, times in microseconds.
function done(summary, latency)
    local errors = summary.errors
    local figures = {
        requests = summary.requests,
        duration_us = summary.duration,
        bytes = summary.bytes,
        p50_us = latency:percentile(50),
        p99_us = latency:percentile(99),
        max_us = latency.max,
        err_connect = errors.connect,
        err_read = errors.read,
        err_write = errors.write,
        err_status = errors.status,
        err_timeout = errors.timeout,
    }
    local fields = {}
    for name, value in pairs(figures) do
        fields[#fields + 1] = string.format('"%s":%d', name, value)
    end
    io.write("FIGURES {", table.concat(fields, ","), "}\n")
end
