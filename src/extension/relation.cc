#include "extension/relation.h"

#include "extension/reference_indexes.h"
#include "extension/relation_columns.h"
#include "extension/table_facts.h"
#include "extension/target.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

using pg::concat;

// One row per pair of columns.
constexpr const char* relations_sql = R"(
SELECT r.relation_id, (r.related::regclass)::oid, r.related::text, @extschema@.cleanup_target_is_bound(r.related),
  r.on_columns::text, r.unless_referenced, p.key, p.value
FROM @extschema@.cleanup_relations r CROSS JOIN LATERAL jsonb_each_text(r.on_columns) WITH ORDINALITY p (key, value, n)
WHERE r.policy_id = $1 ORDER BY r.relation_id, p.n)";

DeclaredRelation new_relation(const Policy& policy, const std::vector<pg::Cell>& row)
{
    DeclaredRelation relation;
    relation.id = pg::to_int64(row[0]);
    relation.policy_id = policy.id;
    relation.related = row[1] ? static_cast<Oid>(pg::to_int64(row[1])) : InvalidOid;
    relation.related_name = pg::to_text(row[2]);
    relation.related_is_bound = pg::to_bool(row[3]);
    relation.on_columns = pg::to_text(row[4]);
    relation.unless_referenced = pg::to_bool(row[5]);
    return relation;
}

std::vector<AttrNumber> numbers(const std::vector<ColumnPair>& pairs, AttrNumber ColumnPair::*side)
{
    std::vector<AttrNumber> numbers;
    numbers.reserve(pairs.size());
    for (const ColumnPair& pair : pairs)
        numbers.push_back(pair.*side);
    return numbers;
}

std::vector<std::string> quoted(const std::vector<std::string>& names)
{
    std::vector<std::string> result;
    result.reserve(names.size());
    for (const std::string& name : names)
        result.push_back(pg::quote_identifier(name));
    return result;
}

bool is_partitioned(Oid table)
{
    return pg::pg_call([&] { return get_rel_relkind(table); }) == RELKIND_PARTITIONED_TABLE;
}

} // namespace

std::vector<DeclaredRelation> relations_of(const Policy& policy)
{
    std::vector<DeclaredRelation> relations;
    if (policy.id == 0)
        return relations;
    const pg::Extension extension = pg::extension();
    const pg::AsExtensionOwner bookkeeping(extension);
    pg::Spi spi;
    for (const auto& row :
         spi.run(pg::in_extension_schema(relations_sql, extension), pg::Parameters().int8(policy.id))) {
        if (relations.empty() || relations.back().id != pg::to_int64(row[0]))
            relations.push_back(new_relation(policy, row));
        relations.back().target_columns.push_back(pg::to_text(row[6]));
        relations.back().related_columns.push_back(pg::to_text(row[7]));
    }
    return relations;
}

std::string relation_name(const DeclaredRelation& relation)
{
    std::string columns;
    for (std::size_t n = 0; n < relation.target_columns.size(); ++n)
        columns += concat(n == 0 ? "" : ", ", pg::quote_identifier(relation.target_columns[n]), " = ",
                          pg::quote_identifier(relation.related_columns[n]));
    return concat("relation to ", relation.related_name, " (", columns, ")");
}

ForeignKey relation_key(const DeclaredRelation& relation, Oid target)
{
    const std::vector<ColumnPair> pairs = column_pairs(relation, target);
    ForeignKey key;
    key.name = relation_name(relation);
    key.referencing = relation.related;
    key.referencing_name = pg::relation_name(relation.related);
    key.referencing_owner = target_owner(relation.related);
    key.referencing_partitioned = is_partitioned(relation.related);
    key.referenced = target;
    key.referenced_name = pg::relation_name(target);
    key.referenced_partitioned = is_partitioned(target);
    key.referencing_columns = quoted(relation.related_columns);
    key.referenced_columns = quoted(relation.target_columns);
    key.referencing_attributes = numbers(pairs, &ColumnPair::related);
    key.referenced_attributes = numbers(pairs, &ColumnPair::target);
    for (const ColumnPair& pair : pairs)
        key.equality_operators.push_back(pair.equality);
    key.on_delete = 'c';
    key.unindexed = leaves_without_index(relation.related, relation.related_columns);
    key.referencing_rows = static_cast<std::int64_t>(estimated_rows(relation.related));
    return key;
}

Cascade cascade_with_relations(const Policy& policy, std::optional<Oid> reader)
{
    Cascade all = cascade_of(policy, reader);
    for (const DeclaredRelation& relation : relations_of(policy)) {
        all.tables.front().keys.push_back(relation_key(relation, policy.target));
        const Cascade behind = cascade_from(relation.related, reader);
        for (const CascadeTable& table : behind.tables)
            if (std::ranges::find(all.tables, table.table, &CascadeTable::table) == all.tables.end())
                all.tables.push_back(table);
        all.unreadable.insert(all.unreadable.end(), behind.unreadable.begin(), behind.unreadable.end());
    }
    return all;
}

std::vector<Oid> unindexed_in_target(const DeclaredRelation& relation, Oid target)
{
    return leaves_without_index(target, relation.target_columns);
}

} // namespace pgcleanup
