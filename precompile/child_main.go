package precompile

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"wasmwhisk/engine"
)

// ChildMain is the life of a process that [InChild] starts: it binds this
// process to the limits that it reads from in, compiles the binary that follows,
// and writes to out how that went. The error is that of writing.
func ChildMain(ctx context.Context, in io.Reader, out io.Writer, open func(context.Context) (engine.Precompiler, error)) error {
	var answer childAnswer
	err := compileRequested(ctx, in, open, &answer.Fingerprint)
	if invalid, ok := errors.AsType[*engine.InvalidModuleError](err); ok {
		answer.Invalid = cut(invalid.Err.Error())
	} else if err != nil {
		answer.Failed = cut(err.Error())
	}
	return json.NewEncoder(out).Encode(answer)
}

// cut leaves of an error what fits into an answer, however it is encoded: the module
// wrote some of it.
func cut(text string) string { return text[:min(len(text), answerBytes/8)] }

func compileRequested(ctx context.Context, in io.Reader, open func(context.Context) (engine.Precompiler, error), fingerprint *string) error {
	reader := bufio.NewReader(in)
	line, err := reader.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	var request childRequest
	if err := json.Unmarshal(line, &request); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if err := confine(request); err != nil {
		return err
	}
	binary, err := io.ReadAll(reader)
	if err != nil {
		return fmt.Errorf("read binary: %w", err)
	}
	p, err := open(ctx)
	if err != nil {
		return err
	}
	*fingerprint = p.Fingerprint()
	err = p.Precompile(ctx, binary, request.Dir)
	return errors.Join(err, p.Close(ctx))
}

// confine binds this process for good. The collector works harder from three
// quarters of the memory on: most compilations that come near the limit then
// stay below it.
func confine(r childRequest) error {
	debug.SetMemoryLimit(r.MemoryBytes / 4 * 3)
	if err := setLimits(r); err != nil {
		return fmt.Errorf("limit compiler process: %w", err)
	}
	return nil
}
