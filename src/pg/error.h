// One error type for both worlds: what PostgreSQL raised, and what pg_cleanup itself raises.
#pragma once

#include "pg/headers.h"

namespace pgcleanup::pg {

// What an error says. Mirrors ErrorData with values, so that it outlives every memory context.
struct ErrorFields {
    int sqlstate = ERRCODE_INTERNAL_ERROR;
    std::string message = {};
    std::string detail = {};
    std::string hint = {};
    std::string context = {};
    std::string schema_name = {};
    std::string table_name = {};
    std::string column_name = {};
    std::string datatype_name = {};
    std::string constraint_name = {};
    std::string internal_query = {};
    int cursor_position = 0;
    int internal_position = 0;
};

// A PostgreSQL error travelling as a C++ exception. Copying never throws. An error caught from PostgreSQL does not roll
// anything back: swallowing one is legal only after the (sub)transaction was aborted.
class PgError : public std::exception {
public:
    PgError(ErrorFields fields, bool from_postgres)
        : fields_(std::make_shared<const ErrorFields>(std::move(fields))), from_postgres_(from_postgres)
    {
    }

    const ErrorFields& fields() const noexcept { return *fields_; }
    const char* what() const noexcept override { return fields_->message.c_str(); }
    int sqlstate() const noexcept { return fields_->sqlstate; }
    // The five characters of the SQLSTATE, e.g. "23503".
    std::string sqlstate_text() const;
    // True when PostgreSQL raised it: its context lines are already collected.
    bool from_postgres() const noexcept { return from_postgres_; }
    bool is_cancel() const noexcept { return fields_->sqlstate == ERRCODE_QUERY_CANCELED; }

private:
    std::shared_ptr<const ErrorFields> fields_;
    bool from_postgres_;
};

// Throws a PgError that says what is wrong (message), with which value (detail) and what to do (hint).
[[noreturn]] void raise(ErrorFields fields);

// Throws nothing: writes the error to the server log at `level` (below ERROR), with `prefix` in front of its message.
void log_error(int level, std::string_view prefix, const PgError& error);

// Sends a NOTICE or WARNING to the client. Throws PgError.
void notice(int level, ErrorFields fields);

// Joins pieces into one string: the project's only formatting helper (g++ 12 has no std::format).
inline std::string piece(std::string_view text)
{
    return std::string(text);
}
inline std::string piece(char character)
{
    return {character};
}
template <class Number>
requires std::is_arithmetic_v<Number> std::string piece(Number number)
{
    return std::to_string(number);
}
template <class... Pieces>
std::string concat(const Pieces&... pieces)
{
    std::string joined;
    (joined.append(piece(pieces)), ...);
    return joined;
}

} // namespace pgcleanup::pg
