#include "extension/references.h"

#include "extension/cascade.h"
#include "extension/table_facts.h"
#include "pg/text.h"
#include "pg/version.h"

#include <set>

namespace pgcleanup {

namespace {

// The tables that hold rows of the referencing table and have no usable index that leads with the referencing columns.
// By name, as column numbers differ between partitions. A partial index serves when it only leaves out NULLs, which no
// reference looks for.
constexpr std::string_view unindexed_sql = R"(
(SELECT string_agg(leaf.relid::oid::text, ',' ORDER BY leaf.relid) FILTER (WHERE NOT EXISTS (
   SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am am ON am.oid = x.relam
   WHERE i.indrelid = leaf.relid AND i.indisvalid AND i.indislive AND am.amname NOT IN ('brin', 'gin')
     AND (i.indpred IS NULL OR EXISTS (
       SELECT FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
         AND pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname)))
     AND cardinality(c.conkey) = (
       SELECT count(*) FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS member (attnum, n)
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = member.attnum
       WHERE member.n <= cardinality(c.conkey) AND a.attname IN (
         SELECT b.attname FROM pg_attribute b WHERE b.attrelid = c.conrelid AND b.attnum = ANY (c.conkey)))))
 FROM (SELECT c.conrelid AS relid WHERE r.relkind <> 'p'
       UNION SELECT relid FROM pg_partition_tree(c.conrelid) WHERE isleaf) AS leaf)
)";

// The tables whose keys are asked for: the first one, and every one that CASCADE leads to, by any key that there is.
constexpr std::string_view one_sql = "SELECT $1";
constexpr std::string_view reachable_sql = R"(
(SELECT $1 UNION SELECT relid FROM pg_partition_tree(CASE WHEN $2 <> 0 THEN $2 END))
UNION SELECT edge.conrelid FROM asked
  CROSS JOIN LATERAL (SELECT asked.root UNION SELECT relid FROM pg_partition_tree(asked.root)) AS part (relid)
  JOIN edge ON edge.confrelid = part.relid)";

// One row per table that is asked about, constraint and column. A constraint of a partitioned table has one row for
// itself and one for each partition on either side; the ones that act are those with a trigger on the referenced table,
// and of these the topmost within the tree that is asked about.
std::string keys_sql(std::string_view asked)
{
    return pg::concat(R"(
WITH RECURSIVE edge AS MATERIALIZED (
  SELECT confrelid, conrelid FROM pg_constraint WHERE contype = 'f' AND confdeltype = 'c' AND confrelid <> 0),
asked (root) AS ()",
                      asked, R"(),
tree AS MATERIALIZED (
  SELECT root, root AS relid FROM asked UNION SELECT root, part.relid FROM asked CROSS JOIN LATERAL pg_partition_tree(root) AS part),
acting AS MATERIALIZED (
  SELECT tree.root, c.oid, c.conname, c.conparentid, c.conrelid, c.confrelid, c.conkey, c.confkey, c.conpfeqop, c.confdeltype, g.tgname
  FROM tree JOIN pg_constraint c ON c.confrelid = tree.relid
    JOIN pg_trigger g ON g.tgconstraint = c.oid AND g.tgrelid = c.confrelid
  WHERE c.contype = 'f' AND )",
                      pg::plain_foreign_key, R"(
    AND g.tgtype & 8 <> 0 /* DELETE */ AND g.tgenabled IN ('O', 'A')
    AND (c.conparentid = 0 OR NOT EXISTS (
      SELECT FROM pg_constraint p JOIN tree AS other ON other.relid = p.confrelid AND other.root = tree.root
      WHERE p.oid = c.conparentid)))
SELECT c.oid, (WITH RECURSIVE up (name, parent) AS (SELECT c.conname, c.conparentid
                 UNION ALL SELECT p.conname, p.conparentid FROM up JOIN pg_constraint p ON p.oid = up.parent)
               SELECT up.name FROM up WHERE up.parent = 0), c.conrelid, r.relowner, r.relkind = 'p', c.confrelid, t.relkind = 'p', c.confdeltype::text,
       quote_ident(ra.attname), quote_ident(ta.attname), k.referencing, k.referenced, k.operator, c.tgname,
       CASE WHEN k.n = 1 THEN )",
                      unindexed_sql, R"( END, c.root
FROM acting c
  JOIN pg_class r ON r.oid = c.conrelid
  JOIN pg_class t ON t.oid = c.confrelid
  CROSS JOIN LATERAL unnest(c.conkey, c.confkey, c.conpfeqop) WITH ORDINALITY AS k (referencing, referenced, operator, n)
  JOIN pg_attribute ra ON ra.attrelid = c.conrelid AND ra.attnum = k.referencing
  JOIN pg_attribute ta ON ta.attrelid = c.confrelid AND ta.attnum = k.referenced
ORDER BY c.root, r.relname, c.conname, c.oid, k.n)");
}

// `with_tree`: a table whose partitions are asked about, too; or none.
pg::Rows read_keys(Oid relation, std::string_view asked, Oid with_tree = InvalidOid)
{
    const pg::AsExtensionOwner bookkeeping(pg::extension());
    const pg::SettingsScope settings;
    settings.set("jit", "off"); // it would take a hundred times as long as the query
    // The recursion is expected to find a million tables, and its hash table would be made for as many: 12 MB.
    settings.set("work_mem", "1MB");
    pg::Spi spi;
    pg::Parameters parameters;
    parameters.oid(relation);
    if (asked == reachable_sql)
        parameters.oid(with_tree);
    return spi.run(keys_sql(asked), parameters);
}

Oid to_oid(const pg::Cell& cell)
{
    return static_cast<Oid>(pg::to_int64(cell));
}

// "1,2,3", or nothing.
std::vector<Oid> to_oids(const pg::Cell& cell)
{
    std::vector<Oid> oids;
    const std::string list = cell.value_or("");
    for (std::size_t begin = 0; begin < list.size();) {
        const std::size_t end = std::min(list.find(',', begin), list.size());
        oids.push_back(to_oid(list.substr(begin, end - begin)));
        begin = end + 1;
    }
    return oids;
}

ForeignKey new_key(const std::vector<pg::Cell>& row)
{
    ForeignKey key;
    key.constraint = to_oid(row[0]);
    key.name = pg::to_text(row[1]);
    key.referencing = to_oid(row[2]);
    key.referencing_name = pg::relation_name(key.referencing);
    key.referencing_owner = to_oid(row[3]);
    key.referencing_partitioned = pg::to_bool(row[4]);
    key.referenced = to_oid(row[5]);
    key.referenced_name = pg::relation_name(key.referenced);
    key.referenced_partitioned = pg::to_bool(row[6]);
    key.on_delete = pg::to_text(row[7]).at(0);
    key.trigger = pg::to_text(row[13]);
    key.unindexed = to_oids(row[14]);
    key.referencing_rows = static_cast<std::int64_t>(estimated_rows(key.referencing));
    return key;
}

void add_column(ForeignKey& key, const std::vector<pg::Cell>& row)
{
    key.referencing_columns.push_back(pg::to_text(row[8]));
    key.referenced_columns.push_back(pg::to_text(row[9]));
    key.referencing_attributes.push_back(static_cast<AttrNumber>(pg::to_int64(row[10])));
    key.referenced_attributes.push_back(static_cast<AttrNumber>(pg::to_int64(row[11])));
    key.equality_operators.push_back(to_oid(row[12]));
}

ReferenceGraph to_keys(const pg::Rows& rows)
{
    ReferenceGraph graph;
    for (const std::vector<pg::Cell>& row : rows) {
        std::vector<ForeignKey>& keys = graph[to_oid(row[15])];
        if (keys.empty() || keys.back().constraint != to_oid(row[0]))
            keys.push_back(new_key(row));
        add_column(keys.back(), row);
    }
    return graph;
}

// What this process has read, until a definition changes.
class KnownReferences {
public:
    KnownReferences()
    {
        is_stale_ =
            pg::pg_call([] { return static_cast<bool*>(MemoryContextAllocZero(TopMemoryContext, sizeof(bool))); });
        pg::pg_call([this] {
            CacheRegisterRelcacheCallback(pg_on_relation_change, PointerGetDatum(is_stale_));
            for (const int cache : {CONSTROID, NAMESPACEOID})
                CacheRegisterSyscacheCallback(cache, pg_on_catalog_change, PointerGetDatum(is_stale_));
        });
    }

    std::shared_ptr<const ReferenceGraph> behind(Oid relation)
    {
        pg::pg_call([] { AcceptInvalidationMessages(); });
        if (std::exchange(*is_stale_, false)) {
            asked_.clear();
            graph_ = std::make_shared<const ReferenceGraph>();
        }
        if (!asked_.contains(relation))
            read(relation);
        return graph_;
    }

private:
    static void pg_on_relation_change(Datum flag, Oid /*relation*/)
    {
        *reinterpret_cast<bool*>(DatumGetPointer(flag)) = true;
    }
    static void pg_on_catalog_change(Datum flag, int /*cache*/, uint32 /*hash*/)
    {
        *reinterpret_cast<bool*>(DatumGetPointer(flag)) = true;
    }

    void read(Oid relation)
    {
        const Oid topmost = topmost_table(relation);
        ReferenceGraph graph = to_keys(read_keys(relation, reachable_sql, topmost));
        graph.insert(graph_->begin(), graph_->end());
        graph_ = std::make_shared<const ReferenceGraph>(std::move(graph));
        asked_.insert(relation);
        for (const Oid leaf : leaves_of(topmost))
            asked_.insert(leaf);
    }

    bool* is_stale_; // lives as long as the process: the callbacks point to it
    std::set<Oid> asked_;
    std::shared_ptr<const ReferenceGraph> graph_ = std::make_shared<const ReferenceGraph>();
};

struct ColumnType {
    Oid type;
    int32 modifier;
    Oid collation;
};

ColumnType column_type(Oid relation, AttrNumber attribute)
{
    ColumnType result{};
    pg::pg_call([&] { get_atttypetypmodcoll(relation, attribute, &result.type, &result.modifier, &result.collation); });
    return result;
}

// As ri_triggers.c decides: the referencing column's collation, so that its index serves, unless the referenced one's
// is not deterministic, where it decides what equal means.
std::string collation_clause(Oid referenced, Oid referencing)
{
    if (referenced == referencing)
        return "";
    return pg::pg_call([&] {
        const Oid collation =
            OidIsValid(referenced) && !get_collation_isdeterministic(referenced) ? referenced : referencing;
        if (!OidIsValid(collation))
            return "";
        HeapTuple tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
        if (!HeapTupleIsValid(tuple))
            elog(ERROR, "cache lookup failed for collation %u", collation);
        auto* form = reinterpret_cast<Form_pg_collation>(GETSTRUCT(tuple));
        const char* name = quote_qualified_identifier(get_namespace_name(form->collnamespace), NameStr(form->collname));
        ReleaseSysCache(tuple);
        return static_cast<const char*>(psprintf(" COLLATE %s", name));
    });
}

std::string column_match(const ForeignKey& key, std::size_t n, std::string_view referenced,
                         std::string_view referencing)
{
    const ColumnType left = column_type(key.referenced, key.referenced_attributes[n]);
    const ColumnType right = column_type(key.referencing, key.referencing_attributes[n]);
    const std::string left_name = pg::concat(referenced, '.', key.referenced_columns[n]);
    const std::string right_name = pg::concat(referencing, '.', key.referencing_columns[n]);
    const Oid op = key.equality_operators[n];
    const char* clause = pg::pg_call([&] {
        StringInfoData text;
        initStringInfo(&text);
        generate_operator_clause(&text, left_name.c_str(), left.type, op, right_name.c_str(), right.type);
        return static_cast<const char*>(text.data);
    });
    return clause + collation_clause(left.collation, right.collation);
}

} // namespace

std::vector<ForeignKey> references_to(Oid relation)
{
    // Most tables are not referenced; the query below costs a short run more than its deletes.
    if (!has_triggers(relation))
        return {};
    return to_keys(read_keys(relation, one_sql))[relation];
}

std::shared_ptr<const ReferenceGraph> references_behind(Oid relation)
{
    static const auto nothing = std::make_shared<const ReferenceGraph>();
    if (!has_triggers(relation))
        return nothing;
    if (MyBackendType != B_BG_WORKER) // what a session reads depends on its snapshot
        return std::make_shared<const ReferenceGraph>(to_keys(read_keys(relation, reachable_sql)));
    static KnownReferences known;
    return known.behind(relation);
}

std::string reference_match(const ForeignKey& key, std::string_view referenced, std::string_view referencing)
{
    std::string match;
    for (std::size_t n = 0; n < key.equality_operators.size(); ++n)
        match += (n == 0 ? "" : " AND ") + column_match(key, n, referenced, referencing);
    return match;
}

std::string from_referencing(const ForeignKey& key)
{
    return (key.referencing_partitioned ? "" : "ONLY ") + key.referencing_name;
}

std::string from_referenced(const ForeignKey& key)
{
    return (key.referenced_partitioned ? "" : "ONLY ") + key.referenced_name;
}

std::string within_partition(const ForeignKey& key, Oid table, std::string_view alias)
{
    if (key.referenced == table)
        return "";
    std::string leaves;
    for (const Oid leaf : leaves_of(key.referenced))
        leaves += (leaves.empty() ? "" : ", ") + std::to_string(leaf);
    return pg::concat(" AND ", alias, ".tableoid OPERATOR(pg_catalog.=) ANY (ARRAY[", leaves, "]::pg_catalog.oid[])");
}

std::string reference_probe(const ForeignKey& key, Oid table, std::string_view alias, std::string_view row,
                            std::string_view condition)
{
    return pg::concat("(SELECT true FROM ", from_referencing(key), " AS ", row, " WHERE ",
                      reference_match(key, alias, row), within_partition(key, table, alias), condition, " LIMIT 1)");
}

std::string same_row(std::string_view left, std::string_view right)
{
    return pg::concat(left, ".ctid OPERATOR(pg_catalog.=) ", right, ".ctid AND ", left,
                      ".tableoid OPERATOR(pg_catalog.=) ", right, ".tableoid");
}

} // namespace pgcleanup
