package executor

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"wasmwhisk/engine/sandbox"
	"wasmwhisk/whisk"
)

// multiplexed is the front that holds many containers. Ids and its own words
// never meet: an id is followed by another segment, /health and the like stand
// alone.
type multiplexed struct {
	e      *Executor
	router http.Handler
}

func newMultiplexed(e *Executor) activator {
	front := e.newEcho()
	m := multiplexed{e, front}
	front.POST("/start", e.gated(m.start))
	front.POST("/:id/init", e.gated(m.init))
	front.POST("/:id/run", func(c echo.Context) error { return e.receiveRun(c.Response(), c.Request(), m, c.Param("id")) })
	front.POST("/:id/destroy", e.gated(m.destroy))
	front.GET("/:id/logs", m.logs)
	return m
}

// ServeHTTP serves activations itself: a router, its context and its middleware
// would take a tenth of the time.
func (m multiplexed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.e.activateOr(m.router, m, w, r)
}

// activationAt knows /{id}/run.
func (m multiplexed) activationAt(path string) (id string, ok bool) {
	id, ok = strings.CutSuffix(path, "/run")
	if !ok || len(id) < 2 || strings.LastIndexByte(id, '/') != 0 {
		return "", false
	}
	return id[1:], true
}

// start makes a container with a port of its own, which listens by the time its
// caller knows of it.
func (m multiplexed) start(c echo.Context) error {
	ct, err := m.e.containers.acquireOrCreate(newID())
	if err != nil {
		return err
	}
	defer m.e.containers.release(ct)
	port, err := m.e.ports.open(c.Request().Context(), ct, m.e.MultiplexedAddr())
	if err != nil {
		m.e.containers.destroy(ct.id)
		return err
	}
	return answer(c.Response(), http.StatusOK, []byte(`{"containerId":"`+ct.id+`","port":`+strconv.Itoa(port)+`}`))
}

// init makes the container if its id is new.
func (m multiplexed) init(c echo.Context) error {
	id := c.Param("id")
	if err := checkID(id); err != nil {
		return err
	}
	received, err := m.e.receiveUpload(c.Request())
	if err != nil {
		return err
	}
	defer received.free()
	ct, err := m.e.containers.acquireOrCreate(id)
	if err != nil {
		return err
	}
	defer m.e.containers.release(ct)
	return m.e.serveInit(c, ct, decoderOf(received.body))
}

func (m multiplexed) activate(ctx context.Context, id string, serve func(context.Context, *container) error) error {
	if !m.e.gate.enter() {
		return errDraining()
	}
	defer m.e.gate.leave()
	ct, ok := m.e.containers.acquire(id)
	if !ok {
		return &whisk.Error{Kind: whisk.NotReady, Message: whisk.TextNoAction}
	}
	defer m.e.containers.release(ct)
	return serve(ctx, ct)
}

// destroy removes a container. That it is not there is as good.
func (m multiplexed) destroy(c echo.Context) error {
	m.e.containers.destroy(c.Param("id"))
	return respond(c.Response(), http.StatusOK, echo.MIMETextPlainCharsetUTF8, nil)
}

// logs shows what is kept of a container's logs: lines of JSON as Docker writes
// them to those who ask for them, and else lines as activations show them.
func (m multiplexed) logs(c echo.Context) error {
	ct, ok := m.e.containers.acquire(c.Param("id"))
	if !ok {
		return whisk.Errorf(whisk.NotFound, "There is no container %q.", shorten(c.Param("id")))
	}
	defer m.e.containers.release(ct)
	lines := ct.kept.snapshot()
	if c.Request().Header.Get(echo.HeaderAccept) != mimeNDJSON {
		return respond(c.Response(), http.StatusOK, echo.MIMETextPlainCharsetUTF8, plainLines(lines))
	}
	var body bytes.Buffer
	if err := appendJSON(&body, lines); err != nil {
		return err
	}
	return respond(c.Response(), http.StatusOK, mimeNDJSON, body.Bytes())
}

// mimeNDJSON is JSON, one value on each line.
const mimeNDJSON = "application/x-ndjson"

// plainLines is "TIME STREAM: TEXT", as in the logs of an activation record.
func plainLines(lines []sandbox.Line) []byte {
	var body bytes.Buffer
	for _, line := range lines {
		body.WriteString(line.Time.UTC().Format(time.RFC3339Nano))
		body.WriteString(" " + line.Stream.String() + ": " + line.Text + "\n")
	}
	return body.Bytes()
}

// portFront serves the containers that have a port of their own.
type portFront struct {
	e       *Executor
	handler http.Handler
}

func newPortFront(e *Executor) *portFront {
	return &portFront{e, newSingle(e, byPort{e.containers})}
}

// open serves a container on a new port of the host of address, until it is
// removed.
func (p *portFront) open(ctx context.Context, ct *container, address net.Addr) (int, error) {
	host, _, err := net.SplitHostPort(address.String())
	if err != nil {
		return 0, err
	}
	s, err := p.e.serve(ctx, net.JoinHostPort(host, "0"), p.handler, ct.id)
	if err != nil {
		return 0, err
	}
	p.e.background.Go(func() { p.closeAfter(ct, s) })
	return s.addr().(*net.TCPAddr).Port, nil
}

// closeAfter closes a container's port once the container is removed. What runs
// there ends before.
func (p *portFront) closeAfter(ct *container, s *server) {
	<-ct.gone
	s.shutdown(context.Background())
	p.e.forget(s)
}

// containerKey is the key of a container's id in the context of its port.
type containerKey struct{}

// byPort finds the container whose port a request came to.
type byPort struct{ containers *registry }

func (b byPort) acquire(ctx context.Context) (*container, func(), error) {
	id, _ := ctx.Value(containerKey{}).(string)
	ct, ok := b.containers.acquire(id)
	if !ok {
		return nil, nil, &whisk.Error{Kind: whisk.NotReady, Message: "The container was destroyed."}
	}
	return ct, func() { b.containers.release(ct) }, nil
}
