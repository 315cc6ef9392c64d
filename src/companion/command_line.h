#pragma once

#include <iosfwd>

namespace pgcleanup::companion {

// What the program exits with.
enum class ExitCode {
    success = 0,
    failure = 1, // it was understood, and did not work out
    usage = 2,   // it was not understood; nothing was done
};

// Reads the arguments as main() got them and does what they say. Results go to `out`, complaints to `err`.
ExitCode run_command_line(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

} // namespace pgcleanup::companion
