#include "extension/rights.h"

namespace pgcleanup {

namespace {

using pg::concat;

// A level that is for one policy has its id; one that counts for no policy's rights is left out.
constexpr const char* grants_sql = "SELECT b.role, g.level, p.policy_id FROM @extschema@.cleanup_grants g "
                                   "JOIN @extschema@.cleanup_grant_bindings b USING (grant_id) "
                                   "LEFT JOIN @extschema@.cleanup_policies p ON p.policy = g.policy "
                                   "WHERE g.level IN ('viewer', 'operator', 'admin')";

Right right_of(const std::string& level)
{
    if (level == "admin")
        return Right::administer;
    return level == "operator" ? Right::run : Right::see;
}

bool has_rights_of(Oid member, Oid role)
{
    return pg::pg_call([&] { return has_privs_of_role(member, role); });
}

const char* level_for(Right right)
{
    switch (right) {
    case Right::see:
        return "viewer";
    case Right::run:
        return "operator";
    default:
        return "admin";
    }
}

} // namespace

Rights::Rights(pg::Spi& spi, const pg::Extension& extension, Oid role) : role_(role)
{
    // Superusers have the rights of every role.
    if (has_rights_of(role, extension.owner))
        everywhere_ = Right::administer;
    else
        add(spi, extension);
}

void Rights::add(pg::Spi& spi, const pg::Extension& extension)
{
    pg::Rows grants;
    {
        const pg::AsExtensionOwner as_owner(extension);
        grants = spi.run(pg::in_extension_schema(grants_sql, extension), {}, pg::Access::read_only);
    }
    for (const auto& row : grants) {
        if (!has_rights_of(role_, static_cast<Oid>(pg::to_int64(row[0]))))
            continue;
        const Right right = right_of(pg::to_text(row[1]));
        if (row[2])
            granted_.push_back({pg::to_int64(row[2]), right});
        else
            everywhere_ = std::max(everywhere_.value_or(right), right);
    }
}

bool Rights::may(Right right, const Policy& policy) const
{
    if (may_with_every_policy(right) && right != Right::own)
        return true;
    const bool is_granted = right != Right::own && std::ranges::any_of(granted_, [&](const OfPolicy& granted) {
                                return granted.policy == policy.id && right <= granted.right;
                            });
    return is_granted || may_manage(policy, role_);
}

void Rights::require(Right right, const Policy& policy) const
{
    if (!may(right, policy))
        raise_not_permitted(right, policy);
}

Policy find_policy_for(pg::Spi& spi, const pg::Extension& extension, const std::string& name, const Rights& rights,
                       Right right)
{
    std::optional<Policy> policy = find_policy(spi, extension, name);
    if (!policy || !rights.may(Right::see, *policy))
        raise_unknown_policy(spi, extension, name, rights.role());
    rights.require(right, *policy);
    return *std::move(policy);
}

void raise_not_permitted(Right right, const Policy& policy)
{
    std::string takes = OidIsValid(policy.target) ? concat("It takes ownership of its target ", policy.target_name)
                                                  : concat("Its target ", policy.target_name, " is not there, and \"",
                                                           policy.created_by, "\" made it");
    if (right != Right::own)
        takes += concat("; or the level ", level_for(right), ", for every policy or this one");
    pg::raise({.sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE,
               .message = concat("permission denied for policy \"", policy.name, "\""),
               .detail = takes + "."});
}

} // namespace pgcleanup
