#include "extension/keep_newest.h"

#include "extension/set_values.h"
#include "extension/table_facts.h"
#include "pg/text.h"

extern "C" {
#include "utils/typcache.h"
}

namespace pgcleanup {

namespace {

using pg::concat;

// A NULL takes another test than a value, or no index would serve; each column that can be NULL doubles the tests. More
// columns than this share one that no index serves.
constexpr std::size_t most_branches = 4;

struct FoundColumn {
    AttrNumber number = InvalidAttrNumber;
    Oid type = InvalidOid;
    bool may_be_null = true;
};

FoundColumn pg_find_column(Oid relation, const char* name)
{
    FoundColumn column;
    HeapTuple tuple = SearchSysCacheAttName(relation, name);
    if (!HeapTupleIsValid(tuple))
        return column;
    auto* form = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
    if (form->attnum > 0) {
        column.number = form->attnum;
        column.type = getBaseType(form->atttypid);
        column.may_be_null = !form->attnotnull;
    }
    ReleaseSysCache(tuple);
    return column;
}

// Since 18 a column may be marked NOT NULL, and have NULLs from before (NOT VALID).
bool may_have_old_nulls(Oid relation, AttrNumber column)
{
    pg::Spi spi;
    return !spi.run("SELECT FROM pg_catalog.pg_constraint AS c WHERE c.conrelid OPERATOR(pg_catalog.=) $1 "
                    "AND c.contype OPERATOR(pg_catalog.=) 'n' AND NOT c.convalidated "
                    "AND $2 OPERATOR(pg_catalog.=) ANY (c.conkey)",
                    pg::Parameters().oid(relation).int4(column), pg::Access::read_only)
                .empty();
}

Oid equality_of(Oid type)
{
    return !OidIsValid(type) ? InvalidOid
                             : pg::pg_call([&] { return lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr; });
}

GroupColumn group_column(const Policy& policy, const std::string& name)
{
    const FoundColumn found = pg::pg_call([&] { return pg_find_column(policy.target, name.c_str()); });
    GroupColumn column{name, found.number, found.type, equality_of(found.type), found.may_be_null};
    if (column.number == InvalidAttrNumber)
        pg::raise({.sqlstate = ERRCODE_UNDEFINED_COLUMN,
                   .message = concat("column \"", name, "\" of ", pg::relation_name(policy.target), " does not exist"),
                   .hint = "keep_per names columns of the target."});
    if (!OidIsValid(column.equality)) {
        const char* type = pg::pg_call([&] { return format_type_be(column.type); });
        pg::raise({.sqlstate = ERRCODE_UNDEFINED_FUNCTION,
                   .message = concat("keep_per cannot group by column \"", name, "\""),
                   .detail = concat("Its type ", type, " has no equality operator.")});
    }
    column.may_be_null = column.may_be_null || may_have_old_nulls(policy.target, column.number);
    return column;
}

// IS NULL holds for a row of NULLs, too, which is equal to its like only.
std::string is_null(const char* alias, const GroupColumn& column)
{
    return concat(alias, ".", pg::quote_identifier(column.name), " IS NOT DISTINCT FROM NULL");
}

std::string equal(const GroupColumn& column)
{
    const std::string name = pg::quote_identifier(column.name);
    const std::string left = concat("newer.", name);
    const std::string right = concat("target.", name);
    const char* clause = pg::pg_call([&] {
        StringInfoData text;
        initStringInfo(&text);
        generate_operator_clause(&text, left.c_str(), column.type, column.equality, right.c_str(), column.type);
        return static_cast<const char*>(text.data);
    });
    return clause;
}

// Composes the probes: one for each combination of NULLs.
class Probes {
public:
    Probes(const Policy& policy, const AgeColumn& age)
        : from_(from_table(policy.target)), keep_(policy.keep_last.value_or(1)), age_(age.quoted_name),
          is_uuid_(age.kind == AgeKind::uuid), ids_change_(updates_rows(policy)), columns_(group_columns(policy))
    {
    }

    std::string all() const { return branch(0, 0, ""); }

private:
    // `group`: the test of the columns before `n`, `branches` of them with a branch.
    std::string branch(std::size_t n, std::size_t branches, const std::string& group) const
    {
        if (n == columns_.size())
            return probe(group);
        const GroupColumn& column = columns_[n];
        if (!column.may_be_null)
            return branch(n + 1, branches, concat(group, " AND ", equal(column)));
        if (branches == most_branches)
            return branch(n + 1, branches,
                          concat(group, " AND (", equal(column), " OR ", is_null("newer", column), " AND ",
                                 is_null("target", column), ")"));
        return concat("CASE WHEN ", is_null("target", column), " THEN ",
                      branch(n + 1, branches + 1, concat(group, " AND ", is_null("newer", column))), " ELSE ",
                      branch(n + 1, branches + 1, concat(group, " AND ", equal(column))), " END");
    }

    // Whether the last of the newest rows of a group is newer than `target`; NULL when the group has fewer. Found from
    // the group's newest end, where no row that is deleted in this run is in the way. Mostly its age says it, which an
    // index yields at once; only for rows of that very age are all of that age sorted.
    std::string probe(const std::string& group) const
    {
        std::string by_age = concat("(SELECT newer.", age_, from(group), " ORDER BY newer.", age_, " DESC", place(),
                                    ") OPERATOR(pg_catalog.>) target.", age_);
        if (ids_change_)
            return by_age;
        return concat("(", by_age, " OR (SELECT ROW(newer.", age_, ", newer.tableoid, newer.ctid)", from(group),
                      " ORDER BY newer.", age_, " DESC, newer.tableoid DESC, newer.ctid DESC", place(),
                      ") OPERATOR(pg_catalog.>) ROW(target.", age_, ", target.tableoid, target.ctid))");
    }

    std::string from(const std::string& group) const
    {
        return concat(" FROM ", from_, " AS newer WHERE newer.", age_, " IS NOT NULL",
                      is_uuid_ ? concat(" AND ", uuid7_test(concat("newer.", age_))) : "", group);
    }

    std::string place() const { return concat(" OFFSET ", keep_ - 1, " LIMIT 1"); }

    std::string from_;
    std::int32_t keep_;
    std::string age_;
    bool is_uuid_;
    bool ids_change_;
    std::vector<GroupColumn> columns_;
};

} // namespace

std::vector<GroupColumn> group_columns(const Policy& policy)
{
    std::vector<GroupColumn> columns;
    for (const std::string& name : policy.keep_per)
        columns.push_back(group_column(policy, name));
    return columns;
}

std::string not_among_newest(const Policy& policy, const AgeColumn& age)
{
    return concat("(", Probes(policy, age).all(), ") IS TRUE");
}

std::string uuid7_test(const std::string& column)
{
    const std::string bytes = concat("pg_catalog.get_byte(pg_catalog.uuid_send(", column, "), ");
    return concat("(", bytes, "6) OPERATOR(pg_catalog.>>) 4) OPERATOR(pg_catalog.=) 7 AND (", bytes,
                  "8) OPERATOR(pg_catalog.>>) 6) OPERATOR(pg_catalog.=) 2");
}

} // namespace pgcleanup
