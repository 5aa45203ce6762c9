package target

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"wasmwhisk/eval/load"
)

// Parse reads how a user names a target that is there already:
// "name=url,protocol=runtime" or "name=url,protocol=rest,auth=uuid:key".
func Parse(text string, builder *Builder) (Target, error) {
	parts := strings.Split(text, ",")
	name, at, ok := strings.Cut(parts[0], "=")
	if !ok || name == "" {
		return nil, fmt.Errorf("target %q: want name=url,protocol=runtime|rest", text)
	}
	if u, err := url.Parse(at); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("target %s: %q is not an http URL", name, at)
	}
	options := map[string]string{}
	for _, part := range parts[1:] {
		key, value, _ := strings.Cut(part, "=")
		if key != "protocol" && key != "auth" {
			return nil, fmt.Errorf("target %s: unknown option %q", name, key)
		}
		options[key] = value
	}
	switch Protocol(options["protocol"]) {
	case REST:
		return &Remote{API: API{Label: name, About: "OpenWhisk at " + at, URL: at, Auth: options["auth"], Builder: builder}}, nil
	case Runtime:
		return &Elsewhere{Label: name, URL: strings.TrimSuffix(at, "/"), Builder: builder}, nil
	}
	return nil, fmt.Errorf("target %s: protocol is %q, want runtime or rest", name, options["protocol"])
}

// Elsewhere is an executor of many containers, each at a path of its own, that
// listens already.
type Elsewhere struct {
	Label   string
	URL     string // without a slash at its end
	Builder *Builder

	elsewhere
}

// Name is the label.
func (e *Elsewhere) Name() string { return e.Label }

// Description tells where it is.
func (e *Elsewhere) Description() string { return "executor at " + e.URL }

// Protocol is [Runtime].
func (e *Elsewhere) Protocol() Protocol { return Runtime }

// Start asks whether anything is there.
func (e *Elsewhere) Start(ctx context.Context) error {
	err := ask(ctx, load.Request{Method: http.MethodGet, URL: e.URL + "/health"}, http.StatusNotFound, http.StatusMethodNotAllowed)
	if err != nil {
		return &UnavailableError{Target: e.Label, Err: err}
	}
	return nil
}

// Action gives an action a container of its name.
func (e *Elsewhere) Action(ctx context.Context, a Action) (*Deployed, error) {
	return e.Builder.deploy(ctx, Wasm, a, e.URL, annotations(a.Program))
}

// Remove destroys the container, where that can be done.
func (e *Elsewhere) Remove(ctx context.Context, d *Deployed) error {
	return ask(ctx, destroy(e.URL, d.Action), http.StatusNotFound, http.StatusMethodNotAllowed)
}

// elsewhere is what can be done with processes that are not this program's.
type elsewhere struct{}

// Stop leaves them as they are.
func (elsewhere) Stop() error { return nil }

// Restart is not for this program to do.
func (elsewhere) Restart(context.Context) error { return ErrElsewhere }

// Resident is not for this program to know.
func (elsewhere) Resident(context.Context) (int64, error) { return 0, ErrElsewhere }

// Settle gives them a while: they cannot be looked at.
func (elsewhere) Settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(2 * time.Second):
		return nil
	}
}
