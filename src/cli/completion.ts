/**
 * Completion scripts for shells. They know the shell alone: what fits is asked of the program, `PROGRAM __complete WORD…`
 * (complete.ts), at each Tab.
 */

/** For bash. It divides words at colons and equals signs too: what is before the last of them must not be repeated. */
export function bashCompletion(program: string): string {
  return `# Completion of ${program} for bash: source <(${program} completion bash)
_${program}() {
  local line=\${COMP_LINE:0:COMP_POINT} cur one files=
  local -a words
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  cur=\${words[\${#words[@]} - 1]}
  COMPREPLY=()
  while IFS=$'\\t' read -r one _; do
    case $one in
      :files) files=1 ;;
      :done) ;;
      *) COMPREPLY+=("\${one#"\${cur%"\${cur##*[:=]}"}"}") ;;
    esac
  done < <("\${words[0]/#\\~/$HOME}" __complete "\${words[@]:1}" 2>/dev/null)
  [[ -n $files ]] && compopt -o default 2>/dev/null
  return 0
}
complete -F _${program} ${program}
`;
}

/** For zsh: to be sourced, or as the file _cooper in a directory of $fpath. */
export function zshCompletion(program: string): string {
  return `#compdef ${program}
_${program}() {
  local one text files=
  local -a found
  while IFS=$'\\t' read -r one text; do
    case $one in
      :files) files=1 ;;
      :done) ;;
      *) found+=("\${one//:/\\\\:}:$text") ;;
    esac
  done < <(\${(Q)words[1]/#\\~/$HOME} __complete "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)
  (( $#found )) && _describe ${program} found
  [[ -n $files ]] && { compset -P '--*='; _files; }
}
# As a file of $fpath all of this is a function, which was called for the first completion.
if [[ \${funcstack[1]-} == _${program} ]]; then
  _${program} "$@"
else
  (( $+functions[compdef] )) || { autoload -U +X compinit && compinit -u }
  compdef _${program} ${program}
fi
`;
}

/** For fish. */
export function fishCompletion(program: string): string {
  return `# Completion of ${program} for fish: ${program} completion fish | source
function __${program}_complete
    set -l words (commandline -opc)
    set -l cur (commandline -ct)
    for line in ($words[1] __complete $words[2..-1] "$cur" 2>/dev/null)
        switch $line
            case :files
                set -l before (string match -r -- '^--[^=]*=' $cur; or echo)
                for path in (__fish_complete_path (string replace -- "$before" '' $cur))
                    echo $before$path
                end
            case :done
            case '*'
                echo $line
        end
    end
end
complete -c ${program} -f -a '(__${program}_complete)'
`;
}
