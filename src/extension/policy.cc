#include "extension/policy.h"

#include "core/near_names.h"
#include "extension/policy_order.h"
#include "extension/rights.h"
#include "pg/text.h"
#include "pg/version.h"

namespace pgcleanup {

namespace {

using pg::concat;

// One row a policy.
std::string select_policies()
{
    return concat(
        "SELECT p.policy_id, p.policy, (p.target::regclass)::oid, p.target::text, "
        "@extschema@.cleanup_target_is_bound(p.target), "
        "p.age_column, p.retain::text, p.condition, p.action, p.set_values::text, p.age_unit, p.guard, p.on_reference, "
        "p.archive_to, p.archive_retain::text, p.batch_size, p.refuse_above_rows, p.refuse_above_fraction, "
        "p.time_zone, "
        "p.priority, p.enabled, p.description, p.keep_last, p.keep_per::text, p.partitions, p.split_families, "
        "p.created_by, ",
        policy_revision_expression,
        ", b.fingerprint FROM @extschema@.cleanup_policies p LEFT JOIN @extschema@.cleanup_bindings b USING "
        "(policy_id)");
}

Policy to_policy(const std::vector<pg::Cell>& cells)
{
    auto cell = cells.begin();
    Policy policy;
    policy.id = pg::to_int64(*cell++);
    policy.name = pg::to_text(*cell++);
    policy.target = pg::to_optional<Oid>(*cell++).value_or(InvalidOid);
    policy.target_name = pg::to_text(*cell++);
    policy.target_is_bound = pg::to_bool(*cell++);
    cell = read_declaration(policy, cell);
    policy.created_by = pg::to_text(*cell++);
    policy.revision = pg::to_text(*cell++);
    policy.fingerprint = *cell++;
    return policy;
}

std::vector<Policy> select(pg::Spi& spi, const pg::Extension& extension, std::string_view where,
                           const pg::Parameters& parameters)
{
    const pg::AsExtensionOwner as_owner(extension);
    std::vector<Policy> policies;
    for (const auto& row : spi.run(pg::in_extension_schema(concat(select_policies(), where), extension), parameters))
        policies.push_back(to_policy(row));
    return policies;
}

std::optional<Policy> only(std::vector<Policy> policies)
{
    if (policies.empty())
        return std::nullopt;
    return std::move(policies.front());
}

bool is_member_of_creator(const Policy& policy, Oid member)
{
    const Oid creator = pg::pg_call([&] { return get_role_oid(policy.created_by.c_str(), true); });
    return OidIsValid(creator) && pg::pg_call([&] { return has_privs_of_role(member, creator); });
}

} // namespace

DeclarationCells read_declaration(Policy& policy, DeclarationCells cell)
{
    policy.age_column = *cell++;
    policy.retain = *cell++;
    policy.condition = *cell++;
    policy.action = pg::to_text(*cell++);
    policy.set_values = *cell++;
    policy.age_unit = *cell++;
    policy.guard = *cell++;
    policy.on_reference = pg::to_text(*cell++);
    policy.archive_to = *cell++;
    policy.archive_retain = *cell++;
    policy.batch_size = pg::to_optional<std::int32_t>(*cell++);
    policy.refuse_above_rows = pg::to_optional<std::int64_t>(*cell++);
    if (const pg::Cell& fraction = *cell++; fraction)
        policy.refuse_above_fraction = pg::to_double(fraction);
    policy.time_zone = pg::to_text(*cell++);
    policy.priority = static_cast<std::int32_t>(pg::to_int64(*cell++));
    policy.enabled = pg::to_bool(*cell++);
    policy.description = *cell++;
    policy.keep_last = pg::to_optional<std::int32_t>(*cell++);
    policy.keep_per = pg::text_array(*cell++);
    policy.partitions = pg::to_text(*cell++);
    policy.split_families = pg::to_bool(*cell++);
    return cell;
}

std::optional<Policy> find_policy(pg::Spi& spi, const pg::Extension& extension, const std::string& name)
{
    return only(select(spi, extension, " WHERE p.policy = $1", pg::Parameters().text(name)));
}

std::optional<Policy> find_policy(pg::Spi& spi, const pg::Extension& extension, std::int64_t id)
{
    return only(select(spi, extension, " WHERE p.policy_id = $1", pg::Parameters().int8(id)));
}

std::vector<Policy> all_policies(pg::Spi& spi, const pg::Extension& extension)
{
    std::vector<Policy> policies = select(spi, extension, " ORDER BY p.priority, p.policy COLLATE \"C\"", {});
    order_by_references(spi, extension, policies);
    return policies;
}

bool may_manage(const Policy& policy, Oid role)
{
    if (OidIsValid(policy.target))
        return pg::pg_call([&] { return pg::owns_relation(policy.target, role); });
    return pg::pg_call([&] { return superuser_arg(role); }) || is_member_of_creator(policy, role);
}

void raise_unknown_policy(pg::Spi& spi, const pg::Extension& extension, const std::string& name, Oid role)
{
    const Rights rights(spi, extension, role);
    std::vector<std::string> known;
    for (const Policy& policy : all_policies(spi, extension)) {
        if (rights.may(Right::see, policy))
            known.push_back(policy.name);
    }
    std::string hint;
    for (const std::string& near : core::near_names(name, known))
        hint += concat(hint.empty() ? "Perhaps you mean " : ", ", "\"", near, "\"");
    pg::raise({.sqlstate = ERRCODE_UNDEFINED_OBJECT,
               .message = concat("policy \"", name, "\" does not exist"),
               .hint = hint.empty() ? "SELECT policy FROM cleanup_policy_states() lists those that you may see."
                                    : hint + "."});
}

} // namespace pgcleanup
