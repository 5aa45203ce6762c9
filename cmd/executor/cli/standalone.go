package cli

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"wasmwhisk/executor"
	"wasmwhisk/executor/action"
	"wasmwhisk/whisk"
	"wasmwhisk/whisk/controller"
	"wasmwhisk/whisk/entitlement"
	"wasmwhisk/whisk/invoker"
	"wasmwhisk/whisk/store"
	"wasmwhisk/whisk/store/sqlite"
)

// standaloneSettings are the flags of the OpenWhisk API.
type standaloneSettings struct {
	apiAddr         string
	tlsCert, tlsKey string
	limitsJSON      string
	operator        string
	capacity        invoker.Capacity
	keepFor         time.Duration
	keepCount       int
	relaxed         bool
}

func (s *standaloneSettings) add(f *pflag.FlagSet) {
	f.StringVar(&s.apiAddr, "api-addr", "127.0.0.1:3233", "serve the OpenWhisk API at `ADDR`")
	f.StringVar(&s.tlsCert, "tls-cert", "", "serve the API over HTTPS with the certificate in `FILE` (PEM)")
	f.StringVar(&s.tlsKey, "tls-key", "", "`FILE` with the key of the certificate (PEM)")
	f.StringVar(&s.limitsJSON, "limits", "", `rates of a namespace as JSON: {"invocationsPerMinute":60,"concurrentInvocations":30,"firesPerMinute":60}, less than 0 for no bound`)
	f.StringVar(&s.operator, "operator", "", "let `USER:PASSWORD` have the API take on no more activations (POST /disable), and again (POST /enable)")
	f.IntVar(&s.capacity.Activations, "max-activations", 0, "activations through the API at once; more wait (default 256)")
	f.Int64Var(&s.capacity.MemoryBytes, "user-memory", 0, "bound on the memory limits of the activations that run, in `BYTES` (default 64 GiB)")
	f.IntVar(&s.capacity.Queue, "max-queue", 0, "activations of one action that wait (default 1000)")
	f.DurationVar(&s.keepFor, "keep-activations-for", 7*24*time.Hour, "remove activation records that are older; 0 keeps them")
	f.IntVar(&s.keepCount, "keep-activations", 1_000_000, "remove the oldest activation records past so many; 0 keeps them")
	f.BoolVar(&s.relaxed, "relaxed-sync", false, "let what was answered survive the end of the process, but not the loss of power")
}

// standalone is a whole OpenWhisk for this machine: a store, an invoker and the
// controller in front.
type standalone struct {
	store      *sqlite.DB
	invoker    *invoker.Invoker
	controller *controller.Controller

	keep     store.Keep
	logger   *slog.Logger
	endSweep context.CancelFunc
	sweeper  sync.WaitGroup
}

// openStandalone shares the modules of an executor.
func openStandalone(ctx context.Context, s settings, shared executor.Config) (_ *standalone, err error) {
	rates, err := s.api.rates()
	if err != nil {
		return nil, err
	}
	certificate, err := s.api.tls()
	if err != nil {
		return nil, err
	}
	operator, err := s.api.operatorKey()
	if err != nil {
		return nil, err
	}
	a := &standalone{
		logger: shared.Logger, endSweep: func() {},
		keep: store.Keep{Age: s.api.keepFor, Count: s.api.keepCount},
	}
	if a.store, err = openStore(ctx, s); err != nil {
		return nil, err
	}
	a.invoker = invoker.New(invoker.Config{
		Maker: action.NewMaker(action.Config{
			Pool: shared.Pool, Modules: shared.Modules, Workers: shared.Workers, Env: s.api.withHost(shared.HostEnv),
			DirRoot: shared.DirRoot, Net: shared.Net, Fork: shared.ForkCommands, CodeBytes: shared.Limits.CodeBytes,
		}),
		Store:    a.store,
		Capacity: s.api.capacity,
		Logger:   shared.Logger,
	})
	a.controller, err = controller.New(controller.Config{
		Addr: s.api.apiAddr, TLS: certificate, Store: a.store, Invoker: a.invoker, Rates: rates, Operator: operator,
		Logger: shared.Logger, Registerer: shared.Registerer, Gatherer: shared.Gatherer,
	})
	if err != nil {
		return nil, errors.Join(err, a.store.Close())
	}
	return a, nil
}

func openStore(ctx context.Context, s settings) (*sqlite.DB, error) {
	config := sqlite.Config{Dir: storeDir(s.stateDir)}
	if s.api.relaxed {
		config.Sync = sqlite.SyncNormal
	}
	db, err := sqlite.Open(ctx, config)
	if errors.Is(err, store.ErrInUse) {
		return nil, fmt.Errorf("%w: is another executor serving from %s?", err, s.stateDir)
	}
	if err != nil {
		return nil, err
	}
	if err := store.EnsureGuest(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// rates reads --limits.
func (s standaloneSettings) rates() (entitlement.Rates, error) {
	if s.limitsJSON == "" {
		return entitlement.Rates{}, nil
	}
	return parseLimits[entitlement.Rates](s.limitsJSON)
}

// parseLimits reads the JSON object of a flag --limits. What it does not know is
// an error: limits that are misspelt would bound nothing.
func parseLimits[T any](text string) (T, error) {
	var limits *T // nil for null
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&limits)
	if err == nil && (limits == nil || d.More()) {
		err = errors.New("found something else")
	}
	if err != nil {
		return *new(T), errUsage(fmt.Errorf("--limits: want a JSON object: %w", err))
	}
	return *limits, nil
}

// operatorKey reads --operator, which is nobody unless it is set.
func (s standaloneSettings) operatorKey() (whisk.Key, error) {
	if s.operator == "" {
		return whisk.Key{}, nil
	}
	key, err := whisk.ParseKey(s.operator)
	if err != nil {
		return key, errUsage(errors.New("--operator: want USER:PASSWORD"))
	}
	return key, nil
}

func (s standaloneSettings) tls() (*tls.Config, error) {
	switch {
	case s.tlsCert == "" && s.tlsKey == "":
		return nil, nil
	case s.tlsCert == "" || s.tlsKey == "":
		return nil, errUsage(errors.New("--tls-cert and --tls-key need one another"))
	}
	pair, err := tls.LoadX509KeyPair(s.tlsCert, s.tlsKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func (s standaloneSettings) scheme() string {
	if s.tlsCert != "" {
		return "https"
	}
	return "http"
}

// withHost tells actions where the API is, unless the operator does.
func (s standaloneSettings) withHost(env []string) []string {
	const name = "__OW_API_HOST="
	for _, entry := range env {
		if strings.HasPrefix(entry, name) {
			return env
		}
	}
	if _, port, err := net.SplitHostPort(s.apiAddr); err != nil || port == "0" {
		return env
	}
	return append([]string{name + s.scheme() + "://" + s.apiAddr}, env...)
}

// start settles what an earlier process left behind, and serves.
func (a *standalone) start(ctx context.Context) error {
	if err := a.invoker.Start(ctx); err != nil {
		return err
	}
	if err := a.controller.Start(ctx); err != nil {
		return err
	}
	ctx, a.endSweep = context.WithCancel(context.WithoutCancel(ctx))
	a.sweeper.Go(func() { a.keep.Run(ctx, a.store, a.swept) })
	return nil
}

// swept says what keep did.
func (a *standalone) swept(removed int, err error) {
	if err != nil {
		a.logger.Warn("old activation records stay", slog.Any("error", err))
	}
	if removed > 0 {
		a.logger.Info("old activation records removed", slog.Int("records", removed))
	}
}

// stop ends what start began. It works after ctx is done.
func (a *standalone) stop(ctx context.Context) error {
	err := a.controller.Stop(ctx)
	a.invoker.Stop(ctx)
	a.endSweep()
	a.sweeper.Wait()
	return errors.Join(err, a.store.Close())
}
