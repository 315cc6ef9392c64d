// The one wrapper of SPI. Statements are constant or composed by the eligibility code; values are always parameters.
#pragma once

#include "pg/guard.h"

namespace pgcleanup::pg {

// Parameters of one execution, in order.
class Parameters {
public:
    Parameters& text(std::string_view text);
    Parameters& text(const std::string& value) { return text(std::string_view(value)); }
    Parameters& text(const char* value) { return text(std::string_view(value)); }
    Parameters& text(const std::optional<std::string>& text);
    Parameters& name(const std::optional<std::string>& name);
    Parameters& int8(std::int64_t number);
    Parameters& int8(std::optional<std::int64_t> number);
    Parameters& int4(std::int32_t number);
    Parameters& int4(std::optional<std::int32_t> number);
    Parameters& float8(double number);
    Parameters& boolean(bool flag);
    Parameters& oid(Oid oid);
    Parameters& timestamp(std::optional<TimestampTz> time);
    Parameters& value(Oid type, Datum datum, bool null = false);
    Parameters& append(const Parameters& more);

    std::span<const Oid> types() const noexcept { return types_; }
    std::span<const Datum> datums() const noexcept { return datums_; }
    // SPI's notation: 'n' for NULL, ' ' else.
    const std::string& nulls() const noexcept { return nulls_; }

private:
    std::vector<Oid> types_;
    std::vector<Datum> datums_;
    std::string nulls_;
};

// The same in the planner's and executor's form. May longjmp.
ParamListInfo pg_parameter_list(const Parameters& parameters);

// One cell as text, or nothing for NULL.
using Cell = std::optional<std::string>;

// A small result, copied out. Big ones go through a RowReceiver instead.
class Rows {
public:
    std::size_t size() const noexcept { return rows_.size(); }
    bool empty() const noexcept { return rows_.empty(); }
    const std::vector<Cell>& operator[](std::size_t row) const { return rows_.at(row); }
    auto begin() const noexcept { return rows_.begin(); }
    auto end() const noexcept { return rows_.end(); }
    // Rows that a statement processed (deleted, inserted ...), also without RETURNING.
    std::uint64_t processed() const noexcept { return processed_; }

private:
    friend class Spi;
    std::vector<std::vector<Cell>> rows_;
    std::uint64_t processed_ = 0;
};

// Cells of scalar types. Raise internal errors on NULL or nonsense: the statements are our own.
std::int64_t to_int64(const Cell& cell);
double to_double(const Cell& cell);
bool to_bool(const Cell& cell);
std::string to_text(const Cell& cell);
// Nothing for NULL.
template <class Number>
std::optional<Number> to_optional(const Cell& cell)
{
    return cell ? std::optional<Number>(static_cast<Number>(to_int64(cell))) : std::nullopt;
}

// A plan that is kept over transactions. Never shared between roles: it is checked as whoever executes it.
class Plan {
public:
    // Prepares under the current search_path and settings; `cursor_options` as SPI_prepare_cursor takes them.
    // Needs an open Spi.
    Plan(const std::string& sql, std::span<const Oid> types, int cursor_options = 0);
    ~Plan();
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;
    Plan(Plan&& other) noexcept : plan_(std::exchange(other.plan_, nullptr)) {}
    Plan& operator=(Plan&& other) noexcept
    {
        std::swap(plan_, other.plan_);
        return *this;
    }
    SPIPlanPtr get() const noexcept { return plan_; }

private:
    SPIPlanPtr plan_ = nullptr;
};

// Takes rows one by one as they are produced, so that a million of them need no memory. Throwing out of row() is an
// error of the statement.
class RowReceiver {
public:
    RowReceiver() = default;
    virtual ~RowReceiver() = default;
    RowReceiver(const RowReceiver&) = delete;
    RowReceiver& operator=(const RowReceiver&) = delete;
    // May longjmp (it runs inside the executor) and must not throw; returns false to stop the statement early.
    virtual bool pg_row(TupleTableSlot* slot) = 0;
};

enum class Access { read_only, read_write };

// One SPI connection: open from construction to destruction, inside a transaction.
class Spi {
public:
    Spi();
    ~Spi();
    Spi(const Spi&) = delete;
    Spi& operator=(const Spi&) = delete;

    // Runs one statement; read_only uses the active snapshot, read_write takes a new one.
    Rows run(const std::string& sql, const Parameters& parameters = {}, Access access = Access::read_write);
    Rows run(const Plan& plan, const Parameters& parameters = {}, Access access = Access::read_write);
    // As run(), without copying rows out: returns how many were processed.
    std::uint64_t execute(const Plan& plan, const Parameters& parameters, Access access = Access::read_write);
    // Sends the rows to `receiver`; returns how many were processed.
    std::uint64_t stream(const Plan& plan, const Parameters& parameters, RowReceiver& receiver,
                         Access access = Access::read_only);

private:
    static Rows take_rows(int code, const char* sql);
    int exceptions_at_start_;
};

} // namespace pgcleanup::pg
