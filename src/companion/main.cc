#include "companion/command_line.h"

#include <exception>
#include <iostream>

int main(int argc, char** argv)
{
    using pgcleanup::companion::ExitCode;
    try {
        return static_cast<int>(pgcleanup::companion::run_command_line(argc, argv, std::cout, std::cerr));
    } catch (const std::exception& error) {
        std::cerr << "pg-cleanup: " << error.what() << '\n';
    }
    return static_cast<int>(ExitCode::failure);
}
