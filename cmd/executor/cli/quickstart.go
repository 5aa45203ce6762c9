package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wasmwhisk/internal/guest"
	"wasmwhisk/precompile"
	"wasmwhisk/whisk"
)

const (
	quickstartExample = "wasmwhisk/examples/add"
	quickstartInput   = `{"param1":5,"param2":4}`
	quickstartRuns    = 200
)

func newQuickstartCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quickstart",
		Short: "Build an example, serve it and send it requests",
		Long: `quickstart shows the whole way of an action: it builds examples/add with the Go
toolchain of this machine, starts an OpenWhisk on a free loopback port, creates the
action there, invokes it, and prints what comes back, the activation's record, and
how long it took, cold and warm. Then it serves until it is interrupted. Run it in a
checkout of wasmwhisk.`,
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
	url       string   // of the API
	runtime   string   // of the runtime front
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
		api:         standaloneSettings{apiAddr: "127.0.0.1:0", limitsJSON: `{"InvocationsPerMinute":-1}`},
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
	q.url, q.runtime = n.apiURL(), n.runtimeURL()
	return while()
}

// requests does what a user of wsk would, and prints it.
func (q *quickstart) requests(ctx context.Context, upload []byte) error {
	first, err := q.firstTime(ctx, "add", upload, "code never seen before")
	if err != nil {
		return err
	}
	cold, err := q.firstTime(ctx, "again", upload, "the same code as another action")
	if err != nil {
		return err
	}
	warm, err := q.warm(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(q.out, "\nfirst  %8v  create and invoke code never seen before\n", rounded(first))
	fmt.Fprintf(q.out, "cold   %8v  create and invoke known code as another action\n", rounded(cold))
	fmt.Fprintf(q.out, "warm   %8v  invoke, median of %d, each in a sandbox as new, each with a durable record\n", rounded(warm), quickstartRuns)
	return nil
}

// firstTime creates an action and invokes it once, and tells how long both took.
func (q *quickstart) firstTime(ctx context.Context, action string, upload []byte, what string) (time.Duration, error) {
	code := base64.StdEncoding.EncodeToString(upload)
	body, err := json.Marshal(map[string]any{"exec": map[string]string{"kind": string(whisk.KindWasm), "code": code}})
	if err != nil {
		return 0, err
	}
	shown := fmt.Sprintf(`{"exec":{"kind":%q,"code":"%s…"}}`, whisk.KindWasm, code[:12])
	created, err := q.show(ctx, http.MethodPut, actionPath(action), shown, body, what)
	if err != nil {
		return 0, err
	}
	invoked, err := q.show(ctx, http.MethodPost, actionPath(action)+"?blocking=true", quickstartInput, []byte(quickstartInput), "its first activation")
	return created + invoked, err
}

func actionPath(action string) string { return "/api/v1/namespaces/_/actions/" + action }

// show sends one request, prints it with its answer, and tells how long it took.
func (q *quickstart) show(ctx context.Context, method, path, shown string, body []byte, what string) (time.Duration, error) {
	a, err := q.send(ctx, method, path, body)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(q.out, "\n%s %s   # %s\n  > %s\n  < %d  %v\n%s\n", method, path, what, shown, a.status, rounded(a.took), pretty(a.body))
	if a.status != http.StatusOK {
		return 0, fmt.Errorf("%s %s answered %d", method, path, a.status)
	}
	return a.took, nil
}

// pretty sets an entity or a record out for people: a line for each field,
// without the code.
func pretty(body []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return "  " + string(bytes.TrimSpace(body))
	}
	delete(fields, "exec")
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		lines = append(lines, fmt.Sprintf("  %-12s %s", name, fields[name]))
	}
	return strings.Join(lines, "\n")
}

type answer struct {
	status int
	body   []byte
	took   time.Duration
}

func (q *quickstart) send(ctx context.Context, method, path string, body []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, q.url+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	key := whisk.GuestKey()
	req.SetBasicAuth(key.UUID, key.Secret)
	req.Header.Set("Content-Type", "application/json")
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, got, time.Since(began)}, err
}

func (q *quickstart) warm(ctx context.Context) (time.Duration, error) {
	if _, err := q.show(ctx, http.MethodPost, actionPath("add")+"?blocking=true", quickstartInput, []byte(quickstartInput), "warm: no initTime"); err != nil {
		return 0, err
	}
	times := make([]time.Duration, quickstartRuns)
	for i := range times {
		a, err := q.send(ctx, http.MethodPost, actionPath("add")+"?blocking=true", []byte(quickstartInput))
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
  wsk property set --apihost %[1]s --auth %[2]s
  wsk action invoke add --result --param param1 40 --param param2 2
or without wsk:
  curl -su %[2]s '%[1]s/api/v1/namespaces/_/actions/add?blocking=true&result=true' -H 'Content-Type: application/json' -d '{"param1":40,"param2":2}'
  curl -su %[2]s '%[1]s/api/v1/namespaces/_/activations?limit=3'
  curl -s %[1]s/metrics | grep wasmwhisk_
The runtime protocol, for invokers, is served at %[3]s.

`, q.url, whisk.GuestKey().Text(), q.runtime)
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
