// Whose rights are in force: the extension's owner for bookkeeping, a target's owner for everything that runs his code.
#pragma once

#include "pg/settings_scope.h"

namespace pgcleanup::pg {

// Where and by whom the extension is installed in this database.
struct Extension {
    Oid oid = InvalidOid;
    Oid owner = InvalidOid;
    Oid schema = InvalidOid;
    std::string schema_name; // quoted
    std::string version;
};

// Nothing when the extension is not (or no longer) there. Reads pg_extension with a new catalog snapshot.
std::optional<Extension> find_extension();
// As above; raises undefined_object with a hint when it is not there.
Extension extension_of_any_version();
// As above; raises object_not_in_prerequisite_state, with a hint, when it is of another version than this library: a
// new package is installed, and ALTER EXTENSION ... UPDATE is still to come, so its tables may be others than ours.
Extension extension();
// The version that this library was built for.
std::string_view library_version() noexcept;

// Replaces each "@extschema@" with the extension's quoted schema: constant SQL stays constant.
std::string in_extension_schema(std::string_view sql, const Extension& extension);

struct Identity {
    Oid user = InvalidOid;
    int security_context = 0;
    bool operator==(const Identity&) const = default;
};
Identity current_identity() noexcept;

// Bookkeeping: the extension owner's rights, search_path `pg_catalog, pg_temp`, language settings pinned. Only constant
// SQL may run inside, never an owner's type, operator or function.
class AsExtensionOwner {
public:
    explicit AsExtensionOwner(const Extension& extension);
    ~AsExtensionOwner();
    AsExtensionOwner(const AsExtensionOwner&) = delete;
    AsExtensionOwner& operator=(const AsExtensionOwner&) = delete;

private:
    Identity previous_;
    SettingsScope settings_;
};

// Owner code in a session that is not the owner's own: his rights, and nothing that could outlast or leave them
// (SECURITY_RESTRICTED_OPERATION: no SET ROLE, no deferred triggers, no temporary objects).
class AsOwnerRestricted {
public:
    explicit AsOwnerRestricted(Oid owner);
    ~AsOwnerRestricted();
    AsOwnerRestricted(const AsOwnerRestricted&) = delete;
    AsOwnerRestricted& operator=(const AsOwnerRestricted&) = delete;

private:
    Identity previous_;
};

std::string role_name(Oid role);

} // namespace pgcleanup::pg
