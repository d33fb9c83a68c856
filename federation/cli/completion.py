"""`roam completion`: what a shell needs to complete `roam` command lines."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

_BASH = """\
# bash completion of roam; every word is asked for at the command line's own `roam __complete`.
_roam_complete() {
    local roam=${COMP_WORDS[0]/#\\~/$HOME} mode="" value
    COMPREPLY=()
    while IFS=$'\\t' read -r value _; do
        if [[ -z $mode ]]; then mode=$value; else COMPREPLY+=("$value"); fi
    done < <("$roam" __complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    if [[ $mode == files || $mode == folders ]]; then
        local cur=${COMP_WORDS[COMP_CWORD]} kind=-f
        [[ $cur == = ]] && cur=""
        [[ $mode == folders ]] && kind=-d
        compopt -o filenames 2>/dev/null
        while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen "$kind" -- "$cur")
    elif [[ $mode == more ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}
complete -F _roam_complete roam
"""
_ZSH = """\
#compdef roam
# zsh completion of roam; every word is asked for at the command line's own `roam __complete`.
_roam() {
    local -a lines found
    local mode line
    lines=("${(@f)$(${~words[1]} __complete zsh "${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
    mode=${lines[1]}
    for line in "${(@)lines[2,-1]}"; do
        [[ -n $line ]] && found+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}")
    done
    case $mode in
        files) _files ;;
        folders) _files -/ ;;
        more) (( $#found )) && _describe -V roam found -S '' ;;
        *) (( $#found )) && _describe -V roam found ;;
    esac
    return 0
}
if [[ $funcstack[1] == _roam ]]; then _roam "$@"; else compdef _roam roam; fi
"""
_FISH = """\
# fish completion of roam; every word is asked for at the command line's own `roam __complete`.
function __roam_complete
    set -l lines (command roam __complete fish (commandline -cp) 2>/dev/null)
    switch "$lines[1]"
        case files folders
            __fish_complete_path (commandline -ct)
        case '*'
            string join \\n -- $lines[2..-1]
    end
end
complete -c roam -f -a '(__roam_complete)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Verbs, options, kinds, files, and the names of what is on the server, if that answers at once.\n\n"
        "examples:\n"
        "  source <(roam completion bash)                                    # in ~/.bashrc\n"
        "  source <(roam completion zsh)                                     # in ~/.zshrc, after compinit\n"
        "  roam completion fish > ~/.config/fish/completions/roam.fish"
    )
    parser.add_argument("shell", choices=tuple(SCRIPTS), help="which shell it is for")


def run(args: Any) -> int:
    """Print the script."""
    print(SCRIPTS[args.shell], end="")
    return 0
