// What row-level security asks: which policies the caller may see.
#include "extension/rights.h"
#include "pg/text.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_sees_every_policy);
PG_FUNCTION_INFO_V1(cleanup_visible_policies);
}

namespace pgcleanup {

namespace {

bool sees_every_policy()
{
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    return Rights(spi, extension, GetUserId()).may_with_every_policy(Right::see);
}

Datum visible_policies()
{
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const Rights rights(spi, extension, GetUserId());
    std::string ids;
    for (const Policy& policy : all_policies(spi, extension)) {
        if (rights.may(Right::see, policy))
            ids += pg::concat(ids.empty() ? "" : ",", policy.id);
    }
    return pg::input_value(pg::concat("{", ids, "}"), INT8ARRAYOID);
}

} // namespace

} // namespace pgcleanup

Datum cleanup_sees_every_policy(PG_FUNCTION_ARGS)
{
    static_cast<void>(fcinfo);
    return pgcleanup::pg::pg_entry([&] { return BoolGetDatum(pgcleanup::sees_every_policy()); });
}

Datum cleanup_visible_policies(PG_FUNCTION_ARGS)
{
    static_cast<void>(fcinfo);
    return pgcleanup::pg::pg_entry([&] { return pgcleanup::visible_policies(); });
}
