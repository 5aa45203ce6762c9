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
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/internal/capped"
	"wasmwhisk/internal/ram"
)

// maxDescriptors bounds those that come with an assignment.
const maxDescriptors = 64

// complaintBytes bounds what is kept of a worker's stderr.
const complaintBytes = 64 << 10

var (
	errNotUp   = errors.New("worker process does not come up")
	errStopped = errors.New("worker process was stopped")
	errKilled  = errors.New("worker process was killed because another activation in it did not end in time")
)

// process is a worker process as its supervisor sees it.
type process struct {
	cmd       *exec.Cmd
	conn      *net.UnixConn
	dir       string // its temporary files
	complaint *capped.Buffer
	gone      chan struct{} // closed when the process has ended and nothing is left of it

	left func(p *process, why error) // is told of the end

	assigned assignment // before any activation, and not changed after
	ready    readiness

	writing sync.Mutex // held for one frame

	mu      sync.Mutex
	waiting map[uint64]chan<- answer // by id
	last    uint64                   // id
	why     error                    // it was ended by us; nil while it was not
	ended   error                    // how it ended; nil while it has not
}

// answer is what comes of an activation.
type answer struct {
	outcome sandbox.Outcome
	err     error // there is none
}

// start starts a process that has no assignment yet. It is called "executor",
// whatever the program, has no environment, and no descriptors but a connection
// to us and standard ones that lead nowhere.
func start(command []string) (_ *process, err error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("start worker process: %w", err)
	}
	defer theirs.Close()
	p := &process{conn: ours, complaint: capped.New(complaintBytes), gone: make(chan struct{}), waiting: map[uint64]chan<- answer{}}
	if p.dir, err = os.MkdirTemp("", "wasmwhisk-worker-"); err != nil {
		return nil, errors.Join(fmt.Errorf("start worker process: %w", err), ours.Close())
	}
	p.cmd = exec.Command(command[0], command[1:]...) //nolint:noctx // it outlives the request that needs it first
	p.cmd.Args[0] = "executor"
	p.cmd.Env = []string{}
	p.cmd.Dir = p.dir
	p.cmd.Stderr = p.complaint
	p.cmd.ExtraFiles = []*os.File{theirs}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's interrupt is for us
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start worker process: %w", err), ours.Close(), os.RemoveAll(p.dir))
	}
	return p, nil
}

func socketPair() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	end, theirs := os.NewFile(uintptr(fds[0]), "worker"), os.NewFile(uintptr(fds[1]), "supervisor")
	defer end.Close()
	conn, err := net.FileConn(end)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn.(*net.UnixConn), theirs, nil
}

// serve takes what the process sends until it ends, and cleans up after it.
func (p *process) serve() {
	err := p.receive()
	p.mu.Lock()
	if v, ok := errors.AsType[*violation](err); ok && p.why == nil {
		p.why = v
	}
	p.mu.Unlock()
	_ = p.conn.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	_ = os.RemoveAll(p.dir)
	p.finish()
	p.left(p, p.reason())
	close(p.gone)
}

// receive hands the answers to those who wait for them.
func (p *process) receive() error {
	r := bufio.NewReaderSize(p.conn, 64<<10)
	for {
		f, err := readFrame(r, outcomeBytes(p.assigned.Limits))
		if err != nil {
			return err
		}
		if f.kind != kindOutcome {
			return violated("a frame of kind %d", f.kind)
		}
		out, err := decodeOutcome(f.payload, p.assigned.Limits)
		if err != nil {
			return err
		}
		waiting := p.forget(f.id)
		if waiting == nil {
			return violated("an outcome that nobody asked for")
		}
		waiting <- answer{outcome: out}
	}
}

// forget gives the one who waits for an activation, nil if there is none.
func (p *process) forget(id uint64) chan<- answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := p.waiting[id]
	delete(p.waiting, id)
	return waiting
}

// finish tells everybody that the process is no more.
func (p *process) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = p.autopsyLocked()
	for id, waiting := range p.waiting {
		delete(p.waiting, id)
		waiting <- answer{err: p.ended}
	}
}

// autopsyLocked says why the process ended. An activation that was alone in it
// has itself to blame.
func (p *process) autopsyLocked() error {
	alone := len(p.waiting) == 1
	complaint, _, _ := strings.Cut(p.complaint.String(), "\n")
	switch {
	case p.why != nil:
		return p.why
	case alone && outOfMemory(p.complaint.String()):
		return &engine.LimitError{What: "memory", Unit: "bytes", Limit: uint64(p.assigned.MemoryBytes)}
	case alone:
		return &engine.TrapError{Kind: engine.TrapCrash, Detail: fmt.Sprintf("%v: %s", p.cmd.ProcessState, complaint)}
	}
	return fmt.Errorf("worker process of %d activations ended: %v: %s", len(p.waiting), p.cmd.ProcessState, complaint)
}

// outOfMemory knows the last words of a process that gets no memory.
func outOfMemory(complaint string) bool {
	for _, words := range []string{"out of memory", "cannot allocate memory", "pthread_create failed", "newosproc"} {
		if strings.Contains(complaint, words) {
			return true
		}
	}
	return false
}

// stop ends the process. What still runs in it fails with that reason.
func (p *process) stop(why error) {
	p.mu.Lock()
	if p.why == nil {
		p.why = why
	}
	p.mu.Unlock()
	_ = p.cmd.Process.Kill()
}

// resident is 0 where the system does not tell.
func (p *process) resident() int64 { return ram.Resident(p.cmd.Process.Pid) }

// overspend ends the process because of its memory, which is the fault of an
// activation that was alone in it.
func (p *process) overspend(limit int64) {
	p.mu.Lock()
	n := len(p.waiting)
	p.mu.Unlock()
	if n == 1 {
		p.stop(&engine.LimitError{What: "memory", Unit: "bytes", Limit: uint64(limit)})
		return
	}
	p.stop(fmt.Errorf("worker process was killed: with %d activations it took more than %d bytes of memory", n, limit))
}

// alive tells whether the process may be given an activation.
func (p *process) alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why == nil && p.ended == nil
}

// assign makes the process a worker of an action, and waits until it is ready.
// Files are handed on, and stay the caller's. After an error the process has
// ended. That is the module's fault if it crashed the process.
func (p *process) assign(ctx context.Context, a assignment, binary []byte, files []*os.File) error {
	p.assigned = a
	payload, err := a.encode(binary)
	if err != nil {
		return p.abandon(fmt.Errorf("assign worker process: %w", err))
	}
	finished := context.AfterFunc(ctx, func() { p.stop(context.Cause(ctx)) })
	defer finished()
	if _, err := p.expect(kindHello); err != nil {
		return p.notUp(err)
	}
	if err := p.hand(frame{kind: kindAssign, payload: payload}, files); unread(err) {
		return p.notUp(err)
	} else if err != nil {
		return p.abandon(err)
	}
	answer, err := p.expect(kindReady)
	switch {
	case errors.Is(err, io.EOF):
		return p.crashed()
	case unread(err):
		return p.notUp(err)
	}
	if err == nil {
		err = json.Unmarshal(answer.payload, &p.ready)
	}
	if err != nil {
		return p.abandon(fmt.Errorf("assign worker process: %w", err))
	}
	if p.ready.Fault == nil {
		return os.RemoveAll(p.dir) // a killed supervisor leaves nothing behind
	}
	p.stop(errStopped)
	p.serve()
	return p.ready.Fault.error()
}

// abandon ends the process because of err, unless it was stopped before, and adds
// what it wrote to its stderr.
func (p *process) abandon(err error) error {
	p.stop(err)
	p.serve()
	if line, _, _ := strings.Cut(p.complaint.String(), "\n"); line != "" {
		return fmt.Errorf("%w: it said: %s", p.reason(), line)
	}
	return p.reason()
}

// crashed is the end of a process that came up and was given a module.
func (p *process) crashed() error {
	p.serve()
	switch why := p.reason(); {
	case why != nil:
		return why
	case outOfMemory(p.complaint.String()):
		return &engine.LimitError{What: "memory", Unit: "bytes", Limit: uint64(p.assigned.MemoryBytes)}
	}
	return &engine.InvalidModuleError{Err: fmt.Errorf("it crashes the engine: %v", p.cmd.ProcessState)}
}

// notUp abandons a process that was of no use before it had read its assignment.
func (p *process) notUp(err error) error { return p.abandon(fmt.Errorf("%w: %w", errNotUp, err)) }

// unread tells that a process had ended before it read all that it was sent: it
// was dying already, whatever was in there.
func unread(err error) bool { return errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) }

// reason is why the process was ended by us, nil if it was not.
func (p *process) reason() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why
}

// expect reads a frame outside of any activation.
func (p *process) expect(k kind) (frame, error) {
	f, err := readFrame(p.conn, outcomeRoom)
	if err == nil && f.kind != k {
		err = violated("a frame of kind %d", f.kind)
	}
	return f, err
}

// hand sends a frame, and descriptors with its header.
func (p *process) hand(f frame, files []*os.File) error {
	wire := f.encode()
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(descriptors(files)...)
	}
	if _, _, err := p.conn.WriteMsgUnix(wire[:headerBytes], rights, nil); err != nil {
		return fmt.Errorf("assign worker process: %w", err)
	}
	if _, err := p.conn.Write(wire[headerBytes:]); err != nil {
		return fmt.Errorf("assign worker process: %w", err)
	}
	return nil
}

func descriptors(files []*os.File) []int {
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	return fds
}

// expectOutcome gives the number of a new activation, and where its answer will come.
func (p *process) expectOutcome() (id uint64, _ <-chan answer, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil {
		return 0, nil, p.ended
	}
	answers := make(chan answer, 1)
	p.last++
	p.waiting[p.last] = answers
	return p.last, answers, nil
}

// overdue ends the process because of an activation, unless that has just ended: no
// other must suffer then.
func (p *process) overdue(id uint64) {
	p.mu.Lock()
	_, runs := p.waiting[id]
	if runs && p.why == nil {
		p.why = errKilled
	}
	p.mu.Unlock()
	if runs {
		_ = p.cmd.Process.Kill()
	}
}

func (p *process) send(f frame) error {
	wire := f.encode()
	p.writing.Lock()
	defer p.writing.Unlock()
	_, err := p.conn.Write(wire)
	return err
}
