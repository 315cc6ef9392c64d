#include "extension/policy_access.h"

#include "extension/policy_write.h"

namespace pgcleanup {

Policy lock_managed_policy(pg::Spi& spi, const pg::Extension& extension, const std::string& name)
{
    std::optional<Policy> policy = lock_policy(spi, extension, name);
    if (!policy)
        raise_unknown_policy(spi, extension, name, pg::current_identity().user);
    check_may_manage(*policy);
    return *std::move(policy);
}

void check_may_manage(const Policy& policy)
{
    if (may_manage(policy, pg::current_identity().user))
        return;
    const bool is_there = OidIsValid(policy.target);
    pg::raise({.sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE,
               .message = pg::concat("permission denied for policy \"", policy.name, "\""),
               .detail = is_there ? pg::concat("It takes ownership of its target ", policy.target_name, ".")
                                  : pg::concat("Its target ", policy.target_name, " is not there, and \"",
                                               policy.created_by, "\" made it.")});
}

} // namespace pgcleanup
