// SQL functions that send errors of every kind through the guard, many levels deep, for test/cluster/test_guard.py.
#include "pg/guard.h"
#include "pg/spi.h"
#include "pg/text.h"
#include "pg/transaction.h"

#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <system_error>

#include <sys/resource.h>

extern "C" {
PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(guard_nest);
PG_FUNCTION_INFO_V1(guard_swallow);
PG_FUNCTION_INFO_V1(guard_swallow_spi);
PG_FUNCTION_INFO_V1(guard_swallow_cleanup);
PG_FUNCTION_INFO_V1(guard_caught);
PG_FUNCTION_INFO_V1(guard_wait);
PG_FUNCTION_INFO_V1(guard_exhaust_memory);
PG_FUNCTION_INFO_V1(guard_unlimit_memory);
PG_FUNCTION_INFO_V1(guard_live_objects);
}

namespace pgcleanup {

namespace {

using pg::pg_call;
using pg::pg_entry;

int live_objects = 0; // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): counted across calls

// What every level holds: a destructor that must run, and memory of the heap.
class Sentinel {
public:
    Sentinel() : memory_(100, 'x') { ++live_objects; }
    ~Sentinel() { --live_objects; }
    Sentinel(const Sentinel&) = delete;
    Sentinel& operator=(const Sentinel&) = delete;

private:
    std::string memory_;
};

struct NotAnException {
    std::string text = "no std::exception at all";
};

void pg_context_line(void* /*unused*/)
{
    errcontext("context line of the test");
}

void pg_raise_with_every_field()
{
    ErrorContextCallback callback{error_context_stack, pg_context_line, nullptr};
    error_context_stack = &callback;
    ereport(ERROR,
            (errcode(ERRCODE_UNIQUE_VIOLATION), errmsg("the message: %s", "ünïcode %s"), errdetail("the detail"),
             errhint("the hint"), err_generic_string(PG_DIAG_SCHEMA_NAME, "the schema"),
             err_generic_string(PG_DIAG_TABLE_NAME, "the table"), err_generic_string(PG_DIAG_COLUMN_NAME, "the column"),
             err_generic_string(PG_DIAG_DATATYPE_NAME, "the type"),
             err_generic_string(PG_DIAG_CONSTRAINT_NAME, "the constraint")));
}

pg::ErrorFields every_field()
{
    pg::ErrorFields fields;
    fields.sqlstate = ERRCODE_CHECK_VIOLATION;
    fields.message = "our message: %s %n ünïcode";
    fields.detail = "our detail";
    fields.hint = "our hint";
    fields.schema_name = "our schema";
    fields.table_name = "our table";
    fields.column_name = "our column";
    fields.datatype_name = "our type";
    fields.constraint_name = "our constraint";
    return fields;
}

constexpr Size megabyte{1048576};
constexpr Size impossible_size = MaxAllocHugeSize - 1024;

// Fails in the way that `how` names; "none" does not.
void fail(std::string_view how) // NOLINT(*-cognitive-complexity,*-function-size): one way after the other
{
    if (how == "ereport")
        pg_call(pg_raise_with_every_field);
    if (how == "elog")
        pg_call([] { elog(ERROR, "internal: %d", 42); });
    if (how == "raise")
        pg::raise(every_field());
    if (how == "palloc")
        pg_call([] { MemoryContextAllocHuge(CurrentMemoryContext, impossible_size); });
    if (how == "palloc_size")
        pg_call([] { palloc(MaxAllocSize + static_cast<Size>(1)); });
    if (how == "new") {
        // By calls of the functions and a size that is not known: g++ 16 leaves out an allocation that nobody uses.
        const volatile std::size_t size = std::numeric_limits<std::ptrdiff_t>::max() / 2;
        ::operator delete(::operator new(size));
    }
    if (how == "bad_alloc")
        throw std::bad_alloc();
    if (how == "length_error")
        std::vector<std::string>().reserve(std::numeric_limits<std::size_t>::max());
    if (how == "runtime_error")
        throw std::runtime_error("a runtime error with %s");
    if (how == "filesystem")
        static_cast<void>(std::filesystem::file_size("/nowhere/at/all"));
    if (how == "int")
        throw 42;
    if (how == "pointer")
        throw "a string literal";
    if (how == "struct")
        throw NotAnException();
    if (how == "nested") {
        try {
            throw std::runtime_error("inner");
        } catch (...) {
            std::throw_with_nested(std::logic_error("outer"));
        }
    }
    if (how == "rethrown") {
        try {
            pg_call(pg_raise_with_every_field);
        } catch (const pg::PgError& error) {
            const pg::PgError copy = error; // NOLINT(performance-unnecessary-copy-initialization): copying is the point
            throw copy;                     // NOLINT(misc-throw-by-value-catch-by-reference,cert-err*)
        }
    }
    if (how == "syntax") {
        pg::Spi spi;
        spi.run("SELECT 1 +");
    }
    if (how == "division") {
        pg::Spi spi;
        spi.run("SELECT 1 / 0");
    }
}

// One level: an entry that calls PostgreSQL, which calls the next entry.
int level(int depth, const char* how)
{
    return pg_entry([&] {
        const Sentinel sentinel;
        if (depth == 0) {
            fail(how);
            return 0;
        }
        return pg_call([&] { return level(depth - 1, how); }) + 1;
    });
}

// Runs `work` in a subtransaction; true when it failed, and is rolled back.
template <class Work>
bool fails_in_subtransaction(Work&& work)
{
    const MemoryContext context = CurrentMemoryContext;
    const ResourceOwner owner = CurrentResourceOwner;
    pg_call([] { BeginInternalSubTransaction("guard_test"); });
    bool failed = false;
    try {
        work();
        pg_call([] { ReleaseCurrentSubTransaction(); });
    } catch (const pg::PgError& error) {
        // First of all: an error that leaves a subtransaction open would only abort that one at the top.
        pg_call([] { RollbackAndReleaseCurrentSubTransaction(); });
        if (error.is_cancel())
            throw;
        failed = true;
    }
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
    return failed;
}

const char* pg_text(FunctionCallInfo fcinfo, int n)
{
    return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

Datum pg_optional_text(const std::string& text, bool& is_null)
{
    is_null = text.empty();
    return is_null ? Datum(0) : CStringGetTextDatum(text.c_str());
}

int wait_level(int depth)
{
    return pg_entry([&] {
        const Sentinel sentinel;
        if (depth > 0)
            return pg_call([&] { return wait_level(depth - 1); });
        for (;;)
            pg::wait_for_latch(std::chrono::milliseconds(100000));
        return 0;
    });
}

// Takes all memory, down to pieces of a few bytes, so that nothing is left to copy the error into.
void pg_exhaust_memory()
{
    for (Size size = megabyte * 64; size >= 16; size /= 2) {
        while (MemoryContextAllocExtended(CurrentMemoryContext, size, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM) != nullptr) {
        }
    }
    palloc(megabyte);
}

int exhaust_level(int depth)
{
    return pg_entry([&] {
        if (depth > 0)
            return pg_call([&] { return exhaust_level(depth - 1); });
        pg_call(pg_exhaust_memory);
        return 0;
    });
}

} // namespace

} // namespace pgcleanup

Datum guard_nest(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT32(pgcleanup::level(PG_GETARG_INT32(0), pgcleanup::pg_text(fcinfo, 1)));
}

Datum guard_swallow(PG_FUNCTION_ARGS)
{
    using namespace pgcleanup;
    return pg_entry([&] {
        const int times = PG_GETARG_INT32(0);
        const int depth = PG_GETARG_INT32(1);
        const char* how = pg_call([&] { return pg_text(fcinfo, 2); });
        int failures = 0;
        for (int i = 0; i < times; ++i)
            failures += fails_in_subtransaction([&] {
                pg::check_for_interrupts();
                pg_call([&] { level(depth, how); });
            })
                            ? 1
                            : 0;
        return Int32GetDatum(failures);
    });
}

Datum guard_swallow_spi(PG_FUNCTION_ARGS)
{
    using namespace pgcleanup;
    return pg_entry([&] {
        const int times = PG_GETARG_INT32(0);
        const char* query = pg_call([&] { return pg_text(fcinfo, 1); });
        int failures = 0;
        for (int i = 0; i < times; ++i) {
            failures += fails_in_subtransaction([&] {
                const Sentinel sentinel;
                pg::Spi spi;
                spi.run(query);
            })
                            ? 1
                            : 0;
        }
        return Int32GetDatum(failures);
    });
}

Datum guard_swallow_cleanup(PG_FUNCTION_ARGS)
{
    using namespace pgcleanup;
    return pg_entry([&] {
        const char* how = pg_call([&] { return pg_text(fcinfo, 0); });
        // As from a destructor on an error's way out: nothing may leave it. The subtransaction is for what it leaves
        // open.
        const bool failed = fails_in_subtransaction([&] {
            pg::pg_cleanup_call([&] { level(3, how); });
            pg::raise(every_field());
        });
        return Int32GetDatum(failed ? 1 : 0);
    });
}

Datum guard_caught(PG_FUNCTION_ARGS)
{
    using namespace pgcleanup;
    return pg_entry([&] {
        const char* how = pg_call([&] { return pg_text(fcinfo, 0); });
        std::optional<pg::PgError> caught;
        fails_in_subtransaction([&] {
            try {
                pg_call([&] { level(5, how); });
            } catch (const pg::PgError& error) {
                caught = error;
                throw;
            }
        });
        if (!caught)
            pg::raise({.message = "nothing was raised"});
        const pg::ErrorFields& fields = caught->fields();
        const std::string state = caught->sqlstate_text();
        const bool from_postgres = caught->from_postgres();
        return pg_call([&] {
            TupleDesc descriptor = nullptr;
            if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE)
                elog(ERROR, "not a composite type");
            BlessTupleDesc(descriptor);
            Datum values[7];
            bool nulls[7] = {};
            const std::string* texts[] = {&state,       &fields.message, &fields.detail,
                                          &fields.hint, &fields.context, &fields.constraint_name};
            for (int i = 0; i < 6; ++i)
                values[i] = pg_optional_text(*texts[i], nulls[i]);
            values[6] = BoolGetDatum(from_postgres);
            return HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
        });
    });
}

Datum guard_wait(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT32(pgcleanup::wait_level(PG_GETARG_INT32(0)));
}

Datum guard_exhaust_memory(PG_FUNCTION_ARGS)
{
    using namespace pgcleanup;
    return pg_entry([&] {
        rlimit limit{};
        getrlimit(RLIMIT_AS, &limit);
        // What is mapped now (shared memory too), and so much more.
        std::uintmax_t pages = 0;
        std::ifstream("/proc/self/statm") >> pages;
        limit.rlim_cur = pages * 4096 + static_cast<rlim_t>(PG_GETARG_INT32(1)) * 1024 * 1024;
        setrlimit(RLIMIT_AS, &limit);
        return Int32GetDatum(exhaust_level(PG_GETARG_INT32(0)));
    });
}

Datum guard_unlimit_memory(PG_FUNCTION_ARGS)
{
    rlimit limit{};
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_AS, &limit);
    static_cast<void>(fcinfo);
    PG_RETURN_VOID();
}

Datum guard_live_objects(PG_FUNCTION_ARGS)
{
    static_cast<void>(fcinfo);
    PG_RETURN_INT32(pgcleanup::live_objects);
}
