#include "extension/relation_exchange.h"

#include "extension/relation_columns.h"
#include "extension/relation_write.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

using pg::concat;

[[noreturn]] void raise_malformed(std::string detail)
{
    pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
               .message = "\"relations\" of a policy to import cannot be read",
               .detail = std::move(detail),
               .hint = "It is an array of objects, each with related, on_columns and unless_referenced."});
}

// Anything that does not belong there, in words; NULL: nothing.
constexpr const char* shape_sql = R"(
SELECT CASE WHEN jsonb_typeof($1::jsonb) <> 'array' THEN 'It is no array.'
  ELSE (SELECT min(CASE
      WHEN jsonb_typeof(e) <> 'object' THEN 'An element is no object: ' || jsonb_typeof(e) || '.'
      WHEN jsonb_typeof(e -> 'related') IS DISTINCT FROM 'string' THEN 'An element names no table with "related".'
      WHEN NOT e ? 'on_columns' THEN 'An element has no "on_columns".'
      WHEN coalesce(jsonb_typeof(e -> 'unless_referenced'), 'boolean') <> 'boolean' THEN '"unless_referenced" is no boolean.'
      ELSE (SELECT 'A relation has no member "' || min(k) || '".' FROM jsonb_object_keys(e) k
            WHERE k <> ALL ('{related,on_columns,unless_referenced}'::text[])) END)
    FROM jsonb_array_elements($1::jsonb) e) END)";

constexpr const char* members_sql = R"(
SELECT e ->> 'related', (e -> 'on_columns')::text, coalesce((e -> 'unless_referenced')::boolean, true)
FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS a (e, n) ORDER BY n)";

pg::Rows read_members(const std::string& json)
{
    const pg::AsExtensionOwner constant_statements(pg::extension());
    pg::Spi spi;
    const pg::Parameters parameters = pg::Parameters().text(json);
    if (const pg::Rows shape = spi.run(shape_sql, parameters); shape[0][0])
        raise_malformed(*shape[0][0]);
    return spi.run(members_sql, parameters);
}

Oid find_table(const std::string& name)
{
    const Oid relation = pg::pg_call([&] {
        return RangeVarGetRelid(makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name.c_str()))),
                                AccessShareLock, true);
    });
    if (!OidIsValid(relation))
        pg::raise(
            {.sqlstate = ERRCODE_UNDEFINED_TABLE, .message = concat("the related table ", name, " does not exist")});
    return relation;
}

} // namespace

std::vector<DeclaredRelation> relations_to_import(const pg::Cell& json)
{
    std::vector<DeclaredRelation> relations;
    if (!json)
        return relations;
    for (const auto& row : read_members(*json)) {
        DeclaredRelation relation;
        relation.related = find_table(pg::to_text(row[0]));
        relation.related_name = pg::relation_name(relation.related);
        relation.on_columns = pg::to_text(row[1]);
        relation.unless_referenced = pg::to_bool(row[2]);
        read_columns(relation);
        relations.push_back(std::move(relation));
    }
    return relations;
}

void remove_relations(pg::Spi& spi, const pg::Extension& extension, const Policy& policy)
{
    for (const DeclaredRelation& relation : relations_of(policy))
        delete_relation(spi, extension, relation.id);
}

} // namespace pgcleanup
