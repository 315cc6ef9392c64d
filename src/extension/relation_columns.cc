#include "extension/relation_columns.h"

#include "pg/text.h"

namespace pgcleanup {

namespace {

using pg::concat;

[[noreturn]] void raise_malformed(std::string message, std::string detail = {})
{
    pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
               .message = std::move(message),
               .detail = std::move(detail),
               .hint = R"(Write on_columns => '{"column of the target": "column of the related table"}'.)"});
}

struct Column {
    AttrNumber number;
    Oid type; // below domains
    Oid collation;
};

// InvalidAttrNumber: there is none of that name.
Column pg_find_column(Oid relation, const char* name)
{
    Column column{};
    HeapTuple tuple = SearchSysCacheAttName(relation, name);
    if (!HeapTupleIsValid(tuple))
        return column;
    auto* form = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
    if (form->attnum > 0)
        column = {form->attnum, getBaseType(form->atttypid), form->attcollation};
    ReleaseSysCache(tuple);
    return column;
}

Column find_column(Oid relation, const std::string& name)
{
    const Column column = pg::pg_call([&] { return pg_find_column(relation, name.c_str()); });
    if (column.number == InvalidAttrNumber)
        pg::raise({.sqlstate = ERRCODE_UNDEFINED_COLUMN,
                   .message = concat("column \"", name, "\" of ", pg::relation_name(relation), " does not exist"),
                   .hint = "A relation pairs columns of the target (first) with columns of the related table."});
    return column;
}

// The operator of one operator family; InvalidOid: it does not compare the two.
Oid pg_equality_in(Oid family, Oid left, Oid right, int16 strategy)
{
    return OidIsValid(family) ? get_opfamily_member(family, left, right, strategy) : InvalidOid;
}

Oid pg_equality(Oid left, Oid right)
{
    constexpr int wanted = TYPECACHE_EQ_OPR | TYPECACHE_BTREE_OPFAMILY | TYPECACHE_HASH_OPFAMILY;
    const TypeCacheEntry* const one = lookup_type_cache(left, wanted);
    if (left == right)
        return one->eq_opr;
    const TypeCacheEntry* const other = lookup_type_cache(right, wanted);
    // Two enums share a family, and have nothing to do with each other.
    if (IsPolymorphicType(one->btree_opintype) || IsPolymorphicType(other->btree_opintype))
        return InvalidOid;
    Oid found = InvalidOid;
    if (one->btree_opf == other->btree_opf)
        found = pg_equality_in(one->btree_opf, one->btree_opintype, other->btree_opintype, BTEqualStrategyNumber);
    if (!OidIsValid(found) && one->hash_opf == other->hash_opf && !IsPolymorphicType(one->hash_opintype))
        found = pg_equality_in(one->hash_opf, one->hash_opintype, other->hash_opintype, HTEqualStrategyNumber);
    return found;
}

bool is_deterministic(Oid collation)
{
    return !OidIsValid(collation) || pg::pg_call([&] { return get_collation_isdeterministic(collation); });
}

std::string described(Oid relation, const std::string& column, Oid type)
{
    const char* name = pg::pg_call([&] { return format_type_be(type); });
    return concat(pg::relation_name(relation), ".", pg::quote_identifier(column), " (", name, ")");
}

ColumnPair paired(Oid target, const std::string& target_column, Oid related, const std::string& related_column)
{
    const Column left = find_column(target, target_column);
    const Column right = find_column(related, related_column);
    const Oid equality = pg::pg_call([&] { return pg_equality(left.type, right.type); });
    const std::string both =
        concat(described(target, target_column, left.type), " and ", described(related, related_column, right.type));
    if (!OidIsValid(equality))
        pg::raise({.sqlstate = ERRCODE_DATATYPE_MISMATCH,
                   .message = concat("a relation cannot compare ", both),
                   .detail = "It takes an equality operator of the types' default operator class for btree or hash.",
                   .hint = "Use columns of one type, or of types that a foreign key could join."});
    if (left.collation != right.collation && !(is_deterministic(left.collation) && is_deterministic(right.collation)))
        pg::raise({.sqlstate = ERRCODE_COLLATION_MISMATCH,
                   .message = concat("a relation cannot compare ", both, ": their collations differ"),
                   .detail = "One of them is not deterministic, so they disagree on what is equal."});
    return {left.number, right.number, equality};
}

} // namespace

void read_columns(DeclaredRelation& relation)
{
    const pg::AsExtensionOwner constant_statements(pg::extension());
    pg::Spi spi;
    const pg::Parameters json = pg::Parameters().text(relation.on_columns);
    const std::string type = pg::to_text(spi.run("SELECT jsonb_typeof($1::jsonb)", json)[0][0]);
    if (type != "object")
        raise_malformed("on_columns must be an object of column names", concat("It is of type ", type, "."));
    relation.target_columns.clear();
    relation.related_columns.clear();
    for (const auto& row : spi.run("SELECT key, value #>> '{}', jsonb_typeof(value), $1::jsonb::text "
                                   "FROM jsonb_each($1::jsonb) WITH ORDINALITY p (key, value, n) ORDER BY n",
                                   json)) {
        const std::string column = pg::to_text(row[0]);
        if (pg::to_text(row[2]) != "string")
            raise_malformed(concat("on_columns must pair \"", column, "\" with a column's name"),
                            concat("It is of type ", pg::to_text(row[2]), "."));
        if (std::ranges::find(relation.related_columns, pg::to_text(row[1])) != relation.related_columns.end())
            raise_malformed(concat("on_columns pairs column \"", pg::to_text(row[1]), "\" twice"));
        relation.target_columns.push_back(column);
        relation.related_columns.push_back(pg::to_text(row[1]));
        relation.on_columns = pg::to_text(row[3]);
    }
    if (relation.target_columns.empty())
        raise_malformed("on_columns must pair at least one column");
}

std::vector<ColumnPair> column_pairs(const DeclaredRelation& relation, Oid target)
{
    std::vector<ColumnPair> pairs;
    for (std::size_t n = 0; n < relation.target_columns.size(); ++n)
        pairs.push_back(paired(target, relation.target_columns[n], relation.related, relation.related_columns[n]));
    return pairs;
}

} // namespace pgcleanup
