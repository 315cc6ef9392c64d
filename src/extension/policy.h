// A policy as it is stored, and how it is found.
#pragma once

#include "pg/identity.h"
#include "pg/spi.h"

namespace pgcleanup {

enum class AgeKind { none, date, timestamp, timestamptz, int4, int8, uuid };

struct Policy {
    std::int64_t id = 0;
    std::string name;
    Oid target = InvalidOid;     // InvalidOid: unbound
    std::string target_name;     // "schema.name", quoted; the last known one when unbound
    bool target_is_bound = true; // false: known by name only, since it was restored from a dump
    std::optional<std::string> age_column;
    std::optional<std::string> retain;    // interval text in IntervalStyle postgres
    std::optional<std::string> condition; // canonical, over the alias `target`
    std::string action = "delete";
    std::optional<std::string> set_values; // json text
    std::optional<std::string> age_unit;
    std::optional<std::string> guard;
    std::string on_reference = "follow";
    std::optional<std::string> archive_to;
    std::optional<std::string> archive_retain = "7 days"; // interval text; nothing: archived rows stay for ever
    std::optional<std::int32_t> batch_size;
    std::optional<std::int64_t> refuse_above_rows;
    std::optional<double> refuse_above_fraction;
    std::string time_zone;
    std::int32_t priority = 100;
    bool enabled = true;
    std::optional<std::string> description;
    std::optional<std::int32_t> keep_last; // the newest rows of each group stay whatever their age
    std::vector<std::string> keep_per;     // the columns that make a group; empty: the whole target is one
    std::string partitions = "drop";       // drop, detach, rows
    bool split_families = false;
    std::string created_by;
    std::string revision; // changes with every change of what is declared; not when the policy is merely bound
    std::optional<std::string> fingerprint; // nothing: not bound since it was loaded
};

// Policy::revision in SQL, over the alias p of cleanup_policies. It leaves out what binding changes.
inline constexpr std::string_view policy_revision_expression =
    "hashtextextended(ROW(p.policy, (p.target::regclass)::oid, p.age_column, p.retain, p.condition, p.action, "
    "p.set_values, "
    "p.age_unit, p.guard, p.on_reference, p.archive_to, p.archive_retain, p.batch_size, p.refuse_above_rows, "
    "p.refuse_above_fraction, p.time_zone, p.priority, p.enabled, p.keep_last, p.keep_per, p.partitions, "
    "p.split_families, (SELECT string_agg(ROW((r.related::regclass)::oid, r.on_columns, r.unless_referenced)::text, "
    "',' "
    "ORDER BY r.relation_id) FROM @extschema@.cleanup_relations r WHERE r.policy_id = p.policy_id))::text, 0)::text";

// Reads what a policy declares, in the order of its columns: age_column, retain, condition, action, set_values,
// age_unit, guard, on_reference, archive_to, archive_retain, batch_size, refuse_above_rows, refuse_above_fraction,
// time_zone, priority, enabled, description, keep_last, keep_per, partitions, split_families; intervals, JSON and
// arrays as text. Returns what follows them.
using DeclarationCells = std::vector<pg::Cell>::const_iterator;
DeclarationCells read_declaration(Policy& policy, DeclarationCells cell);

// All of these read as the extension's owner; `spi` must be open.
std::optional<Policy> find_policy(pg::Spi& spi, const pg::Extension& extension, const std::string& name);
std::optional<Policy> find_policy(pg::Spi& spi, const pg::Extension& extension, std::int64_t id);
// Every policy, enabled or not: by priority, then what references before what is referenced, then name.
std::vector<Policy> all_policies(pg::Spi& spi, const pg::Extension& extension);

// Whether the policy is the role's own: superuser, or (a member of) the owner of its target; while the target is not
// there, (a member of) who made it. What was granted is in rights.h.
bool may_manage(const Policy& policy, Oid role);

// Raises undefined_object "policy ... does not exist", with near names among those that `role` may see as the hint.
[[noreturn]] void raise_unknown_policy(pg::Spi& spi, const pg::Extension& extension, const std::string& name, Oid role);

} // namespace pgcleanup
