package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/pool"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/executor/action"
	"wasmwhisk/whisk"
)

// invokeFlags are the flags of invoke.
type invokeFlags struct {
	settings // those of compiling, and where artefacts are kept

	params      []string
	annotations []string
	timeout     time.Duration
	memoryMB    int64
	asJSON      bool
	watch       bool
}

func newInvokeCommand(env *Env) *cobra.Command {
	var f invokeFlags
	cmd := &cobra.Command{
		Use:   "invoke FILE.wasm|FILE.zip|DIR [-p KEY VALUE]...",
		Short: "Run an action once, without a server",
		Long: `invoke runs an action as a server would, in a sandbox under its limits, and
prints its result to stdout, its logs and the time it took to stderr. A directory
is that of a Go package, which is built first. A value is JSON if it can be read
as that, and a string otherwise.

It exits with 1 if the action does not succeed.`,
		Example: `  executor invoke add.wasm -p param1 5 -p param2 4
  executor invoke ./examples/add -p param1 5 -p param2 4 --watch`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errUsage(errors.New("invoke needs one FILE.wasm, FILE.zip or DIR"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return invoke(cmd.Context(), env, f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.params, "param", "p", nil, "give the action a parameter, as `KEY=VALUE` (or -p KEY VALUE); may be repeated")
	flags.StringArrayVarP(&f.annotations, "annotation", "a", nil, "annotate the action, as `KEY=VALUE` (or -a KEY VALUE); may be repeated")
	flags.DurationVar(&f.timeout, "timeout", whisk.DefaultTimeout, "end the activation after so long")
	flags.Int64Var(&f.memoryMB, "memory", whisk.DefaultMemoryBytes>>20, "memory of the sandbox, in `MB`")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object with result, status, logs and timings")
	flags.BoolVar(&f.watch, "watch", false, "run again whenever the file, or a file below the directory, changes")
	flags.StringVar(&f.stateDir, "state-dir", defaultStateDir(env), "keep compiled modules and granted directories below `DIR`")
	flags.StringVar(&f.engine, "engine", defaultEngine, "the WebAssembly `ENGINE`: "+strings.Join(engineNames(), ", "))
	f.addCompiling(flags)
	return cmd
}

// pairFlags are the flags of invoke that take a key and a value.
func pairFlags() map[string]string {
	return map[string]string{"-p": "--param", "--param": "--param", "-a": "--annotation", "--annotation": "--annotation"}
}

// joinPairs turns -p KEY VALUE, as wsk has it, into --param=KEY=VALUE: flags of
// two arguments are not to be had otherwise.
func joinPairs(args []string) []string {
	if len(args) == 0 || args[0] != "invoke" {
		return args
	}
	var joined []string
	for len(args) > 0 {
		long, ok := pairFlags()[args[0]]
		if !ok || len(args) < 3 || strings.Contains(args[1], "=") {
			joined, args = append(joined, args[0]), args[1:]
			continue
		}
		joined, args = append(joined, long+"="+args[1]+"="+args[2]), args[3:]
	}
	return joined
}

// pairs reads KEY=VALUE, the values as JSON if they can be read as that.
func pairs(flag string, entries []string) (whisk.Parameters, error) {
	var all whisk.Parameters
	for _, entry := range entries {
		key, text, ok := strings.Cut(entry, "=")
		if !ok || key == "" {
			return nil, errUsage(fmt.Errorf("--%s %s: want KEY=VALUE", flag, entry))
		}
		if json.Valid([]byte(text)) {
			all = append(all, whisk.Parameter{Key: key, Value: json.RawMessage(text)})
			continue
		}
		all = all.With(key, text)
	}
	return all.Merge(nil), nil
}

func invoke(ctx context.Context, env *Env, f invokeFlags, path string) error {
	params, err := pairs("param", f.params)
	if err != nil {
		return err
	}
	req := action.Request{Namespace: "local", Limits: sandbox.Limits{MemoryPages: uint32(min(max(f.memoryMB, 1), 4096) << 20 / engine.PageSize)}}
	if err := f.wishes(&req.Wishes); err != nil {
		return err
	}
	l, err := openLocal(ctx, env, f.settings)
	if err != nil {
		return err
	}
	defer l.close(ctx)
	once := func() error { return l.invoke(ctx, f, path, req, params) }
	if !f.watch {
		return once()
	}
	return watch(ctx, path, func() {
		_ = exitCode(env, once())
		fmt.Fprintf(env.Stderr, "waiting for %s to change\n", path)
	})
}

func (f invokeFlags) wishes(w *action.Wishes) error {
	annotations, err := pairs("annotation", f.annotations)
	if err != nil {
		return err
	}
	for _, a := range annotations {
		if err := w.Set(a.Key, a.Value); err != nil {
			return errUsage(err)
		}
	}
	return nil
}

// local runs actions in this process.
type local struct {
	env     *Env
	runtime engine.WasmRuntime
	pool    *pool.Pool
	maker   *action.Maker
}

func openLocal(ctx context.Context, env *Env, s settings) (_ *local, err error) {
	logger, err := newLogger(env.Stderr, "warn", "text")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.stateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	l := &local{env: env, pool: pool.New(pool.Config{})}
	if l.runtime, err = openRuntime(ctx, s.engine, engine.Config{HostFuncs: sandbox.HostFuncs()}); err != nil {
		return nil, err
	}
	s.noInterpreter = true // what is compiled serves the next call, what is interpreted would end with this one
	config, err := s.executorConfig(env, l.runtime, logger)
	if err != nil {
		return nil, errors.Join(err, l.runtime.Close(ctx))
	}
	l.maker = action.NewMaker(action.Config{
		Pool: l.pool, Modules: config.Modules, Env: config.HostEnv, DirRoot: config.DirRoot, Net: config.Net,
	})
	return l, nil
}

func (l *local) close(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	if err := errors.Join(l.pool.Close(ctx), l.runtime.Close(ctx)); err != nil {
		fmt.Fprintln(l.env.Stderr, "executor:", err)
	}
}

// invoke runs the action once and prints what came of it.
func (l *local) invoke(ctx context.Context, f invokeFlags, path string, req action.Request, params whisk.Parameters) error {
	began := time.Now()
	code, err := sourceCode(ctx, path)
	if err != nil {
		return err
	}
	built := time.Since(began)
	req.Code = base64.StdEncoding.EncodeToString(code)
	initBy, cancel := context.WithTimeout(ctx, max(f.timeout, time.Minute))
	defer cancel()
	a, trial, err := l.maker.Make(initBy, req)
	if err != nil {
		return action.Failure(err, f.timeout)
	}
	defer a.Close()
	out := a.Run(ctx, sandbox.Activation{
		Input:    arguments(params),
		Context:  localContext(path, time.Now().Add(f.timeout)),
		Deadline: time.Now().Add(f.timeout),
	})
	out.Logs.Lines = append(trial.Logs.Lines, out.Logs.Lines...)
	return l.print(f, newReport(out, trial, built, f.timeout))
}

// arguments is the JSON object that the action gets.
func arguments(params whisk.Parameters) json.RawMessage {
	object := make(map[string]json.RawMessage, len(params))
	for _, p := range params {
		object[p.Key] = p.Value
	}
	data, err := whisk.Encode(object)
	if err != nil {
		panic("cli: parameters without a JSON form: " + err.Error())
	}
	return data
}

func localContext(path string, deadline time.Time) abi.Context {
	return abi.Context{
		{Name: "namespace", Value: "local"},
		{Name: "action_name", Value: "/local/" + path},
		{Name: "action_version", Value: whisk.FirstVersion().String()},
		{Name: "activation_id", Value: string(whisk.NewActivationID())},
		{Name: "deadline", Value: fmt.Sprint(deadline.UnixMilli())},
	}
}

// invokeReport is what invoke tells of an activation.
type invokeReport struct {
	Status  string          `json:"status"`
	Result  json.RawMessage `json:"result"`
	Logs    []string        `json:"logs"`
	Timings invokeTimings   `json:"timings"`
}

// invokeTimings are in milliseconds.
type invokeTimings struct {
	Build       float64 `json:"build,omitempty"`
	Module      float64 `json:"module"`
	Source      string  `json:"source"` // how the module was had
	Snapshot    float64 `json:"snapshot,omitempty"`
	Instantiate float64 `json:"instantiate"`
	Run         float64 `json:"run"`
}

func newReport(out sandbox.Outcome, trial action.Trial, built, timeout time.Duration) invokeReport {
	r := invokeReport{
		Status: whisk.Status(out.Status).String(), Result: out.Result, Logs: []string{},
		Timings: invokeTimings{
			Build: milliseconds(built), Module: milliseconds(trial.Module), Source: sourceName(trial.Source),
			Snapshot: milliseconds(trial.Snapshot), Instantiate: milliseconds(out.Timings.Instantiate), Run: milliseconds(out.Timings.Run),
		},
	}
	for _, line := range out.Logs.Lines {
		r.Logs = append(r.Logs, line.Stream.String()+": "+line.Text)
	}
	if out.Err != nil {
		r.Result, _ = whisk.Encode(map[string]string{"error": action.RunFailure(out.Err, timeout).Error()})
	}
	return r
}

func sourceName(s action.Source) string {
	if s == action.Compiled {
		return "compiled"
	}
	return "artefact"
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (l *local) print(f invokeFlags, r invokeReport) error {
	if f.asJSON {
		if err := json.NewEncoder(l.env.Stdout).Encode(r); err != nil {
			return err
		}
		return r.verdict()
	}
	for _, line := range r.Logs {
		fmt.Fprintln(l.env.Stderr, line)
	}
	pretty, err := json.MarshalIndent(r.Result, "", "    ")
	if err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	fmt.Fprintln(l.env.Stdout, string(pretty))
	t := r.Timings
	fmt.Fprintf(l.env.Stderr, "%s: %s %.2f ms, instantiate %.3f ms, run %.3f ms\n", r.Status, t.Source, t.Module, t.Instantiate, t.Run)
	return r.verdict()
}

// verdict is the exit of the process: what there is to say was printed.
func (r invokeReport) verdict() error {
	if r.Status == whisk.Success.String() {
		return nil
	}
	return &codeError{code: exitFailed}
}
