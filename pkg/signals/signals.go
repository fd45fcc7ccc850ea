package signals

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// contextKey marks the contexts that Context returns. Its value is a *process.
type contextKey struct{}

// Context returns a context that ends with the first SIGINT, SIGTERM or SIGHUP. From then on these
// signals have their default effect, so a second one ends the process at once, with the status that
// tells of the signal (143 for SIGTERM). Call it once, first thing in main: a signal that comes
// earlier ends the process.
//
// It also catches SIGPIPE for the life of the process, so that a program whose log is no longer
// read goes on.
func Context() context.Context {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // Nothing reads it: catching is enough.
	p := newProcess()
	root := context.WithValue(context.Background(), contextKey{}, p) //nolint:forbidigo // a program begins its context
	ctx, _ := p.untilSignal(root)
	return ctx
}

// Next is for a program that has been asked to stop and is about to take its time, and that wants
// to hear of a second request instead of being ended by it. It returns a context that ends with the
// next SIGINT, SIGTERM or SIGHUP, and a function that ends it and gives the signals their default
// effect again; the caller has to call that. After Reload, SIGHUP is no such request.
//
// ctx is one that descends from Context; that it has ended does not matter. With any other context
// no signal is caught: the one that Next returns ends by the function alone.
func Next(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = context.WithoutCancel(ctx)
	p := processOf(ctx)
	if p == nil {
		return context.WithCancel(ctx)
	}
	return p.untilSignal(ctx)
}

// untilSignal returns a context that ends with parent or with a signal to stop, and a function that
// ends it. Unlike with signal.NotifyContext, the signals have their default effect before the
// context ends, so one that follows is not lost.
func (p *process) untilSignal(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	received := make(chan os.Signal, 2)
	signal.Notify(received, os.Interrupt, syscall.SIGTERM)
	hangups := make(chan os.Signal, 2)
	p.notifyHangup(hangups)
	stop := func() {
		signal.Stop(received)
		p.stopHangup(hangups)
		cancel()
	}
	go func() {
		select {
		case <-received:
		case <-hangups:
		case <-ctx.Done():
			return
		}
		stop()
		select {
		case second := <-received: // It came before the default effect was back.
			raise(second)
		case second := <-hangups:
			raise(second)
		default:
		}
	}()
	return ctx, stop
}

// raise sends a signal to this process.
func raise(s os.Signal) {
	if number, ok := s.(syscall.Signal); ok {
		_ = syscall.Kill(os.Getpid(), number) // It cannot fail for the own process.
	}
}
