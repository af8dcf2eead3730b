#!/bin/sh
# Installs the ocrch executable, a first configuration with fresh secrets and, on request, a systemd unit.
# Never starts anything, never overwrites a configuration, never prints a secret.
set -eu
umask 022

usage() {
  cat <<'TEXT'
Usage: install.sh [options]

Builds ocrch from this checkout (needs Node.js and npm) and installs it. Running it again updates the executable
and the unit, and leaves the configuration as it is.

  --binary PATH    install this executable instead of building one
  --prefix DIR     install to DIR/bin/ocrch (default /usr/local)
  --config PATH    the configuration to create if there is none
                   (default /etc/ocrch/ocrch-config.toml; ~/.config/ocrch/ocrch-config.toml unless root)
  --systemd        write a systemd unit as well
  --unit-dir DIR   where to write it (default /etc/systemd/system)
  --dry-run        say what would be done, and do nothing
  -h, --help       show this
TEXT
}

state_dir=/var/lib/ocrch
secret_bytes=32

fail() {
  echo "install.sh: $1" >&2
  exit 1
}

wrong_usage() {
  echo "install.sh: $1 (see --help)" >&2
  exit 2
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
binary=
prefix=/usr/local
config=
systemd=no
unit_dir=/etc/systemd/system
dry_run=no

while [ $# -gt 0 ]; do
  option=$1
  case $option in
    --binary | --prefix | --config | --unit-dir)
      [ $# -ge 2 ] && [ -n "$2" ] || wrong_usage "$option needs a value"
      value=$2
      shift
      ;;
    --binary=* | --prefix=* | --config=* | --unit-dir=*)
      value=${option#*=}
      option=${option%%=*}
      [ -n "$value" ] || wrong_usage "$option needs a value"
      ;;
  esac
  case $option in
    --binary) binary=$value ;;
    --prefix) prefix=$value ;;
    --config) config=$value ;;
    --unit-dir) unit_dir=$value ;;
    --systemd) systemd=yes ;;
    --dry-run) dry_run=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) wrong_usage "unknown option $option" ;;
  esac
  shift
done

if [ -z "$config" ]; then
  if [ "$(id -u)" -eq 0 ]; then
    config=/etc/ocrch/ocrch-config.toml
  else
    config=${XDG_CONFIG_HOME:-${HOME:-}/.config}/ocrch/ocrch-config.toml
  fi
fi

absolute() {
  case $1 in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s/%s\n' "$(pwd)" "$1" ;;
  esac
}
prefix=$(absolute "$prefix")
config=$(absolute "$config")
unit_dir=$(absolute "$unit_dir")
[ -z "$binary" ] || binary=$(absolute "$binary")

target=$prefix/bin/ocrch
config_dir=$(dirname -- "$config")
unit=$unit_dir/ocrch.service
template=$here/ocrch-config.toml

# ---- Refuse first, so that a refusal leaves nothing behind.

[ ! -d "$target" ] || fail "$target is a folder"
[ ! -d "$config" ] || fail "$config is a folder; name the file"
if [ -n "$binary" ]; then
  [ -f "$binary" ] && [ -s "$binary" ] || fail "no executable at $binary"
elif [ ! -f "$here/package.json" ]; then
  fail "this is no checkout to build from; give the executable with --binary"
elif ! command -v npm >/dev/null 2>&1; then
  fail "building needs Node.js and npm; or give the executable with --binary"
fi
[ -e "$config" ] || [ -f "$template" ] || fail "no $template to start the configuration from"

if [ "$systemd" = yes ]; then
  case $target$config in
    *[!A-Za-z0-9/._@:+-]*) fail "a unit cannot name these paths: use letters, digits and ._-@:+ only" ;;
  esac
  # The unit hides the homes, and makes the folder of the configuration writable to the service.
  case $target in /home/* | /root/*) fail "the unit cannot run an executable below a home; choose another --prefix" ;; esac
  case $config in /home/* | /root/*) fail "the unit cannot read a configuration below a home; choose another --config" ;; esac
  case $config_dir in
    / | /etc | /usr | /usr/* | /var | /var/lib | /opt | /srv | /tmp | /bin | /lib | /sbin | /boot | /dev | /proc | /run | /sys)
      fail "the service writes to the folder of its configuration: give it one of its own, not $config_dir"
      ;;
  esac
fi

# ---- Then change.

work=
cleanup() {
  [ -z "$work" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() {
  if [ "$dry_run" = yes ]; then echo "would: $1"; else echo "$1"; fi
}

# Puts stdin in the place of a file, whole or not at all. Arguments: path, mode.
place() {
  place_to=$1
  mkdir -p -- "$(dirname -- "$place_to")"
  (umask 077 && cat >"$place_to.new") || fail "cannot write $place_to"
  chmod "$2" "$place_to.new"
  mv -f -- "$place_to.new" "$place_to"
}

secret() {
  od -An -v -N "$secret_bytes" -tx1 /dev/urandom | tr -d ' \n'
}

# The template with both secrets replaced, and the database where the service may write. Fails when the template
# has no such lines: a configuration with a known secret must not come out of here.
first_config() {
  OCRCH_ADMIN=$(secret)
  OCRCH_MERCHANT=$(secret)
  [ ${#OCRCH_ADMIN} -eq $((secret_bytes * 2)) ] && [ ${#OCRCH_MERCHANT} -eq $((secret_bytes * 2)) ] || return 1
  OCRCH_DATABASE=
  [ "$systemd" = no ] || OCRCH_DATABASE=$state_dir/ocrch.db
  export OCRCH_ADMIN OCRCH_MERCHANT OCRCH_DATABASE
  awk '
    function replaced(line, value) {
      # Keeps what stands behind the value, such as a comment.
      match(line, /^[ \t]*#?[ \t]*[a-z_]+[ \t]*=[ \t]*("[^"]*"|\047[^\047]*\047)/)
      if (RLENGTH < 0) return ""
      tail = substr(line, RLENGTH + 1)
      match(line, /[a-z_]+/)
      return substr(line, RSTART, RLENGTH) " = \"" value "\"" tail
    }
    function put_database() {
      if (section == "database" && database != "" && !placed) { print "path = \"" database "\""; placed = 1 }
    }
    database != "" && !placed && /^[ \t]*#[ \t]*\[database\][ \t]*$/ { $0 = "[database]" }
    BEGIN { admin = ENVIRON["OCRCH_ADMIN"]; merchant = ENVIRON["OCRCH_MERCHANT"]; database = ENVIRON["OCRCH_DATABASE"] }
    /^[ \t]*\[/ {
      put_database()
      section = $0
      sub(/^[ \t]*\[+[ \t]*/, "", section)
      sub(/[ \t]*\].*$/, "", section)
      if (section == "database") has_database = 1
    }
    section == "admin" && /^[ \t]*secret[ \t]*=/ { line = replaced($0, admin); if (line != "") { $0 = line; admins++ } }
    section == "merchant" && /^[ \t]*secret[ \t]*=/ { line = replaced($0, merchant); if (line != "") { $0 = line; merchants++ } }
    section == "database" && database != "" && !placed && /^[ \t]*#?[ \t]*path[ \t]*=/ {
      line = replaced($0, database)
      if (line != "") { $0 = line; placed = 1 }
    }
    { print }
    END {
      put_database()
      if (!has_database && database != "") printf "\n[database]\npath = \"%s\"\n", database
      if (admins != 1 || merchants != 1) exit 1
    }
  ' "$template"
}

unit_text() {
  cat <<TEXT
# Written by install.sh, which replaces it. Local changes belong into a drop-in: systemctl edit ocrch

[Unit]
Description=Ocrch stablecoin checkout
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
User=ocrch
Group=ocrch
ExecStart=$target serve --migrate -c $config
ExecReload=/bin/kill -HUP \$MAINPID
Restart=always
RestartSec=5
TimeoutStopSec=20
LimitNOFILE=65536
StateDirectory=ocrch
StateDirectoryMode=0700
WorkingDirectory=$state_dir
UMask=0077

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
# The server replaces the plain admin secret in its configuration by a hash.
ReadWritePaths=$config_dir
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
# MemoryDenyWriteExecute stays unset: the JavaScript engine compiles while it runs.

[Install]
WantedBy=multi-user.target
TEXT
}

if [ ! -e "$config" ] && [ "$dry_run" = no ]; then
  work=$(mktemp -d)
  (umask 077 && first_config >"$work/config") ||
    fail "$template needs one secret under [admin] and one under [merchant]: nothing was installed"
fi

if [ -z "$binary" ]; then
  say "build $here/dist/ocrch"
  if [ "$dry_run" = no ]; then
    (cd -- "$here" && npm run -s setup && npm run -s build) </dev/null || fail "the build failed"
  fi
  binary=$here/dist/ocrch
fi

if [ -f "$target" ] && cmp -s -- "$binary" "$target"; then
  say "keep $target, which is the same already"
  [ "$dry_run" = yes ] || chmod 755 "$target"
else
  say "install $target"
  [ "$dry_run" = yes ] || place "$target" 755 <"$binary"
fi

if [ -e "$config" ]; then
  say "keep the configuration $config"
else
  say "create $config with a fresh admin secret and a fresh merchant secret in it"
  if [ "$dry_run" = no ]; then
    # A folder of our own holds secrets; one that was there keeps its mode.
    mkdir -p -- "$(dirname -- "$config_dir")"
    [ -d "$config_dir" ] || mkdir -m 700 -- "$config_dir"
    place "$config" 600 <"$work/config"
    echo "  Both secrets stand in that file, readable by its owner only. Note the admin secret before the first start:"
    echo "  the server then replaces it by a hash."
  fi
fi

[ "$systemd" = yes ] || {
  [ "$dry_run" = yes ] || echo "Next: put your wallets into $config, then run: $target serve --migrate -c $config"
  exit 0
}

if [ -f "$unit" ] && unit_text | cmp -s -- - "$unit"; then
  say "keep $unit, which is the same already"
else
  say "write $unit"
  [ "$dry_run" = yes ] || unit_text | place "$unit" 644
fi
[ "$dry_run" = yes ] || cat <<TEXT
Next: put your wallets into $config, then run these as root:
  id -u ocrch >/dev/null 2>&1 || useradd --system --user-group --home-dir $state_dir --shell /usr/sbin/nologin ocrch
  chown ocrch:ocrch $config_dir $config
  systemctl daemon-reload && systemctl enable ocrch && systemctl restart ocrch
TEXT
