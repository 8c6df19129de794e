-- The benchmark's application for mod_lua.

local chunk = string.rep("x", 16384)

local answers = {
    ["/hello"] = function(r)
        r:puts("Hello, world\n")
    end,
    ["/echo"] = function(r)
        local body = r:requestbody()
        r.headers_out["Content-Length"] = tostring(#body)
        r:write(body)
    end,
    ["/stream"] = function(r)
        for _ = 1, 64 do
            r:write(chunk)
        end
    end,
}

function handle(r)
    local answer = answers[r.uri]
    if not answer then
        return 404
    end
    r.content_type = "text/plain"
    answer(r)
    return apache2.OK
end
