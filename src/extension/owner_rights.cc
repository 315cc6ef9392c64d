#include "extension/owner_rights.h"

#include "pg/text.h"

namespace pgcleanup {

std::string explicit_search_path()
{
    const List* schemas = pg::pg_call([] { return fetch_search_path(true); });
    std::string path;
    for (int i = 0; i < list_length(schemas); ++i) {
        const Oid schema = list_nth_oid(schemas, i);
        if (pg::pg_call([&] { return isTempOrTempToastNamespace(schema); }))
            continue;
        const char* name = pg::pg_call([&] { return get_namespace_name(schema); });
        if (name != nullptr)
            path += pg::concat(pg::quote_identifier(name), ", ");
    }
    return path + "pg_temp";
}

InOwnersRights::InOwnersRights(Oid owner, const std::string& search_path) : as_owner_(owner)
{
    settings_.set("search_path", search_path);
    settings_.set("row_security", "off");
}

} // namespace pgcleanup
