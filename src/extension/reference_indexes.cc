#include "extension/reference_indexes.h"

#include "pg/identity.h"
#include "pg/result_set.h"
#include "pg/spi.h"

namespace pgcleanup {

namespace {

// By name, as column numbers differ between partitions.
constexpr const char* without_index_sql = R"(
SELECT leaf.relid::oid
FROM (SELECT $1 AS relid WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = $1 AND relkind = 'p')
      UNION SELECT relid FROM pg_partition_tree($1) WHERE isleaf) AS leaf
WHERE NOT EXISTS (
  SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am am ON am.oid = x.relam
  WHERE i.indrelid = leaf.relid AND i.indisvalid AND i.indislive AND am.amname NOT IN ('brin', 'gin')
    AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) IN (
      SELECT format('(%I IS NOT NULL)', name) FROM unnest($2::text[]) AS name))
    AND cardinality($2::text[]) = (
      SELECT count(*) FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS member (attnum, n)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = member.attnum
      WHERE member.n <= cardinality($2::text[]) AND a.attname = ANY ($2::text[])))
ORDER BY leaf.relid)";

} // namespace

std::vector<Oid> leaves_without_index(Oid table, std::span<const std::string> columns)
{
    const pg::AsExtensionOwner bookkeeping(pg::extension());
    pg::Spi spi;
    std::vector<Oid> leaves;
    for (const auto& row : spi.run(without_index_sql, pg::Parameters().oid(table).text(pg::text_array_cell(columns))))
        leaves.push_back(static_cast<Oid>(pg::to_int64(row[0])));
    return leaves;
}

} // namespace pgcleanup
