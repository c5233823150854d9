
# Bash parts words at : and =, as in a database's URL or in user_id=1. The command is given them whole.
_cloakroom() {
    local line=${COMP_LINE:0:COMP_POINT}
    if [[ $line == *[\'\"\\]* ]]; then
        _clap_complete_cloakroom "$@"
        return
    fi
    local COMP_WORDS COMP_CWORD
    IFS=$' \t' read -ra COMP_WORDS <<< "$line"
    [[ $line == *[[:space:]] ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    local current=${COMP_WORDS[COMP_CWORD]}
    _clap_complete_cloakroom "$1" "$current" "$3"
    # What stands in front of the last of these, bash keeps.
    local kept=${current%"${current##*[:=]}"}
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
}
complete -o nospace -o bashdefault -F _cloakroom cloakroom
