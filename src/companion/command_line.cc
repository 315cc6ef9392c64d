#include "companion/command_line.h"

#include <CLI/CLI.hpp>

#include <ostream>

namespace pgcleanup::companion {

namespace {

constexpr auto version_line = "pg-cleanup " PG_CLEANUP_VERSION;
constexpr auto description = "pg-cleanup, the companion program of the PostgreSQL extension pg_cleanup.\n"
                             "This version only tells about itself, with the options below; it has no commands yet.";

// --help and --version arrive here too: the parser reports them as errors of exit code zero.
ExitCode report(const CLI::App& app, const CLI::ParseError& outcome, std::ostream& out, std::ostream& err)
{
    if (outcome.get_exit_code() == 0) {
        app.exit(outcome, out, err);
        return out.flush() ? ExitCode::success : ExitCode::failure;
    }
    err << "pg-cleanup: " << outcome.what() << "\nTry 'pg-cleanup --help'.\n";
    return ExitCode::usage;
}

} // namespace

ExitCode run_command_line(int argc, const char* const* argv, std::ostream& out, std::ostream& err)
{
    CLI::App app{description, "pg-cleanup"};
    app.set_help_flag("-h,--help", "Show this text and exit");
    app.set_version_flag("-V,--version", version_line, "Show the version and exit");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& outcome) {
        return report(app, outcome, out, err);
    }
    err << "pg-cleanup: nothing to do.\nTry 'pg-cleanup --help'.\n";
    return ExitCode::usage;
}

} // namespace pgcleanup::companion
