package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/precompile"
)

// wasmKind is the kind of action that the archives are made for.
const wasmKind = "wasm:0.1"

// precompileFlags are the flags of precompile.
type precompileFlags struct {
	output, stateDir string
	engine           *string
	abi, main        string
	force, json      bool
}

func newPrecompileCommand(env *Env) *cobra.Command {
	var f precompileFlags
	cmd := &cobra.Command{
		Use:   "precompile FILE.wasm...",
		Short: "Check modules and pack them for wsk",
		Long: `precompile checks that modules run here, compiles them into the artefact cache and
starts them once, so that their first /init only has to load what came of that, and
writes for each FILE.wasm a FILE.zip beside it that wsk can upload. (wsk damages a
bare .wasm.) The cache is below --state-dir; a server with the same state directory
and engine uses it.`,
		Args: func(_ *cobra.Command, args []string) error { return f.check(args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPrecompile(cmd.Context(), env, f, args)
		},
	}
	f.engine = addEngineFlag(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", "", "write the zip to `FILE` (with a single module)")
	flags.StringVar(&f.stateDir, "state-dir", defaultStateDir(env), "keep compiled modules below `DIR`")
	flags.StringVar(&f.abi, "abi", "", "say in the zip's manifest that the module keeps the contract `NAME`")
	flags.StringVar(&f.main, "main", "", "say in the zip's manifest that the entry point is `NAME`")
	flags.BoolVar(&f.force, "force", false, "overwrite zips that are there")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f precompileFlags) check(args []string) error {
	if len(args) == 0 {
		return errUsage(errors.New("precompile needs a FILE.wasm"))
	}
	if f.output != "" && len(args) > 1 {
		return errUsage(fmt.Errorf("--output names one zip, there are %d modules", len(args)))
	}
	if err := f.manifest().Validate(); err != nil {
		return errUsage(err)
	}
	return nil
}

func (f precompileFlags) manifest() precompile.Manifest {
	return precompile.Manifest{ABI: abi.Name(f.abi), Main: f.main}
}

// packed is what precompile tells about one module.
type packed struct {
	File         string   `json:"file"`
	Output       string   `json:"output"`
	WasmBytes    int      `json:"wasm_bytes"`
	ZipBytes     int      `json:"zip_bytes"`
	SHA256       string   `json:"sha256"`
	Contract     abi.Name `json:"contract"`
	Capabilities []string `json:"capabilities"`
	Engine       string   `json:"engine"`
	// Origin tells whether the artefact cache had the module already.
	Origin    precompile.Origin `json:"origin"`
	CompileMS float64           `json:"compile_ms"`
	// Next is the command that creates the action.
	Next string `json:"next"`
}

func runPrecompile(ctx context.Context, env *Env, f precompileFlags, files []string) (err error) {
	rt, err := openRuntime(ctx, *f.engine, engine.Config{HostFuncs: sandbox.HostFuncs()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close(ctx)) }()
	cache, err := f.cache(env, rt)
	if err != nil {
		return err
	}
	p := packer{flags: f, cache: cache, engine: rt.Info(), progress: newProgress(env.Stderr, stepsPerFile*len(files))}
	defer p.progress.close()
	done, err := p.packAll(ctx, files)
	p.progress.close()
	return errors.Join(p.print(env.Stdout, done), err)
}

// cache is that of a server with the same state directory.
func (f precompileFlags) cache(env *Env, rt engine.WasmRuntime) (*precompile.Cache, error) {
	compiler, ok := rt.(engine.Precompiler)
	if !ok {
		return precompile.Uncached(rt), nil
	}
	return openArtefacts(f.stateDir, compiler, precompile.CacheConfig{
		KeepSmall: fragile(*f.engine),
		Logger:    slog.New(slog.NewTextHandler(env.Stderr, nil)),
	})
}

func openArtefacts(stateDir string, compiler engine.Precompiler, config precompile.CacheConfig) (*precompile.Cache, error) {
	cache, err := precompile.NewCache(filepath.Join(stateDir, "artefacts"), compiler, config)
	if err != nil {
		return nil, fmt.Errorf("open artefact cache: %w", err)
	}
	return cache, nil
}

// packer packs modules, one after the other.
type packer struct {
	flags    precompileFlags
	cache    *precompile.Cache
	engine   engine.Info
	progress *progress
}

// packAll goes on after a module that is refused.
func (p *packer) packAll(ctx context.Context, files []string) (done []packed, err error) {
	for _, file := range files {
		report, problem := p.pack(ctx, file)
		if problem != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", file, problem))
			continue
		}
		done = append(done, report)
	}
	return done, err
}

// stepsPerFile counts the steps of pack.
const stepsPerFile = 3

func (p *packer) pack(ctx context.Context, file string) (packed, error) {
	defer p.progress.finish(stepsPerFile)
	output, err := p.output(file)
	if err != nil {
		return packed{}, err
	}
	p.progress.step("reading %s", file)
	action, err := readAction(file)
	if err != nil {
		return packed{}, err
	}
	report := packed{
		File: file, Output: output, WasmBytes: len(action.Binary), SHA256: fmt.Sprintf("%x", action.Hash),
		Engine: p.engine.Name + " " + p.engine.Version + " " + p.engine.Mode,
	}
	manifest := p.manifest(action.Manifest)
	p.progress.step("compiling %s (%s) with %s", file, byteSize(report.WasmBytes), report.Engine)
	if err := p.compile(ctx, action, manifest, &report); err != nil {
		return packed{}, err
	}
	p.progress.step("packing %s", output)
	report.ZipBytes, err = p.write(output, action.Binary, manifest)
	report.Next = wskLine(report)
	return report, err
}

// output is where the zip goes. It is refused before the work is done.
func (p *packer) output(file string) (string, error) {
	output := p.flags.output
	if output == "" {
		output = strings.TrimSuffix(file, filepath.Ext(file)) + ".zip"
	}
	if _, err := os.Lstat(output); err == nil && !p.flags.force {
		return "", fmt.Errorf("%s is there already; --force overwrites it", output)
	}
	return output, nil
}

// readAction reads no more of a file than an upload may have.
func readAction(file string) (precompile.Action, error) {
	f, err := os.Open(file)
	if err != nil {
		return precompile.Action{}, withoutPath(err)
	}
	defer f.Close()
	code, err := io.ReadAll(io.LimitReader(f, precompile.DefaultBinaryBytes+1))
	if err != nil {
		return precompile.Action{}, withoutPath(err)
	}
	return precompile.Intake(code, precompile.Limits{CodeBytes: precompile.DefaultBinaryBytes})
}

// withoutPath keeps a message from naming its file twice.
func withoutPath(err error) error {
	if in, ok := errors.AsType[*fs.PathError](err); ok {
		return in.Err
	}
	return err
}

// manifest lets flags win over what an archive says.
func (p *packer) manifest(m precompile.Manifest) precompile.Manifest {
	if p.flags.abi != "" {
		m.ABI = abi.Name(p.flags.abi)
	}
	if p.flags.main != "" {
		m.Main = p.flags.main
	}
	return m
}

// compile checks all that /init would, as if every capability were granted.
func (p *packer) compile(ctx context.Context, action precompile.Action, manifest precompile.Manifest, report *packed) error {
	began := time.Now()
	module, origin, err := p.cache.Module(ctx, action)
	if err != nil {
		return err
	}
	program := sandbox.NewProgram(module)
	defer func() { _ = program.Close(ctx) }()
	report.CompileMS = float64(time.Since(began).Microseconds()) / 1000
	report.Origin = origin
	report.Capabilities = needed(module.Imports())
	report.Contract, err = p.start(ctx, program, action, manifest)
	return err
}

// startPatience is how long a guest may take to start for nobody.
const startPatience = 10 * time.Second

// start gives the contract of a program, and leaves its state after the start-up with
// the artefact. A guest that cannot start yet may be one that misses its environment.
func (p *packer) start(ctx context.Context, program *sandbox.Program, action precompile.Action, manifest precompile.Manifest) (abi.Name, error) {
	client, err := host.NewClient(host.Policy{})
	if err != nil {
		return "", err
	}
	defer client.Close()
	policy := sandbox.Policy{Contract: manifest.ABI, Capabilities: sandbox.Capabilities{HTTP: client}}
	_, keeps := program.Module().(engine.Persister)
	if derived := p.cache.Derived(action); keeps && derived != nil {
		policy.Store = derived
	}
	t, err := sandbox.New(program, sandbox.HostFuncs(), policy)
	if err != nil {
		return "", err
	}
	if policy.Store != nil {
		ctx, cancel := context.WithTimeout(ctx, startPatience)
		defer cancel()
		t.Probe(ctx)
	}
	return t.Contract(), nil
}

// needed lists the capabilities that a module cannot do without.
func needed(imports []engine.Import) []string {
	names := []string{}
	for _, imp := range imports {
		if name := host.Capability(imp.Module, imp.Name); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// write packs the module and gives the size of the zip, which is there whole or
// not at all.
func (p *packer) write(output string, binary []byte, manifest precompile.Manifest) (int, error) {
	var zip bytes.Buffer
	if err := precompile.Pack(&zip, binary, manifest); err != nil {
		return 0, err
	}
	if zip.Len() > precompile.DefaultCodeBytes {
		return 0, fmt.Errorf("the zip has %s, OpenWhisk takes %s", byteSize(zip.Len()), byteSize(precompile.DefaultCodeBytes))
	}
	if p.flags.force {
		return zip.Len(), replaceFile(output, zip.Bytes())
	}
	return zip.Len(), createFile(output, zip.Bytes())
}

func createFile(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // what is to be uploaded is no secret
	if err != nil {
		return err
	}
	if _, err = f.Write(content); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	return f.Close()
}

func replaceFile(path string, content []byte) error {
	temp := fmt.Sprintf("%s.%d.tmp", path, os.Getpid())
	if err := createFile(temp, content); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

// wskLine is the command that creates an action of a packed module.
func wskLine(r packed) string {
	name := strings.TrimSuffix(filepath.Base(r.Output), filepath.Ext(r.Output))
	line := fmt.Sprintf("wsk action create %s %s --kind %s", quote(name), quote(r.Output), wasmKind)
	if slices.Contains(r.Capabilities, host.CapabilityNet) {
		line += " --annotation net true"
	}
	return line
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./@%+=:,][A-Za-z0-9_./@%+=:,-]*$`)

// quote makes one word of s in a POSIX shell.
func quote(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (p *packer) print(w io.Writer, done []packed) error {
	if p.flags.json {
		return json.NewEncoder(w).Encode(append([]packed{}, done...))
	}
	for i, r := range done {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := r.print(w); err != nil {
			return err
		}
	}
	return nil
}

func (r packed) print(w io.Writer) error {
	fmt.Fprintf(w, "%s\n", r.Output)
	fmt.Fprintf(w, "  module    %s, %s packed\n", byteSize(r.WasmBytes), byteSize(r.ZipBytes))
	fmt.Fprintf(w, "  contract  %s\n", r.Contract)
	if len(r.Capabilities) > 0 {
		fmt.Fprintf(w, "  needs     %s\n", strings.Join(r.Capabilities, ", "))
	}
	fmt.Fprintf(w, "  %-9s in %.1f ms by %s\n", r.Origin, r.CompileMS, r.Engine)
	_, err := fmt.Fprintf(w, "  next      %s\n", r.Next)
	return err
}

func byteSize(n int) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}
