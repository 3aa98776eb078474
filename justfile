# The project's verbs. CI calls what README shows.

# What must be clean before a commit
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo check -p holdfast --no-default-features

# All tests: core, simulator, server, store contract, real mounts
test:
    cargo test --workspace

# The core under simulation only: seconds, no SDK
sim *ARGS:
    cargo test -p holdfast-sim {{ARGS}}

# The main job: a real mount on the embedded S3 server
demo *ARGS:
    cargo run -- demo {{ARGS}}
