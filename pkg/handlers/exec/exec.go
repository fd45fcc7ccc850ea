package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/handlers"
)

// pipeTimeout is how long a call waits for the end of the output after the program and its process
// group are gone. Only a process that left the group on purpose can still hold it open.
const pipeTimeout = time.Second

// handler is the handler of one definition.
type handler struct {
	definition string
	logger     logr.Logger
	config     Config
	program    program
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

func newHandler(_ context.Context, env handlers.Env, c Config) (handlers.Handler, error) {
	if !supported {
		return nil, errors.New("running programs: not supported on this operating system")
	}
	program, err := lookUp(c.Command)
	if err != nil {
		return nil, err
	}
	switch info, err := os.Stat(c.Dir); {
	case err != nil:
		return nil, fmt.Errorf("looking up the working directory: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("looking up the working directory: %s is not a directory", c.Dir)
	}
	h := handler{definition: env.Definition, logger: env.Logger, config: c, program: program}
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
	if ctx.Err() != nil {
		return handlers.Result{}, fmt.Errorf("running %s: %w", p.path, context.Cause(ctx))
	}
	object, err := req.Object.JSON()
	if err != nil {
		return handlers.Result{}, handlers.Terminal(err)
	}
	environ, secrets, err := h.environment(req)
	if err != nil {
		return handlers.Result{}, err
	}
	stdout, stderr := h.outputs(ctx, newRedactor(secrets))
	cmd := &exec.Cmd{
		Path: p.path, Args: p.args, Dir: h.config.Dir, Env: environ,
		Stdin: bytes.NewReader(object), Stdout: stdout, Stderr: stderr,
		WaitDelay: pipeTimeout,
	}
	end, err := run(ctx, cmd, time.Duration(h.config.Timeout), time.Duration(h.config.Grace))
	stdout.close()
	stderr.close()
	orphans.reap()
	if err != nil {
		return handlers.Result{}, fmt.Errorf("starting %s: %w", p.path, explainStart(err, p.path, h.config.Dir))
	}
	return handlers.Result{}, h.exitError(p, end, stderr.lastLine())
}

// outputs returns what takes standard output and standard error.
func (h *handler) outputs(ctx context.Context, redact redactor) (stdout, stderr *output) {
	logger, err := logr.FromContext(ctx)
	if err != nil {
		logger = h.logger
	}
	if h.config.OutputLevel == OutputDebug {
		logger = logger.V(1)
	}
	take := func(stream string) *output {
		return &output{
			logger: logger.WithValues("stream", stream), redact: redact, budget: h.config.MaxOutput,
			off: h.config.OutputLevel == OutputOff || !logger.Enabled(),
		}
	}
	return take("stdout"), take("stderr")
}

// exitError makes an error of how the program ended, nil when that was a success. said is the last
// line of its standard error.
func (h *handler) exitError(p program, end ending, said string) error {
	if said != "" {
		said = ": " + said
	}
	if end.stopped != nil {
		return fmt.Errorf("running %s: %w%s", p.path, end.stopped, said)
	}
	code := end.state.ExitCode() // -1 after a signal
	if code == 0 || slices.Contains(h.config.ExitCodes.Success, code) {
		return nil
	}
	err := fmt.Errorf("running %s: %s%s", p.path, end.state, said)
	if slices.Contains(h.config.ExitCodes.Terminal, code) {
		return handlers.Terminal(err)
	}
	return err
}
