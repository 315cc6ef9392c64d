#include "extension/row_width.h"

#include "pg/text.h"

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

struct Shape {
    double blocks;
    const char* width; // SQL over `target`
};

// May longjmp.
Shape pg_shape(Oid relation)
{
    StringInfoData width;
    initStringInfo(&width);
    appendStringInfo(&width, "%d", row_overhead);
    Relation opened = table_open(relation, AccessShareLock);
    const TupleDesc columns = RelationGetDescr(opened);
    for (int n = 0; n < columns->natts; ++n) {
        const Form_pg_attribute column = TupleDescAttr(columns, n);
        // 'v': virtual generated columns (18) are not stored.
        if (!column->attisdropped && column->attgenerated != 'v')
            appendStringInfo(&width, " OPERATOR(pg_catalog.+) COALESCE(pg_catalog.pg_column_size(target.%s), 0)",
                             quote_identifier(NameStr(column->attname)));
    }
    const Shape shape{static_cast<double>(RelationGetNumberOfBlocks(opened)), width.data};
    table_close(opened, NoLock);
    return shape;
}

std::string sample_clause(double blocks)
{
    if (blocks <= sample_blocks)
        return "";
    return concat(" TABLESAMPLE pg_catalog.system (", 100.0 * sample_blocks / blocks, ") REPEATABLE (1)");
}

double planned_row_bytes(Oid relation)
{
    return row_overhead + pg::pg_call([&] { return get_relation_data_width(relation, nullptr); });
}

} // namespace

double average_row_bytes(pg::Spi& spi, Oid relation)
{
    const Shape shape = pg::pg_call([&] { return pg_shape(relation); });
    const pg::Rows rows = spi.run(concat("SELECT pg_catalog.avg(", shape.width, ")::pg_catalog.float8 FROM ONLY ",
                                         pg::relation_name(relation), " AS target", sample_clause(shape.blocks)),
                                  {}, pg::Access::read_only);
    return std::round(rows[0][0] ? pg::to_double(rows[0][0]) : planned_row_bytes(relation));
}

} // namespace pgcleanup
