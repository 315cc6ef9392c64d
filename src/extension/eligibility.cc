#include "extension/eligibility.h"

#include "core/uuid7.h"
#include "extension/age.h"
#include "extension/keep_newest.h"
#include "extension/time_zone.h"
#include "pg/settings_scope.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

using pg::concat;

constexpr std::int64_t microseconds_per_millisecond = 1000;

std::int64_t unix_microseconds(TimestampTz time)
{
    return time + static_cast<std::int64_t>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

// Rounded away from the past: the first value of the unit that is not before `time`.
std::int64_t first_not_before(TimestampTz time, core::AgeUnit unit)
{
    const std::int64_t microseconds = unix_microseconds(time);
    const std::int64_t below = core::to_unit(microseconds, unit);
    return core::from_unit(below, unit) == microseconds || below == PG_INT64_MAX ? below : below + 1;
}

std::int64_t units_per_second(core::AgeUnit unit)
{
    switch (unit) {
    case core::AgeUnit::s:
        return 1;
    case core::AgeUnit::ms:
        return 1'000;
    case core::AgeUnit::us:
        return 1'000'000;
    case core::AgeUnit::ns:
        break;
    }
    return 1'000'000'000;
}

std::string uuid7_as_timestamp(const std::string& column)
{
    return concat("CASE WHEN ", uuid7_test(column),
                  " THEN pg_catalog.to_timestamp(pg_catalog.concat('x', pg_catalog.encode(pg_catalog.substr("
                  "pg_catalog.uuid_send(",
                  column,
                  "), 1, 6), 'hex'))::pg_catalog.bit(48)::pg_catalog.int8::pg_catalog.float8 OPERATOR(pg_catalog./) "
                  "1000.0::pg_catalog.float8) END");
}

// Values that no timestamp can hold have no age; whole and fractional seconds are added apart, or a double would round.
std::string integer_as_timestamp(const std::string& column, core::AgeUnit unit)
{
    constexpr std::int64_t seconds_until_year_10000 = 253'402'300'800;
    const std::int64_t per_second = units_per_second(unit);
    const std::int64_t limit =
        per_second > PG_INT64_MAX / seconds_until_year_10000 ? PG_INT64_MAX : per_second * seconds_until_year_10000;
    const std::string wide = concat(column, "::pg_catalog.int8");
    return concat("CASE WHEN ", wide, " OPERATOR(pg_catalog.>) 0 AND ", wide, " OPERATOR(pg_catalog.<) '", limit,
                  "'::pg_catalog.int8 THEN pg_catalog.to_timestamp((", wide, " OPERATOR(pg_catalog./) ", per_second,
                  ")::pg_catalog.float8) OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => (", wide,
                  " OPERATOR(pg_catalog.%) ", per_second, ")::pg_catalog.float8 OPERATOR(pg_catalog./) ", per_second,
                  "::pg_catalog.float8) END");
}

} // namespace

Eligibility::Eligibility(const Policy& policy, const AgeWindow& window)
    : time_zone_(policy.time_zone), condition_(policy.condition ? concat("(", *policy.condition, ")") : "true")
{
    if (!policy.age_column) {
        if (window.from || window.to)
            pg::raise(
                {.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                 .message = concat("policy \"", policy.name, "\" has no age, so age_from and age_to mean nothing")});
        return;
    }
    const AgeColumn column = resolve_age_column(policy.target, *policy.age_column, policy.age_unit);
    column_ = column.quoted_name;
    kind_ = column.kind;
    type_ = column.type;
    unit_ = column.unit;
    if (policy.keep_last)
        not_among_newest_ = not_among_newest(policy, column);
    lower_is_inclusive_ = window.from.has_value() && !TIMESTAMP_IS_NOBEGIN(*window.from);
    AgeWindow finite = window;
    if (!lower_is_inclusive_)
        finite.from.reset();
    const TimestampTz before = window.to ? std::min(window.cutoff, *window.to) : window.cutoff;
    switch (kind_) {
    case AgeKind::int4:
    case AgeKind::int8:
        set_integer_bounds(finite, before);
        break;
    case AgeKind::uuid:
        set_uuid_bounds(finite, before);
        break;
    default:
        set_naive_bounds(finite, before);
        break;
    }
}

void Eligibility::set_naive_bounds(const AgeWindow& window, TimestampTz before)
{
    // A range that ends before all time, or begins after it, holds nothing; only the bounds' own infinities can say so.
    if (TIMESTAMP_NOT_FINITE(before) || (window.from && TIMESTAMP_NOT_FINITE(*window.from))) {
        lower_is_inclusive_ = false;
        lower_.number = upper_.number = kind_ == AgeKind::date ? DATEVAL_NOBEGIN : DT_NOBEGIN;
        return;
    }
    pg_tz* zone = find_time_zone(time_zone_);
    switch (kind_) {
    case AgeKind::date:
        upper_.number = date_upper_bound(before, zone);
        lower_.number = window.from ? date_lower_bound(*window.from, zone) : DATEVAL_NOBEGIN;
        return;
    case AgeKind::timestamp: {
        const NaiveRange range = naive_range(window.from, before, zone);
        upper_.number = range.upper;
        lower_.number = range.lower;
        for (const auto& [first, end] : range.holes)
            holes_.emplace_back(Bound{first, {}}, Bound{end, {}});
        return;
    }
    default:
        upper_.number = before;
        lower_.number = window.from.value_or(DT_NOBEGIN);
    }
}

void Eligibility::set_integer_bounds(const AgeWindow& window, TimestampTz before)
{
    const bool is_empty = TIMESTAMP_NOT_FINITE(before) || (window.from && TIMESTAMP_NOT_FINITE(*window.from));
    upper_.number = is_empty ? 0 : core::to_unit(unix_microseconds(before), unit_);
    if (window.from && !is_empty)
        lower_.number = std::max<std::int64_t>(first_not_before(*window.from, unit_), 1);
    else
        lower_is_inclusive_ = false; // positive, and no more
    if (kind_ == AgeKind::int4) {
        upper_.number = std::clamp<std::int64_t>(upper_.number, PG_INT32_MIN, PG_INT32_MAX);
        lower_.number = std::clamp<std::int64_t>(lower_.number, PG_INT32_MIN, PG_INT32_MAX);
    }
}

void Eligibility::set_uuid_bounds(const AgeWindow& window, TimestampTz before)
{
    const bool is_empty = TIMESTAMP_NOT_FINITE(before) || (window.from && TIMESTAMP_NOT_FINITE(*window.from));
    const std::int64_t to = is_empty ? 0 : core::to_unit(unix_microseconds(before), core::AgeUnit::ms);
    const std::int64_t from = is_empty || !window.from ? 0 : first_not_before(*window.from, core::AgeUnit::ms);
    upper_.uuid = core::uuid7_lower_bound(to);
    lower_.uuid = core::uuid7_lower_bound(from);
    lower_is_inclusive_ = true;
}

AgeKind Eligibility::age_kind() const noexcept
{
    return kind_;
}

const std::optional<std::string>& Eligibility::age_column() const noexcept
{
    return column_;
}

Oid Eligibility::age_type() const noexcept
{
    return type_;
}

int Eligibility::parameter_count() const noexcept
{
    return column_ ? 2 + 2 * static_cast<int>(holes_.size()) : 0;
}

void Eligibility::add(pg::Parameters& parameters, const Bound& bound) const
{
    switch (kind_) {
    case AgeKind::uuid: {
        const Datum value = pg::pg_call([&] {
            auto* uuid = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
            std::copy(bound.uuid.begin(), bound.uuid.end(), std::begin(uuid->data));
            return UUIDPGetDatum(uuid);
        });
        parameters.value(UUIDOID, value);
        return;
    }
    case AgeKind::date:
    case AgeKind::int4:
        parameters.value(type_, Int32GetDatum(static_cast<std::int32_t>(bound.number)));
        return;
    default:
        parameters.value(type_, Int64GetDatum(bound.number));
    }
}

void Eligibility::add_parameters(pg::Parameters& parameters) const
{
    if (!column_)
        return;
    add(parameters, upper_);
    add(parameters, lower_);
    for (const auto& [first, end] : holes_) {
        add(parameters, first);
        add(parameters, end);
    }
}

std::string Eligibility::age_test(int first) const
{
    if (!column_)
        return "true";
    const std::string column = concat("target.", *column_);
    std::string test = concat(column, " OPERATOR(pg_catalog.<) $", first, " AND ", column, " OPERATOR(pg_catalog.",
                              lower_is_inclusive_ ? ">=" : ">", ") $", first + 1);
    for (int next = first + 2; next < first + parameter_count(); next += 2)
        test += concat(" AND (", column, " OPERATOR(pg_catalog.<) $", next, " OR ", column,
                       " OPERATOR(pg_catalog.>=) $", next + 1, ")");
    if (kind_ == AgeKind::uuid)
        test += concat(" AND ", uuid7_test(column));
    return test;
}

std::string Eligibility::condition() const
{
    return condition_;
}

std::string Eligibility::test(int first) const
{
    return concat(age_test(first), " AND ", condition(), newest_test());
}

std::string Eligibility::row_test(int first) const
{
    return concat(age_test(first), " AND ", condition(), " IS TRUE", newest_test());
}

std::string Eligibility::newest_test() const
{
    return not_among_newest_ ? concat(" AND ", *not_among_newest_) : "";
}

std::string Eligibility::age_as_timestamp() const
{
    if (!column_)
        return "NULL::pg_catalog.timestamptz";
    const std::string column = concat("target.", *column_);
    switch (kind_) {
    case AgeKind::date:
    case AgeKind::timestamp:
        return concat("pg_catalog.timezone(", pg::quote_literal(time_zone_), ", ", column, "::pg_catalog.timestamp)");
    case AgeKind::int4:
    case AgeKind::int8:
        return integer_as_timestamp(column, unit_);
    case AgeKind::uuid:
        return uuid7_as_timestamp(column);
    default:
        return concat(column, "::pg_catalog.timestamptz");
    }
}

std::optional<TimestampTz> cutoff_at(const Policy& policy, TimestampTz start, const std::optional<std::string>& retain)
{
    if (!policy.age_column || !policy.retain)
        return std::nullopt;
    pg::SettingsScope settings;
    settings.set(pg::language_settings());
    settings.set("TimeZone", policy.time_zone);
    const std::string& period = retain ? *retain : *policy.retain;
    check_retain(period, "retain");
    const Datum interval = pg::input_value(period, INTERVALOID);
    const TimestampTz cutoff = pg::pg_call([&] {
        return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval, TimestampTzGetDatum(start), interval));
    });
    if (cutoff > start)
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = concat("with retain '", period, "' the cutoff would be after the run's start")});
    return cutoff;
}

} // namespace pgcleanup
