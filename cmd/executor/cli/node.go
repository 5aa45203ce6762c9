package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/worker"
	"wasmwhisk/executor"
)

// node is an executor, the engine that it runs on, and the OpenWhisk API in
// front of it.
type node struct {
	runtime  engine.WasmRuntime // nil if only worker processes have it
	workers  *worker.Supervisor // nil if activations run in this process
	executor *executor.Executor
	api      *standalone // nil if the API is not served
	scheme   string      // of the API
}

func openNode(ctx context.Context, env *Env, s settings, logger *slog.Logger) (*node, error) {
	rt, err := s.openEngine(ctx, logger)
	if err != nil {
		return nil, err
	}
	n := &node{runtime: rt}
	config, err := s.executorConfig(env, rt, logger)
	if err != nil {
		return nil, errors.Join(err, n.close(ctx))
	}
	if rt == nil {
		if config.Modules, err = s.wasmerModules(ctx, logger); err != nil {
			return nil, errors.Join(err, n.close(ctx))
		}
	}
	if n.workers, err = s.openWorkers(logger); err != nil {
		return nil, errors.Join(err, n.close(ctx))
	}
	config.Workers = n.workers
	if n.executor, err = executor.New(config); err != nil {
		return nil, errors.Join(errUsage(err), n.close(ctx))
	}
	if front(s.api.apiAddr) == "" {
		return n, nil
	}
	n.scheme = s.api.scheme()
	if n.api, err = openStandalone(ctx, s, config); err != nil {
		return nil, errors.Join(err, n.executor.Stop(ctx), n.close(ctx))
	}
	return n, nil
}

// close ends what the executor works with.
func (n *node) close(ctx context.Context) error {
	if n.workers != nil {
		n.workers.Close()
	}
	if n.runtime == nil {
		return nil
	}
	return n.runtime.Close(ctx)
}

// openEngine opens the engine, unless only worker processes have it.
func (s settings) openEngine(ctx context.Context, logger *slog.Logger) (engine.WasmRuntime, error) {
	if s.engine == wasmerName {
		return nil, nil //nolint:nilnil // the executor knows what to do without
	}
	rt, err := openRuntime(ctx, s.engine, engine.Config{HostFuncs: sandbox.HostFuncs(), IdleBytes: s.idleBytes, SnapshotBytes: s.snapshotBytes, CopyCode: s.copyCode})
	if err != nil {
		return nil, err
	}
	if info := rt.Info(); info.Note != "" {
		logger.Warn("the engine has to do without something here", slog.String("engine", info.Name), slog.String("note", info.Note))
	}
	return rt, nil
}

// start serves, and says where.
func (n *node) start(ctx context.Context, log io.Writer) error {
	if err := n.executor.Start(ctx); err != nil {
		return err
	}
	if n.api != nil {
		if err := n.api.start(ctx); err != nil {
			return err
		}
		fmt.Fprintf(log, "listening api %s\n", n.apiURL())
	}
	for _, f := range []struct {
		name string
		addr net.Addr
	}{
		{"runtime", n.executor.MultiplexedAddr()},
		{"container", n.executor.ContainerAddr()},
		{"metrics", n.executor.OperationsAddr()},
	} {
		if f.addr != nil {
			fmt.Fprintf(log, "listening %s http://%s\n", f.name, f.addr)
		}
	}
	return nil
}

func (n *node) apiURL() string { return n.scheme + "://" + n.api.controller.Addr().String() }

func (n *node) runtimeURL() string { return "http://" + n.executor.MultiplexedAddr().String() }

// stop lets running activations end, for as long as patience lasts. It works
// after ctx is done.
func (n *node) stop(ctx context.Context, patience time.Duration) error {
	ctx = context.WithoutCancel(ctx)
	drain, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var err error
	if n.api != nil {
		err = n.api.stop(drain)
	}
	return errors.Join(err, n.executor.Stop(drain), n.close(ctx))
}
