package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// ending is how a program ended.
type ending struct {
	// state is the program's exit status.
	state *os.ProcessState
	// stopped says why it was made to end, nil when it ended unasked.
	stopped error
}

// run starts cmd as the leader of a process group and waits until the program has ended and the
// group is gone. An error means that the program did not start.
//
// The thread is locked because Linux kills a child whose parent-death signal is set when the thread
// that started it ends, not only when the process does. A locked thread lives as long as the call.
func run(ctx context.Context, cmd *exec.Cmd, timeout, grace time.Duration) (ending, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g, err := startGroup(cmd)
	if err != nil {
		return ending{}, err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		g.awaitLeader()
	}()
	stopped := supervise(ctx, g, exited, timeout, grace)
	// What the program has left behind in its group dies with it. The group's number is still
	// taken: its leader has not been waited for.
	g.kill()
	waitErr := cmd.Wait()
	g.reap()
	// With a state, the error only repeats it, or says that a pipe was still open after
	// pipeTimeout.
	if cmd.ProcessState == nil {
		return ending{}, fmt.Errorf("waiting for the program: %w", waitErr)
	}
	return ending{state: cmd.ProcessState, stopped: stopped}, nil
}

// supervise returns when the program has ended: with nil when that was the program's doing, else
// with the reason for which it was stopped.
//
// The end of ctx kills at once. It may mean that the term is over: another replica may take over
// within seconds, while the program may have credentials that no gate closes. So SIGTERM comes
// before: at the timeout, or so early that the grace is over when ctx ends, whichever comes first.
func supervise(ctx context.Context, g *group, exited <-chan struct{}, timeout, grace time.Duration) error {
	limit, grace, why := limits(ctx, timeout, grace)
	var expired <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-exited:
		return nil
	case <-ctx.Done():
		return killed(ctx, g, exited)
	case <-expired:
	}
	g.terminate()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	how := "it stopped at SIGTERM"
	select {
	case <-exited:
	case <-ctx.Done():
		how = "it was killed"
		g.kill()
		<-exited
	case <-timer.C:
		how = fmt.Sprintf("it did not stop within %s and was killed", grace)
		g.kill()
		<-exited
	}
	if overdue(ctx) {
		return timeoutError{errors.New(how)} // The engine adds that the definition's timeout has passed.
	}
	return timeoutError{fmt.Errorf("timed out %s: %s", why, how)}
}

// timeoutError is a context.DeadlineExceeded with another text.
type timeoutError struct{ error }

func (timeoutError) Unwrap() error { return context.DeadlineExceeded }

// killed ends the program at once, unless it has ended already.
func killed(ctx context.Context, g *group, exited <-chan struct{}) error {
	select {
	case <-exited:
		return nil
	default:
	}
	g.kill()
	<-exited
	if overdue(ctx) {
		return timeoutError{errors.New("it was killed")} // as above
	}
	return fmt.Errorf("killed: %w", context.Cause(ctx))
}

// overdue reports whether the deadline of ctx has passed. Timers of one moment fire in any order,
// so it waits for a context that has yet to notice.
func overdue(ctx context.Context) bool {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done()
	}
	return errors.Is(ctx.Err(), context.DeadlineExceeded)
}

// limits returns when the program gets SIGTERM, counted from now and 0 for never, its grace after
// that, and which of the two timeouts that is. A grace that does not fit into what is left of ctx
// is cut to half of that.
func limits(ctx context.Context, timeout, grace time.Duration) (limit, fitting time.Duration, why string) {
	limit, why = timeout, fmt.Sprintf("after %s", timeout)
	deadline, ok := ctx.Deadline()
	if !ok {
		return limit, grace, why
	}
	left := max(time.Until(deadline), 2*time.Nanosecond) // half of it must not be 0
	if last := left - min(grace, left/2); timeout <= 0 || last < timeout {
		limit, why = last, fmt.Sprintf("%s before the definition's timeout", grace)
		if grace > left/2 {
			why = fmt.Sprintf("at half of the definition's timeout, in which a grace of %s does not fit", grace)
		}
	}
	return limit, min(grace, left-limit), why
}
