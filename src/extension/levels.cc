#include "extension/levels.h"

#include "pg/text.h"

namespace pgcleanup {

namespace {

using pg::concat;

constexpr LevelSet viewer = 1;
constexpr LevelSet operator_of_one = 2;
constexpr LevelSet operator_of_all = 4;
constexpr LevelSet owner = 8;
constexpr LevelSet admin_of_one = 16;
constexpr LevelSet admin_of_all = 32;

constexpr LevelSet makes = owner | admin_of_all;
constexpr LevelSet changes = owner | admin_of_one | admin_of_all;
constexpr LevelSet runs = operator_of_one | operator_of_all | changes;
constexpr LevelSet sees = viewer | runs;
constexpr LevelSet stops_all = operator_of_all | admin_of_all;

struct Level {
    const char* name;
    LevelSet of_all;
    LevelSet of_one; // 0: makes no sense for one policy
};

// What the sidecar needs comes with the files; until then its level gives nothing.
constexpr auto levels = std::to_array<Level>({{"viewer", viewer, viewer},
                                              {"operator", operator_of_all, operator_of_one},
                                              {"owner", owner, 0},
                                              {"admin", admin_of_all, admin_of_one},
                                              {"sidecar", 0, 0}});

// A new function or table of the extension needs its line here, if anybody but a superuser should have it.
struct Privilege {
    const char* privilege;
    const char* object;
    LevelSet levels;
};
constexpr auto privileges = std::to_array<Privilege>({
    {"SELECT", "cleanup_policies", sees},
    {"INSERT", "cleanup_policies", makes},
    {"UPDATE", "cleanup_policies", changes},
    {"DELETE", "cleanup_policies", changes},
    {"SELECT", "cleanup_bindings", sees},
    {"SELECT", "cleanup_archives", sees},
    {"SELECT", "cleanup_runs", sees},
    {"SELECT", "cleanup_run_targets", sees},
    {"SELECT", "cleanup_totals", sees},
    {"SELECT", "cleanup_progress", sees},
    {"SELECT", "cleanup_audit", sees},
    {"SELECT", "cleanup_pauses", sees},
    {"SELECT", "cleanup_grants", sees},
    {"SELECT", "cleanup_grant_bindings", sees},
    {"EXECUTE", "cleanup_sees_every_policy", sees},
    {"EXECUTE", "cleanup_visible_policies", sees},
    {"EXECUTE", "cleanup_target_to_regclass", sees},
    {"EXECUTE", "cleanup_target_is_bound", sees},
    {"EXECUTE", "cleanup_target_from_regclass", changes},
    {"EXECUTE", "cleanup_stats", sees},
    {"EXECUTE", "cleanup_check", sees},
    {"EXECUTE", "cleanup_policy_states", sees},
    {"EXECUTE", "cleanup_run_is_alive", sees},
    {"EXECUTE", "cleanup_dry_run", sees},
    {"EXECUTE", "cleanup_dry_run_detail", sees},
    {"EXECUTE", "cleanup_preview", sees},
    {"EXECUTE", "cleanup_run", runs},
    {"EXECUTE", "cleanup_cancel", runs},
    {"EXECUTE", "cleanup_restore", changes},
    {"EXECUTE", "cleanup_pause", stops_all},
    {"EXECUTE", "cleanup_resume", stops_all},
    {"EXECUTE", "cleanup_add_policy", makes},
    {"EXECUTE", "cleanup_import_policies", makes},
    {"EXECUTE", "cleanup_export_policies", changes},
    {"EXECUTE", "cleanup_alter_policy", changes},
    {"EXECUTE", "cleanup_drop_policy", changes},
    {"SELECT", "cleanup_relations", sees},
    {"INSERT", "cleanup_relations", changes},
    {"UPDATE", "cleanup_relations", changes},
    {"DELETE", "cleanup_relations", changes},
    {"EXECUTE", "cleanup_add_relation", changes},
    {"EXECUTE", "cleanup_drop_relation", changes},
    {"SELECT", "cleanup_schedules", sees},
    {"SELECT", "cleanup_schedule_states", sees},
    {"EXECUTE", "cleanup_schedule", changes},
    {"EXECUTE", "cleanup_unschedule", changes},
    {"EXECUTE", "cleanup_run_scheduled", runs},
    {"EXECUTE", "cleanup_grant", admin_of_all},
    {"EXECUTE", "cleanup_revoke", admin_of_all},
});

// The extension's tables, views and functions as statements name them: name, kind, qualified text, OID.
constexpr const char* members_sql =
    "SELECT p.proname, 'FUNCTION', p.oid::regprocedure::text, p.oid FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid "
    "WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = $1 "
    "AND d.deptype = 'e' UNION ALL "
    "SELECT c.relname, 'TABLE', c.oid::regclass::text, c.oid FROM pg_depend d JOIN pg_class c ON c.oid = d.objid "
    "WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = $1 "
    "AND d.deptype = 'e' AND c.relkind IN ('r', 'v')";

struct Member {
    std::string name;
    std::string kind;
    std::string text;
    Oid oid;
};

std::vector<Member> members_of(pg::Spi& spi, const pg::Extension& extension)
{
    std::vector<Member> members;
    for (const auto& row : spi.run(members_sql, pg::Parameters().oid(extension.oid), pg::Access::read_only))
        members.push_back(
            {pg::to_text(row[0]), pg::to_text(row[1]), pg::to_text(row[2]), static_cast<Oid>(pg::to_int64(row[3]))});
    return members;
}

// Calls `use` with each privilege that is wanted, on each member that it is about.
template <class Wanted, class Use>
void for_each_privilege(std::span<const Member> members, Wanted&& wanted, Use&& use)
{
    for (const Privilege& privilege : privileges) {
        if (!wanted(privilege.levels))
            continue;
        for (const Member& member : members) {
            if (member.name == privilege.object)
                use(privilege, member);
        }
    }
}

void open_schema(pg::Spi& spi, const pg::Extension& extension, const std::string& role)
{
    const pg::Rows usage = spi.run("SELECT has_schema_privilege($1, $2, 'USAGE')",
                                   pg::Parameters().name(role).oid(extension.schema), pg::Access::read_only);
    if (!pg::to_bool(usage[0][0]))
        spi.run(concat("GRANT USAGE ON SCHEMA ", extension.schema_name, " TO ", pg::quote_identifier(role)));
}

} // namespace

std::optional<LevelSet> level_of(std::string_view name, bool for_one_policy)
{
    const auto* level = std::ranges::find_if(levels, [&](const Level& one) { return name == one.name; });
    if (level == levels.end())
        return std::nullopt;
    return for_one_policy ? level->of_one : level->of_all;
}

bool may_be_for_one_policy(std::string_view level)
{
    return level_of(level, true).value_or(0) != 0;
}

std::string level_names()
{
    std::string names;
    for (const Level& level : levels)
        names += concat(names.empty() ? "" : ", ", level.name);
    return names;
}

void grant_privileges(pg::Spi& spi, const pg::Extension& extension, const std::string& role, LevelSet levels)
{
    if (levels == 0)
        return;
    const pg::AsExtensionOwner as_owner(extension);
    open_schema(spi, extension, role);
    for_each_privilege(
        members_of(spi, extension), [&](LevelSet needed_by) { return (needed_by & levels) != 0; },
        [&](const Privilege& privilege, const Member& member) {
            spi.run(concat("GRANT ", privilege.privilege, " ON ", member.kind, " ", member.text, " TO ",
                           pg::quote_identifier(role)));
        });
}

void revoke_privileges(pg::Spi& spi, const pg::Extension& extension, const std::string& role, LevelSet levels,
                       LevelSet kept)
{
    const pg::AsExtensionOwner as_owner(extension);
    for_each_privilege(
        members_of(spi, extension),
        [&](LevelSet needed_by) { return (needed_by & levels) != 0 && (needed_by & kept) == 0; },
        [&](const Privilege& privilege, const Member& member) {
            spi.run(concat("REVOKE ", privilege.privilege, " ON ", member.kind, " ", member.text, " FROM ",
                           pg::quote_identifier(role)));
        });
}

std::vector<std::string> missing_privileges(pg::Spi& spi, const pg::Extension& extension, Oid role, LevelSet levels)
{
    const pg::AsExtensionOwner as_owner(extension);
    std::vector<std::string> missing;
    for_each_privilege(
        members_of(spi, extension), [&](LevelSet needed_by) { return (needed_by & levels) != 0; },
        [&](const Privilege& privilege, const Member& member) {
            const char* sql = member.kind == "TABLE" ? "SELECT has_table_privilege($1, $2, $3)"
                                                     : "SELECT has_function_privilege($1, $2, $3)";
            const pg::Rows has = spi.run(sql, pg::Parameters().oid(role).oid(member.oid).text(privilege.privilege),
                                         pg::Access::read_only);
            if (!pg::to_bool(has[0][0]))
                missing.push_back(concat(privilege.privilege, " on ", member.name));
        });
    return missing;
}

} // namespace pgcleanup
