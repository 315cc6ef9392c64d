#include "extension/index_facts.h"

#include "pg/identity.h"

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

} // namespace

bool has_age_index(pg::Spi& spi, Oid leaf, const std::string& column, IndexUse use)
{
    const pg::AsExtensionOwner bookkeeping(pg::extension());
    return pg::to_bool(
        spi.run(index_sql, pg::Parameters().oid(leaf).name(column).boolean(use == IndexUse::order))[0][0]);
}

} // namespace pgcleanup
