package target

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
)

// Convention is how a proxy asks a native program.
type Convention string

// The conventions.
const (
	// PerRequest starts the program for each activation, with the event as its
	// argument, and takes its last line: what OpenWhisk's docker skeleton does.
	PerRequest Convention = "process"

	// Loop starts it when the action comes, and gives it a line of JSON for each
	// activation, one after the other: OpenWhisk's ActionLoop. As OpenWhisk starts
	// more containers for activations that come at once, it starts more of them, up
	// to sixteen, and keeps them.
	Loop Convention = "actionloop"
)

// Serve runs a proxy for native programs until ctx ends: the runtime protocol
// with a path for each action. It says where it listens.
func Serve(ctx context.Context, c Convention, out io.Writer) error {
	dir, err := os.MkdirTemp("", "wasmwhisk-proxy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p := &proxy{convention: c, dir: dir, actions: map[string]*program{}}
	defer p.close()
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.POST("/:id/init", p.init)
	e.POST("/:id/run", p.run)
	e.POST("/:id/destroy", p.destroy)
	return serveOn(ctx, e, out)
}

// ServeConstant answers every request with an empty object.
func ServeConstant(ctx context.Context, out io.Writer) error {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Any("/*", func(c echo.Context) error { return c.JSONBlob(http.StatusOK, []byte("{}")) })
	return serveOn(ctx, e, out)
}

func serveOn(ctx context.Context, handler http.Handler, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	fmt.Fprintf(out, "listening http://%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// proxy asks native programs.
type proxy struct {
	convention Convention
	dir        string

	mu      sync.Mutex
	actions map[string]*program
}

// program is the program of one action.
type program struct {
	path string
	crew *crew // nil where each activation has a process
}

func (p *proxy) init(c echo.Context) error {
	var body struct{ Value struct{ Code []byte } }
	if err := json.NewDecoder(c.Request().Body).Decode(&body); err != nil {
		return refuse(c, http.StatusBadRequest, err)
	}
	id := c.Param("id")
	made := &program{path: filepath.Join(p.dir, filepath.Base(id))}
	if err := os.WriteFile(made.path, body.Value.Code, 0o700); err != nil { //nolint:gosec // it is to be run
		return refuse(c, http.StatusBadGateway, err)
	}
	if p.convention == Loop {
		var err error
		if made.crew, err = newCrew(c.Request().Context(), made.path); err != nil {
			return refuse(c, http.StatusBadGateway, err)
		}
	}
	p.mu.Lock()
	earlier := p.actions[id]
	p.actions[id] = made
	p.mu.Unlock()
	if earlier != nil && earlier.crew != nil {
		earlier.crew.close()
	}
	return c.JSONBlob(http.StatusOK, []byte(`{"ok":true}`))
}

func (p *proxy) run(c echo.Context) error {
	p.mu.Lock()
	found := p.actions[c.Param("id")]
	p.mu.Unlock()
	if found == nil {
		return refuse(c, http.StatusInternalServerError, errors.New("not initialized"))
	}
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return refuse(c, http.StatusBadRequest, err)
	}
	answer, err := found.ask(c.Request().Context(), body)
	if err != nil {
		return refuse(c, http.StatusBadGateway, err)
	}
	return c.JSONBlob(http.StatusOK, answer)
}

func (p *program) ask(ctx context.Context, body []byte) ([]byte, error) {
	if p.crew != nil {
		return p.crew.ask(ctx, body)
	}
	var asked struct{ Value json.RawMessage }
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, err
	}
	var out []byte
	err := whenFree(ctx, func() (err error) {
		out, err = exec.CommandContext(ctx, p.path, string(asked.Value)).Output()
		return err
	})
	if err != nil {
		return nil, err
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return lines[len(lines)-1], nil
}

// whenFree starts a program by start. One that another start of a process has
// inherited open for writing is busy for a moment.
func whenFree(ctx context.Context, start func() error) error {
	for {
		err := start()
		if !errors.Is(err, syscall.ETXTBSY) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
}

func (p *proxy) destroy(c echo.Context) error {
	p.mu.Lock()
	found := p.actions[c.Param("id")]
	delete(p.actions, c.Param("id"))
	p.mu.Unlock()
	if found != nil {
		found.close()
	}
	return c.NoContent(http.StatusNoContent)
}

func (p *proxy) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.actions {
		a.close()
	}
}

func (p *program) close() {
	if p.crew != nil {
		p.crew.close()
	}
	_ = os.Remove(p.path)
}

func refuse(c echo.Context, status int, err error) error {
	return c.JSON(status, map[string]string{"error": err.Error()})
}

// crew is the processes of one program that answers line by line.
type crew struct {
	path   string
	places chan struct{} // as many as there may be processes

	mu     sync.Mutex
	idle   []*loop
	closed bool
}

// newCrew starts the first.
func newCrew(ctx context.Context, path string) (*crew, error) {
	const most = 16
	first, err := startLoop(ctx, path)
	if err != nil {
		return nil, err
	}
	return &crew{path: path, places: make(chan struct{}, most), idle: []*loop{first}}, nil
}

func (c *crew) ask(ctx context.Context, body []byte) ([]byte, error) {
	select {
	case c.places <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-c.places }()
	l, err := c.take(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := l.ask(body)
	if err != nil || !c.give(l) {
		l.close()
	}
	return answer, err
}

// take gives the process that was idle for the shortest time, or a new one.
func (c *crew) take(ctx context.Context) (*loop, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.idle); n > 0 {
		l := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return l, nil
	}
	return startLoop(ctx, c.path)
}

// give is false if the process is not wanted any more.
func (c *crew) give(l *loop) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.idle = append(c.idle, l)
	}
	return !c.closed
}

func (c *crew) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, l := range c.idle {
		l.close()
	}
	c.idle = nil
}

// loop is a process that answers line by line, one at a time.
type loop struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *bufio.Reader
	out     *os.File
}

func startLoop(ctx context.Context, path string) (l *loop, err error) {
	err = whenFree(ctx, func() error {
		l, err = newLoop(ctx, path)
		return err
	})
	return l, err
}

func newLoop(ctx context.Context, path string) (*loop, error) {
	answers, results, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer results.Close()
	l := &loop{cmd: exec.CommandContext(context.WithoutCancel(ctx), path), answers: bufio.NewReader(answers), out: answers}
	l.cmd.ExtraFiles = []*os.File{results}
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		return nil, errors.Join(err, answers.Close())
	}
	if err := l.cmd.Start(); err != nil {
		return nil, errors.Join(err, answers.Close())
	}
	return l, nil
}

func (l *loop) ask(body []byte) ([]byte, error) {
	line := append(bytes.ReplaceAll(body, []byte("\n"), []byte(" ")), '\n')
	if _, err := l.in.Write(line); err != nil {
		return nil, err
	}
	answer, err := l.answers.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the program ended: %w", err)
	}
	return []byte(strings.TrimSpace(answer)), nil
}

// close ends the program by ending its input.
func (l *loop) close() {
	_ = l.in.Close()
	const patience = time.Second
	timer := time.AfterFunc(patience, func() { _ = l.cmd.Process.Kill() })
	defer timer.Stop()
	_ = l.cmd.Wait()
	_ = l.out.Close()
}
