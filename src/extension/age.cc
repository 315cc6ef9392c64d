#include "extension/age.h"

#include "core/period.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

using pg::concat;

// A column as plain data.
struct Attribute {
    AttrNumber number;
    Oid type;
    Oid base_type;
};

Attribute pg_attribute_of(Oid relation, const char* name)
{
    Attribute attribute{};
    attribute.number = get_attnum(relation, name);
    if (attribute.number > 0) {
        attribute.type = get_atttype(relation, attribute.number);
        attribute.base_type = getBaseType(attribute.type);
    }
    return attribute;
}

AgeKind kind_of(Oid base_type)
{
    switch (base_type) {
    case DATEOID:
        return AgeKind::date;
    case TIMESTAMPOID:
        return AgeKind::timestamp;
    case TIMESTAMPTZOID:
        return AgeKind::timestamptz;
    case INT4OID:
        return AgeKind::int4;
    case INT8OID:
        return AgeKind::int8;
    case UUIDOID:
        return AgeKind::uuid;
    default:
        return AgeKind::none;
    }
}

[[noreturn]] void raise_wrong_type(Oid relation, const std::string& column, Oid type)
{
    const char* type_name = pg::pg_call([&] { return format_type_be(type); });
    std::string hint = "An age is a date, timestamp, timestamptz, integer (seconds), bigint (with age_unit), or uuid "
                       "(version 7).";
    if (type == INT2OID)
        hint = "A smallint cannot hold a time: use a timestamptz, or a bigint with age_unit.";
    pg::raise({.sqlstate = ERRCODE_DATATYPE_MISMATCH,
               .message = concat("column \"", column, "\" of ", pg::relation_name(relation), " has type ", type_name,
                                 ", which is no age"),
               .hint = std::move(hint)});
}

[[noreturn]] void raise_unit(std::string message, std::string hint)
{
    pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE, .message = std::move(message), .hint = std::move(hint)});
}

core::AgeUnit unit_of(AgeKind kind, const std::string& column, const std::optional<std::string>& text)
{
    if (kind != AgeKind::int4 && kind != AgeKind::int8) {
        if (text)
            raise_unit(concat("age_unit is for integers, and column \"", column, "\" is none"), "Leave age_unit out.");
        return core::AgeUnit::s;
    }
    if (!text) {
        if (kind == AgeKind::int8)
            raise_unit(concat("bigint column \"", column, "\" needs an age_unit"),
                       "Say what it counts since 1970: age_unit => 's', 'ms', 'us' or 'ns'.");
        return core::AgeUnit::s;
    }
    const std::optional<core::AgeUnit> unit = core::parse_age_unit(*text);
    if (!unit)
        raise_unit(concat("age_unit \"", *text, "\" is not known"), "It is one of 's', 'ms', 'us' and 'ns'.");
    if (kind == AgeKind::int4 && *unit != core::AgeUnit::s)
        raise_unit(concat("integer column \"", column, "\" cannot count in ", *text),
                   "An integer of 4 bytes holds seconds; finer units need a bigint.");
    return *unit;
}

// The period as plain data; language settings must be pinned.
core::Period period_of(const std::string& retain)
{
    const auto* interval = reinterpret_cast<const Interval*>(DatumGetPointer(pg::input_value(retain, INTERVALOID)));
    return {interval->month, interval->day, interval->time};
}

// A valid btree index over the whole table that begins with the column makes its maximum one probe.
bool has_leading_index(pg::Spi& spi, Oid relation, AttrNumber column)
{
    return !spi.run("SELECT 1 FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) "
                    "i.indexrelid JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam "
                    "WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisvalid AND i.indpred IS NULL "
                    "AND i.indkey[0] OPERATOR(pg_catalog.=) $2 AND a.amname OPERATOR(pg_catalog.=) 'btree' LIMIT 1",
                    pg::Parameters().oid(relation).int4(column), pg::Access::read_only)
                .empty();
}

std::string newest_query(const std::string& table, const std::string& column, bool through_index)
{
    const std::string known = concat(" FROM ", table, " WHERE ", column, " IS NOT NULL ");
    if (through_index)
        return concat("SELECT ", column, known, "ORDER BY ", column, " DESC LIMIT 1");
    return concat("SELECT pg_catalog.max(looked_at.age) FROM (SELECT ", column, " AS age", known,
                  "LIMIT 1000) looked_at");
}

} // namespace

AgeColumn resolve_age_column(Oid relation, const std::string& name, const std::optional<std::string>& unit)
{
    const Attribute attribute = pg::pg_call([&] { return pg_attribute_of(relation, name.c_str()); });
    if (attribute.number == InvalidAttrNumber)
        pg::raise({.sqlstate = ERRCODE_UNDEFINED_COLUMN,
                   .message = concat("column \"", name, "\" of ", pg::relation_name(relation), " does not exist"),
                   .hint = "age_column names the column that says how old a row is, spelled as in the table."});
    if (attribute.number < 0)
        pg::raise({.sqlstate = ERRCODE_DATATYPE_MISMATCH, .message = concat("system column \"", name, "\" is no age")});
    AgeColumn column;
    column.quoted_name = pg::quote_identifier(name);
    column.number = attribute.number;
    column.type = attribute.base_type;
    column.kind = kind_of(attribute.base_type);
    if (column.kind == AgeKind::none)
        raise_wrong_type(relation, name, attribute.type);
    column.unit = unit_of(column.kind, name, unit);
    return column;
}

void check_retain(const std::string& period, const std::string& option)
{
    std::string message;
    std::string hint;
    switch (core::check_retain(period_of(period))) {
    case core::RetainCheck::ok:
        return;
    case core::RetainCheck::mixed_signs:
        message = "has parts of both signs";
        hint = "How long it is would depend on the day it is used: write it with one sign.";
        break;
    case core::RetainCheck::negative:
        message = "is negative";
        hint = concat(option, " says how long rows are kept: a row is due once it is older.");
        break;
    case core::RetainCheck::too_short:
        message = "is shorter than an hour";
        hint = concat("A number without a unit counts seconds: write '30 days', not '30'.",
                      option == "retain" ? " '0' is for columns that say when a row expires." : "");
        break;
    case core::RetainCheck::too_long:
        message = "is longer than a thousand years";
        hint = "Rows that are kept for ever need no policy.";
        break;
    }
    pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
               .message = concat(option, " '", period, "' ", message),
               .hint = std::move(hint)});
}

void check_age_unit(pg::Spi& spi, Oid relation, const AgeColumn& column)
{
    if (column.kind != AgeKind::int4 && column.kind != AgeKind::int8)
        return;
    const std::string table = pg::relation_name(relation);
    const bool through_index = has_leading_index(spi, relation, column.number);
    const pg::Rows rows = spi.run(newest_query(table, column.quoted_name, through_index), {}, pg::Access::read_only);
    if (rows.empty() || !rows[0][0] || pg::to_int64(rows[0][0]) <= 0)
        return;
    const std::int64_t newest = pg::to_int64(rows[0][0]);
    if (core::plausible_newest(newest, column.unit))
        return;
    pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
               .message = concat("with this age_unit the newest row of ", table, " would be from before 1990"),
               .detail = concat("The highest value found in column ", column.quoted_name, " is ", newest, "."),
               .hint = "The unit is most likely too fine, and every row would look old: check age_unit."});
}

} // namespace pgcleanup
