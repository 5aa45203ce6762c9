package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"wasmwhisk/eval/target"
)

// evalServeCommand names the command that is something to compare with, and
// evalConstant what it is that answers a constant.
const (
	evalServeCommand = "eval-serve"
	evalConstant     = "constant"
)

func newEvalServeCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: evalServeCommand + " KIND", Short: "Be something to compare with", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == evalConstant {
				return target.ServeConstant(cmd.Context(), env.Stdout)
			}
			return target.Serve(cmd.Context(), target.Convention(args[0]), env.Stdout)
		},
	}
}

// evalTargets are the floor and what can be started here to be measured.
func evalTargets(program string, builder *target.Builder) (floor target.Target, targets []target.Target) {
	executor := func(label, about string, flags ...string) *target.Executor {
		return &target.Executor{Label: label, About: about, Program: program, Flags: flags, Builder: builder}
	}
	anew := executor(targetAnew, "this executor, each guest started anew, without a snapshot")
	anew.Anew = true
	targets = []target.Target{
		executor("wazero", "this executor with wazero, a sandbox put back to its snapshot for each activation"),
		anew,
		executor(targetIsolated, "this executor with wazero, in worker processes", "--isolation", "process"),
	}
	for _, engine := range []string{"wasmtime", "wasmer"} {
		targets = append(targets, executor(engine, "this executor with "+engine, "--engine", engine))
	}
	proxied := func(label, about string, c target.Convention) target.Target {
		return &target.Proxied{Label: label, About: about, Command: []string{program, evalServeCommand, string(c)}, Builder: builder}
	}
	targets = append(targets,
		&target.Standalone{API: target.API{Label: "REST", About: "this executor's OpenWhisk API with wazero, each record durable", Builder: builder}, Program: program},
		proxied("process per request", "native Go behind a proxy, a process for each activation, as OpenWhisk's docker skeleton has it", target.PerRequest),
		proxied("ActionLoop", "native Go behind a proxy, processes that stay for each action, as OpenWhisk's ActionLoop has them", target.Loop),
		&target.Node{Label: "Node", Builder: builder},
	)
	return &target.Answering{Label: "floor", Command: []string{program, evalServeCommand, evalConstant}}, targets
}

// choose gives the floor, and the targets that the flags name.
func (f *evalFlags) choose(program string) (floor target.Target, chosen []target.Target, err error) {
	builder := &target.Builder{}
	floor, all := evalTargets(program, builder)
	for _, name := range f.targets {
		i := slices.IndexFunc(all, func(t target.Target) bool { return t.Name() == name })
		if i < 0 {
			return nil, nil, errUsage(fmt.Errorf("no target is called %q; there are %s", name, targetNames(all)))
		}
		chosen = append(chosen, all[i])
	}
	if len(f.targets) == 0 {
		chosen = slices.DeleteFunc(all, func(t target.Target) bool { return f.quick && isPolicy(t.Name()) })
	}
	for _, text := range f.urls {
		t, err := target.Parse(text, builder)
		if err != nil {
			return nil, nil, errUsage(err)
		}
		chosen = append(chosen, t)
	}
	return floor, chosen, nil
}

// The targets that are wazero with another policy. A quick look leaves them out.
const (
	targetAnew     = "wazero anew"
	targetIsolated = "wazero isolated"
)

func isPolicy(name string) bool { return name == targetAnew || name == targetIsolated }

func targetNames(all []target.Target) string {
	var names []string
	for _, t := range all {
		names = append(names, fmt.Sprintf("%q", t.Name()))
	}
	return strings.Join(names, ", ")
}
