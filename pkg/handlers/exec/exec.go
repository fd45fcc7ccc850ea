package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

// pipeTimeout is how long a call waits for the end of the output after the program and its process
// group are gone. Only a process that left the group on purpose can still hold it open.
const pipeTimeout = time.Second

// runner runs the programs of one definition.
type runner struct {
	definition string
	logger     logr.Logger
	config     Config
}

// handler is the handler of one definition.
type handler struct {
	runner
	program program
}

// finalizer is the handler of a definition with a finalizer.
type finalizer struct {
	handler
	last program
}

// program is a command that can be started.
type program struct {
	path string // absolute
	args []string
}

func lookUp(command []string) (program, error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return program{}, fmt.Errorf("looking up the program: %w", err)
	}
	return program{path: path, args: command}, nil
}

// newRunner checks what all programs need.
func newRunner(env handlers.Env, c Config) (runner, error) {
	if !supported {
		return runner{}, errors.New("running programs: not supported on this operating system")
	}
	switch info, err := os.Stat(c.Dir); {
	case err != nil:
		return runner{}, fmt.Errorf("looking up the working directory: %w", err)
	case !info.IsDir():
		return runner{}, fmt.Errorf("looking up the working directory: %s is not a directory", c.Dir)
	}
	return runner{definition: env.Definition, logger: env.Logger, config: c}, nil
}

func newHandler(_ context.Context, env handlers.Env, c Config) (handlers.Handler, error) {
	r, err := newRunner(env, c)
	if err != nil {
		return nil, err
	}
	program, err := lookUp(c.Command)
	if err != nil {
		return nil, err
	}
	h := handler{runner: r, program: program}
	if c.Finalize == nil {
		return &h, nil
	}
	if env.Finalizer == "" {
		return nil, errors.New("finalize would never run: the definition has no finalizer")
	}
	last, err := lookUp(c.Finalize.Command)
	if err != nil {
		return nil, err
	}
	return &finalizer{handler: h, last: last}, nil
}

// Handle runs the program once. When it returns, no process of the program's group runs any more.
func (h *handler) Handle(ctx context.Context, req handlers.Request) (handlers.Result, error) {
	return h.run(ctx, req, h.program)
}

// Finalize is like Handle, with the other program.
func (f *finalizer) Finalize(ctx context.Context, req handlers.Request) (handlers.Result, error) {
	return f.run(ctx, req, f.last)
}

func (h *handler) run(ctx context.Context, req handlers.Request, p program) (handlers.Result, error) {
	object, err := req.Object.JSON()
	if err != nil {
		return handlers.Result{}, handlers.Terminal(err)
	}
	return handlers.Result{}, h.execute(ctx, call{program: p, Request: req, input: object})
}

// call is one run of a program.
type call struct {
	program
	handlers.Request
	hook   hook.Name // empty for a handler
	input  []byte
	answer io.Writer // takes standard output; nil logs it
}

// execute runs a program. When it returns, no process of the program's group runs any more.
func (r *runner) execute(ctx context.Context, c call) error {
	if ctx.Err() != nil {
		return fmt.Errorf("running %s: %w", c.path, context.Cause(ctx))
	}
	environ, secrets, err := r.environment(c)
	if err != nil {
		return err
	}
	handlers.Redact(ctx, secrets...)
	stdout, stderr := r.outputs(ctx, newRedactor(secrets))
	cmd := &exec.Cmd{
		Path: c.path, Args: c.args, Dir: r.config.Dir, Env: environ,
		Stdin: bytes.NewReader(c.input), Stdout: stdout, Stderr: stderr,
		WaitDelay: pipeTimeout,
	}
	if c.answer != nil {
		cmd.Stdout = c.answer
	}
	end, err := run(ctx, cmd, time.Duration(r.config.Timeout), time.Duration(r.config.Grace))
	stdout.close()
	stderr.close()
	orphans.reap()
	if err != nil {
		return fmt.Errorf("starting %s: %w", c.path, explainStart(err, c.path, r.config.Dir))
	}
	return r.exitError(c.program, end, stderr.lastLine())
}

// outputs returns what takes standard output and standard error.
func (r *runner) outputs(ctx context.Context, redact redactor) (stdout, stderr *output) {
	logger, err := logr.FromContext(ctx)
	if err != nil {
		logger = r.logger
	}
	if r.config.OutputLevel == OutputDebug {
		logger = logger.V(1)
	}
	take := func(stream string) *output {
		return &output{
			logger: logger.WithValues("stream", stream), redact: redact, budget: r.config.MaxOutput,
			off: r.config.OutputLevel == OutputOff || !logger.Enabled(),
		}
	}
	return take("stdout"), take("stderr")
}

// exitError makes an error of how the program ended, nil when that was a success. said is the last
// line of its standard error.
func (r *runner) exitError(p program, end ending, said string) error {
	if said != "" {
		said = ": " + said
	}
	if end.stopped != nil {
		return fmt.Errorf("running %s: %w%s", p.path, end.stopped, said)
	}
	code := end.state.ExitCode() // -1 after a signal
	if code == 0 || slices.Contains(r.config.ExitCodes.Success, code) {
		return nil
	}
	err := fmt.Errorf("running %s: %s%s", p.path, end.state, said)
	if slices.Contains(r.config.ExitCodes.Terminal, code) {
		return handlers.Terminal(err)
	}
	return err
}
