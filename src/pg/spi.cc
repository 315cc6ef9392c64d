#include "pg/spi.h"

#include "pg/text.h"

#include <charconv>

namespace pgcleanup::pg {

Parameters& Parameters::value(Oid type, Datum datum, bool null)
{
    types_.push_back(type);
    datums_.push_back(datum);
    nulls_.push_back(null ? 'n' : ' ');
    return *this;
}

Parameters& Parameters::append(const Parameters& more)
{
    types_.insert(types_.end(), more.types_.begin(), more.types_.end());
    datums_.insert(datums_.end(), more.datums_.begin(), more.datums_.end());
    nulls_ += more.nulls_;
    return *this;
}

Parameters& Parameters::text(std::string_view text)
{
    return value(TEXTOID, text_datum(text));
}

Parameters& Parameters::text(const std::optional<std::string>& text)
{
    return text ? value(TEXTOID, text_datum(*text)) : value(TEXTOID, 0, true);
}

Parameters& Parameters::name(const std::optional<std::string>& name)
{
    return name ? value(NAMEOID, name_datum(*name)) : value(NAMEOID, 0, true);
}

Parameters& Parameters::int8(std::int64_t number)
{
    return value(INT8OID, Int64GetDatum(number));
}

Parameters& Parameters::int8(std::optional<std::int64_t> number)
{
    return number ? int8(*number) : value(INT8OID, 0, true);
}

Parameters& Parameters::int4(std::int32_t number)
{
    return value(INT4OID, Int32GetDatum(number));
}

Parameters& Parameters::int4(std::optional<std::int32_t> number)
{
    return number ? int4(*number) : value(INT4OID, 0, true);
}

Parameters& Parameters::float8(double number)
{
    return value(FLOAT8OID, Float8GetDatum(number));
}

Parameters& Parameters::boolean(bool flag)
{
    return value(BOOLOID, BoolGetDatum(flag));
}

Parameters& Parameters::oid(Oid oid)
{
    return value(OIDOID, ObjectIdGetDatum(oid));
}

Parameters& Parameters::timestamp(std::optional<TimestampTz> time)
{
    return time ? value(TIMESTAMPTZOID, TimestampTzGetDatum(*time)) : value(TIMESTAMPTZOID, 0, true);
}

std::string to_text(const Cell& cell)
{
    if (!cell)
        raise({.message = "pg_cleanup: unexpected NULL in a result of its own"});
    return *cell;
}

std::int64_t to_int64(const Cell& cell)
{
    const std::string text = to_text(cell);
    std::int64_t number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size())
        raise({.message = concat("pg_cleanup: not an integer: ", text)});
    return number;
}

double to_double(const Cell& cell)
{
    return std::stod(to_text(cell));
}

bool to_bool(const Cell& cell)
{
    return to_text(cell) == "t";
}

Plan::Plan(const std::string& sql, std::span<const Oid> types, int cursor_options)
{
    std::vector<Oid> copied(types.begin(), types.end());
    Oid* data = copied.data();
    const int count = static_cast<int>(copied.size());
    plan_ = pg_call([&] {
        SPIPlanPtr plan = SPI_prepare_cursor(sql.c_str(), count, data, cursor_options);
        if (plan == nullptr)
            elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
        if (SPI_keepplan(plan) != 0)
            elog(ERROR, "SPI_keepplan failed");
        return plan;
    });
}

Plan::~Plan()
{
    if (plan_ != nullptr)
        pg_cleanup_call([this] { SPI_freeplan(plan_); });
}

Spi::Spi() : exceptions_at_start_(std::uncaught_exceptions())
{
    require_transaction();
    pg_call([] {
        if (SPI_connect() != SPI_OK_CONNECT)
            elog(ERROR, "SPI_connect failed");
    });
}

Spi::~Spi()
{
    // On the way out of an error the SPI stack may hold levels of user code above ours; the transaction's abort, which
    // every error leads to, takes all of them down in order. Finishing here would take the wrong one.
    if (std::uncaught_exceptions() > exceptions_at_start_)
        return;
    pg_cleanup_call([] { SPI_finish(); });
}

Rows Spi::take_rows(int code, const char* sql)
{
    if (code < 0)
        raise({.message = concat("SPI failed: ", SPI_result_code_string(code)), .detail = sql});
    Rows result;
    result.processed_ = SPI_processed;
    SPITupleTable* table = SPI_tuptable;
    if (table == nullptr)
        return result;
    const int columns = table->tupdesc->natts;
    result.rows_.reserve(table->numvals);
    for (std::uint64_t row = 0; row < table->numvals; ++row) {
        std::vector<Cell> cells;
        cells.reserve(static_cast<std::size_t>(columns));
        for (int column = 1; column <= columns; ++column) {
            const char* text = pg_call([&] { return SPI_getvalue(table->vals[row], table->tupdesc, column); });
            cells.emplace_back(text == nullptr ? Cell() : Cell(text));
        }
        result.rows_.push_back(std::move(cells));
    }
    pg_call([&] { SPI_freetuptable(table); });
    return result;
}

Rows Spi::run(const std::string& sql, const Parameters& parameters, Access access)
{
    const Plan plan(sql, parameters.types());
    return run(plan, parameters, access);
}

Rows Spi::run(const Plan& plan, const Parameters& parameters, Access access)
{
    const int code = pg_call([&] {
        return SPI_execute_plan(plan.get(), const_cast<Datum*>(parameters.datums().data()), parameters.nulls().c_str(),
                                access == Access::read_only, 0);
    });
    return take_rows(code, "");
}

std::uint64_t Spi::execute(const Plan& plan, const Parameters& parameters, Access access)
{
    const int code = pg_call([&] {
        return SPI_execute_plan(plan.get(), const_cast<Datum*>(parameters.datums().data()), parameters.nulls().c_str(),
                                access == Access::read_only, 0);
    });
    if (code < 0)
        raise({.message = concat("SPI failed: ", SPI_result_code_string(code))});
    if (SPI_tuptable != nullptr)
        pg_call([] { SPI_freetuptable(SPI_tuptable); });
    return SPI_processed;
}

namespace {

// The executor's view of a RowReceiver.
struct ReceiverAdapter {
    DestReceiver dest;
    RowReceiver* receiver;
};

bool pg_adapter_row(TupleTableSlot* slot, DestReceiver* self)
{
    return reinterpret_cast<ReceiverAdapter*>(self)->receiver->pg_row(slot);
}

void pg_adapter_startup(DestReceiver* /*self*/, int /*operation*/, TupleDesc /*descriptor*/) {}
void pg_adapter_shutdown(DestReceiver* /*self*/) {}

} // namespace

ParamListInfo pg_parameter_list(const Parameters& parameters)
{
    const int count = static_cast<int>(parameters.datums().size());
    ParamListInfo list = makeParamList(count);
    for (int i = 0; i < count; ++i) {
        list->params[i].value = parameters.datums()[static_cast<std::size_t>(i)];
        list->params[i].isnull = parameters.nulls()[static_cast<std::size_t>(i)] == 'n';
        list->params[i].pflags = PARAM_FLAG_CONST;
        list->params[i].ptype = parameters.types()[static_cast<std::size_t>(i)];
    }
    return list;
}

std::uint64_t Spi::stream(const Plan& plan, const Parameters& parameters, RowReceiver& receiver, Access access)
{
    ReceiverAdapter adapter{};
    adapter.dest.receiveSlot = pg_adapter_row;
    adapter.dest.rStartup = pg_adapter_startup;
    adapter.dest.rShutdown = pg_adapter_shutdown;
    adapter.dest.rDestroy = pg_adapter_shutdown;
    adapter.dest.mydest = DestNone;
    adapter.receiver = &receiver;
    const int code = pg_call([&] {
        SPIExecuteOptions options{};
        options.params = pg_parameter_list(parameters);
        options.read_only = access == Access::read_only;
        options.dest = &adapter.dest;
        return SPI_execute_plan_extended(plan.get(), &options);
    });
    if (code < 0)
        raise({.message = concat("SPI failed: ", SPI_result_code_string(code))});
    return SPI_processed;
}

} // namespace pgcleanup::pg
