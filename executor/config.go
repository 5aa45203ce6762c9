package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wasmwhisk/engine"
	"wasmwhisk/engine/pool"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/worker"
	"wasmwhisk/executor/action"
	"wasmwhisk/precompile"
	"wasmwhisk/whisk"
)

// Config is what an executor is made with. Pool is required, and so is Runtime
// unless there are Workers; the zero value of every other field has the meaning that it names.
type Config struct {
	// Runtime compiles actions. It must have been made with
	// sandbox.HostFuncs, and is not closed by the executor.
	Runtime engine.WasmRuntime

	// Pool keeps the modules of all containers. Stop closes it.
	Pool *pool.Pool

	// Modules gives modules that the pool does not have; nil compiles them with
	// Runtime.
	Modules action.Modules

	// Workers run activations, each action's in processes of its own; nil runs
	// them in this process. They stay their owner's.
	Workers *worker.Supervisor

	// MultiplexedAddr is where many containers are served, each under its id;
	// empty means nowhere.
	MultiplexedAddr string

	// ContainerAddr is where one container is served, as a container of
	// OpenWhisk's would; empty means nowhere.
	ContainerAddr string

	// Stdout and Stderr take the logs of the container at ContainerAddr; nil
	// discards them.
	Stdout, Stderr io.Writer

	// JSONLogDir takes the logs of every other container, as Docker's json-file
	// driver writes them; empty means that they are only kept in memory.
	JSONLogDir string

	// AllowReinit lets a second /init replace the code of a container.
	AllowReinit bool

	// WowEnvelope wraps results as wow's executor does.
	WowEnvelope bool

	// HostEnv is what every action finds in its environment unless its own or
	// its activation's says otherwise, as "KEY=value". It is where
	// __OW_API_HOST comes from.
	HostEnv []string

	// DirRoot is the directory below which each namespace has a private one
	// for the actions that ask for a directory; empty grants none.
	DirRoot string

	// Net bounds what actions that ask for the network may reach.
	Net action.NetPolicy

	// Preload is how many of the modules that were used last are loaded into the pool
	// while the executor starts, as far as they are on disk.
	Preload int

	// ForkCommands lets commands be forked that ask for it by annotation.
	ForkCommands bool

	// Limits bound activations, Capacity containers and HTTP connections.
	Limits   Limits
	Capacity Capacity
	HTTP     HTTPLimits

	// Logger takes the executor's own log; nil discards it.
	Logger *slog.Logger

	// Registerer takes the metrics; nil means that there are none. Gatherer is
	// what GET /metrics answers with, usually the same registry; nil serves none.
	Registerer prometheus.Registerer
	Gatherer   prometheus.Gatherer

	// OperationsAddr is where /metrics, /health and /ready are served alone,
	// beside being on every other front; empty means nowhere.
	OperationsAddr string
}

// Limits bounds the activations of an executor. Zero fields mean OpenWhisk's
// defaults.
type Limits struct {
	MemoryBytes  int64 // of each sandbox
	LogBytes     int   // of each activation
	ResultBytes  int
	PayloadBytes int
	CodeBytes    int64 // as uploaded, not counting base64

	// Timeout ends an activation that names no deadline.
	Timeout time.Duration
	// MaxTimeout ends any activation, whatever its deadline; 0 means an hour.
	MaxTimeout time.Duration
	// InitTimeout ends an initialization; 0 means a minute.
	InitTimeout time.Duration

	// Concurrency bounds the activations that run in one container at a time;
	// more wait. 0 means no bound.
	Concurrency int

	// ContainerLogBytes bounds what is kept of a container's logs in memory;
	// 0 means 256 KiB. JSONLogBytes bounds each json log file, of which there is
	// one older one; 0 means 100 MiB.
	ContainerLogBytes int
	JSONLogBytes      int64
}

// Capacity bounds the containers of an executor.
type Capacity struct {
	// Containers is the most there may be; 0 means 4096.
	Containers int

	// High and Low are shares of Containers: once High of them are idle, the
	// longest idle are removed until Low are left. 0 means 0.9 and 0.7.
	High, Low float64

	// Idle is how long a container may stay unused; 0 means 15 minutes, more
	// than an invoker keeps one.
	Idle time.Duration

	// Sweep is how often both are looked after; 0 means 10 seconds.
	Sweep time.Duration
}

// HTTPLimits bounds what clients may occupy.
type HTTPLimits struct {
	Connections int           // served at once; more wait; 0 means 4096
	Header      time.Duration // to send the header of a request; 0 means 10 seconds
	HeaderBytes int           // of a request; 0 means 64 KiB
	Body        time.Duration // to send all of a request; 0 means a minute
	Write       time.Duration // to take the answer; 0 means a minute
	Idle        time.Duration // between requests; 0 means 2 minutes
	UploadBytes int64         // of all large bodies being received; 0 means 512 MiB
}

// Validate reports what cannot stand in a configuration.
func (c Config) Validate() error {
	switch {
	case c.Runtime == nil && c.Workers == nil:
		return errors.New("no runtime")
	case c.Pool == nil:
		return errors.New("no pool")
	case c.Limits.MemoryBytes < 0 || c.Limits.MemoryBytes > engine.MaxPages*engine.PageSize:
		return fmt.Errorf("memory limit of %d bytes is not within 0 and 4 GiB", c.Limits.MemoryBytes)
	case c.Capacity.High < 0 || c.Capacity.High > 1 || c.Capacity.Low < 0 || c.Capacity.Low > 1:
		return errors.New("watermarks are shares, from 0 to 1")
	case c.Capacity.High != 0 && c.Capacity.Low > c.Capacity.High:
		return errors.New("the low watermark is above the high one")
	}
	for _, entry := range c.HostEnv {
		if name, _, ok := cutEnv(entry); !ok || checkName(name) != nil {
			return fmt.Errorf("host environment: %q is not KEY=value", entry)
		}
	}
	return c.Net.Validate()
}

func (c Config) withDefaults() Config {
	if c.Modules == nil && c.Runtime != nil {
		c.Modules = compiler{c.Runtime}
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Stdout == nil {
		c.Stdout = io.Discard
	}
	if c.Stderr == nil {
		c.Stderr = io.Discard
	}
	c.Limits = c.Limits.withDefaults()
	c.Capacity = c.Capacity.withDefaults()
	c.HTTP = c.HTTP.withDefaults()
	return c
}

func (l Limits) withDefaults() Limits {
	l.MemoryBytes = cmp.Or(l.MemoryBytes, whisk.DefaultMemoryBytes)
	l.LogBytes = cmp.Or(l.LogBytes, whisk.DefaultLogBytes)
	l.ResultBytes = cmp.Or(l.ResultBytes, whisk.MaxResultBytes)
	l.PayloadBytes = cmp.Or(l.PayloadBytes, whisk.MaxPayloadBytes)
	l.CodeBytes = cmp.Or(l.CodeBytes, whisk.MaxCodeBytes)
	l.Timeout = cmp.Or(l.Timeout, whisk.DefaultTimeout)
	l.MaxTimeout = cmp.Or(l.MaxTimeout, time.Hour)
	l.InitTimeout = cmp.Or(l.InitTimeout, time.Minute)
	l.ContainerLogBytes = cmp.Or(l.ContainerLogBytes, 256<<10)
	l.JSONLogBytes = cmp.Or(l.JSONLogBytes, 100<<20)
	return l
}

func (c Capacity) withDefaults() Capacity {
	c.Containers = cmp.Or(c.Containers, 4096)
	c.High = cmp.Or(c.High, 0.9)
	c.Low = cmp.Or(c.Low, min(0.7, c.High))
	c.Idle = cmp.Or(c.Idle, 15*time.Minute)
	c.Sweep = cmp.Or(c.Sweep, 10*time.Second)
	return c
}

func (h HTTPLimits) withDefaults() HTTPLimits {
	h.Connections = cmp.Or(h.Connections, 4096)
	h.Header = cmp.Or(h.Header, 10*time.Second)
	h.HeaderBytes = cmp.Or(h.HeaderBytes, 64<<10)
	h.Body = cmp.Or(h.Body, time.Minute)
	h.Write = cmp.Or(h.Write, time.Minute)
	h.Idle = cmp.Or(h.Idle, 2*time.Minute)
	h.UploadBytes = cmp.Or(h.UploadBytes, 512<<20)
	return h
}

// sandboxLimits are those of every sandbox. Memory comes in whole pages.
func (l Limits) sandboxLimits() sandbox.Limits {
	return sandbox.Limits{
		MemoryPages:  uint32(max(l.MemoryBytes/engine.PageSize, 1)),
		LogBytes:     l.LogBytes,
		ResultBytes:  l.ResultBytes,
		PayloadBytes: l.PayloadBytes,
	}
}

// envelopeBytes is room for all of a request but its code or value.
const envelopeBytes = 1 << 20

// initBytes bounds the body of an /init: base64 takes four bytes for three, and
// JSON may put line breaks between them.
func (l Limits) initBytes() int64 { return l.CodeBytes/3*4 + l.CodeBytes/8 + envelopeBytes }

func (l Limits) runBytes() int64 { return int64(l.PayloadBytes) + envelopeBytes }

// compiler is the Modules of a runtime without a cache.
type compiler struct{ runtime engine.WasmRuntime }

func (c compiler) Module(ctx context.Context, action precompile.Action) (engine.Module, precompile.Origin, error) {
	module, err := c.runtime.Compile(ctx, action.Binary)
	return module, precompile.Compiled, err
}
