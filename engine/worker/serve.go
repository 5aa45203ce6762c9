package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"wasmwhisk/engine"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/wasi"
)

// supervisorFD is the descriptor that a worker inherits beside the standard ones.
const supervisorFD = 3

// maxAssignment bounds what a supervisor assigns, its module included.
const maxAssignment = 1 << 30

// Main is the life of a worker: a process that a [Supervisor] started. It opens
// its engine, which must be made with the host functions of package sandbox,
// waits for its assignment, confines itself, and runs activations until the
// supervisor closes the connection. It does not wait for what runs then.
func Main(ctx context.Context, open func(context.Context, engine.Config) (engine.WasmRuntime, error)) error {
	conn, err := inherited()
	if err != nil {
		return err
	}
	// Engines make temporary files while they load; the supervisor removes this
	// directory.
	if dir, err := os.Getwd(); err == nil {
		_ = os.Setenv("TMPDIR", dir)
	}
	rt, err := open(ctx, engine.Config{HostFuncs: sandbox.HostFuncs()})
	if err != nil {
		return fmt.Errorf("open engine: %w", err)
	}
	w := &worker{conn: conn, runtime: rt, running: map[uint64]context.CancelCauseFunc{}}
	if err := w.serve(ctx); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func inherited() (*net.UnixConn, error) {
	f := os.NewFile(supervisorFD, "supervisor")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("connection to the supervisor: %w", err)
	}
	inherited, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("connection to the supervisor is a %T", conn)
	}
	return inherited, nil
}

// worker runs the activations of one action.
type worker struct {
	conn     *net.UnixConn
	runtime  engine.WasmRuntime
	template *sandbox.Template

	writing sync.Mutex // held for one frame

	mu      sync.Mutex
	running map[uint64]context.CancelCauseFunc
}

func (w *worker) serve(ctx context.Context) error {
	if err := w.send(frame{kind: kindHello}); err != nil {
		return err
	}
	a, binary, files, err := w.receiveAssignment()
	if err != nil {
		return err
	}
	ready, err := w.take(ctx, a, binary, files)
	if err != nil {
		ready = readiness{Fault: faultOf(err)}
	}
	text, err := json.Marshal(ready)
	if err != nil {
		return err
	}
	if err := w.send(frame{kind: kindReady, payload: text}); err != nil || ready.Fault != nil {
		return err
	}
	limit := maxActivation(a.Limits)
	for r := bufio.NewReaderSize(w.conn, 64<<10); ; {
		f, err := readFrame(r, limit)
		if err != nil {
			return err
		}
		if err := w.handle(ctx, f); err != nil {
			return err
		}
	}
}

// maxActivation bounds an activation on the wire.
func maxActivation(l sandbox.Limits) int { return l.PayloadBytes + 64<<20 }

// receiveAssignment reads the first frame: descriptors come with its header.
func (w *worker) receiveAssignment() (a assignment, binary []byte, files []*os.File, err error) {
	var header [headerBytes]byte
	if files, err = receiveFiles(w.conn, header[:]); err != nil {
		return a, nil, nil, err
	}
	f, size := decodeHeader(header)
	if f.kind != kindAssign || size > maxAssignment {
		return a, nil, nil, violated("an assignment must come first")
	}
	payload, err := readPayload(w.conn, size)
	if err != nil {
		return a, nil, nil, err
	}
	a, binary, err = decodeAssignment(payload)
	return a, binary, files, err
}

// receiveFiles fills the header, and gives the descriptors that came with it.
func receiveFiles(conn *net.UnixConn, header []byte) ([]*os.File, error) {
	control := make([]byte, unix.CmsgSpace(4*maxDescriptors))
	n, controlBytes, _, _, err := conn.ReadMsgUnix(header, control)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, io.EOF
	}
	if _, err := io.ReadFull(conn, header[n:]); err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:controlBytes])
	if err != nil {
		return nil, fmt.Errorf("receive descriptors: %w", err)
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, fmt.Errorf("receive descriptors: %w", err)
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "inherited"))
		}
	}
	return files, nil
}

// take makes the worker that of an action. What only trusted code needs is done
// before the walls are up, all else after.
func (w *worker) take(ctx context.Context, a assignment, binary []byte, files []*os.File) (ready readiness, err error) {
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	if err := bound(a); err != nil {
		return ready, err
	}
	var module engine.Module
	if a.Fingerprint != "" {
		if module, files, err = w.load(ctx, a, files); err != nil {
			return ready, err
		}
	}
	granted, err := a.capabilities(files)
	if err != nil {
		return ready, err
	}
	ready.Walls = confine(grants{files: len(granted.Mounts) > 0, net: granted.HTTP != nil})
	if module == nil {
		if module, err = w.runtime.Compile(ctx, binary); err != nil {
			return ready, err
		}
	}
	w.template, err = sandbox.New(sandbox.NewProgram(module), sandbox.HostFuncs(), a.policy(granted))
	if err != nil {
		return ready, err
	}
	ready.Contract = w.template.Contract()
	return ready, nil
}

// load takes the module out of the artefact whose directory is the first file.
func (w *worker) load(ctx context.Context, a assignment, files []*os.File) (engine.Module, []*os.File, error) {
	p, ok := w.runtime.(engine.Precompiler)
	if !ok || p.Fingerprint() != a.Fingerprint || len(files) == 0 {
		return nil, files, errors.New("artefact is that of another engine")
	}
	defer files[0].Close()
	module, err := p.Load(ctx, nil, filepath.Join(pathOf(files[0]), a.ArtefactPath))
	return module, files[1:], err
}

// pathOf is a name for what a descriptor stands for.
func pathOf(f *os.File) string {
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(f.Fd())))
}

func (a assignment) policy(granted sandbox.Capabilities) sandbox.Policy {
	return sandbox.Policy{
		Contract:     a.Contract,
		Limits:       a.Limits,
		Capabilities: granted,
		Env:          a.Env,
		NoSnapshot:   a.NoSnapshot,
		Fork:         a.Fork,
	}
}

// capabilities are those of the assignment, in this process.
func (a assignment) capabilities(files []*os.File) (granted sandbox.Capabilities, err error) {
	if len(files) != len(a.Mounts) {
		return granted, violated("%d descriptors for %d mounts", len(files), len(a.Mounts))
	}
	for i, m := range a.Mounts {
		root, err := os.OpenRoot(pathOf(files[i]))
		if err != nil {
			return granted, fmt.Errorf("open directory: %w", err)
		}
		granted.Mounts = append(granted.Mounts, wasi.Mount{Guest: m.Guest, Root: root, Access: m.Access})
	}
	if a.Net != nil {
		granted.HTTP, err = host.NewClient(*a.Net)
	}
	return granted, err
}

func (w *worker) handle(ctx context.Context, f frame) error {
	switch f.kind {
	case kindRun, kindProbe:
		a, err := decodeActivation(f.payload)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancelCause(ctx)
		w.mu.Lock()
		w.running[f.id] = cancel
		w.mu.Unlock()
		go w.run(ctx, f, a)
		return nil
	case kindCancel:
		w.forget(f.id, context.Canceled)
		return nil
	}
	return violated("a frame of kind %d", f.kind)
}

// run runs an activation and answers.
func (w *worker) run(ctx context.Context, f frame, a sandbox.Activation) {
	defer w.forget(f.id, nil)
	a.Deadline = monotonic(a.Deadline)
	payload, err := encodeOutcome(w.outcome(ctx, f.kind, a))
	if err == nil {
		err = w.send(frame{kind: kindOutcome, id: f.id, payload: payload})
	}
	if err != nil {
		_ = w.conn.Close() // ends the worker
	}
}

func (w *worker) outcome(ctx context.Context, k kind, a sandbox.Activation) sandbox.Outcome {
	if k == kindRun {
		return w.template.Run(ctx, a)
	}
	if !a.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, a.Deadline)
		defer cancel()
	}
	return w.template.Probe(ctx)
}

// monotonic makes a point in time one that nobody moves by setting the clock.
func monotonic(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.Now().Add(time.Until(t))
}

// forget ends the context of an activation.
func (w *worker) forget(id uint64, cause error) {
	w.mu.Lock()
	cancel := w.running[id]
	delete(w.running, id)
	w.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
}

func (w *worker) send(f frame) error {
	wire := f.encode()
	w.writing.Lock()
	defer w.writing.Unlock()
	_, err := w.conn.Write(wire)
	return err
}
