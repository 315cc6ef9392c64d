// Storing policies that were checked.
#pragma once

#include "extension/policy.h"

namespace pgcleanup {

// While it lives, changes of cleanup_policies are our own: checked already, and made for `actor`. The table's triggers
// ask.
class PolicyWrite {
public:
    explicit PolicyWrite(Oid actor) noexcept : previous_(std::exchange(current_actor, actor)) {}
    ~PolicyWrite() { current_actor = previous_; }
    PolicyWrite(const PolicyWrite&) = delete;
    PolicyWrite& operator=(const PolicyWrite&) = delete;

    // Who a change that is being made is made for; InvalidOid: nobody, it is a statement of the user's own.
    static Oid actor() noexcept { return current_actor; }

private:
    static Oid current_actor;
    Oid previous_;
};

// All of these switch to the extension's owner by themselves, and write the audit in the name of the current user.

// Raises duplicate_object when the name is taken. Returns the policy's id.
std::int64_t insert_policy(pg::Spi& spi, const pg::Extension& extension, const Policy& policy,
                           const std::string& fingerprint);
// Everything but id, creator and time of creation; no fingerprint: leaves the binding alone.
void update_policy(pg::Spi& spi, const pg::Extension& extension, const Policy& policy,
                   const std::optional<std::string>& fingerprint);
void delete_policy(pg::Spi& spi, const pg::Extension& extension, const Policy& policy);

// The policy of that name, locked until the transaction's end against every other change.
std::optional<Policy> lock_policy(pg::Spi& spi, const pg::Extension& extension, const std::string& name);

// Remembers what the policy refers to now.
void write_binding(pg::Spi& spi, const pg::Extension& extension, std::int64_t policy_id,
                   const std::string& fingerprint);

} // namespace pgcleanup
