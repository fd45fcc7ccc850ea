package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
)

const (
	// pipeTimeout bounds the wait for pipes that something the child has started keeps open.
	pipeTimeout = 2 * time.Second
	// maxAnswer and maxChildStderr are how many bytes are kept of what the child writes.
	maxAnswer      = 16 << 20
	maxChildStderr = 256 << 10
	// maxCrashText is how many bytes of standard error are in the error for a crash.
	maxCrashText = 4 << 10
)

// childEvaluator evaluates configs in a process of its own: a child that runs this binary and has
// limits, so that a file that takes too much costs the child and not the daemon.
type childEvaluator struct {
	registry *handlers.Registry
	program  string // that the child runs
	limits   childLimits
}

// childLimits are what an evaluation may take.
type childLimits struct {
	cpu  time.Duration // in whole seconds
	wall time.Duration
	// memory bounds the whole child, in bytes.
	memory uint64
	// answer is how long the child may take beyond wall, which it watches itself.
	answer time.Duration
	// memoryLeft returns how many bytes the cgroup has left, math.MaxUint64 if there is no limit.
	memoryLeft func() (uint64, error)
}

// minChildMemory is what the evaluation of the smallest config needs, in bytes.
const minChildMemory = 24 << 20

// evaluateInChild returns an evaluator that runs this binary anew for each config. Its main
// function gets to Main with the same plugins. At most one evaluation may run at a time, since each
// takes its share of the memory that is left.
func evaluateInChild(registry *handlers.Registry) evaluator {
	e := &childEvaluator{
		registry: registry, program: ownProgram(),
		limits: childLimits{
			cpu: 10 * time.Second, wall: 30 * time.Second, answer: 5 * time.Second,
			memory: 1 << 30, memoryLeft: memoryLeft,
		},
	}
	return e.evaluate
}

func (e *childEvaluator) evaluate(ctx context.Context, files *config.Files) (*config.Config, []string, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("loading config: %w", context.Cause(ctx))
	}
	memory, err := e.limits.memoryLimit()
	if err != nil {
		return nil, nil, err
	}
	request, err := json.Marshal(evaluationRequest{Files: files.List()})
	if err != nil {
		return nil, nil, evaluationErrorf("encoding the files: %w", err)
	}
	c := &child{limits: e.limits, memory: memory}
	c.run(ctx, e.program, request)
	if ctx.Err() != nil {
		return nil, nil, fmt.Errorf("loading config: %w", context.Cause(ctx))
	}
	answer, err := c.answer(files)
	if err != nil {
		return nil, nil, err
	}
	return answer.result(e.registry)
}

// memoryLimit returns how many bytes a child may take: three quarters of what is left, since this
// process needs memory, too, while the child runs. When the cgroup's limit is reached, the kernel
// may kill all processes in it.
func (l childLimits) memoryLimit() (uint64, error) {
	left, err := l.memoryLeft()
	if err != nil {
		return 0, evaluationErrorf("reading how much memory is left: %w", err)
	}
	limit := min(l.memory, left/4*3)
	if limit < minChildMemory {
		// How much is left changes all the time, and an error that stays the same is said once.
		return 0, evaluationErrorf("it needs at least %d MiB of memory, more than three quarters of what the memory limit leaves",
			minChildMemory>>20)
	}
	return limit, nil
}

// child is one process that evaluates a config.
type child struct {
	limits childLimits
	memory uint64

	stdout, stderr limitedBuffer
	timedOut       bool
	err            error
	state          *os.ProcessState // nil when it did not start
}

// run runs the child to its end, which is at the latest that of ctx.
//
// The thread is locked because Linux kills a child whose parent-death signal is set when the thread
// that started it ends, not only when the process does.
func (c *child) run(ctx context.Context, program string, request []byte) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, cancel := context.WithTimeout(ctx, c.limits.wall+c.limits.answer)
	defer cancel()
	c.stdout.left, c.stderr.left, c.stderr.discard = maxAnswer, maxChildStderr, true
	cmd := exec.CommandContext(ctx, program, evaluateArguments(c.limits, c.memory)...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(request), &c.stdout, &c.stderr
	cmd.WaitDelay = pipeTimeout
	dieWithParent(cmd)
	c.err = cmd.Run()
	c.state, c.timedOut = cmd.ProcessState, ctx.Err() != nil
}

// answer returns what the child has found out, or why it has not.
func (c *child) answer(files *config.Files) (evaluationAnswer, error) {
	var answer evaluationAnswer
	if c.state == nil {
		return answer, evaluationErrorf("starting a process: %w", c.err)
	}
	switch {
	case c.state.Success() && json.Unmarshal(lastLine(c.stdout.text), &answer) == nil:
		return answer, nil
	case c.timedOut:
		return answer, config.TooLong(files, c.limits.wall)
	case c.killedForCPU():
		return answer, config.TooMuchCPU(files, c.limits.cpu)
	}
	text := crashText(string(c.stderr.text))
	if outOfMemory.MatchString(text) {
		return answer, config.TooMuchMemory(files, c.memory)
	}
	if text != "" {
		text = ": " + text
	}
	return answer, evaluationErrorf("its process ended without an answer (%s)%s", c.state, text)
}

// killedForCPU reports whether the kernel has killed the child because it could not say itself that
// it has reached its limit of CPU time. What the kernel counts for that can be more than what it
// says afterwards: where others want the processor, too, it takes a process to have run since the
// last tick of its clock.
func (c *child) killedForCPU() bool {
	return !c.state.Exited() && c.state.UserTime()+c.state.SystemTime() >= c.limits.cpu/10*9
}

// lastLine returns the last line of what the child has written: before it may be what the code of a
// plugin prints.
func lastLine(text []byte) []byte {
	text = bytes.TrimRight(text, "\n")
	return text[bytes.LastIndexByte(text, '\n')+1:]
}

// crashText returns the part of a program's standard error that says why it ended: that from where
// the Go runtime begins to report a crash, or else the end.
func crashText(stderr string) string {
	stderr = strings.TrimSpace(stderr)
	for _, begin := range []string{"runtime: out of memory", "fatal error: ", "panic: "} {
		if i := strings.Index("\n"+stderr, "\n"+begin); i >= 0 {
			return stderr[i:min(len(stderr), i+maxCrashText)]
		}
	}
	return stderr[max(0, len(stderr)-maxCrashText):]
}

// outOfMemory are the words by which a program ends when the kernel gives it no more memory: those
// of the Go runtime, and then those of the race detector.
var outOfMemory = regexp.MustCompile(`(?m)^fatal error: .*(out of memory|cannot allocate memory|cannot map pages)` +
	`|^fatal error: too many address space collisions for -race mode|^==\d+==ERROR: ThreadSanitizer failed to allocate`)

// limitedBuffer keeps the beginning of what is written. The rest is an error, or discarded as if it
// were kept. It embeds no bytes.Buffer, whose ReadFrom io.Copy would use without a limit.
type limitedBuffer struct {
	text    []byte
	left    int
	discard bool
}

var errFull = errors.New("too much output")

func (b *limitedBuffer) Write(p []byte) (int, error) {
	kept := min(len(p), b.left)
	b.left -= kept
	b.text = append(b.text, p[:kept]...)
	if kept < len(p) && !b.discard {
		return kept, errFull
	}
	return len(p), nil
}

// noMemoryLimit is what memoryLeft returns when nothing limits the memory.
const noMemoryLimit = math.MaxUint64

// ownProgram is a path of this binary. On Linux it leads to the file that runs, also after another
// one was put in its place, and without one that can be found.
func ownProgram() string {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err == nil {
		return self
	}
	if path, err := os.Executable(); err == nil {
		return path
	}
	return os.Args[0]
}
