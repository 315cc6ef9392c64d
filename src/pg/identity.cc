#include "pg/identity.h"

#include "pg/text.h"

extern "C" {
#include "catalog/pg_extension.h"
}

namespace pgcleanup::pg {

namespace {

constexpr const char* extension_name = "pg_cleanup";
constexpr const char* safe_search_path = "pg_catalog, pg_temp";

// What one row of pg_extension says, as plain data that a longjmp may pass.
struct ExtensionRow {
    bool found;
    Oid oid;
    Oid owner;
    Oid schema;
    const char* version;
};

ExtensionRow pg_read_extension()
{
    ExtensionRow row{};
    Relation catalog = table_open(ExtensionRelationId, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum(extension_name));
    SysScanDesc scan = systable_beginscan(catalog, ExtensionNameIndexId, true, nullptr, 1, &key);
    HeapTuple tuple = systable_getnext(scan);
    if (HeapTupleIsValid(tuple)) {
        auto* form = reinterpret_cast<Form_pg_extension>(GETSTRUCT(tuple));
        bool is_null = false;
        const Datum version = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(catalog), &is_null);
        row = {true, form->oid, form->extowner, form->extnamespace, TextDatumGetCString(version)};
    }
    systable_endscan(scan);
    table_close(catalog, AccessShareLock);
    return row;
}

} // namespace

std::optional<Extension> find_extension()
{
    const ExtensionRow row = pg_call(pg_read_extension);
    if (!row.found)
        return std::nullopt;
    const char* schema = pg_call([&] { return get_namespace_name(row.schema); });
    if (schema == nullptr)
        return std::nullopt;
    return Extension{row.oid, row.owner, row.schema, quote_identifier(schema), row.version};
}

std::string_view library_version() noexcept
{
    return PG_CLEANUP_VERSION;
}

Extension extension_of_any_version()
{
    std::optional<Extension> found = find_extension();
    if (!found)
        raise({.sqlstate = ERRCODE_UNDEFINED_OBJECT,
               .message = "extension \"pg_cleanup\" is not installed in this database",
               .hint = "Run CREATE EXTENSION pg_cleanup."});
    return *std::move(found);
}

Extension extension()
{
    Extension found = extension_of_any_version();
    if (found.version != library_version())
        raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
               .message = concat("the extension pg_cleanup is version ", found.version,
                                 " in this database, the library that is loaded ", library_version()),
               .hint = "Run ALTER EXTENSION pg_cleanup UPDATE; if that is done, connect again."});
    return found;
}

std::string in_extension_schema(std::string_view sql, const Extension& extension)
{
    constexpr std::string_view placeholder = "@extschema@";
    std::string text;
    for (std::size_t at = sql.find(placeholder); at != std::string_view::npos; at = sql.find(placeholder)) {
        text.append(sql.substr(0, at)).append(extension.schema_name);
        sql.remove_prefix(at + placeholder.size());
    }
    return text.append(sql);
}

Identity current_identity() noexcept
{
    Identity identity;
    GetUserIdAndSecContext(&identity.user, &identity.security_context);
    return identity;
}

AsExtensionOwner::AsExtensionOwner(const Extension& extension) : previous_(current_identity())
{
    settings_.set("search_path", safe_search_path);
    settings_.set(language_settings());
    SetUserIdAndSecContext(extension.owner, previous_.security_context | SECURITY_LOCAL_USERID_CHANGE);
}

AsExtensionOwner::~AsExtensionOwner()
{
    // After an error the abort restores the transaction's user; until then nothing may run with the greater rights.
    SetUserIdAndSecContext(previous_.user, previous_.security_context);
}

AsOwnerRestricted::AsOwnerRestricted(Oid owner) : previous_(current_identity())
{
    SetUserIdAndSecContext(owner, previous_.security_context | SECURITY_RESTRICTED_OPERATION);
}

AsOwnerRestricted::~AsOwnerRestricted()
{
    SetUserIdAndSecContext(previous_.user, previous_.security_context);
}

std::string role_name(Oid role)
{
    const char* name = pg_call([&] { return GetUserNameFromId(role, true); });
    return name == nullptr ? concat("role with OID ", role) : std::string(name);
}

} // namespace pgcleanup::pg
