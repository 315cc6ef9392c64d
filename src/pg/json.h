// Writing JSON text.
#pragma once

#include "pg/guard.h"

namespace pgcleanup::pg {

// The text as a JSON string, quoted.
std::string json_string(std::string_view text);

// An object, member by member, in the order given.
class JsonObject {
public:
    JsonObject& text(std::string_view name, std::string_view value);
    JsonObject& text(std::string_view name, const std::string& value) { return text(name, std::string_view(value)); }
    JsonObject& text(std::string_view name, const std::optional<std::string>& value);
    JsonObject& number(std::string_view name, std::int64_t value);
    JsonObject& boolean(std::string_view name, bool value);
    // `value` is JSON text.
    JsonObject& json(std::string_view name, std::string_view value);
    std::string str() const { return body_.empty() ? "{}" : body_ + "}"; }

private:
    std::string body_;
};

} // namespace pgcleanup::pg
