#include "extension/row_width.h"

#include "extension/table_facts.h"

extern "C" {
#include "optimizer/plancat.h"
#include "storage/bufmgr.h"
}

#include <cmath>

namespace pgcleanup {

namespace {

using pg::concat;

// A few thousand narrow rows; and hardly ever no row at all, though blocks are chosen by chance.
constexpr double sample_blocks = 50;
constexpr int row_overhead = MAXALIGN(SizeofHeapTupleHeader) + sizeof(ItemIdData);

// SQL over `target`. May longjmp.
const char* pg_width_expression(Oid table)
{
    StringInfoData width;
    initStringInfo(&width);
    appendStringInfo(&width, "%d", row_overhead);
    Relation opened = table_open(table, AccessShareLock);
    const TupleDesc columns = RelationGetDescr(opened);
    for (int n = 0; n < columns->natts; ++n) {
        const Form_pg_attribute column = TupleDescAttr(columns, n);
        // 'v': virtual generated columns (18) are not stored.
        if (!column->attisdropped && column->attgenerated != 'v')
            appendStringInfo(&width, " OPERATOR(pg_catalog.+) COALESCE(pg_catalog.pg_column_size(target.%s), 0)",
                             quote_identifier(NameStr(column->attname)));
    }
    table_close(opened, NoLock);
    return width.data;
}

// May longjmp.
double pg_block_count(Oid leaf)
{
    Relation opened = table_open(leaf, AccessShareLock);
    const double blocks = RelationGetNumberOfBlocks(opened);
    table_close(opened, NoLock);
    return blocks;
}

std::string sample_clause(double blocks)
{
    if (blocks <= sample_blocks)
        return "";
    return concat(" TABLESAMPLE pg_catalog.system (", 100.0 * sample_blocks / blocks, ") REPEATABLE (1)");
}

double planned_row_bytes(Oid table)
{
    return row_overhead + pg::pg_call([&] { return get_relation_data_width(table, nullptr); });
}

} // namespace

double average_row_bytes(pg::Spi& spi, Oid table)
{
    const std::string width = pg::pg_call([&] { return pg_width_expression(table); });
    double blocks = 0;
    for (const Oid leaf : leaves_of(table))
        blocks += pg::pg_call([&] { return pg_block_count(leaf); });
    const pg::Rows rows = spi.run(concat("SELECT pg_catalog.avg(", width, ")::pg_catalog.float8 FROM ",
                                         from_table(table), " AS target", sample_clause(blocks)),
                                  {}, pg::Access::read_only);
    return std::round(rows[0][0] ? pg::to_double(rows[0][0]) : planned_row_bytes(table));
}

} // namespace pgcleanup
