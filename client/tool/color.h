// Colour on terminals, unless NO_COLOR (https://no-color.org) or --color say otherwise.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace leat::tool {

enum class ColorChoice { kAuto, kAlways, kNever };
enum class Color { kRed, kBold };

// For all output from now on (default: kAuto).
void choose_color(ColorChoice choice);

// The rule itself. `no_color` is the variable's value, or nullptr.
bool wants_color(ColorChoice choice, const char* no_color, bool terminal);

// `text` as it is to be written to `to`.
std::string colored(std::FILE* to, Color color, std::string_view text);

}  // namespace leat::tool
