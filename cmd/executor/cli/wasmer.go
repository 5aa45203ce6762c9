package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/worker"
	"wasmwhisk/executor/action"
	"wasmwhisk/precompile"
	"wasmwhisk/whisk"
)

// wasmerName is the engine that is not in this program, and wasmerWorker the name
// of the program that has it.
const (
	wasmerName   = "wasmer"
	wasmerWorker = "wasmer-worker"
)

// What wasmer's workers are given by default: an activation each, since a guest may
// end its process, and a successor before what wasmer does not free matters.
const (
	wasmerProcesses = 16
	wasmerRecycle   = 50_000
)

// wasmerPlaces are where the program is looked for unless it is named. Its library,
// libwasmer.so, must lie beside it.
func wasmerPlaces() []string {
	own, err := os.Executable()
	if err != nil {
		return nil
	}
	dir := filepath.Dir(own)
	return []string{
		filepath.Join(dir, wasmerWorker),
		filepath.Join(dir, "..", "libexec", "wasmwhisk", wasmerWorker),
	}
}

// findWasmer gives the program, the one that is named if there is a name.
func findWasmer(named string) (string, error) {
	places := wasmerPlaces()
	if named != "" {
		places = []string{named}
	}
	for _, place := range places {
		if program, err := exec.LookPath(place); err == nil {
			return filepath.Abs(program)
		}
	}
	return "", fmt.Errorf("no program in %s (linux/amd64; just %s builds it with its libwasmer.so)",
		strings.Join(places, ", "), wasmerWorker)
}

// askTimeout bounds a program that is only asked who it is.
const askTimeout = 10 * time.Second

// askWasmer asks the program for its version or its fingerprint.
func askWasmer(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	said := strings.TrimSpace(string(out))
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, said)
	}
	return said, nil
}

// locate finds out whether there is a program that has the engine.
func (r *engineReport) locate(ctx context.Context, named string) {
	program, err := findWasmer(named)
	if err == nil {
		r.Version, err = askWasmer(ctx, program, "version")
	}
	if err != nil {
		r.Missing = err.Error()
		return
	}
	r.Version = "v" + r.Version
	r.Mode, r.Features, r.Note = "compiler", []string{"artefacts", "snapshots", "reset"}, "in "+program
}

// wasmerWorkers is how the engine's workers run.
func (s settings) wasmerWorkers() (worker.Config, error) {
	program, err := findWasmer(s.wasmerWorker)
	if err != nil {
		return worker.Config{}, errUsage(fmt.Errorf("--engine %s: %w", wasmerName, err))
	}
	config := s.workers
	config.Command = []string{program, "serve", s.wasmerPages()}
	config.Activations = 1
	config.Processes = wasmerProcesses
	if config.RecycleAfter == 0 {
		config.RecycleAfter = wasmerRecycle
	}
	return config, nil
}

// wasmerPages is the bound of memory that artefacts are compiled for. An action
// with another is compiled by its workers.
func (s settings) wasmerPages() string {
	return strconv.FormatInt(cmp.Or(s.limits.MemoryBytes, whisk.DefaultMemoryBytes)/engine.PageSize, 10)
}

// wasmerCompiler knows the engine by what its program says. Everything else is the
// program's.
type wasmerCompiler struct{ fingerprint string }

var errElsewhere = errors.New("the engine wasmer is not in this process")

func (c wasmerCompiler) Info() engine.Info           { return engine.Info{Name: wasmerName} }
func (c wasmerCompiler) Fingerprint() string         { return c.fingerprint }
func (c wasmerCompiler) Check(string) engine.Check   { return engine.CheckFirst }
func (c wasmerCompiler) Close(context.Context) error { return nil }

func (c wasmerCompiler) Compile(context.Context, []byte) (engine.Module, error) {
	return nil, errElsewhere
}

func (c wasmerCompiler) Precompile(context.Context, []byte, string) error { return errElsewhere }

func (c wasmerCompiler) Load(context.Context, []byte, string) (engine.Module, error) {
	return nil, errElsewhere
}

// wasmerModules is the artefact cache, filled by processes of the program.
func (s settings) wasmerModules(ctx context.Context, logger *slog.Logger) (action.Modules, error) {
	program, err := findWasmer(s.wasmerWorker)
	if err != nil {
		return nil, errUsage(fmt.Errorf("--engine %s: %w", wasmerName, err))
	}
	fingerprint, err := askWasmer(ctx, program, "fingerprint", s.wasmerPages())
	if err != nil {
		return nil, fmt.Errorf("--engine %s: %w", wasmerName, err)
	}
	compiler := precompile.InChild(wasmerCompiler{fingerprint}, precompile.ChildConfig{
		Command:     []string{program, "compile", s.wasmerPages()},
		All:         true,
		Time:        s.compileTimeout,
		MemoryBytes: s.compileMemory,
	})
	cache, err := precompile.NewCache(filepath.Join(s.stateDir, "artefacts"), compiler,
		precompile.CacheConfig{MaxBytes: s.cacheBytes, Logger: logger})
	if err != nil {
		return nil, fmt.Errorf("open artefact cache: %w", err)
	}
	return cache, nil
}
