// Reading what users wrote, in the rights of the table's owner.
#pragma once

#include "pg/identity.h"

namespace pgcleanup {

// The current search_path with everything in it spelled out ("$user", the implicit pg_catalog), so that it stays the
// same for another role; temporary objects come last.
std::string explicit_search_path();

// The owner's rights, restricted, with a given search_path, and no rows hidden silently. Whatever the parser or a look
// at the table runs of his code can do no more than he can.
class InOwnersRights {
public:
    InOwnersRights(Oid owner, const std::string& search_path);

private:
    pg::AsOwnerRestricted as_owner_;
    pg::SettingsScope settings_;
};

} // namespace pgcleanup
