#include "client/tool/color.h"

#include <cstdlib>

#include <unistd.h>

namespace leat::tool {
namespace {
ColorChoice g_choice = ColorChoice::kAuto;  // set once, while the command line is read
}

void choose_color(ColorChoice choice) {
  g_choice = choice;
}

bool wants_color(ColorChoice choice, const char* no_color, bool terminal) {
  if (choice != ColorChoice::kAuto) return choice == ColorChoice::kAlways;
  return terminal && (no_color == nullptr || *no_color == '\0');
}

std::string colored(std::FILE* to, Color color, std::string_view text) {
  if (!wants_color(g_choice, std::getenv("NO_COLOR"), ::isatty(::fileno(to)) == 1))
    return std::string(text);
  return std::string(color == Color::kRed ? "\033[31m" : "\033[1m") + std::string(text) + "\033[0m";
}

}  // namespace leat::tool
