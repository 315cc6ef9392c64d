// Warnings about the target and the tables behind it: indexes, persistence, publications, owners.
#include "extension/archives.h"
#include "extension/index_facts.h"
#include "extension/set_values.h"
#include "extension/settings.h"
#include "extension/strategy.h"
#include "extension/table_facts.h"
#include "extension/unindexed.h"
#include "extension/warnings.h"
#include "pg/text.h"
#include "pg/version.h"

extern "C" {
#include "catalog/pg_publication.h"
#include "utils/relcache.h"
}

namespace pgcleanup {

using pg::concat;

namespace {

std::string about_rows(double rows)
{
    return concat("about ", static_cast<std::int64_t>(rows), " rows");
}

char persistence(Oid table)
{
    return pg::pg_call([&] { return get_rel_persistence(table); });
}

// What a statement would raise on this table for its publications, as CheckCmdReplicaIdentity (execReplication.c) says.
enum class Published { fine, no_identity, filter };

Published published(Oid table, CmdType command)
{
    return pg::pg_call([&] {
        Relation relation = table_open(table, AccessShareLock);
        PublicationDesc publication{};
        RelationBuildPublicationDesc(relation, &publication);
        const bool is_delete = command == CMD_DELETE;
        Published result = Published::fine;
        if (is_delete ? !publication.rf_valid_for_delete : !publication.rf_valid_for_update)
            result = Published::filter;
        else if ((is_delete ? publication.pubactions.pubdelete : publication.pubactions.pubupdate) &&
                 relation->rd_rel->relreplident != REPLICA_IDENTITY_FULL &&
                 !OidIsValid(RelationGetReplicaIndex(relation)))
            result = Published::no_identity;
        table_close(relation, NoLock);
        return result;
    });
}

void warn_of_publication(Oid table, CmdType command, Warnings& list)
{
    const std::string name = pg::relation_name(table);
    const char* what = command == CMD_DELETE ? "DELETE" : "UPDATE";
    switch (published(table, command)) {
    case Published::fine:
        return;
    case Published::no_identity:
        return list.push_back(concat(name, " is published without a replica identity: each ", what,
                                     " fails. Give it a primary key, or: ALTER TABLE ", name,
                                     " REPLICA IDENTITY FULL;"));
    case Published::filter:
        return list.push_back(
            concat(name, " is published with a row filter on columns outside its replica identity: each ", what,
                   " fails. Change the filter, or: ALTER TABLE ", name, " REPLICA IDENTITY FULL;"));
    }
}

std::string way_to_read(const ForeignKey& key, Oid owner, const std::string& reader)
{
    const bool granted =
        pg::pg_call([&] { return pg_class_aclcheck(key.referencing, owner, ACL_SELECT) == ACLCHECK_OK; });
    return granted ? "Its row security, or a missing USAGE of its schema, is in the way."
                   : concat("To allow it: GRANT SELECT ON ", key.referencing_name, " TO ", reader, ";");
}

void warn_of_unread_table(const ForeignKey& key, Oid owner, Warnings& list)
{
    const std::string reader = pg::quote_identifier(pg::role_name(owner));
    list.push_back(concat(key.referencing_name, " references ", key.referenced_name, " (", key.name, ", ",
                          delete_action(key), "), but ", reader, " may not read it: ",
                          key.blocks() ? "rows that it blocks are not counted, and fail one by one in a run"
                                       : "rows of it that go along are not counted",
                          ". ", way_to_read(key, owner, reader)));
}

} // namespace

void warn_of_missing_age_index(pg::Spi& spi, const DryRunFacts& facts, Warnings& list)
{
    if (!facts.policy.age_column)
        return;
    const double rows = estimated_rows(facts.policy.target);
    if (rows < static_cast<double>(large_table_rows()))
        return;
    std::vector<Oid> without;
    for (const Oid leaf : facts.leaves)
        if (!has_age_index(spi, leaf, *facts.policy.age_column, IndexUse::search) &&
            choose_strategy(facts.eligibility, leaf) == Strategy::block)
            without.push_back(leaf);
    if (without.empty())
        return;
    const std::string column = pg::quote_identifier(*facts.policy.age_column);
    list.push_back(concat(pg::relation_name(facts.policy.target), " has ", about_rows(rows), " and no index on ",
                          column, ": each run reads the whole table. ", create_index_statements(without, column)));
}

void warn_of_missing_group_index(pg::Spi& spi, const DryRunFacts& facts, Warnings& list)
{
    // Each row that is looked at asks for the end of its group: without an index that is a walk through the table.
    constexpr double rows_worth_a_warning = 1000;
    const double rows = estimated_rows(facts.policy.target);
    if (!facts.policy.keep_last || rows < rows_worth_a_warning)
        return;
    std::vector<Oid> without;
    for (const Oid leaf : facts.leaves)
        if (!has_group_index(spi, leaf, facts.policy.keep_per, *facts.policy.age_column))
            without.push_back(leaf);
    if (without.empty())
        return;
    std::vector<std::string> columns;
    for (const std::string& column : facts.policy.keep_per)
        columns.push_back(pg::quote_identifier(column));
    columns.push_back(pg::quote_identifier(*facts.policy.age_column));
    list.push_back(concat(pg::relation_name(facts.policy.target), " has ", about_rows(rows), " and no index on (",
                          joined(columns), "): keep_last reads it once for each row that is old enough. ",
                          create_index_statements(without, joined(columns))));
}

void warn_of_unindexed_references(const DryRunFacts& facts, Warnings& list)
{
    for (const UnindexedReference& reference : unindexed_references(facts.policy, facts.cascade))
        list.push_back(concat(reference.is_refused() ? "A run now would be refused: " : "", reference.text,
                              ": each deleted row reads all of it. ", reference.statements));
}

void warn_of_unlogged(const DryRunFacts& facts, Warnings& list)
{
    for (const Oid leaf : facts.leaves)
        if (persistence(leaf) == RELPERSISTENCE_UNLOGGED)
            list.push_back(concat(pg::relation_name(leaf),
                                  " is unlogged: a crash of the server empties it, and no standby or"
                                  " backup has its rows. If that is not meant: ALTER TABLE ",
                                  pg::relation_name(leaf), " SET LOGGED;"));
}

void warn_of_publications(const DryRunFacts& facts, Warnings& list)
{
    std::vector<std::pair<Oid, CmdType>> changes;
    const auto add = [&](Oid table, CmdType command) {
        for (const Oid leaf : leaves_of(table))
            if (std::ranges::find(changes, std::pair(leaf, command)) == changes.end())
                changes.emplace_back(leaf, command);
    };
    add(facts.policy.target, updates_rows(facts.policy) ? CMD_UPDATE : CMD_DELETE);
    for (const ForeignKey* key : keys_met(facts))
        if (!key->blocks())
            add(key->referencing, key->cascades() ? CMD_DELETE : CMD_UPDATE);
    for (const auto& [table, command] : changes)
        warn_of_publication(table, command, list);
}

void warn_of_unarchivable(const DryRunFacts& facts, Warnings& list)
{
    if (facts.policy.action != "archive")
        return;
    const std::string unarchivable = unarchivable_dependents(facts.policy, facts.owner);
    if (!unarchivable.empty())
        list.push_back(concat("A run would fail: rows of ", facts.policy.target_name,
                              " cannot be archived, since with them go or change rows of tables of other owners: ",
                              unarchivable, ". Let one role own all of them, or use the action 'delete'."));
}

void warn_of_other_owners(const DryRunFacts& facts, Warnings& list)
{
    for (const ForeignKey* key : keys_met(facts)) {
        const bool unread = std::ranges::any_of(
            facts.cascade.unreadable, [&](const ForeignKey& other) { return other.constraint == key->constraint; });
        if (unread)
            warn_of_unread_table(*key, facts.owner, list);
        if (!key->blocks() && key->referencing_owner != facts.owner)
            list.push_back(concat(key->referencing_name, " belongs to ",
                                  pg::quote_identifier(pg::role_name(key->referencing_owner)),
                                  ": what happens to its rows is left to ", key->name, " (", delete_action(*key),
                                  "), which PostgreSQL carries out as that role."));
    }
}

} // namespace pgcleanup
