package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wasmwhisk/engine"
	"wasmwhisk/engine/pool"
	"wasmwhisk/engine/worker"
	"wasmwhisk/executor"
	"wasmwhisk/executor/action"
	"wasmwhisk/precompile"
)

// off is the address of a front that is not served.
const off = "off"

// settings are the flags of serve.
type settings struct {
	api standaloneSettings

	runtimeAddr, containerAddr, metricsAddr string

	stateDir, jsonLogDir, apiHost string
	engine                        string
	poolBytes, cacheBytes         int64
	idleBytes, snapshotBytes      int64
	allowReinit, wowEnvelope      bool
	compileTimeout                time.Duration
	compileMemory                 int64
	isolation, wasmerWorker       string
	workers                       worker.Config
	noInterpreter                 bool
	copyCode, forkCommands        bool
	preload                       int

	limits   executor.Limits
	capacity executor.Capacity
	http     executor.HTTPLimits

	noNet                  bool
	denyHosts, allowPrefix []string

	logLevel, logFormat, logFile string
	drain                        time.Duration
}

func newServeCommand(env *Env) *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the OpenWhisk API and the runtime protocol (the default command)",
		Long: `serve is an OpenWhisk for this machine: its REST API, for wsk and other clients,
with a store below the state directory. It also speaks OpenWhisk's runtime protocol
on up to two fronts: many containers under their ids, for an invoker that knows
them, and one container, in the place of one that an invoker started. An address of
"off" disables a front. It ends on SIGINT or SIGTERM, after the activations that
run; what comes then gets 503.`,
		Args: noArguments,
	}
	s.api.add(cmd.Flags())
	s.addFronts(cmd.Flags())
	s.addStorage(env, cmd)
	s.addLimits(cmd.Flags())
	s.addNet(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), env, s) }
	return cmd
}

func (s *settings) addFronts(f *pflag.FlagSet) {
	f.StringVar(&s.runtimeAddr, "runtime-addr", "127.0.0.1:9000", "serve many containers under their ids at `ADDR`")
	f.StringVar(&s.containerAddr, "container-addr", off, "serve one container, as a runtime image does, at `ADDR` (a container's is :8080)")
	f.StringVar(&s.metricsAddr, "metrics-addr", "", "serve /metrics, /health and /ready at `ADDR` too (default: only on the other fronts)")
	f.BoolVar(&s.allowReinit, "allow-reinit", false, "let a second /init replace the code of a container")
	f.BoolVar(&s.wowEnvelope, "wow-envelope", false, "wrap results as wow's executor does")
	f.StringVar(&s.logLevel, "log-level", "info", "log from `LEVEL` on: debug, info, warn, error")
	f.StringVar(&s.logFormat, "log-format", "text", "log as `FORMAT`: text, json")
	f.StringVar(&s.logFile, "log-file", "", "log to `FILE` (default: stderr; with a container front, whose guests have that, executor.log in the state directory)")
	f.DurationVar(&s.drain, "drain-timeout", time.Minute, "how long a shutdown waits for running activations")
}

func (s *settings) addStorage(env *Env, cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.stateDir, "state-dir", defaultStateDir(env), "keep compiled modules and granted directories below `DIR`")
	f.StringVar(&s.jsonLogDir, "json-log-dir", "", "write the logs of containers below `DIR`, as Docker's json-file driver does")
	f.Int64Var(&s.cacheBytes, "cache-bytes", 0, "bound on the compiled modules on disk, in `BYTES` (default 4 GiB)")
	f.Int64Var(&s.poolBytes, "pool-bytes", pool.DefaultMaxBytes, "bound on the compiled modules in memory, in `BYTES`")
	f.Int64Var(&s.idleBytes, "idle-bytes", engine.DefaultIdleBytes, "bound on the RAM of guests' memories that wait to be used again, in `BYTES`")
	f.Int64Var(&s.snapshotBytes, "snapshot-bytes", engine.DefaultSnapshotBytes, "bound on the RAM of the states that guests begin in, in `BYTES`")
	s.addCompiling(f)
	f.BoolVar(&s.noInterpreter, "no-interpreter", false, "have code never seen wait until it is compiled, rather than run it slowly until then")
	f.IntVar(&s.preload, "preload", defaultPreload, "load the `N` modules that were used last while the server starts, as far as they are compiled")
	f.BoolVar(&s.forkCommands, "fork-commands", false, "have commands with the annotation fork start once, and their activations go on from where they first read their input")
	f.BoolVar(&s.copyCode, "copy-code", false, "copy machine code and snapshots from disk into memory, rather than map them; relies on nothing inside wazero, and takes three times as long")
	s.addIsolation(f)
	f.StringVar(&s.engine, "engine", defaultEngine, "the WebAssembly `ENGINE`: "+strings.Join(append(engineNames(), wasmerName), ", "))
}

func (s *settings) addLimits(f *pflag.FlagSet) {
	f.Int64Var(&s.limits.MemoryBytes, "memory-limit", 0, "memory of a sandbox, in `BYTES` (default 256 MiB)")
	f.IntVar(&s.limits.LogBytes, "log-limit", 0, "logs of an activation, in `BYTES` (default 10 MiB)")
	f.DurationVar(&s.limits.Timeout, "timeout", 0, "time of an activation that names no deadline (default 1m)")
	f.DurationVar(&s.limits.MaxTimeout, "max-timeout", 0, "time of any activation (default 1h)")
	f.DurationVar(&s.limits.InitTimeout, "init-timeout", 0, "time of an initialization (default 1m)")
	f.IntVar(&s.limits.Concurrency, "concurrency", 0, "activations at once in one container; more wait (default: no bound)")
	f.IntVar(&s.capacity.Containers, "capacity", 0, "containers at once (default 4096)")
	f.Float64Var(&s.capacity.High, "high-watermark", 0, "`SHARE` of the capacity that may be idle before some are removed (default 0.9)")
	f.Float64Var(&s.capacity.Low, "low-watermark", 0, "`SHARE` that is left then (default 0.7)")
	f.DurationVar(&s.capacity.Idle, "idle-timeout", 0, "remove a container unused for so long (default 15m)")
	f.IntVar(&s.http.Connections, "max-connections", 0, "HTTP connections at once; more wait (default 4096)")
}

func (s *settings) addNet(f *pflag.FlagSet) {
	f.StringVar(&s.apiHost, "api-host", "", "`URL` of the OpenWhisk API, given to actions as __OW_API_HOST")
	f.BoolVar(&s.noNet, "no-net", false, "refuse outbound requests to every action")
	f.StringSliceVar(&s.denyHosts, "deny-host", nil, "`HOST` that no action may reach; may be repeated")
	f.StringSliceVar(&s.allowPrefix, "allow-private", nil, "private `PREFIX` (10.1.0.0/16) that actions may reach all the same; may be repeated")
}

// defaultStateDir follows the XDG base directory specification.
func defaultStateDir(env *Env) string {
	if dir := env.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "wasmwhisk")
	}
	if home := env.Getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "state", "wasmwhisk")
	}
	return filepath.Join(os.TempDir(), "wasmwhisk")
}

func serve(ctx context.Context, env *Env, s settings) error {
	log, err := s.openLog(env)
	if err != nil {
		return err
	}
	defer log.Close()
	collectLess(env)
	logger, err := newLogger(log, s.logLevel, s.logFormat)
	if err != nil {
		return err
	}
	n, err := openNode(ctx, env, s, logger)
	if err != nil {
		return err
	}
	if err := n.start(ctx, log); err != nil {
		return errors.Join(err, n.stop(ctx, s.drain))
	}
	<-ctx.Done()
	logger.Info("draining", slog.Duration("at_most", s.drain))
	return n.stop(ctx, s.drain)
}

// defaultPreload is how many modules a server loads without being asked: those of Go
// take 5 ms and 17 MB of mapped files each.
const defaultPreload = 4

// garbagePercent is the GOGC of an executor. Code and memories of guests are not
// on Go's heap, so that what lives there is a few megabytes: at the usual 100 it
// would be collected dozens of times per second, and each collection has to wait
// until every running guest comes to a check.
const garbagePercent = 400

// collectLess leaves an operator's own choice alone.
func collectLess(env *Env) {
	if env.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}

// openLog is where the executor's own log goes. A container's stdout and stderr
// are its guest's: whoever reads them takes every line for an action's.
func (s settings) openLog(env *Env) (io.WriteCloser, error) {
	path := s.logFile
	if path == "" && front(s.containerAddr) == "" {
		return unclosed{env.Stderr}, nil
	}
	if path == "" {
		path = filepath.Join(s.stateDir, "executor.log")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

// unclosed is a writer that is not ours to close.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

func newLogger(to io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, errUsage(fmt.Errorf("--log-level: %w", err))
	}
	options := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(to, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(to, options)), nil
	}
	return nil, errUsage(fmt.Errorf("--log-format: %q is neither text nor json", format))
}

func (s settings) executorConfig(env *Env, rt engine.WasmRuntime, logger *slog.Logger) (executor.Config, error) {
	prefixes, err := parsePrefixes(s.allowPrefix)
	if err != nil {
		return executor.Config{}, err
	}
	if err := os.MkdirAll(s.stateDir, 0o700); err != nil {
		return executor.Config{}, fmt.Errorf("make state directory: %w", err)
	}
	modules, err := s.modules(rt, logger)
	if err != nil {
		return executor.Config{}, err
	}
	registry := newRegistry()
	return executor.Config{
		Runtime:         rt,
		Pool:            pool.New(pool.Config{MaxBytes: s.poolBytes}),
		Modules:         modules,
		MultiplexedAddr: front(s.runtimeAddr),
		ContainerAddr:   front(s.containerAddr),
		Stdout:          env.Stdout,
		Stderr:          env.Stderr,
		JSONLogDir:      s.jsonLogDir,
		AllowReinit:     s.allowReinit,
		WowEnvelope:     s.wowEnvelope,
		HostEnv:         s.hostEnv(env),
		DirRoot:         filepath.Join(s.stateDir, "dirs"),
		Net:             action.NetPolicy{Off: s.noNet, Deny: s.denyHosts, AllowPrivate: prefixes},
		Preload:         s.preload,
		ForkCommands:    s.forkCommands,
		Limits:          s.limits,
		Capacity:        s.capacity,
		HTTP:            s.http,
		Logger:          logger,
		Registerer:      registry,
		Gatherer:        registry,
		OperationsAddr:  front(s.metricsAddr),
	}, nil
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// modules is the artefact cache, where the engine makes artefacts at all.
func (s settings) modules(rt engine.WasmRuntime, logger *slog.Logger) (action.Modules, error) {
	compiler, ok := rt.(engine.Precompiler)
	if !ok {
		return nil, nil
	}
	compiler, err := s.inChild(compiler)
	if err != nil {
		return nil, err
	}
	cache, err := precompile.NewCache(filepath.Join(s.stateDir, "artefacts"), compiler, precompile.CacheConfig{
		MaxBytes: s.cacheBytes, Interpreter: s.interpreter(rt), KeepSmall: fragile(s.engine), Logger: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("open artefact cache: %w", err)
	}
	return cache, nil
}

// interpreter is the engine if it is to run code before that is compiled.
func (s settings) interpreter(rt engine.WasmRuntime) engine.Interpreter {
	i, ok := rt.(engine.Interpreter)
	if !ok || s.noInterpreter {
		return nil
	}
	return i
}

// hostEnv is what the process hands on to every action: its own __OW_ variables,
// as a runtime image does, and the API host.
func (s settings) hostEnv(env *Env) []string {
	var all []string
	for _, entry := range env.Environ {
		if strings.HasPrefix(entry, "__OW_") && (s.apiHost == "" || !strings.HasPrefix(entry, "__OW_API_HOST=")) {
			all = append(all, entry)
		}
	}
	if s.apiHost != "" {
		all = append(all, "__OW_API_HOST="+s.apiHost)
	}
	return all
}

func front(addr string) string {
	if addr == off {
		return ""
	}
	return addr
}

func parsePrefixes(texts []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, errUsage(fmt.Errorf("--allow-private: %w", err))
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}
