package target

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"wasmwhisk/eval/load"
)

// guestKey is that of the namespace guest on a fresh OpenWhisk.
const guestKey = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"

// API is how OpenWhisk's REST API is asked.
type API struct {
	Label   string
	About   string
	URL     string
	Auth    string // "uuid:key"; empty means that of guest
	Builder *Builder
}

// Name is the label.
func (r *API) Name() string { return r.Label }

// Description tells what it is.
func (r *API) Description() string { return r.About }

// Protocol is [REST].
func (r *API) Protocol() Protocol { return REST }

// Action creates an action.
func (r *API) Action(ctx context.Context, a Action) (*Deployed, error) {
	code, err := r.Builder.code(ctx, Wasm, a)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{
		"exec":        map[string]any{"kind": "wasm:0.1", "code": base64.StdEncoding.EncodeToString(code), "binary": true},
		"annotations": pairs(annotations(a.Program)),
	})
	if err != nil {
		return nil, err
	}
	if err := ask(ctx, r.request(http.MethodPut, "/actions/"+a.Name+"?overwrite=true", body)); err != nil {
		return nil, err
	}
	invoke := load.Operation{Steps: []load.Request{r.request(http.MethodPost, "/actions/"+a.Name+"?blocking=true", []byte(input(a)))}}
	return &Deployed{Action: a, First: invoke, Invoke: invoke}, nil
}

// pairs are annotations as OpenWhisk writes them.
func pairs(annotations map[string]any) []map[string]any {
	list := []map[string]any{}
	for key, value := range annotations {
		list = append(list, map[string]any{"key": key, "value": value})
	}
	return list
}

// Remove deletes the action.
func (r *API) Remove(ctx context.Context, d *Deployed) error {
	return ask(ctx, r.request(http.MethodDelete, "/actions/"+d.Action.Name, nil), http.StatusNotFound)
}

func (r *API) request(method, path string, body []byte) load.Request {
	key := r.Auth
	if key == "" {
		key = guestKey
	}
	return load.Request{
		Method: method, URL: strings.TrimSuffix(r.URL, "/") + "/api/v1/namespaces/_" + path, Body: body,
		Header: map[string]string{"Content-Type": "application/json", "Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(key))},
	}
}

// Remote is the REST API of an OpenWhisk that is there already.
type Remote struct {
	API
	elsewhere
}

// Start asks whether it is there.
func (r *Remote) Start(ctx context.Context) error {
	if err := ask(ctx, r.request(http.MethodGet, "/actions?limit=1", nil)); err != nil {
		return &UnavailableError{Target: r.Label, Err: err}
	}
	return nil
}

// Standalone is the REST API of an OpenWhisk of this project, in a process and
// with a store of its own.
type Standalone struct {
	API

	Program string
	Flags   []string

	executor
}

// Start starts the process on an empty store, without bounds on rates.
func (s *Standalone) Start(ctx context.Context) error {
	const unbounded = `{"invocationsPerMinute":-1,"concurrentInvocations":-1,"firesPerMinute":-1}`
	flags := append([]string{"--api-addr", "127.0.0.1:0", "--runtime-addr", "off", "--limits", unbounded}, s.Flags...)
	if err := s.start(ctx, s.Label, s.Program, flags...); err != nil {
		return err
	}
	s.URL = s.url
	return nil
}

// Restart keeps the store.
func (s *Standalone) Restart(ctx context.Context) error {
	err := s.executor.Restart(ctx)
	s.URL = s.url
	return err
}
