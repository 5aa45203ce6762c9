package target

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

//go:embed node/server.js
var nodeServer []byte

//go:embed node/add.js
var nodeAdd string

//go:embed node/block.js
var nodeBlock string

//go:embed node/prime.js
var nodePrime string

// script is a program in JavaScript. There is no BLAKE3 in Node.
func script(program string) ([]byte, error) {
	text := map[string]string{Add: nodeAdd, Block: nodeBlock, Prime: nodePrime}[program]
	if text == "" {
		return nil, ErrNoProgram
	}
	return []byte(text), nil
}

// Node is an action server in Node: a process for each action, started before
// the action comes, as OpenWhisk prewarms the kinds that are asked often. Its
// first activation is without the start of the process.
type Node struct {
	Label   string
	Builder *Builder

	program string
	version string
	dir     string

	mu      sync.Mutex
	servers map[string]*server // by the actions' names
}

// Name is the label.
func (n *Node) Name() string { return n.Label }

// Description tells which Node it is.
func (n *Node) Description() string {
	return strings.TrimSpace("the runtime protocol in Node, a prewarmed process for each action " + n.version)
}

// Protocol is [Runtime].
func (n *Node) Protocol() Protocol { return Runtime }

// Start finds Node. Processes start with their actions.
func (n *Node) Start(ctx context.Context) (err error) {
	if n.program, err = exec.LookPath("node"); err != nil {
		return &UnavailableError{Target: n.Label, Err: err}
	}
	said, err := exec.CommandContext(ctx, n.program, "--version").Output()
	if err != nil {
		return &UnavailableError{Target: n.Label, Err: err}
	}
	n.version = strings.TrimSpace(string(said))
	n.servers = map[string]*server{}
	if n.dir, err = os.MkdirTemp("", "wasmwhisk-node-"); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(n.dir, "server.js"), nodeServer, 0o600); err != nil {
		return errors.Join(err, os.RemoveAll(n.dir))
	}
	return nil
}

// Stop ends all processes.
func (n *Node) Stop() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for _, s := range n.servers {
		errs = append(errs, s.stop())
	}
	clear(n.servers)
	return errors.Join(append(errs, os.RemoveAll(n.dir))...)
}

// Restart ends all processes.
func (n *Node) Restart(ctx context.Context) error { return restart(ctx, n) }

// Settle waits for each process.
func (n *Node) Settle(ctx context.Context) error {
	for _, s := range n.running() {
		if err := s.Settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Resident is that of all processes.
func (n *Node) Resident(ctx context.Context) (int64, error) {
	var sum int64
	for _, s := range n.running() {
		one, err := s.Resident(ctx)
		if err != nil {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}

func (n *Node) running() []*server {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []*server
	for _, s := range n.servers {
		all = append(all, s)
	}
	return all
}

// Action starts a process for an action.
func (n *Node) Action(ctx context.Context, a Action) (*Deployed, error) {
	a.Size = Large
	code, err := n.Builder.code(ctx, Script, a)
	if err != nil {
		return nil, err
	}
	body, err := initBody(a, Script, code, nil)
	if err != nil {
		return nil, err
	}
	s, err := startServer(ctx, exec.CommandContext(context.WithoutCancel(ctx), n.program, filepath.Join(n.dir, "server.js")))
	if err != nil {
		return nil, fmt.Errorf("start node: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers[a.Name] = s
	return runtimeAction(a, s.url, body), nil
}

// Remove ends the action's process.
func (n *Node) Remove(_ context.Context, d *Deployed) error {
	n.mu.Lock()
	s := n.servers[d.Action.Name]
	delete(n.servers, d.Action.Name)
	n.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.stop()
}
