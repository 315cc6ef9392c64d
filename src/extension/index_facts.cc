#include "extension/index_facts.h"

#include "pg/identity.h"
#include "pg/result_set.h"

namespace pgcleanup {

namespace {

constexpr const char* index_sql = R"(
SELECT EXISTS (
  SELECT FROM pg_index i
    JOIN pg_class x ON x.oid = i.indexrelid
    JOIN pg_am m ON m.oid = x.relam
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = $2
  WHERE i.indrelid = $1 AND i.indisvalid AND i.indislive
    AND (m.amname = 'btree' OR NOT $3 AND m.amname IN ('brin', 'gist', 'spgist'))
    AND (a.attnum = i.indkey[0] OR m.amname = 'brin' AND a.attnum = ANY (i.indkey::int2[]))
    AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname))))";

constexpr const char* group_index_sql = R"(
SELECT EXISTS (
  SELECT FROM pg_index i
    JOIN pg_class x ON x.oid = i.indexrelid
    JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = $2
  WHERE i.indrelid = $1 AND i.indisvalid AND i.indislive AND i.indkey[cardinality($3::text[])] = a.attnum
    AND cardinality($3::text[]) = (
      SELECT count(DISTINCT g.attnum) FROM generate_series(0, cardinality($3::text[]) - 1) AS n
        JOIN pg_attribute g ON g.attrelid = i.indrelid AND g.attnum = i.indkey[n] AND g.attname = ANY ($3::text[]))
    AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname))))";

} // namespace

bool has_group_index(pg::Spi& spi, Oid leaf, const std::vector<std::string>& group, const std::string& column)
{
    const pg::AsExtensionOwner bookkeeping(pg::extension());
    const pg::Parameters parameters = pg::Parameters().oid(leaf).name(column).text(pg::text_array_cell(group));
    return pg::to_bool(spi.run(group_index_sql, parameters)[0][0]);
}

bool has_age_index(pg::Spi& spi, Oid leaf, const std::string& column, IndexUse use)
{
    const pg::AsExtensionOwner bookkeeping(pg::extension());
    return pg::to_bool(
        spi.run(index_sql, pg::Parameters().oid(leaf).name(column).boolean(use == IndexUse::order))[0][0]);
}

} // namespace pgcleanup
