#include "pg/guard.h"

namespace pgcleanup::pg {

namespace {

std::string value_or_empty(const char* text)
{
    return text == nullptr ? std::string() : std::string(text);
}

ErrorFields fields_of(const ErrorData& data)
{
    ErrorFields fields;
    fields.sqlstate = data.sqlerrcode;
    fields.message = value_or_empty(data.message);
    fields.detail = value_or_empty(data.detail);
    fields.hint = value_or_empty(data.hint);
    fields.context = value_or_empty(data.context);
    fields.schema_name = value_or_empty(data.schema_name);
    fields.table_name = value_or_empty(data.table_name);
    fields.column_name = value_or_empty(data.column_name);
    fields.datatype_name = value_or_empty(data.datatype_name);
    fields.constraint_name = value_or_empty(data.constraint_name);
    fields.internal_query = value_or_empty(data.internalquery);
    fields.cursor_position = data.cursorpos;
    fields.internal_position = data.internalpos;
    return fields;
}

// May longjmp: stands inside a guarded call only.
char* pg_copy_or_null(const std::string& text)
{
    return text.empty() ? nullptr : pstrdup(text.c_str());
}

ErrorData* pg_error_data(const ErrorFields& fields)
{
    auto* data = static_cast<ErrorData*>(palloc0(sizeof(ErrorData)));
    data->elevel = ERROR;
    data->output_to_client = true;
    data->output_to_server = true;
    data->sqlerrcode = fields.sqlstate;
    data->message = pstrdup(fields.message.c_str());
    data->detail = pg_copy_or_null(fields.detail);
    data->hint = pg_copy_or_null(fields.hint);
    data->context = pg_copy_or_null(fields.context);
    data->schema_name = pg_copy_or_null(fields.schema_name);
    data->table_name = pg_copy_or_null(fields.table_name);
    data->column_name = pg_copy_or_null(fields.column_name);
    data->datatype_name = pg_copy_or_null(fields.datatype_name);
    data->constraint_name = pg_copy_or_null(fields.constraint_name);
    data->internalquery = pg_copy_or_null(fields.internal_query);
    data->cursorpos = fields.cursor_position;
    data->internalpos = fields.internal_position;
    data->assoc_context = CurrentMemoryContext;
    return data;
}

int pg_name_field(int field, const char* name)
{
    return name != nullptr ? err_generic_string(field, name) : 0;
}

void pg_report_fields(int level, const ErrorData* data)
{
    ereport(level,
            (errcode(data->sqlerrcode), errmsg_internal("%s", data->message),
             data->detail != nullptr ? errdetail_internal("%s", data->detail) : 0,
             data->hint != nullptr ? errhint("%s", data->hint) : 0,
             data->context != nullptr ? errcontext_msg("%s", data->context) : 0,
             pg_name_field(PG_DIAG_SCHEMA_NAME, data->schema_name), pg_name_field(PG_DIAG_TABLE_NAME, data->table_name),
             pg_name_field(PG_DIAG_COLUMN_NAME, data->column_name),
             pg_name_field(PG_DIAG_DATATYPE_NAME, data->datatype_name),
             pg_name_field(PG_DIAG_CONSTRAINT_NAME, data->constraint_name)));
}

} // namespace

std::string PgError::sqlstate_text() const
{
    std::string text;
    for (int position = 0, state = fields_->sqlstate; position < 5; ++position, state >>= 6)
        text.push_back(static_cast<char>(PGUNSIXBIT(state)));
    return text;
}

void raise(ErrorFields fields)
{
    throw PgError(std::move(fields), false);
}

PgError take_current_error(MemoryContext context)
{
    // Copying can fail as well (out of memory), and must not longjmp to a handler further out over C++ frames.
    ErrorData* volatile copy = nullptr;
    MemoryContextSwitchTo(context);
    {
        sigjmp_buf target;
        HandlerStacks stacks;
        if (sigsetjmp(target, 0) == 0) {
            PG_exception_stack = &target;
            copy = CopyErrorData();
        } else {
            MemoryContextSwitchTo(context);
        }
    }
    FlushErrorState();
    if (copy == nullptr)
        throw std::bad_alloc();
    PgError error(fields_of(*copy), true);
    FreeErrorData(copy);
    return error;
}

OutgoingError outgoing(const PgError& error) noexcept
{
    // No frame with destructors between here and the sigsetjmp: a failure to copy ends as a plain out-of-memory error.
    sigjmp_buf target;
    HandlerStacks stacks;
    const MemoryContext context = CurrentMemoryContext;
    if (sigsetjmp(target, 0) == 0) {
        PG_exception_stack = &target;
        return {pg_error_data(error.fields()), error.from_postgres()};
    }
    MemoryContextSwitchTo(context);
    FlushErrorState();
    return {nullptr, false};
}

OutgoingError outgoing_message(int sqlstate, const char* message) noexcept
{
    try {
        ErrorFields fields;
        fields.sqlstate = sqlstate;
        fields.message = message;
        return outgoing(PgError(std::move(fields), false));
    } catch (...) {
        return {nullptr, false};
    }
}

void report(const OutgoingError& error)
{
    if (error.data == nullptr)
        ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    // PostgreSQL's own error has its context lines already; ours collects them on the way out, as any ereport does.
    if (error.from_postgres)
        ReThrowError(error.data);
    pg_report_fields(ERROR, error.data);
    pg_unreachable();
}

void log_error(int level, std::string_view prefix, const PgError& error)
{
    try {
        ErrorFields fields = error.fields();
        fields.message.insert(0, prefix);
        notice(level, std::move(fields));
    } catch (...) { // NOLINT(bugprone-empty-catch): the log itself failed, and nothing is left to say it with
    }
}

void notice(int level, ErrorFields fields)
{
    pg_call([&] { pg_report_fields(level, pg_error_data(fields)); });
}

} // namespace pgcleanup::pg
