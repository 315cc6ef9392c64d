// What a role may do with policies: by owning their targets, and by what it was granted (cleanup_grants).
#pragma once

#include "extension/policy.h"

namespace pgcleanup {

// Each includes those before it. `own` comes from the target alone: what a policy says is carried out with its owner's
// rights, so nobody else may write it.
enum class Right { see, run, administer, own };

// The rights of one role, read once.
class Rights {
public:
    Rights(pg::Spi& spi, const pg::Extension& extension, Oid role);

    bool may(Right right, const Policy& policy) const;
    // With every policy, also those to come; never `own`.
    bool may_with_every_policy(Right right) const { return everywhere_ && right <= *everywhere_; }
    Oid role() const noexcept { return role_; }

    // Raise undefined_object where the policy may not be seen, insufficient_privilege where it may, but not more.
    void require(Right right, const Policy& policy) const;

private:
    struct OfPolicy {
        std::int64_t policy;
        Right right;
    };
    void add(pg::Spi& spi, const pg::Extension& extension);

    Oid role_;
    std::optional<Right> everywhere_;
    std::vector<OfPolicy> granted_;
};

// The policy of that name, if the role has the right to it; raises as Rights::require().
Policy find_policy_for(pg::Spi& spi, const pg::Extension& extension, const std::string& name, const Rights& rights,
                       Right right);

// Raises insufficient_privilege: what it takes to have `right` to the policy.
[[noreturn]] void raise_not_permitted(Right right, const Policy& policy);

} // namespace pgcleanup
