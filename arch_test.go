package wasmwhisk_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "wasmwhisk"

// layers says what each package may import from this module. It is the
// architecture: a package or an edge that is missing here fails the test.
// "x/..." covers x and what is below it; the longest pattern that covers a package counts.
var layers = []struct{ pkg, mayImport string }{
	// Contracts and vocabulary: nothing of ours.
	{"engine", ""},
	{"engine/rewrite", ""},
	{"whisk", ""},

	// What a guest meets, for every engine.
	{"engine/wasi", "engine"},
	{"engine/host", "engine"},
	{"engine/abi", "engine"},

	// Drivers, and the suite that holds them to the contract.
	{"engines/internal/face", "engine engine/rewrite"},
	{"engines/internal/kept", ""},
	{"engines/wasmtime", "engine engine/rewrite engines/internal/face engines/internal/kept"},
	{"engines/wazero", "engine engine/wasi engine/rewrite engines/internal/kept"},
	{"engines/wasmer", "engine engine/rewrite engines/internal/face engines/internal/kept"},
	{"engines/wasmer/worker", "engine engine/enginebench engine/sandbox engine/worker engines/wasmer precompile"},
	{"engine/enginetest", "engine/... internal/ram internal/wat"},

	{"engine/enginebench", "engine engine/abi engine/host engine/sandbox engine/wasi engine/worker internal/ram"},

	// Running one action, and keeping what runs.
	{"engine/sandbox", "engine engine/abi engine/host engine/rewrite engine/wasi"},
	{"engine/pool", "engine/..."},
	{"engine/worker", "engine engine/abi engine/host engine/sandbox engine/wasi internal/capped internal/ram"},
	{"precompile", "engine/... internal/capped"},

	// Fronts, and what both need.
	{"internal/bodies", "whisk"},
	{"executor/action", "engine/... precompile whisk"},
	{"executor", "engine/... executor/action internal/bodies precompile whisk"},

	// The standalone control plane, lowest first.
	{"whisk/store", "whisk"},
	{"whisk/entitlement", "whisk"},
	{"whisk/invoker", "engine/... executor/action whisk whisk/store"},
	{"whisk/controller", "internal/bodies whisk whisk/entitlement whisk/invoker whisk/store"},
	{"whisk/store/sqlite", "whisk whisk/store"},
	{"whisk/store/storetest", "whisk whisk/store"},

	// For authors of actions.
	{"actionsdk/...", "actionsdk/..."},
	{"examples/...", "actionsdk/..."},

	// For tests, and for quickstart, which builds a guest.
	{"internal/guest", ""},
	{"internal/guest/guesttest", "internal/guest"},
	{"internal/wat", ""},

	// What the system tells of processes, and what they write.
	{"internal/ram", ""},
	{"internal/capped", ""},

	// Know us by HTTP alone.
	{"conformance/...", ""},
	{"eval", "eval/load eval/result eval/target"},
	{"eval/load", ""},
	{"eval/target", "eval/load internal/guest internal/ram internal/wat"},
	{"eval/result", ""},
	{"eval/plot", "eval/result"},
	{"eval/report", "eval/plot eval/result"},

	{"cmd/...", "..."},
}

// TestImportDirection reads the sources rather than ask "go list": so it sees
// files behind every build constraint, and go test runs it again when one
// changes. Tests may import what they like.
func TestImportDirection(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for name, file := range sources(t, parser.ImportsOnly) {
		pkg := path.Dir(name)
		pattern, allowed := layerOf(pkg)
		if pattern == "" {
			t.Errorf("%s: package %s has no line in layers", name, pkg)
			continue
		}
		used[pattern] = true
		for _, dep := range ours(file) {
			if !permits(allowed, dep) {
				t.Errorf("%s: %s imports %s, may import %q", name, pkg, dep, allowed)
			}
		}
	}
	for _, l := range layers {
		if !used[l.pkg] {
			t.Errorf("layers: %q covers no package", l.pkg)
		}
	}
}

// TestTestingStaysInTests keeps package testing out of the binary. Packages
// named *test and internal/wat exist for tests.
func TestTestingStaysInTests(t *testing.T) {
	t.Parallel()
	for name, file := range sources(t, parser.ImportsOnly) {
		pkg := path.Dir(name)
		if strings.HasSuffix(pkg, "test") || pkg == "internal/wat" {
			continue
		}
		for _, spec := range file.Imports {
			if spec.Path.Value == `"testing"` {
				t.Errorf("%s imports testing", name)
			}
		}
	}
}

// sources are the Go files of this module but for tests and test data, parsed.
func sources(t *testing.T, mode parser.Mode) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return skipDir(name, d)
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files[filepath.ToSlash(name)], err = parser.ParseFile(token.NewFileSet(), name, nil, mode)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// skipDir leaves out what the go command leaves out, and other modules.
func skipDir(name string, d fs.DirEntry) error {
	hidden := len(name) > 1 && strings.HasPrefix(d.Name(), ".")
	if hidden || d.Name() == "testdata" || name == "tools" || name == "dist" {
		return filepath.SkipDir
	}
	return nil
}

// ours lists the packages of this module that a file imports.
func ours(file *ast.File) []string {
	var deps []string
	for _, spec := range file.Imports {
		imp, _ := strconv.Unquote(spec.Path.Value)
		if dep, ok := strings.CutPrefix(imp, module+"/"); ok {
			deps = append(deps, dep)
		}
	}
	return deps
}

// layerOf gives the longest pattern that covers pkg and what it permits.
func layerOf(pkg string) (pattern, mayImport string) {
	for _, l := range layers {
		if covers(l.pkg, pkg) && len(l.pkg) > len(pattern) {
			pattern, mayImport = l.pkg, l.mayImport
		}
	}
	return pattern, mayImport
}

func permits(patterns, dep string) bool {
	for p := range strings.FieldsSeq(patterns) {
		if covers(p, dep) {
			return true
		}
	}
	return false
}

// covers reports whether pattern names pkg or the tree that it is in.
func covers(pattern, pkg string) bool {
	root, tree := strings.CutSuffix(pattern, "...")
	return root == pkg || tree && strings.HasPrefix(pkg+"/", root)
}

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, pkg string
		want         bool
	}{
		{"engine", "engine", true},
		{"engine", "engine/wasi", false},
		{"engine", "engines/wazero", false},
		{"engine/...", "engine", true},
		{"engine/...", "engine/wasi", true},
		{"engine/...", "engines/wazero", false},
		{"...", "whisk", true},
	} {
		if got := covers(c.pattern, c.pkg); got != c.want {
			t.Errorf("covers(%q, %q) = %v, want %v", c.pattern, c.pkg, got, c.want)
		}
	}
}
