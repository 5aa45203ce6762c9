# Recipes for development. Nothing depends on just: what takes more than a
# command is a step of .ci/run, which needs bash and Go alone.

# List the recipes.
default:
    @just --list

# Everything that a change must pass.
check:
    .ci/run

# The binary for this machine, into dist/.
build:
    CGO_ENABLED=0 go build -trimpath -o dist/executor ./cmd/executor

# The worker program of the engine wasmer and its library, into dist/ (linux/amd64,
# with a C compiler).
wasmer-worker:
    .ci/run wasmer

# All tests; arguments go to go test.
test *args:
    go test {{ args }} ./...

# The same under the race detector.
race:
    go test -race ./...

# Kill a server under load, so many times.
chaos rounds="300":
    CHAOS_ROUNDS={{ rounds }} go test -count 1 -timeout 60m -v ./conformance/chaos

# Formatting and linters.
lint:
    .ci/run lint

# Format all Go files.
fmt:
    go tool -modfile=tools/go.mod golangci-lint fmt

# Benchmarks, ten times each, as benchstat likes them.
bench pattern=".":
    go test -run '^$' -bench '{{ pattern }}' -benchmem -count 10 ./...

# The profile that the compiler optimises the executor by.
profile:
    .ci/run profile

# Each fuzz target for a while.
fuzz time="10s":
    FUZZTIME={{ time }} .ci/run fuzz

# The examples as WebAssembly modules (reactors), into dist/examples/.
examples:
    mkdir -p dist/examples
    for main in examples/*/main.go; do name=$(basename "$(dirname "$main")"); \
        GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags='-s -w' -o "dist/examples/$name.wasm" "./examples/$name" || exit 1; done

# Zips of the examples, ready for wsk.
precompile: build examples
    dist/executor precompile --force dist/examples/*.wasm

# Static binaries for the platforms that are released, into dist/.
release:
    .ci/run release
