# shellcheck shell=bash
# For the scripts beside it: makes a pair's configuration of the examples, with as little changed as a machine
# without a bucket allows. Sourced.

# configure FOLDER KEYS HOST PORT STORE WATCHED: writes server.yaml, client.yaml and client.key to FOLDER. KEYS is
# what `s3up-server keygen` has printed; the store is a folder, and TLS is not spoken.
configure() {
    local folder=$1 keys=$2 host=$3 port=$4 store=$5 watched=$6 digest
    sed -n 's/^api_key: "\(.*\)"$/\1/p' <<< "$keys" > "$folder/client.key"
    digest=$(sed -n 's/^api_key_sha256: "\(.*\)"$/\1/p' <<< "$keys")
    sed -e "s|https://backup.example.com:8080|http://127.0.0.1:$port|" -e "s|/var/www/webapp/uploads|$watched|" \
        -e 's/upload_existing: false/upload_existing: true/' -e 's/debounce_seconds: 3/debounce_seconds: 0.2/' \
        packaging/client.example.yaml > "$folder/client.yaml"
    # The section s3 ends where the clients begin.
    sed -e "s/host: \"127.0.0.1\"/host: \"$host\"/" -e "s/port: 8080/port: $port/" -e "s/\"0\{64\}\"/\"$digest\"/" \
        -e '/^s3:/,/^# Who may/d' -e "s|^clients:|directory: {path: $store}\n&|" \
        packaging/server.example.yaml > "$folder/server.yaml"
}
