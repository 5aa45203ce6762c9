package wasmwhisk_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wasmwhisk/cmd/executor/cli"
	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeAction does what the README says with the action that it shows.
func TestReadmeAction(t *testing.T) {
	t.Parallel()
	readme := readFile(t, "README.md")
	_, rest, _ := strings.Cut(readme, "```go\n")
	source, _, found := strings.Cut(rest, "```\n")
	if !found {
		t.Fatal("README.md shows no Go")
	}
	const input, want = `{"Name":"World"}`, `{"Greeting":"Hello, World"}`
	for _, text := range []string{input, want} {
		if !strings.Contains(readme, text) {
			t.Errorf("README.md does not show %s", text)
		}
	}
	got := runAction(t, buildAction(t, source), input)
	if string(got.Result) != want {
		t.Errorf("README's action on %s = %s, %v, want %s", input, got.Result, got.Err, want)
	}
}

// buildAction builds a program outside this module, which it replaces by the
// checkout.
func buildAction(t *testing.T, source string) []byte {
	t.Helper()
	checkout, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	version := regexp.MustCompile(`(?m)^go .*$`).FindString(readFile(t, "go.mod"))
	mod := "module hello\n\n" + version + "\n\nrequire wasmwhisk v0.0.0\n\nreplace wasmwhisk => " + checkout + "\n"
	for name, text := range map[string]string{"main.go": source, "go.mod": mod} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary, err := guest.Compile(t.Context(), guest.Source{Dir: dir, Package: "."}, guest.Reactor)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func runAction(t *testing.T, binary []byte, input string) sandbox.Outcome {
	t.Helper()
	rt, err := wazero.NewInterpreter(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs()})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close(t.Context())
	module, err := rt.Compile(t.Context(), binary)
	if err != nil {
		t.Fatal(err)
	}
	defer module.Close(t.Context())
	template, err := sandbox.New(sandbox.NewProgram(module), sandbox.HostFuncs(), sandbox.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	return template.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(input)})
}

// TestDocLinks follows the links between our documents.
func TestDocLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range append(docs, "README.md", "RATIONALE.md", "CHANGELOG.md") {
		for _, m := range link.FindAllStringSubmatch(readFile(t, doc), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", doc, m[1], err)
			}
		}
	}
}

// TestFlagsAreDocumented compares docs/cli.md with the flags that there are.
func TestFlagsAreDocumented(t *testing.T) {
	t.Parallel()
	doc := readFile(t, "docs/cli.md")
	flag := regexp.MustCompile(`--[a-z][a-z-]+`)
	known := map[string]bool{}
	for _, command := range commands(t) {
		if !strings.Contains(doc, "executor "+command) {
			t.Errorf("docs/cli.md does not mention executor %s", command)
		}
		for _, f := range flag.FindAllString(help(t, command), -1) {
			known[f] = true
			if !strings.Contains(doc, "`"+f) {
				t.Errorf("docs/cli.md does not explain %s of %s", f, command)
			}
		}
	}
	for _, f := range flag.FindAllString(doc, -1) {
		if !known[f] {
			t.Errorf("docs/cli.md explains %s, which no command has", f)
		}
	}
}

// commands lists the commands that the binary says it has, and those below them.
func commands(t *testing.T) []string {
	t.Helper()
	names := subcommands(t, "")
	if len(names) < 3 {
		t.Fatalf("executor --help lists the commands %q", names)
	}
	for _, name := range names {
		names = append(names, subcommands(t, name)...)
	}
	return names
}

func subcommands(t *testing.T, of string) []string {
	t.Helper()
	_, list, _ := strings.Cut(help(t, of), "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	var names []string
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] != "help" && fields[0] != "completion" {
			names = append(names, strings.TrimSpace(of+" "+fields[0]))
		}
	}
	return names
}

func help(t *testing.T, command string) string {
	t.Helper()
	var out bytes.Buffer
	env := &cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: t.Output(), Getenv: func(string) string { return "" }}
	if code := cli.Main(t.Context(), env, append(strings.Fields(command), "--help")); code != 0 {
		t.Fatalf("executor %s --help = %d", command, code)
	}
	return out.String()
}
