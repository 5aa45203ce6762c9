package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"wasmwhisk/engine/worker"
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

// versionTimeout bounds a program that is only asked who it is.
const versionTimeout = 10 * time.Second

// wasmerVersion asks the program.
func wasmerVersion(ctx context.Context, program string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "version")
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	said := strings.TrimSpace(string(out))
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, said)
	}
	return "v" + said, nil
}

// locate finds out whether there is a program that has the engine.
func (r *engineReport) locate(ctx context.Context, named string) {
	program, err := findWasmer(named)
	if err == nil {
		r.Version, err = wasmerVersion(ctx, program)
	}
	if err != nil {
		r.Missing = err.Error()
		return
	}
	r.Mode, r.Features, r.Note = "compiler", []string{"snapshots", "reset"}, "in "+program
}

// wasmerWorkers is how the engine's workers run.
func (s settings) wasmerWorkers() (worker.Config, error) {
	program, err := findWasmer(s.wasmerWorker)
	if err != nil {
		return worker.Config{}, errUsage(fmt.Errorf("--engine %s: %w", wasmerName, err))
	}
	config := s.workers
	config.Command = []string{program}
	config.Activations = 1
	config.Processes = wasmerProcesses
	if config.RecycleAfter == 0 {
		config.RecycleAfter = wasmerRecycle
	}
	return config, nil
}
