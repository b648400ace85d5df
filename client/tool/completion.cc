// `leat completion`: scripts for three shells, made from the commands as CLI11 knows them, so that
// they cannot fall behind.
#include <iostream>

#include "client/tool/tool.h"

namespace leat::tool {
namespace {

struct Word {
  std::string text, help;
};

// What may follow one command.
struct Command {
  std::string path;  // "leat topic create"
  std::vector<Word> verbs, options;
};

std::vector<Word> options_of(const CLI::App& app) {
  std::vector<Word> words;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames())
      words.push_back({"--" + name, option->get_description()});
    for (const std::string& name : option->get_snames())
      words.push_back({"-" + name, option->get_description()});
  }
  return words;
}

// A verb takes the options of what stands above it, too.
void gather(const CLI::App& app, const std::string& above, const std::vector<Word>& inherited,
            std::vector<Command>& all) {
  Command command{above + app.get_name(), {}, options_of(app)};
  for (const Word& word : inherited)
    if (std::ranges::find(command.options, word.text, &Word::text) == command.options.end())
      command.options.push_back(word);
  const auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* verb : verbs)
    command.verbs.push_back({verb->get_name(), verb->get_description()});
  all.push_back(command);
  for (const CLI::App* verb : verbs) gather(*verb, command.path + " ", command.options, all);
}

std::string joined(const std::vector<Word>& words) {
  std::string text;
  for (const Word& word : words) text += (text.empty() ? "" : " ") + word.text;
  return text;
}

// For a text in single quotes, of any of the shells.
std::string quotable(std::string text) {
  std::erase(text, '\'');
  std::erase(text, '\\');
  return text;
}

// The words of a command line that name a verb, as bash and zsh walk them. `given` is an array.
constexpr std::string_view kWalk = R"sh(
  local at=leat word
  for word in "${given[@]}"; do
    case " $(_leat_verbs "$at") " in *" $word "*) at="$at $word" ;; esac
  done
)sh";

std::string cases(const char* function, const std::vector<Command>& all,
                  std::vector<Word> Command::*member) {
  std::string text = std::string(function) + "() {\n  case \"$1\" in\n";
  for (const Command& command : all)
    text += "    '" + command.path + "') echo '" + joined(command.*member) + "' ;;\n";
  return text + "  esac\n}\n";
}

constexpr std::string_view kBash = R"sh(  case "$current" in
    -*) COMPREPLY=($(compgen -W "$(_leat_options "$at")" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$(_leat_verbs "$at")" -- "$current")) ;;
  esac
}
complete -o default -F _leat leat
)sh";

constexpr std::string_view kZsh = R"sh(  case "$current" in
    -*) compadd -- ${=$(_leat_options "$at")} ;;
    *) compadd -- ${=$(_leat_verbs "$at")} || _files ;;
  esac
}
compdef _leat leat
)sh";

std::string lists(const std::vector<Command>& all) {
  return cases("_leat_verbs", all, &Command::verbs) +
         cases("_leat_options", all, &Command::options);
}

std::string bash(const std::vector<Command>& all) {
  return "# bash completion of leat: source <(leat completion bash)\n" + lists(all) +
         "_leat() {\n  local current=\"${COMP_WORDS[COMP_CWORD]}\"\n"
         "  local given=(\"${COMP_WORDS[@]:1:COMP_CWORD-1}\")" +
         std::string(kWalk) + std::string(kBash);
}

std::string zsh(const std::vector<Command>& all) {
  return "#compdef leat\n# zsh completion of leat: source <(leat completion zsh)\n" + lists(all) +
         "_leat() {\n  local current=\"${words[CURRENT]}\"\n"
         "  local -a given=(\"${(@)words[2,CURRENT-1]}\")" +
         std::string(kWalk) + std::string(kZsh);
}

std::string fish(const std::vector<Command>& all) {
  std::string text =
      "# fish completion of leat: leat completion fish | source\n"
      "function __leat_at\n  set -l path leat\n  for word in (commandline -opc)[2..]\n"
      "    if contains -- \"$path $word\" ";
  for (const Command& command : all) text += "'" + command.path + "' ";
  text += "\n      set path \"$path $word\"\n    end\n  end\n  test \"$path\" = \"$argv\"\nend\n";
  for (const Command& command : all) {
    const std::string line = "complete -c leat -n '__leat_at " + command.path + "' ";
    for (const Word& verb : command.verbs)
      text += line + "-f -a '" + verb.text + "' -d '" + quotable(verb.help) + "'\n";
    for (const Word& option : command.options)
      text += line +
              (option.text.starts_with("--") ? "-l '" + option.text.substr(2)
                                             : "-s '" + option.text.substr(1)) +
              "' -d '" + quotable(option.help) + "'\n";
  }
  return text;
}

int print(const CLI::App& app, const std::string& shell) {
  std::vector<Command> all;
  gather(app, "", {}, all);
  std::cout << (shell == "bash" ? bash(all) : shell == "zsh" ? zsh(all) : fish(all)) << std::flush;
  return std::cout ? 0 : 1;
}

}  // namespace

void add_completion(CLI::App& app, Run& run) {
  auto* verb = app.add_subcommand("completion", "write a script that completes leat's words");
  auto shell = std::make_shared<std::string>();
  verb->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  verb->callback([&app, &run, shell] { run = [&app, shell] { return print(app, *shell); }; });
}

}  // namespace leat::tool
