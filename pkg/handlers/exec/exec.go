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
	program    string // absolute path
}

func newHandler(_ context.Context, env handlers.Env, c Config) (handlers.Handler, error) {
	if !supported {
		return nil, errors.New("running programs: not supported on this operating system")
	}
	program, err := exec.LookPath(c.Command[0])
	if err != nil {
		return nil, fmt.Errorf("looking up the program: %w", err)
	}
	switch info, err := os.Stat(c.Dir); {
	case err != nil:
		return nil, fmt.Errorf("looking up the working directory: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("looking up the working directory: %s is not a directory", c.Dir)
	}
	return &handler{definition: env.Definition, logger: env.Logger, config: c, program: program}, nil
}

// Handle runs the program once. When it returns, no process of the program's group runs any more.
func (h *handler) Handle(ctx context.Context, req handlers.Request) (handlers.Result, error) {
	if ctx.Err() != nil {
		return handlers.Result{}, fmt.Errorf("running %s: %w", h.program, context.Cause(ctx))
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
		Path: h.program, Args: h.config.Command, Dir: h.config.Dir, Env: environ,
		Stdin: bytes.NewReader(object), Stdout: stdout, Stderr: stderr,
		WaitDelay: pipeTimeout,
	}
	end, err := run(ctx, cmd, time.Duration(h.config.Timeout), time.Duration(h.config.Grace))
	stdout.close()
	stderr.close()
	orphans.reap()
	if err != nil {
		return handlers.Result{}, fmt.Errorf("starting %s: %w", h.program, explainStart(err, h.program, h.config.Dir))
	}
	return handlers.Result{}, h.exitError(end, stderr.lastLine())
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
func (h *handler) exitError(end ending, said string) error {
	if said != "" {
		said = ": " + said
	}
	if end.stopped != nil {
		return fmt.Errorf("running %s: %w%s", h.program, end.stopped, said)
	}
	code := end.state.ExitCode() // -1 after a signal
	if code == 0 || slices.Contains(h.config.ExitCodes.Success, code) {
		return nil
	}
	err := fmt.Errorf("running %s: %s%s", h.program, end.state, said)
	if slices.Contains(h.config.ExitCodes.Terminal, code) {
		return handlers.Terminal(err)
	}
	return err
}
