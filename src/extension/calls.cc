#include "extension/calls.h"

#include "pg/text.h"

namespace pgcleanup {

using pg::concat;

std::string callable(const pg::Extension& extension, std::string_view function)
{
    const bool visible = pg::pg_call([&] { return list_member_oid(fetch_search_path(false), extension.schema); });
    return visible ? std::string(function) : qualified(extension, function);
}

std::string qualified(const pg::Extension& extension, std::string_view function)
{
    return concat(extension.schema_name, ".", function);
}

std::string call_text(const pg::Extension& extension, std::string_view function, std::string_view argument)
{
    return concat("SELECT * FROM ", qualified(extension, function), "(", pg::quote_literal(argument), ");");
}

} // namespace pgcleanup
