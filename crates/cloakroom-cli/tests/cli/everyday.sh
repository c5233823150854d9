# The jobs of a day, with the command alone. Stops at the first that fails.
cloakroom() { "$CLOAKROOM" "$@"; }

cloakroom migrate up --field user_id:text:index > /dev/null
phone=$(cloakroom create --set user_id=42 --data '{"device":"phone"}' --ttl 2d 2> /dev/null)
cloakroom create --set user_id=42 --data '{"device":"laptop"}' --ttl 30d > /dev/null 2>&1
cloakroom create --set user_id=7 --data '{"device":"tablet"}' --ttl 3d > /dev/null 2>&1

# Who is user 42, and where is she logged in?
where=$(cloakroom list --where user_id=42 --columns data.device,inserted_at)
echo "user 42 is logged in on a $(echo "$where" | cut -f1 | paste -s -d, | sed 's/,/ and a /')"

# Her phone was stolen.
cloakroom expire --where user_id=42 --where data.device=phone > /dev/null
if printf %s "$phone" | cloakroom authenticate > /dev/null 2>&1; then exit 1; fi
echo "her phone is logged out"

# How many expire this week?
cloakroom create --set user_id=8 --ttl 6d > /dev/null 2>&1
echo "$(cloakroom count --expires-before +7d) sessions expire this week"

# Everything, for a spreadsheet: a line of names, and a line a session.
cloakroom list --status valid --format csv > sessions.csv
echo "$(wc -l < sessions.csv | tr -d ' ') lines are exported"

# Ten thousand sessions of the system before, whose tokens are out there.
awk 'BEGIN { print "token,user_id,data,expires_at"
    for (i = 0; i < 10000; i++)
        printf "token-of-the-system-before-%06d,%d,\"{\"\"n\"\":%d}\",never\n", i, i, i }' > before.csv
cloakroom import before.csv > /dev/null
printf token-of-the-system-before-009999 | cloakroom authenticate > /dev/null
echo "$(($(cloakroom count) - 3)) sessions are imported in one go"

# Every night, by cron: what ended more than thirty days ago goes.
cloakroom create --set user_id=9 --expires-at 2020-01-01T00:00:00Z > /dev/null 2>&1
mail=$(cloakroom prune --older-than 30d --quiet 2>&1)
test -z "$mail"
test "$(cloakroom count --status expired)" = 1
echo "what ended of late is kept, and cron has nothing to mail"

# The worst day: everybody has to log in anew.
cloakroom expire --all --yes > /dev/null
test "$(cloakroom count)" = 0
echo "everybody is logged out"
