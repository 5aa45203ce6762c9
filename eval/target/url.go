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
		return &API{Label: name, About: "OpenWhisk at " + at, URL: at, Auth: options["auth"], Builder: builder}, nil
	case Runtime:
		return &Elsewhere{Label: name, URL: at, Builder: builder}, nil
	}
	return nil, fmt.Errorf("target %s: protocol is %q, want runtime or rest", name, options["protocol"])
}

// Elsewhere is an executor of many containers, each at a path of its own, that
// listens already.
type Elsewhere struct {
	Label   string
	URL     string
	Builder *Builder
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

// Stop leaves it as it is.
func (e *Elsewhere) Stop() error { return nil }

// Settle gives it a while.
func (e *Elsewhere) Settle(ctx context.Context) error { return pause(ctx) }

// Restart is not for this program to do.
func (e *Elsewhere) Restart(context.Context) error { return ErrElsewhere }

// Resident is not for this program to know.
func (e *Elsewhere) Resident(context.Context) (int64, error) { return 0, ErrElsewhere }

// Action gives an action a container of its name.
func (e *Elsewhere) Action(ctx context.Context, a Action) (*Deployed, error) {
	code, err := e.Builder.code(ctx, Wasm, a)
	if err != nil {
		return nil, err
	}
	body, err := initBody(a, Wasm, code, annotations(a.Program))
	if err != nil {
		return nil, err
	}
	return runtimeAction(a, strings.TrimSuffix(e.URL, "/")+"/"+a.Name, body), nil
}

// Remove destroys the container, where that can be done.
func (e *Elsewhere) Remove(ctx context.Context, d *Deployed) error {
	destroy := load.Request{Method: http.MethodPost, URL: strings.TrimSuffix(e.URL, "/") + "/" + d.Action.Name + "/destroy"}
	return ask(ctx, destroy, http.StatusNotFound, http.StatusMethodNotAllowed)
}

// pause is how long something is given to settle that cannot be looked at.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(2 * time.Second):
		return nil
	}
}
