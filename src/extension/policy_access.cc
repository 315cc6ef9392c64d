#include "extension/policy_access.h"

#include "extension/policy_rules.h"
#include "extension/policy_state.h"
#include "extension/policy_write.h"

namespace pgcleanup {

Policy lock_policy_for(pg::Spi& spi, const pg::Extension& extension, const std::string& name, Right right)
{
    const Rights rights(spi, extension, pg::current_identity().user);
    std::optional<Policy> policy = lock_policy(spi, extension, name);
    if (!policy || !rights.may(Right::see, *policy))
        raise_unknown_policy(spi, extension, name, rights.role());
    rights.require(right, *policy);
    return *std::move(policy);
}

void require_right(Right right, const Policy& policy)
{
    if (may_manage(policy, pg::current_identity().user)) // also what a restore finds, before anything else is there
        return;
    pg::Spi spi;
    Rights(spi, pg::extension(), pg::current_identity().user).require(right, policy);
}

void check_may_say(const Policy& before, const Policy& after)
{
    if (may_manage(before, pg::current_identity().user))
        return;
    Policy allowed = before;
    allowed.retain = after.retain;
    allowed.archive_retain = after.archive_retain;
    if (!same_definition(allowed, after))
        raise_not_permitted(Right::own, before);
    // Binding anew would agree to whatever has changed in the owner's table.
    if (!same_definition(before, after) && policy_state(before, true).condition != PolicyCondition::ready)
        raise_not_permitted(Right::own, before);
}

} // namespace pgcleanup
