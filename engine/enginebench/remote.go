package enginebench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// request asks a program with an engine for one thing: to begin, to take a turn,
// or to report.
type request struct {
	Work    *work    `json:"work,omitempty"`
	Answers []string `json:"answers,omitempty"` // of the kernels
	Report  bool     `json:"report,omitempty"`
}

// reply is what it says. As long as it tells what it is doing, there is more to come.
type reply struct {
	Doing  string        `json:"doing,omitempty"`
	Error  string        `json:"error,omitempty"`
	Report *EngineReport `json:"report,omitempty"`
}

// remote is an engine in a program of its own.
type remote struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	tell func(doing string)
}

func newRemote(ctx context.Context, program []string, w work, tell func(doing string)) (*remote, error) {
	if len(program) == 0 {
		return nil, errors.New("neither an engine nor a program that has it")
	}
	r := &remote{cmd: exec.CommandContext(ctx, program[0], program[1:]...), tell: tell}
	r.cmd.Env = []string{}
	r.cmd.Stderr = os.Stderr
	out, err := r.cmd.StdoutPipe()
	if err == nil {
		r.in, err = r.cmd.StdinPipe()
	}
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	r.out = json.NewDecoder(out)
	if _, err := r.ask(request{Work: &w}); err != nil {
		return nil, errors.Join(err, r.close(ctx))
	}
	return r, nil
}

func (r *remote) ask(q request) (reply, error) {
	if err := json.NewEncoder(r.in).Encode(q); err != nil {
		return reply{}, fmt.Errorf("%s does not answer: %w", r.cmd.Path, err)
	}
	for {
		var said reply
		if err := r.out.Decode(&said); err != nil {
			return reply{}, fmt.Errorf("%s does not answer: %w", r.cmd.Path, err)
		}
		switch {
		case said.Error != "":
			return reply{}, errors.New(said.Error)
		case said.Doing == "":
			return said, nil
		}
		r.tell(said.Doing)
	}
}

func (r *remote) round(_ context.Context, answers []string) error {
	_, err := r.ask(request{Answers: answers})
	return err
}

func (r *remote) report(context.Context) (EngineReport, error) {
	said, err := r.ask(request{Report: true})
	if err != nil {
		return EngineReport{}, err
	}
	if said.Report == nil {
		return EngineReport{}, fmt.Errorf("%s gives no report", r.cmd.Path)
	}
	return *said.Report, nil
}

// close ends the program, which ends with what it is asked.
func (r *remote) close(context.Context) error { return errors.Join(r.in.Close(), r.cmd.Wait()) }

// Serve measures an engine for a [Run] in another process, which asks over in and
// is answered over out. It returns when in ends.
func Serve(ctx context.Context, in io.Reader, out io.Writer, open Open) (err error) {
	requests, replies := json.NewDecoder(in), json.NewEncoder(out)
	s := server{open: open, tell: func(doing string) { _ = replies.Encode(reply{Doing: doing}) }}
	defer func() {
		if s.engine != nil {
			err = errors.Join(err, s.engine.close(context.WithoutCancel(ctx)))
		}
	}()
	for {
		var q request
		if err := requests.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read what to measure: %w", err)
		}
		said, err := s.answer(ctx, q)
		if err != nil {
			said = reply{Error: err.Error()}
		}
		if err := replies.Encode(said); err != nil {
			return fmt.Errorf("tell what was measured: %w", err)
		}
	}
}

// server is what [Serve] has an engine do.
type server struct {
	open   Open
	tell   func(doing string)
	engine *local // nil before there is anything to do
}

func (s *server) answer(ctx context.Context, q request) (said reply, err error) {
	switch {
	case q.Work != nil && s.engine == nil:
		s.engine, err = newLocal(ctx, s.open, *q.Work, s.tell)
		return said, err
	case s.engine == nil:
		return said, errors.New("nothing was opened yet")
	case q.Report:
		r, err := s.engine.report(ctx)
		return reply{Report: &r}, err
	}
	return said, s.engine.round(ctx, q.Answers)
}
