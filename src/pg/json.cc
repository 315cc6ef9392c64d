#include "pg/json.h"

extern "C" {
#include "utils/json.h"
}

namespace pgcleanup::pg {

std::string json_string(std::string_view text)
{
    const std::string terminated(text);
    const char* quoted = pg_call([&] {
        StringInfoData buffer;
        initStringInfo(&buffer);
        escape_json(&buffer, terminated.c_str());
        return buffer.data;
    });
    return quoted;
}

JsonObject& JsonObject::json(std::string_view name, std::string_view value)
{
    body_ += body_.empty() ? "{" : ", ";
    body_ += concat(json_string(name), ": ", value);
    return *this;
}

JsonObject& JsonObject::text(std::string_view name, std::string_view value)
{
    return json(name, json_string(value));
}

JsonObject& JsonObject::text(std::string_view name, const std::optional<std::string>& value)
{
    return json(name, value ? json_string(*value) : "null");
}

JsonObject& JsonObject::number(std::string_view name, std::int64_t value)
{
    return json(name, concat(value));
}

JsonObject& JsonObject::boolean(std::string_view name, bool value)
{
    return json(name, value ? "true" : "false");
}

} // namespace pgcleanup::pg
