# Completion of remoractl for bash:  source <(remoractl completion bash)
_remoractl() {
    local line=${COMP_LINE:0:COMP_POINT} cur='' cut found
    local -a words
    read -ra words <<< "$line"
    case $line in
        *[[:blank:]]) ;;
        *) cur=${words[-1]}; unset 'words[-1]' ;;
    esac
    found=$("${words[0]:-remoractl}" complete -- "${words[@]:1}" "$cur" 2>/dev/null)
    if [ "$found" = :file ]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
    fi
    cut=${cur%"${cur##*[:=]}"}
    COMPREPLY=()
    while IFS= read -r line; do
        [ -n "$line" ] && COMPREPLY+=("${line#"$cut"}")
    done <<< "$found"
    case ${COMPREPLY[0]-} in *=) compopt -o nospace 2>/dev/null ;; esac
}
complete -F _remoractl remoractl
