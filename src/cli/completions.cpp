// Completions for shells, and the commands that have a man page: read off the commands as CLI11 was told of them.

#include <algorithm>

#include "commands.hpp"
#include "onestep/error.hpp"
#include "onestep/shipped_models.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

/// A command of the program, or the program itself.
struct Command {
  std::string words;  ///< Such as "edit inpaint"; "" of the program.
  const CLI::App* app;
};

/// Those within a command that its help shows.
std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

/// The program, and all within it.
std::vector<Command> all_commands(const CLI::App& app, const std::string& words = "") {
  std::vector<Command> all{{words, &app}};
  for (const CLI::App* command : commands_of(app)) {
    const auto within = all_commands(*command, words + (words.empty() ? "" : " ") + command->get_name());
    all.insert(all.end(), within.begin(), within.end());
  }
  return all;
}

std::vector<const CLI::Option*> options_of(const CLI::App& app) {
  return app.get_options([](const CLI::Option* option) { return !option->get_positional(); });
}

std::vector<const CLI::Option*> arguments_of(const CLI::App& app) {
  return app.get_options([](const CLI::Option* option) { return option->get_positional(); });
}

/// "-o", "--output".
std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

bool needs_value(const CLI::Option& option) { return option.get_items_expected_min() > 0; }
bool may_be_repeated(const CLI::Option& option) { return option.get_items_expected_max() > 1; }
bool is_number(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.starts_with("INT") || type.starts_with("UINT") || type.starts_with("FLOAT");
}
bool is_model(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.starts_with("MODEL") || type.starts_with("RUN");
}

/// "auto", "fp32" of an option whose type is "auto|fp32". Else none.
std::vector<std::string> choices_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.find('|') == std::string::npos ? std::vector<std::string>() : CLI::detail::split(type, '|');
}

std::string joined(const std::vector<std::string>& words, const std::string& separator = " ") {
  return CLI::detail::join(words, separator);
}

/// `text` with a backslash before each of `special`.
std::string escaped(const std::string& text, const std::string& special) {
  std::string made;
  for (const char c : text) made += (special.find(c) == std::string::npos ? "" : "\\") + std::string(1, c);
  return made;
}

/// As bash and zsh read a word.
std::string in_quotes(const std::string& text) {
  std::string made = "'";
  for (const char c : text) made += c == '\'' ? "'\\''" : std::string(1, c);
  return made + "'";
}

void print_lines(const std::string& text) {
  for (const std::string& line : CLI::detail::split(text, '\n')) print_line(line);
}

void print_bash(const CLI::App& program) {
  print_lines(
      "# onestep in bash, as `onestep completions bash` writes it.\n\n"
      "# Of command $1: its options, those that take a value, its commands, how many of its arguments are models.\n"
      "_onestep_command() {\n"
      "  case $1 in");
  for (const Command& command : all_commands(program)) {
    std::vector<std::string> options, valued, commands;
    for (const CLI::Option* option : options_of(*command.app)) {
      for (const std::string& name : names_of(*option)) {
        options.push_back(name);
        if (needs_value(*option)) valued.push_back(name);
      }
    }
    for (const CLI::App* within : commands_of(*command.app)) commands.push_back(within->get_name());
    int models = 0;
    for (const CLI::Option* argument : arguments_of(*command.app)) {
      if (is_model(*argument)) models = may_be_repeated(*argument) ? 9999 : 1;
    }
    print_lines("    " + in_quotes(command.words) + ")\n      options=" + in_quotes(joined(options)) +
                "\n      valued=" + in_quotes(" " + joined(valued) + " ") +
                "\n      commands=" + in_quotes(joined(commands)) + "\n      models=" + std::to_string(models) + " ;;");
  }
  print_lines(
      "  esac\n"
      "}\n\n"
      "# The values of option $2 of command $1, where they can be listed.\n"
      "_onestep_values() {\n"
      "  case \"$1 $2\" in");
  for (const Command& command : all_commands(program)) {
    for (const CLI::Option* option : options_of(*command.app)) {
      const auto choices = choices_of(*option);
      for (const std::string& name : names_of(*option)) {
        if (!choices.empty())
          print_line("    " + in_quotes(command.words + " " + name) + ") echo " + in_quotes(joined(choices)) + " ;;");
      }
    }
  }
  // Models are not a word list of compgen's, which would run what is in a name.
  print_lines(R"bash(  esac
}

_onestep() {
  local word=${COMP_WORDS[COMP_CWORD]} given before= command= place=0 i model options valued commands models
  _onestep_command ''
  for ((i = 1; i < COMP_CWORD; ++i)); do
    given=${COMP_WORDS[i]}
    if [[ $given == = ]]; then  # --option=VALUE comes as three words
      continue
    elif [[ -n $before ]]; then
      before=
    elif [[ $given == -* ]]; then
      [[ $valued == *" $given "* ]] && before=$given
    elif [[ " $commands " == *" $given "* ]]; then
      command=${command:+$command }$given
      _onestep_command "$command"
    else
      ((++place))
    fi
  done
  [[ $word == = ]] && word=
  COMPREPLY=()
  if [[ -n $before ]]; then
    COMPREPLY=($(compgen -W "$(_onestep_values "$command" "$before")" -- "$word"))
  elif [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$word"))
  elif ((place < models)); then
    while read -r model; do
      [[ $model == "$word"* ]] && COMPREPLY+=("$model")
    done < <("${COMP_WORDS[0]}" completions models 2>/dev/null)
  fi
}
complete -o default -F _onestep onestep)bash");
}

void print_zsh(const CLI::App& program) {
  // [What an option is], :what its value is:what that may be.
  const auto value_of = [](const CLI::Option& option) -> std::string {
    if (is_model(option)) return ":model:_onestep_models";
    const auto choices = choices_of(option);
    if (!choices.empty()) return ":value:(" + joined(choices) + ")";
    return is_number(option) ? ":number: " : ":value:_files";
  };
  print_lines(R"zsh(#compdef onestep
# onestep in zsh, as `onestep completions zsh` writes it.

_onestep_models() {
  local -a models=(${(f)"$(onestep completions models 2>/dev/null)"})
  _alternative 'models:model:compadd -a models' 'files:file:_files'
}
)zsh");
  for (const Command& command : all_commands(program)) {
    std::string function = "_onestep" + (command.words.empty() ? "" : "_" + command.words);
    std::replace(function.begin(), function.end(), ' ', '_');
    print_lines(function + "() {\n  local state line curcontext=$curcontext\n  local -a commands\n  _arguments -C \\");
    for (const CLI::Option* option : options_of(*command.app)) {
      const auto names = names_of(*option);
      std::string others = may_be_repeated(*option) ? "*" : "(" + joined(names) + ")";
      for (const std::string& name : names) {
        const bool optional = !needs_value(*option) && option->get_items_expected_max() > 0;
        print_line("    " +
                   in_quotes(others + name + "[" + escaped(option->get_description(), "[]\\") + "]" +
                             (needs_value(*option) ? value_of(*option)
                              : optional           ? "::number: "
                                                   : "")) +
                   " \\");
      }
    }
    const auto within = commands_of(*command.app);
    if (within.empty()) {
      for (const CLI::Option* argument : arguments_of(*command.app))
        print_line("    " + in_quotes((may_be_repeated(*argument) ? "*" : "") + value_of(*argument)) + " \\");
      print_lines("    && return\n}\n");
      continue;
    }
    print_lines(
        "    ':command:->command' '*::argument:->argument' && return\n  case $state in\n    command)\n      "
        "commands=(");
    for (const CLI::App* inner : within)
      print_line("        " + in_quotes(inner->get_name() + ":" + inner->get_description()));
    print_lines("      )\n      _describe command commands ;;\n    argument)\n      case $words[1] in");
    for (const CLI::App* inner : within)
      print_line("        " + inner->get_name() + ") " + function + "_" + inner->get_name() + " ;;");
    print_lines("      esac ;;\n  esac\n}\n");
  }
  print_line("_onestep \"$@\"");
}

void print_fish(const CLI::App& program) {
  const auto quoted = [](const std::string& text) { return "'" + escaped(text, "'\\") + "'"; };
  const std::string models = " -F -a '(onestep completions models 2>/dev/null)'";
  const auto value_of = [&](const CLI::Option& option) -> std::string {
    if (is_model(option)) return models;
    const auto choices = choices_of(option);
    if (!choices.empty()) return " -x -a " + quoted(joined(choices));
    return is_number(option) ? " -x" : " -r -F";
  };
  print_lines("# onestep in fish, as `onestep completions fish` writes it.\n\ncomplete -c onestep -f");
  for (const Command& command : all_commands(program)) {
    // Within this command, and none of those within it.
    std::string where;
    for (const std::string& word : CLI::detail::split(command.words, ' ')) {
      if (!word.empty()) where += (where.empty() ? "" : "; and ") + ("__fish_seen_subcommand_from " + word);
    }
    std::vector<std::string> within;
    for (const CLI::App* inner : commands_of(*command.app)) within.push_back(inner->get_name());
    if (!within.empty())
      where += (where.empty() ? "" : "; and ") + ("not __fish_seen_subcommand_from " + joined(within));
    const std::string begin = "complete -c onestep -n " + quoted(where);
    for (const CLI::App* inner : commands_of(*command.app))
      print_line(begin + " -a " + inner->get_name() + " -d " + quoted(inner->get_description()));
    for (const CLI::Option* option : options_of(*command.app)) {
      std::string names;
      for (const std::string& name : option->get_snames()) names += " -s " + name;
      for (const std::string& name : option->get_lnames()) names += " -l " + name;
      print_line(begin + names + (needs_value(*option) ? value_of(*option) : "") + " -d " +
                 quoted(option->get_description()));
    }
    bool models_too = false;
    const auto arguments = arguments_of(*command.app);
    for (const CLI::Option* argument : arguments) models_too |= is_model(*argument);
    if (!arguments.empty()) print_line(begin + (models_too ? models : " -F"));
  }
}

void run(const CLI::App& program, const std::string& of) {
  if (of == "bash") return print_bash(program);
  if (of == "zsh") return print_zsh(program);
  if (of == "fish") return print_fish(program);
  if (of == "models") {
    for (const auto& [name, file] : shipped_models()) print_line(name);
  } else if (of == "commands") {
    for (const Command& command : all_commands(program)) {
      if (!command.words.empty()) print_line(command.words + ": " + command.app->get_description());
    }
  } else {
    throw Error(ErrorKind::usage,
                "there are no completions of " + of + "; give bash, zsh or fish, or models or commands");
  }
}

}  // namespace

void add_completions(CLI::App& app) {
  const auto of = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completions", "Print what completes commands in a shell")->group("");
  command->add_option("of", *of, "the shell; or models or commands, for their names")
      ->required()
      ->type_name("bash|zsh|fish|models|commands");
  command->callback([&app, of] { run(app, *of); });
}

}  // namespace onestep
