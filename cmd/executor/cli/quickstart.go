package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"wasmwhisk/internal/guest"
	"wasmwhisk/precompile"
)

const (
	quickstartExample = "wasmwhisk/examples/add"
	quickstartInput   = `{"value":{"param1":5,"param2":4}}`
	quickstartRuns    = 200
)

func newQuickstartCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quickstart",
		Short: "Build an example, serve it and send it requests",
		Long: `quickstart shows the whole way of an action: it builds examples/add with the Go
toolchain of this machine, starts an executor on a free loopback port, sends it
the requests of the runtime protocol and prints what comes back and how long it
took. Then it serves until it is interrupted. Run it in a checkout of wasmwhisk.`,
		Args: noArguments,
	}
	once := cmd.Flags().Bool("once", false, "end after the requests")
	var compiling settings
	compiling.addCompiling(cmd.Flags())
	engine := addEngineFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		q := quickstart{env: env, out: env.Stdout, engine: *engine, compiling: compiling}
		return q.run(cmd.Context(), *once)
	}
	return cmd
}

// quickstart is one run of the command.
type quickstart struct {
	env       *Env
	out       io.Writer
	engine    string
	compiling settings // only those of compiling
	url       string   // of the runtime front
}

func (q *quickstart) run(ctx context.Context, once bool) error {
	upload, err := q.build(ctx)
	if err != nil {
		return err
	}
	return q.serve(ctx, func() error {
		if err := q.requests(ctx, upload); err != nil {
			return err
		}
		q.next()
		if !once {
			<-ctx.Done()
		}
		return nil
	})
}

// build gives the example as a developer would upload it.
func (q *quickstart) build(ctx context.Context) ([]byte, error) {
	fmt.Fprintf(q.out, "building examples/add with %s\n", runtime.Version())
	began := time.Now()
	binary, err := guest.Compile(ctx, guest.Source{Package: quickstartExample}, guest.Reactor)
	if err != nil {
		return nil, fmt.Errorf("%w\nquickstart builds examples/add: run it in a checkout of wasmwhisk", err)
	}
	var upload bytes.Buffer
	if err := precompile.Pack(&upload, binary, precompile.Manifest{}); err != nil {
		return nil, err
	}
	fmt.Fprintf(q.out, "  %s of WebAssembly, %s zipped, in %v\n",
		megabytes(len(binary)), megabytes(upload.Len()), rounded(time.Since(began)))
	return upload.Bytes(), nil
}

// serve runs an executor with nothing cached around what while does.
func (q *quickstart) serve(ctx context.Context, while func() error) (err error) {
	state, err := os.MkdirTemp("", "wasmwhisk-quickstart-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()

	s := settings{
		runtimeAddr: "127.0.0.1:0", containerAddr: off, stateDir: state, engine: q.engine,
		logLevel: "warn", logFormat: "text", drain: 10 * time.Second,
		compileTimeout: q.compiling.compileTimeout, compileMemory: q.compiling.compileMemory,
	}
	// The first compilation on a slow machine should end, not fail.
	s.limits.InitTimeout = 10 * time.Minute
	logger, err := newLogger(q.env.Stderr, s.logLevel, s.logFormat)
	if err != nil {
		return err
	}
	n, err := openNode(ctx, q.env, s, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.stop(ctx, s.drain)) }()
	if err := n.start(ctx, q.env.Stderr); err != nil {
		return err
	}
	q.url = n.runtimeURL()
	return while()
}

// requests sends what an invoker would, and prints it.
func (q *quickstart) requests(ctx context.Context, upload []byte) error {
	code := base64.StdEncoding.EncodeToString(upload)
	body, err := json.Marshal(map[string]any{"value": map[string]any{"name": "add", "main": "main", "binary": true, "code": code}})
	if err != nil {
		return err
	}
	shown := fmt.Sprintf(`{"value":{"name":"add","main":"main","binary":true,"code":"%s…"}}`, code[:12])
	first, err := q.start(ctx, "/add", shown, body, "code never seen before: it runs while it is compiled")
	if err != nil {
		return err
	}
	again, err := q.start(ctx, "/add2", shown, body, "the same code in another container")
	if err != nil {
		return err
	}
	warm, err := q.warm(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(q.out, "\nfirst  %8v  init and run of code never seen before\n", rounded(first))
	fmt.Fprintf(q.out, "cold   %8v  init and run of known code in a new container\n", rounded(again))
	fmt.Fprintf(q.out, "warm   %8v  run, median of %d, each in a sandbox as new\n", rounded(warm), quickstartRuns)
	return nil
}

// start initialises a container and runs it once, and tells how long both took.
func (q *quickstart) start(ctx context.Context, container, shown string, body []byte, what string) (time.Duration, error) {
	initialised, err := q.post(ctx, container+"/init", shown, body, what)
	if err != nil {
		return 0, err
	}
	ran, err := q.post(ctx, container+"/run", quickstartInput, []byte(quickstartInput), "its first run")
	return initialised + ran, err
}

// post sends one request, prints it with its answer, and tells how long it took.
func (q *quickstart) post(ctx context.Context, path, shown string, body []byte, what string) (time.Duration, error) {
	a, err := q.send(ctx, path, body)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(q.out, "\nPOST %s   # %s\n  > %s\n  < %d %s\n  %v  %s\n",
		path, what, shown, a.status, bytes.TrimSpace(a.body), rounded(a.took), a.timing)
	if a.status != http.StatusOK {
		return 0, fmt.Errorf("%s answered %d", path, a.status)
	}
	return a.took, nil
}

type answer struct {
	status int
	body   []byte
	timing string
	took   time.Duration
}

func (q *quickstart) send(ctx context.Context, path string, body []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, q.url+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, got, resp.Header.Get("X-Wasmwhisk-Timing"), time.Since(began)}, err
}

func (q *quickstart) warm(ctx context.Context) (time.Duration, error) {
	times := make([]time.Duration, quickstartRuns)
	for i := range times {
		a, err := q.send(ctx, "/add/run", []byte(quickstartInput))
		if err != nil {
			return 0, err
		}
		times[i] = a.took
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

func (q *quickstart) next() {
	fmt.Fprintf(q.out, `
Try next, in another terminal:
  curl -s %[1]s/add/run -d '{"value":{"param1":40,"param2":2}}'
  curl -s %[1]s/add/run -d '{"value":{"param1":40}}'
  curl -s %[1]s/add/logs
  curl -s %[1]s/metrics | grep wasmwhisk_
  curl -s %[1]s/add/destroy -d add

`, q.url)
}

func megabytes(n int) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// rounded keeps three or four digits.
func rounded(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond)
	default:
		return d.Round(100 * time.Nanosecond)
	}
}
