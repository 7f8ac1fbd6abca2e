# Read by every shell that sshd starts. The output is what a client has to live through: a banner,
# lines that are valid JSON, a byte that is not UTF-8, an unfinished line, and text on stderr.
PATH="$HOME/.local/bin:$PATH"
printf '%s\n' '*** Welcome to the noisy cluster ***'
printf '%s\n' '42'
printf '%s\n' '{"message": "scheduled maintenance", "id": 1}'
printf 'caf\351 open until six\n'
printf '%s\n' 'quota: 93% of your home is used' >&2
printf '%s' 'last login: yesterday '
