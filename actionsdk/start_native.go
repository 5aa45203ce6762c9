//go:build !wasip1

package actionsdk

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"syscall"
)

const defaultAddr = ":8080"

func start(handler Handler) error {
	switch {
	case len(os.Args) > 1:
		return once(handler, []byte(os.Args[1]), os.Stdout)
	case isPipe("/dev/fd/0") && isPipe("/dev/fd/3"):
		return startLoop(handler)
	case os.Getenv("__OW_ACTIVATION_ID") != "":
		event, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		return once(handler, event, os.Stdout)
	}
	return startServer(handler)
}

// once answers one event as the docker skeleton's convention has it.
func once(handler Handler, event []byte, out io.Writer) error {
	_, err := out.Write(line(answer(handler, event)))
	return err
}

// isPipe looks at a file descriptor by name: an os.File made of it would close
// it in the end, whoever owns it.
func isPipe(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0
}

func startLoop(handler Handler) error {
	results := os.NewFile(3, "results")
	if os.Getenv("__OW_WAIT_FOR_ACK") != "" {
		if _, err := io.WriteString(results, okAnswer); err != nil {
			return err
		}
	}
	return loop(handler, os.Stdin, results)
}

func startServer(handler Handler) error {
	addr := os.Getenv("WASMWHISK_ADDR")
	if addr == "" {
		addr = defaultAddr
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	greet(listener.Addr())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return newServer(handler, os.Stdout, os.Stderr).serve(ctx, listener)
}

// greet tells a person who tries the action out where it is; in a container the
// line would be in the log of the first activation.
func greet(addr net.Addr) {
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintf(os.Stderr, "serving /init and /run on %s\n", addr)
	}
}

// beforehand leaves the work to the first event: a native program stays.
func beforehand(func()) {}

func activationContext() (Context, context.CancelFunc) { return newContext(ownEnviron()) }
