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

# One fuzz target for some seconds
fuzz TARGET SECONDS="600":
    fuzz/run {{TARGET}} {{SECONDS}}

# Fresh seeds of every profile for hours; the smallest scenario of each finding is kept in target/findings
soak HOURS="8":
    sim/soak {{HOURS}}

# Which lines of the core the simulator's tests reach
coverage:
    cargo run --release -p holdfast-sim --example coverage -- test -p holdfast-sim
