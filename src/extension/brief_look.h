// How monitoring looks at a policy's table: for a moment, without a trace, as its owner.
#pragma once

#include "extension/owner_rights.h"
#include "extension/policy.h"
#include "pg/look.h"

namespace pgcleanup {

// Looks at a table without keeping its lock, and without waiting for one that is locked exclusively. What fails (a
// policy may be broken in any way) is left out: nothing here is worth an error in a monitoring query.
template <class F>
void look_briefly(F&& look)
{
    static_cast<void>(pg::look_and_let_go([&] {
        const pg::SettingsScope settings;
        settings.set("lock_timeout", "100ms");
        look();
    }));
}

// The rights of the target's owner, restricted, and settings in which the policy's expressions mean what they should.
// What they call finds PostgreSQL's own objects only: the owner's search_path is not known here.
class AsOwnerOf {
public:
    AsOwnerOf(const Policy& policy, Oid owner) : rights_(owner, "pg_catalog, pg_temp")
    {
        settings_.set(pg::language_settings());
        settings_.set("TimeZone", policy.time_zone);
    }

private:
    InOwnersRights rights_;
    pg::SettingsScope settings_;
};

} // namespace pgcleanup
