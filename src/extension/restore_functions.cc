// cleanup_restore: the side of whoever calls it. Everything that can be refused is refused here, before anything
// begins.
#include "extension/archives.h"
#include "extension/expression.h"
#include "extension/leaf_statements.h"
#include "extension/liveness.h"
#include "extension/owner_rights.h"
#include "extension/restore_tables.h"
#include "extension/rights.h"
#include "extension/run_caller.h"
#include "extension/settings.h"
#include "extension/target.h"
#include "extension/transaction_rules.h"
#include "pg/look.h"
#include "pg/result_set.h"
#include "pg/text.h"
#include "pg/transaction.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_restore);
}

namespace pgcleanup {

namespace {

using pg::concat;
using pg::Parameters;

struct RestoreArguments {
    std::int64_t run_id = 0;
    std::optional<std::string> policy;
    std::optional<std::string> condition;
};

// A policy's part in the run.
struct Part {
    std::int64_t policy_id;
    std::string policy;
    std::string action;
};

// What is found out before the run begins.
struct Restore {
    std::vector<Policy> policies;
    std::optional<std::string> condition; // canonical
    std::vector<Oid> tables;
};

constexpr const char* run_sql = "SELECT status FROM @extschema@.cleanup_runs WHERE run_id = $1";
constexpr const char* parts_sql = "SELECT DISTINCT policy_id, policy, action FROM @extschema@.cleanup_run_targets "
                                  "WHERE run_id = $1 AND kind = 'target' "
                                  "ORDER BY policy";
constexpr const char* restored_sql =
    "SELECT max(run_id), EXISTS (SELECT FROM @extschema@.cleanup_runs r WHERE r.run_id::text = $2) FROM "
    "@extschema@.cleanup_audit WHERE event = 'restore' AND policy_id = $1 "
    "AND details->>'restored_run' = $2::text";

[[noreturn]] void raise_state(std::string message, std::string detail, std::string hint = {})
{
    pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
               .message = std::move(message),
               .detail = std::move(detail),
               .hint = std::move(hint)});
}

[[noreturn]] void raise_unknown_run(std::int64_t run_id)
{
    pg::raise({.sqlstate = ERRCODE_UNDEFINED_OBJECT,
               .message = concat("there is no run ", run_id),
               .hint = "SELECT run_id, status FROM cleanup_runs ORDER BY run_id DESC; a run that is no longer in the "
                       "history can be restored by naming its policy."});
}

class Finder {
public:
    Finder(pg::Spi& spi, const pg::Extension& extension, Oid role, const RestoreArguments& arguments)
        : spi_(spi), extension_(extension), arguments_(arguments), rights_(spi, extension, role)
    {
    }

    std::vector<Policy> policies()
    {
        read_run();
        std::vector<Policy> chosen = arguments_.policy ? named_policy() : archiving_policies();
        if (chosen.size() > 1 && arguments_.condition)
            pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                       .message = "a condition needs the name of a policy",
                       .detail = concat("Run ", arguments_.run_id, " was of ", chosen.size(), " policies."),
                       .hint = concat("SELECT * FROM cleanup_restore(", arguments_.run_id, ", ",
                                      pg::quote_literal(chosen.front().name), ", ...);")});
        for (const Policy& policy : chosen) {
            if (!OidIsValid(policy.target))
                raise_state(concat("the target ", policy.target_name, " of policy \"", policy.name, "\" is not there"),
                            "", "Name its new table with cleanup_alter_policy(..., target => ...), or make it anew.");
        }
        return chosen;
    }

private:
    // An expression runs as the table's owner: to say one takes more than a level that can be granted.
    Right right() const { return arguments_.condition ? Right::own : Right::administer; }

    void read_run()
    {
        const pg::Rows run =
            spi_.run(pg::in_extension_schema(run_sql, extension_), Parameters().int8(arguments_.run_id));
        is_known_ = !run.empty();
        for (const auto& row :
             spi_.run(pg::in_extension_schema(parts_sql, extension_), Parameters().int8(arguments_.run_id)))
            parts_.push_back({pg::to_int64(row[0]), pg::to_text(row[1]), pg::to_text(row[2])});
        if (!is_known_)
            return;
        if (pg::to_text(run[0][0]) == "running" && run_liveness(extension_, arguments_.run_id) != Liveness::dead) {
            visible_policies(); // who may see nothing of it, learns nothing
            pg::raise({.sqlstate = ERRCODE_OBJECT_IN_USE,
                       .message = concat("run ", arguments_.run_id, " is still running"),
                       .hint = concat("Wait for its end, or end it: SELECT cleanup_cancel(", arguments_.run_id, ");")});
        }
    }

    // Those of the run that the caller may see, with what they did.
    std::vector<std::pair<Policy, Part>> visible_policies()
    {
        std::vector<std::pair<Policy, Part>> visible;
        bool some_are_gone = false;
        for (const Part& part : parts_) {
            std::optional<Policy> policy = find_policy(spi_, extension_, part.policy_id);
            some_are_gone = some_are_gone || !policy;
            if (policy && rights_.may(Right::see, *policy))
                visible.emplace_back(*std::move(policy), part);
        }
        if (visible.empty() && some_are_gone && rights_.may_with_every_policy(Right::see))
            raise_gone();
        if (visible.empty() && !(is_known_ && rights_.may_with_every_policy(Right::see)))
            raise_unknown_run(arguments_.run_id);
        return visible;
    }

    [[noreturn]] void raise_gone()
    {
        std::string archives;
        for (const ArchiveEntry& entry : archives_of_policy(spi_, extension_, parts_.front().policy_id))
            archives.append(archives.empty() ? "" : ", ").append(entry.archive_name);
        pg::raise({.sqlstate = ERRCODE_UNDEFINED_OBJECT,
                   .message = concat("policy \"", parts_.front().policy, "\" of run ", arguments_.run_id,
                                     " was dropped, and whose rights a restore would have is unknown"),
                   .detail = archives.empty() ? "" : concat("What it archived is in: ", archives, "."),
                   .hint = "Copy the rows by hand: INSERT INTO ... SELECT."});
    }

    std::vector<Policy> named_policy()
    {
        Policy policy = find_policy_for(spi_, extension_, *arguments_.policy, rights_, right());
        const auto part = std::ranges::find(parts_, policy.id, &Part::policy_id);
        if (is_known_ && part == parts_.end()) {
            std::string names;
            for (const auto& [other, of_run] : visible_policies())
                names.append(names.empty() ? "" : ", ").append(concat("\"", other.name, "\""));
            pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                       .message = concat("policy \"", policy.name, "\" was not part of run ", arguments_.run_id),
                       .hint = names.empty() ? "" : concat("It was of: ", names, ".")});
        }
        if (part != parts_.end() && part->action != "archive")
            raise_archived_nothing(*part);
        return {std::move(policy)};
    }

    std::vector<Policy> archiving_policies()
    {
        if (!is_known_)
            raise_unknown_run(arguments_.run_id);
        std::vector<Policy> chosen;
        const auto visible = visible_policies();
        for (const auto& [policy, part] : visible) {
            rights_.require(right(), policy);
            if (part.action == "archive")
                chosen.push_back(policy);
        }
        if (chosen.empty() && !visible.empty())
            raise_archived_nothing(visible.front().second);
        if (chosen.empty())
            raise_state(concat("run ", arguments_.run_id, " archived nothing"), "It came to no policy.");
        return chosen;
    }

    [[noreturn]] void raise_archived_nothing(const Part& part) const
    {
        raise_state(concat("run ", arguments_.run_id, " archived nothing of policy \"", part.policy, "\""),
                    concat("The action of the policy was '", part.action, "'."),
                    "Only what the action 'archive' removed can be restored.");
    }

    pg::Spi& spi_;
    const pg::Extension& extension_;
    const RestoreArguments& arguments_;
    Rights rights_;
    bool is_known_ = false;
    std::vector<Part> parts_;
};

bool has_rows(pg::Spi& spi, const RestoreTable& table, std::int64_t run_id, const Policy& policy)
{
    const InOwnersRights in_owners_rights(target_owner(policy.target), "pg_catalog, pg_temp");
    return !spi.run(concat("SELECT FROM ONLY ", table.archive_name, " WHERE ", run_id_column, " = $1 AND ",
                           policy_id_column, " = $2 LIMIT 1"),
                    Parameters().int8(run_id).int8(policy.id), pg::Access::read_only)
                .empty();
}

[[noreturn]] void raise_nothing_left(pg::Spi& spi, const pg::Extension& extension, const RestoreArguments& arguments,
                                     const Policy& policy)
{
    const pg::AsExtensionOwner as_owner(extension);
    const pg::Rows restored = spi.run(pg::in_extension_schema(restored_sql, extension),
                                      Parameters().int8(policy.id).text(std::to_string(arguments.run_id)));
    std::string why = "It found none to archive, or they were removed after archive_retain, or by hand.";
    if (restored[0][0])
        why = concat("They were restored by run ", pg::to_text(restored[0][0]), ".");
    else if (!pg::to_bool(restored[0][1]))
        why = concat("There is no such run in the history, and nothing of it in the archives of policy \"", policy.name,
                     "\".");
    raise_state(concat("run ", arguments.run_id, " has no archived rows", restored[0][0] ? " left" : ""),
                std::move(why));
}

std::string canonical(const Policy& policy, const std::string& condition)
{
    const InOwnersRights in_owners_rights(target_owner(policy.target), explicit_search_path());
    return canonical_condition(policy.target, condition);
}

Restore find(const RestoreArguments& arguments, const pg::Extension& extension, Oid role)
{
    Restore restore;
    pg::Spi spi;
    {
        const pg::AsExtensionOwner as_owner(extension);
        restore.policies = Finder(spi, extension, role, arguments).policies();
    }
    bool found = false;
    bool has_target = false;
    for (const Policy& policy : restore.policies) {
        lock_target(policy.target);
        check_target(policy.target);
        for (const RestoreTable& table : restore_tables(spi, extension, policy)) {
            has_target = has_target || table.source == policy.target;
            found = found || has_rows(spi, table, arguments.run_id, policy);
            restore.tables.push_back(table.archive);
            restore.tables.push_back(table.source);
            for (const Oid leaf : leaf_tables(table.source))
                restore.tables.push_back(leaf);
        }
    }
    if (!found)
        raise_nothing_left(spi, extension, arguments, restore.policies.front());
    if (arguments.condition && !has_target)
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = concat("policy \"", restore.policies.front().name, "\" archived no rows of ",
                                     restore.policies.front().target_name, ", which is what a condition chooses from"),
                   .hint = "Its target was another table then; leave the condition out, or copy rows by hand."});
    if (arguments.condition)
        restore.condition = canonical(restore.policies.front(), *arguments.condition);
    return restore;
}

TaskRequest request_of(const RestoreArguments& arguments, const Restore& restore, Oid role)
{
    TaskRequest request;
    request.kind = TaskKind::run;
    request.database = MyDatabaseId;
    request.owner = BOOTSTRAP_SUPERUSERID;
    request.requested_by = role;
    request.start = pg::now();
    request.restored_run = arguments.run_id;
    request.policy_id = arguments.policy ? restore.policies.front().id : 0;
    request.set_condition(restore.condition);
    request.batch_target_ms = static_cast<std::int32_t>(batch_target().count());
    request.lock_timeout_ms = static_cast<std::int32_t>(lock_timeout().count());
    return request;
}

void restore(FunctionCallInfo fcinfo)
{
    const pg::ResultSet results(fcinfo);
    check_can_write("cleanup_restore()");
    if (PG_ARGISNULL(0))
        pg::raise({.sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED,
                   .message = "run_id must not be NULL",
                   .hint = "SELECT run_id, started_at, status FROM cleanup_runs ORDER BY run_id DESC;"});
    const RestoreArguments arguments{PG_GETARG_INT64(0), pg::text_argument(fcinfo, 1), pg::text_argument(fcinfo, 2)};
    const pg::Extension extension = pg::extension();
    const Oid role = GetUserId();
    Restore found;
    if (const std::optional<pg::PgError> error = pg::look_and_let_go([&] { found = find(arguments, extension, role); }))
        throw pg::PgError(*error);
    check_waiting_transaction(found.tables, "cleanup_restore");
    run_and_wait(request_of(arguments, found, role), [&](const std::vector<pg::Cell>& row) { results.row(row); });
}

} // namespace

} // namespace pgcleanup

Datum cleanup_restore(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] {
        pgcleanup::restore(fcinfo);
        return Datum(0);
    });
}
