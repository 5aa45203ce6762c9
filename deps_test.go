package wasmwhisk_test

import (
	"flag"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write deps.golden")

// TestDependencies holds the modules linked into the binary, with cgo or
// without, against deps.golden: a dependency is a decision, and RATIONALE.md
// gives its reason.
func TestDependencies(t *testing.T) {
	t.Parallel()
	lines := append(linked(t, "CGO_ENABLED=0"), linked(t, "CGO_ENABLED=1")...)
	slices.Sort(lines)
	got := strings.Join(slices.Compact(lines), "\n") + "\n"

	if *update {
		if err := os.WriteFile("deps.golden", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("deps.golden")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("modules in the binary:\n%s\nwant, by deps.golden (go test . -update):\n%s", got, want)
	}
}

// linked lists the modules of other people in the binary.
func linked(t *testing.T, cgo string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f",
		"{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{if .Indirect}} indirect{{end}}{{end}}{{end}}", "./cmd/executor")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", cgo)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	return slices.DeleteFunc(strings.Split(string(out), "\n"), func(l string) bool { return l == "" })
}
