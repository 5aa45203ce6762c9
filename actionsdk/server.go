//go:build !wasip1

package actionsdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// sentinel ends the log of an activation on each stream.
const sentinel = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n"

const (
	// maxBody has room for OpenWhisk's 48 MiB of code in base64, though the
	// code here is the program itself.
	maxBody = 72 << 20

	headerTimeout = 10 * time.Second
	drainTimeout  = 10 * time.Second
)

// server is a runtime container with one action inside. It runs one activation
// at a time: the environment and the logs are the process's.
type server struct {
	handler        Handler
	stdout, stderr io.Writer

	mu          sync.Mutex
	initialized bool
}

func newServer(handler Handler, stdout, stderr io.Writer) *server {
	return &server{handler: handler, stdout: stdout, stderr: stderr}
}

// serve answers on the listener, which it closes, until ctx ends and what was
// running has ended.
func (s *server) serve(ctx context.Context, listener net.Listener) error {
	srv := &http.Server{Handler: s.routes(), ReadHeaderTimeout: headerTimeout}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { drained <- drain(srv) })
	err := srv.Serve(listener)
	if stop() {
		return err
	}
	if failed := <-drained; errors.Is(err, http.ErrServerClosed) {
		return failed
	}
	return err
}

func drain(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	return srv.Shutdown(ctx)
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /init", s.serveInit)
	mux.HandleFunc("POST /run", s.serveRun)
	return mux
}

// reply is an answer of the protocol.
type reply struct {
	status int
	body   []byte
}

func failure(status int, text string) reply {
	return reply{status, append(errorAnswer(text), '\n')}
}

// send sets the length, without which an invoker takes no answer.
func (r reply) send(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(r.body)))
	w.WriteHeader(r.status)
	// The caller has gone away if this fails.
	_, _ = w.Write(r.body)
}

func (s *server) serveInit(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.initialized {
		const text = "Cannot initialize the action more than once."
		fmt.Fprintln(s.stderr, text)
		failure(http.StatusForbidden, text).send(w)
		return
	}
	s.initialize(http.MaxBytesReader(w, r.Body, maxBody)).send(w)
}

// initialize takes the environment. The program that runs is the action, so
// code, if there is any, changes nothing.
func (s *server) initialize(body io.Reader) reply {
	var req struct {
		Value struct {
			Env map[string]json.RawMessage `json:"env"`
		} `json:"value"`
	}
	if err := json.NewDecoder(body).Decode(&req); err != nil {
		s.endLogs()
		return badRequest(err)
	}
	setenv(texts(req.Value.Env))
	s.initialized = true
	return reply{http.StatusOK, []byte(okAnswer)}
}

func (s *server) serveRun(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := s.run(http.MaxBytesReader(w, r.Body, maxBody))
	s.endLogs()
	answer.send(w)
}

// run answers one activation. Init may have been left out.
func (s *server) run(body io.Reader) reply {
	text, err := io.ReadAll(body)
	if err != nil {
		return badRequest(err)
	}
	req, err := parseRequest(text)
	if err != nil {
		return badRequest(err)
	}
	defer req.enter()()
	result, err := s.call(req.value)
	if err != nil {
		return failure(http.StatusBadGateway, err.Error())
	}
	if !isDictionaryOrArray(result) {
		return failure(http.StatusBadGateway, "The action did not return a dictionary or array.")
	}
	return reply{http.StatusOK, result}
}

// isDictionaryOrArray tells whether JSON is what OpenWhisk takes for an event
// and for an answer.
func isDictionaryOrArray(text []byte) bool {
	text = bytes.TrimSpace(text)
	return len(text) > 0 && (text[0] == '{' || text[0] == '[') && json.Valid(text)
}

// call keeps the server alive when the action panics; the action's log says
// where it did.
func (s *server) call(event json.RawMessage) (result json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(s.stderr, "panic: %v\n\n%s", p, debug.Stack())
			err = panicError{p}
		}
	}()
	return answer(s.handler, event), nil
}

// panicError is worded as in OpenWhisk's own runtimes.
type panicError struct{ value any }

func (e panicError) Error() string { return fmt.Sprintf("An error has occurred: %v", e.value) }

func (s *server) endLogs() {
	// Nobody is left to hear of a log that cannot be written.
	_, _ = io.WriteString(s.stdout, sentinel)
	_, _ = io.WriteString(s.stderr, sentinel)
}

func badRequest(err error) reply {
	return failure(http.StatusBadRequest, "Error unmarshaling request: "+err.Error())
}
