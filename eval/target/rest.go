package target

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"

	"wasmwhisk/eval/load"
)

// guestKey is that of the namespace guest on a fresh OpenWhisk.
const guestKey = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"

// API is OpenWhisk's REST API at some URL.
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

// Start asks whether it is there.
func (r *API) Start(ctx context.Context) error {
	if err := ask(ctx, r.request(http.MethodGet, "/actions?limit=1", nil)); err != nil {
		return &UnavailableError{Target: r.Label, Err: err}
	}
	return nil
}

// Stop leaves it as it is.
func (r *API) Stop() error { return nil }

// Settle gives it a while.
func (r *API) Settle(ctx context.Context) error { return pause(ctx) }

// Restart is not for this program to do.
func (r *API) Restart(context.Context) error { return ErrElsewhere }

// Resident is not for this program to know.
func (r *API) Resident(context.Context) (int64, error) { return 0, ErrElsewhere }

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

// Standalone is the REST API of an OpenWhisk of this project, in a process and
// with a store of its own.
type Standalone struct {
	API

	Program string
	Flags   []string

	state string
	*server
}

// Start starts the process on an empty store, without bounds on rates.
func (s *Standalone) Start(ctx context.Context) (err error) {
	if s.state, err = os.MkdirTemp("", "wasmwhisk-eval-"); err != nil {
		return err
	}
	if err := s.serve(ctx); err != nil {
		return &UnavailableError{Target: s.Label, Err: errors.Join(err, os.RemoveAll(s.state))}
	}
	return nil
}

func (s *Standalone) serve(ctx context.Context) (err error) {
	const unbounded = `{"invocationsPerMinute":-1,"concurrentInvocations":-1,"firesPerMinute":-1}`
	flags := append([]string{
		"serve", "--api-addr", "127.0.0.1:0", "--runtime-addr", "off", "--state-dir", s.state,
		"--log-level", "warn", "--limits", unbounded,
	}, s.Flags...)
	if s.server, err = startOwn(ctx, s.Program, flags...); err != nil {
		return err
	}
	s.URL = s.url
	return nil
}

// Stop ends the process and removes its store.
func (s *Standalone) Stop() error { return errors.Join(s.stop(), os.RemoveAll(s.state)) }

// Settle waits until nothing is compiled any more.
func (s *Standalone) Settle(ctx context.Context) error { return s.server.Settle(ctx) }

// Restart keeps the store.
func (s *Standalone) Restart(ctx context.Context) error {
	if err := s.Settle(ctx); err != nil {
		return err
	}
	return errors.Join(s.stop(), s.serve(ctx))
}

// Resident is that of the process and its workers.
func (s *Standalone) Resident(ctx context.Context) (int64, error) { return s.server.Resident(ctx) }
