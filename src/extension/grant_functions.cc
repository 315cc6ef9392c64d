// cleanup_grant and cleanup_revoke.
#include "core/near_names.h"
#include "extension/arguments.h"
#include "extension/audit.h"
#include "extension/grants.h"
#include "extension/rights.h"
#include "extension/transaction_rules.h"
#include "pg/text.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_grant);
PG_FUNCTION_INFO_V1(cleanup_revoke);
}

namespace pgcleanup {

namespace {

using pg::concat;

struct GrantArguments {
    std::string role;
    std::string level;
    std::optional<std::string> policy; // nothing: every policy
};

template <class Text>
std::string required(Text&& argument, const char* name)
{
    if (!argument)
        pg::raise({.sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED, .message = concat("the ", name, " must not be NULL")});
    return *std::forward<Text>(argument);
}

GrantArguments grant_arguments(FunctionCallInfo fcinfo)
{
    GrantArguments arguments{required(pg::name_argument(fcinfo, 0), "role"),
                             required(pg::text_argument(fcinfo, 1), "level"), pg::text_argument(fcinfo, 2)};
    if (arguments.policy == every_policy)
        arguments.policy.reset();
    if (!level_of(arguments.level, false))
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = concat("there is no level \"", arguments.level, "\""),
                   .hint = concat("Levels are ", level_names(), ".")});
    if (arguments.policy && !may_be_for_one_policy(arguments.level))
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = concat("the level ", arguments.level, " cannot be for one policy"),
                   .detail = arguments.level == "owner" ? "It is about policies that do not exist yet."
                                                        : "It is about the files of every policy.",
                   .hint = "Leave the policy out."});
    return arguments;
}

// Whoever may grant could grant himself anything.
void check_may_grant(const Rights& rights)
{
    if (!rights.may_with_every_policy(Right::administer))
        pg::raise({.sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE,
                   .message = "permission denied to grant levels",
                   .detail = "It takes the level admin for every policy, or a superuser."});
}

Oid role_of(const std::string& name)
{
    return pg::pg_call([&] { return get_role_oid(name.c_str(), true); });
}

[[noreturn]] void raise_unknown_role(pg::Spi& spi, const std::string& name)
{
    if (name == "public")
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = "levels cannot be granted to PUBLIC",
                   .hint = "Grant them to a role, and make those who need them members of it."});
    std::vector<std::string> known;
    for (const auto& row : spi.run("SELECT rolname FROM pg_catalog.pg_roles", {}, pg::Access::read_only))
        known.push_back(pg::to_text(row[0]));
    std::string hint;
    for (const std::string& near : core::near_names(name, known))
        hint += concat(hint.empty() ? "Perhaps you mean " : ", ", "\"", near, "\"");
    pg::raise({.sqlstate = ERRCODE_UNDEFINED_OBJECT,
               .message = concat("role \"", name, "\" does not exist"),
               .hint = hint.empty() ? "A role's name is taken as it is, capitals and all." : hint + "."});
}

// One change of grants at a time, so that what is revoked is what the others do not need.
void lock_grants(pg::Spi& spi, const pg::Extension& extension)
{
    const pg::AsExtensionOwner as_owner(extension);
    spi.run(pg::in_extension_schema("LOCK TABLE @extschema@.cleanup_grants IN SHARE ROW EXCLUSIVE MODE", extension));
}

void delete_grant(pg::Spi& spi, const pg::Extension& extension, const Grant& grant)
{
    const pg::AsExtensionOwner as_owner(extension);
    spi.run(pg::in_extension_schema("DELETE FROM @extschema@.cleanup_grants WHERE grant_id = $1", extension),
            pg::Parameters().int8(grant.id));
}

void insert_grant(pg::Spi& spi, const pg::Extension& extension, const GrantArguments& arguments, Oid actor)
{
    const std::string by = pg::role_name(actor);
    const pg::AsExtensionOwner as_owner(extension);
    spi.run(pg::in_extension_schema("INSERT INTO @extschema@.cleanup_grants (role, level, policy, granted_by) "
                                    "VALUES ($1, $2, $3, $4)",
                                    extension),
            pg::Parameters().name(arguments.role).text(arguments.level).text(arguments.policy).name(by));
}

void audit_grant(pg::Spi& spi, const pg::Extension& extension, const char* event, const GrantArguments& arguments,
                 const std::optional<Policy>& policy)
{
    AuditRecord record;
    record.event = event;
    record.policy = arguments.policy;
    if (policy)
        record.policy_id = policy->id;
    record.details = pg::JsonObject().text("role", arguments.role).text("level", arguments.level).str();
    write_audit(spi, extension, record);
}

// Grants of the same level for the same policies.
std::vector<Grant> same_grants(pg::Spi& spi, const pg::Extension& extension, const GrantArguments& arguments)
{
    std::vector<Grant> grants = all_grants(spi, extension);
    std::erase_if(
        grants, [&](const Grant& grant) { return grant.level != arguments.level || grant.policy != arguments.policy; });
    return grants;
}

std::optional<Policy> named_policy(pg::Spi& spi, const pg::Extension& extension, const GrantArguments& arguments,
                                   const Rights& rights)
{
    if (!arguments.policy)
        return std::nullopt;
    return find_policy_for(spi, extension, *arguments.policy, rights, Right::administer);
}

void grant(FunctionCallInfo fcinfo)
{
    check_can_write("cleanup_grant()");
    const GrantArguments arguments = grant_arguments(fcinfo);
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const Rights rights(spi, extension, GetUserId());
    check_may_grant(rights);
    const Oid role = role_of(arguments.role);
    if (!OidIsValid(role))
        raise_unknown_role(spi, arguments.role);
    lock_grants(spi, extension);
    const std::optional<Policy> policy = named_policy(spi, extension, arguments, rights);
    refresh_grant_names(spi, extension);
    bool has_it = false;
    for (const Grant& same : same_grants(spi, extension, arguments)) {
        if (same.bound_role == role)
            has_it = true;
        else if (same.role == arguments.role) // of another role that had the name, or of none
            delete_grant(spi, extension, same);
    }
    grant_privileges(spi, extension, arguments.role, level_of(arguments.level, policy.has_value()).value_or(0));
    if (has_it) {
        pg::notice(NOTICE, {.sqlstate = ERRCODE_SUCCESSFUL_COMPLETION,
                            .message = concat("role \"", arguments.role, "\" has the level ", arguments.level,
                                              " already; its privileges were granted anew")});
        return;
    }
    insert_grant(spi, extension, arguments, rights.role());
    audit_grant(spi, extension, "grant", arguments, policy);
}

// --- revoking
// ----------------------------------------------------------------------------------------------------------

std::string policies_left(std::span<const Grant> grants, const GrantArguments& arguments)
{
    std::string names;
    for (const Grant& grant : grants) {
        if (grant.level == arguments.level && grant.role == arguments.role && grant.policy)
            names += concat(names.empty() ? "" : ", ", "\"", *grant.policy, "\"");
    }
    return names;
}

void note_nothing_revoked(const GrantArguments& arguments, const std::string& left)
{
    pg::notice(
        NOTICE,
        {.sqlstate = ERRCODE_SUCCESSFUL_COMPLETION,
         .message = concat("role \"", arguments.role, "\" was not granted the level ", arguments.level,
                           arguments.policy ? concat(" for policy \"", *arguments.policy, "\"") : " for every policy"),
         .hint = left.empty() ? std::string() : concat("It was for these policies, each to be named: ", left, ".")});
}

void revoke(FunctionCallInfo fcinfo)
{
    check_can_write("cleanup_revoke()");
    const GrantArguments arguments = grant_arguments(fcinfo);
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const Rights rights(spi, extension, GetUserId());
    check_may_grant(rights);
    lock_grants(spi, extension);
    const std::optional<Policy> policy = named_policy(spi, extension, arguments, rights);
    refresh_grant_names(spi, extension);
    bool had_it = false;
    for (const Grant& same : same_grants(spi, extension, arguments)) {
        if (same.role != arguments.role)
            continue;
        delete_grant(spi, extension, same);
        had_it = true;
    }
    const Oid role = role_of(arguments.role);
    const std::vector<Grant> grants = all_grants(spi, extension);
    if (!had_it) {
        if (!OidIsValid(role) &&
            std::ranges::none_of(grants, [&](const Grant& grant) { return grant.role == arguments.role; }))
            raise_unknown_role(spi, arguments.role);
        note_nothing_revoked(arguments, arguments.policy ? std::string() : policies_left(grants, arguments));
        return;
    }
    LevelSet kept = 0;
    for (const Grant& grant : grants)
        kept |= OidIsValid(role) && grant.bound_role == role ? grant.levels() : 0;
    if (OidIsValid(role))
        revoke_privileges(spi, extension, arguments.role, level_of(arguments.level, policy.has_value()).value_or(0),
                          kept);
    audit_grant(spi, extension, "revoke", arguments, policy);
}

} // namespace

} // namespace pgcleanup

Datum cleanup_grant(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] {
        pgcleanup::grant(fcinfo);
        PG_RETURN_VOID();
    });
}

Datum cleanup_revoke(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] {
        pgcleanup::revoke(fcinfo);
        PG_RETURN_VOID();
    });
}
